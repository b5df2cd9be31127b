"""What raw text writes as one word and a treebank as several: learned, applied, stored."""

import json
import random

import pytest

from unspool.data import WordSplits, read_sentences
from unspool.data.units import word_pattern
from unspool.errors import ModelFolderError

FRENCH = {"du": ("de", "le"), "au": ("à", "le"), "des": ("de", "les")}


def spans(text):
    return [match.span() for match in word_pattern(text.isascii()).finditer(text)]


def line(id, form, glued=False):
    return "\t".join([id, form, "_", "X", "_", "_", "_", "_", "_", "SpaceAfter=No" if glued else "_"])


def treebank(texts):
    """A CoNLL-U file of texts whose words are apart; contractions are ranges, elisions have no blank after them."""
    sentences = []
    for text in texts:
        lines, number = [], 0
        for word in text.split():
            parts = FRENCH.get(word.casefold())
            if parts:
                lines.append(line(f"{number + 1}-{number + 2}", word))
            for part in parts or (word,):
                number += 1
                lines.append(line(str(number), part, glued=part.endswith("'") and not parts))
        sentences.append("\n".join(lines) + "\n")
    return "\n".join(sentences)


@pytest.fixture
def learned(tmp_path):
    draw = random.Random(3)
    nouns = ["pain", "vin", "jardin", "marché", "port", "livre", "mur", "pont"]
    texts = [f"elle parle {draw.choice(['du', 'au', 'des'])} {draw.choice(nouns)} ." for _ in range(40)]
    texts += [
        f"il n' {draw.choice(['a', 'est', 'ouvre', 'aime'])} pas l' {draw.choice(['eau', 'herbe', 'ami'])} ."
        for _ in range(40)
    ]
    texts += ["la main est des siens .", "aujourd'hui il pleut ."]
    path = tmp_path / "train.conllu"
    path.write_text(treebank(texts), encoding="utf-8")
    return WordSplits.learn(((each.columns["form"], each.glued) for each in read_sentences(str(path))), spans)


def test_frequent_contractions_and_elisions_are_learned(learned):
    assert learned.split("du") == ("de", "le")
    assert learned.split("Au") == ("À", "le")
    assert learned.split("n'a") == ("n'", "a")
    assert learned.split("l'oiseau") == ("l'", "oiseau")
    assert learned.split("N’ira") == ("N’", "ira")
    assert learned.split("aujourd'hui") == ("aujourd'hui",)
    assert learned.split("pain") == ("pain",)
    assert learned.seen == 40 + 80 + 1


def test_what_is_written_both_ways_is_left_alone(tmp_path):
    part = "\n".join([line("1-2", "its"), line("1", "it"), line("2", "s")]) + "\n"
    whole = line("1", "its") + "\n"
    path = tmp_path / "a.conllu"
    path.write_text("\n".join([part] * 5 + [whole] * 5))
    splits = WordSplits.learn(((each.columns["form"], each.glued) for each in read_sentences(str(path))), spans)
    assert splits.split("its") == ("its",)
    assert splits.seen == 5


def test_what_was_learned_is_stored(learned, tmp_path):
    learned.save(tmp_path)
    again = WordSplits.load(tmp_path)
    assert (again.whole, again.beginnings, again.endings, again.seen) == (
        learned.whole, learned.beginnings, learned.endings, learned.seen
    )  # fmt: skip
    assert WordSplits.load(tmp_path / "none").split("du") == ("du",)
    for bad in ("[", '{"whole": {"a": []}, "beginnings": {}, "endings": [], "seen": 1}', "{}", "[" * 10_000):
        (tmp_path / "word_splits.json").write_text(bad)
        with pytest.raises(ModelFolderError, match="damaged"):
            WordSplits.load(tmp_path)


def test_a_tagger_parts_raw_text_as_its_treebank(tmp_path):
    from unspool import Tagger, load

    rows = ["il n' a pas du vin .", "elle n' est pas du port .", "il n' aime pas du pain ."] * 3
    path = tmp_path / "train.conllu"
    text = treebank(rows)
    path.write_text("\n".join(row.replace("\tX\t", f"\t{'XY'[n % 2]}\t") for n, row in enumerate(text.split("\n"))))
    notes = []

    from unspool.training import Reporter

    class Notes(Reporter):
        def note(self, text):
            notes.append(text)

    small = {"hidden": 4, "embedding": 3, "epochs": 1, "character_hidden": 4, "character_embedding": 3, "seed": 1}
    Tagger(**small).fit(path, valid=path, out=tmp_path / "m", reporter=Notes())
    assert any("split 18 multiword tokens" in note and "du → de le" in note for note in notes)
    model = load(tmp_path / "m")
    said = model.predict(["Il n'a pas du vin."])[0]
    assert said.words == ["Il", "n'", "a", "pas", "de", "le", "vin", "."]
    assert said.parted == {"n'a": ["n'", "a"], "du": ["de", "le"]}
    assert model.predict([["du", "vin"]])[0].words == ["du", "vin"]
    assert json.loads((tmp_path / "m" / "vocabulary" / "word_splits.json").read_text())["seen"] == 18
    (tmp_path / "m" / "vocabulary" / "word_splits.json").unlink()
    assert load(tmp_path / "m").predict(["du vin"])[0].words == ["du", "vin"]
