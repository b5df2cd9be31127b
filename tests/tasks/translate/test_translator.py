"""The translator from files to outputs, scores and folder, on sentences that are to be reversed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unspool
from pair_samples import SILENT, reversals
from pair_samples import SMALL_TRANSLATOR as SMALL
from pair_samples import write_pairs as write
from unspool import Translator
from unspool.data import UNKNOWN
from unspool.decoding import DecodingSettings, Hypothesis
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.tasks.translate.scores import by_length, grouped, signature, translation_scores
from unspool.training import Reporter

GREEDY = DecodingSettings(search="greedy")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs.tsv", reversals(80))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator that has learned to reverse, its data beside it."""
    place = tmp_path_factory.mktemp("reverse")
    write(place / "train.tsv", reversals(900))
    write(place / "test.tsv", reversals(60, seed=1))
    model = Translator(
        **{
            **SMALL,
            "network": "bilinear",
            "cell": "gru",
            "hidden": 32,
            "embedding": 24,
            "epochs": 8,
            "choose_by": "bleu",
        },
        learning_rate=0.02,
        label_smoothing=0.02,
    )
    model.fit(place / "train.tsv", test=place / "test.tsv", out=place / "model", reporter=SILENT)
    return place


@pytest.fixture
def reverser(folder: Path) -> Translator:
    loaded = unspool.load(folder / "model")
    assert isinstance(loaded, Translator)
    return loaded


# ---- from files to outputs -----------------------------------------------------------------------------------------


def test_it_learns_to_reverse_and_says_so_after_loading(folder, reverser):
    assert reverser.record is not None
    test = reverser.record.metrics["test"]
    assert test["exact"] > 0.9
    assert test["bleu"] > 90
    assert {"bleu", "chrf", "ter", "exact", "perplexity"} < set(test)
    assert reverser.evaluate(folder / "test.tsv") == test
    assert reverser.record.baselines["copy of the source"]["bleu"] < test["bleu"]
    said = reverser.predict(["ant bee cat", "fox"])
    assert [each.translation for each in said] == ["cat bee ant", "fox"]
    assert said[0].source_units == ["ant", "bee", "cat"]
    assert said[0].target_units == ["cat", "bee", "ant", ""]
    assert np.array(said[0].attention).shape == (4, 3)
    assert np.array(said[0].attention).sum(1) == pytest.approx(1, abs=2e-4)
    assert said[0].line() == "cat bee ant"
    assert json.loads(json.dumps(said[0].record()))["translation"] == "cat bee ant"
    assert reverser.predict([]) == []


def test_scores_are_sacrebleu_s(folder, reverser):
    from sacrebleu.metrics import BLEU, CHRF, TER

    pairs = dict.fromkeys(tuple(line.split("\t")) for line in (folder / "test.tsv").read_text().splitlines())
    sources, targets = zip(*pairs, strict=True)
    outputs = [each.translation for each in reverser.predict(list(sources), decoding=reverser.settings.decoding)]
    scores = reverser.evaluate(folder / "test.tsv")
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF()), ("ter", TER())):
        assert scores[name] == pytest.approx(metric.corpus_score(outputs, [list(targets)]).score, rel=1e-4)
    assert scores["exact"] == pytest.approx(np.mean(np.array(outputs) == np.array(targets)), rel=1e-4)
    assert reverser.score_notes(folder / "test.tsv")[0].startswith("BLEU as nrefs:1|case:mixed|eff:no|tok:13a")


def test_what_is_said_does_not_hang_on_the_batch(reverser):
    texts = ["ant bee cat dog", "fox", "elk elk", "dog cat bee"]
    for decoding in (GREEDY, DecodingSettings(beam=4, best=2)):
        together = reverser.predict(texts, decoding=decoding)
        for text, expected in zip(texts, together, strict=True):
            alone = reverser.predict([text], decoding=decoding)[0]
            assert alone.translation == expected.translation
            assert alone.score == pytest.approx(expected.score, rel=1e-4)
            assert [text for text, _ in alone.others] == [text for text, _ in expected.others]


def test_the_perplexity_is_of_the_targets_and_their_ends(folder, reverser):
    assert reverser.target_vocabulary is not None
    logs = []
    for source, target in reversals(60, seed=1):
        state = reverser.model.start(tokens_of(reverser, source))
        with torch.no_grad():
            units = [*reverser.target_vocabulary.encode(target), 2]
            for read, said in zip([2, *units], units, strict=False):
                scores, state = reverser.model.advance(torch.tensor([read]), state)
                logs.append(float(scores[0, said]))
    assert reverser.evaluate(folder / "test.tsv")["perplexity"] == pytest.approx(np.exp(-np.mean(logs)), rel=1e-3)


def tokens_of(task: Translator, text: str) -> Any:
    from unspool.data import Tokens

    assert task.source_vocabulary is not None
    ids = torch.tensor(task.source_vocabulary.encode(text)).unsqueeze(1)
    return Tokens(ids, torch.tensor([len(ids)]))


def test_several_outputs_with_their_scores(reverser):
    said = reverser.predict(["ant bee cat"], decoding=DecodingSettings(beam=4, best=4))[0]
    assert said.translation == "cat bee ant"
    assert len(said.others) == 3
    scores = [said.score, *(score for _, score in said.others)]
    assert scores == sorted(scores, reverse=True)
    assert len({said.translation, *(text for text, _ in said.others)}) == 4
    assert said.line().splitlines() == [
        f"{text}\t{score:.4f}" for text, score in [(said.translation, said.score), *said.others]
    ]


def test_draws_follow_the_seed_and_scores_of_draws_are_repeatable(folder, reverser):
    sample = DecodingSettings(search="sample", temperature=4.0, max_length=9)
    texts = ["ant bee cat dog"] * 5
    first, again, other = (
        [each.translation for each in reverser.predict(texts, decoding=sample, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    drawn = {"search": "sample", "temperature": 4.0, "max_length": 9}
    reverser.settings = reverser.settings.replace(**{f"decoding.{name}": value for name, value in drawn.items()})
    assert reverser.evaluate(folder / "test.tsv") == reverser.evaluate(folder / "test.tsv")


def test_outputs_begin_as_they_are_told(reverser):
    said = reverser.predict(["ant bee", "cat"], begin="dog dog")
    assert all(each.translation.startswith("dog dog") for each in said)
    assert reverser.predict(["ant bee"], begin=" ")[0].translation == "bee ant"
    long = " ".join(["dog"] * 50)  # far longer than what the length of the source allows
    decoding = reverser.settings.decoding.replace(max_length=None)
    assert reverser.predict(["cat"], begin=long, decoding=decoding)[0].translation.startswith(long)


# ---- what is awkward -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decoding",
    [
        GREEDY,
        DecodingSettings(search="greedy", no_repeat_ngram=1, min_length=3),
        DecodingSettings(search="sample", temperature=1.5),
        DecodingSettings(search="sample", top_k=3, max_length=4),
    ],
    ids=str,
)
@pytest.mark.parametrize("begin", ["", "cat"])
def test_a_stream_joined_is_the_translation(reverser, decoding, begin):
    for seed, text in enumerate(["dog cat elk", "bee", "fox cat cat dog"]):
        pieces = list(reverser.stream(text, decoding=decoding, begin=begin, seed=seed))
        said = reverser.predict([text], decoding=decoding, begin=begin, seed=seed)[0]
        assert "".join(pieces) == said.translation
        assert all(pieces)
        assert len(pieces) == len(said.target_units) - (said.target_units[-1:] == [""])


def test_a_stream_writes_greedily_where_the_model_has_a_beam(reverser):
    assert reverser.settings.decoding.search == "beam"
    assert "".join(reverser.stream("dog cat elk")) == reverser.predict("dog cat elk", decoding=GREEDY).translation
    for decoding in (DecodingSettings(), DecodingSettings(search="sample", best=2)):
        with pytest.raises(SettingError, match="can't be written unit by unit"):
            reverser.stream("dog cat elk", decoding=decoding)
    with pytest.raises(DataError, match="text 1"):
        reverser.stream("")


def test_a_stream_that_is_closed_does_no_more(reverser, monkeypatch):
    steps, unbroken = [], type(reverser.model).advance
    monkeypatch.setattr(type(reverser.model), "advance", lambda *given: steps.append(1) or unbroken(*given))
    pieces = reverser.stream("fox cat elk bee")
    next(pieces)
    next(pieces)
    assert len(steps) == 2
    pieces.close()
    assert list(pieces) == []
    assert len(steps) == 2


def test_a_stream_in_subwords_keeps_every_character(corpus, tmp_path):
    pairs = write(tmp_path / "accents.tsv", [("a b", "né €uro ☃ naïve")] * 20)
    model = Translator(**{**SMALL, "units": "bpe", "size": 300, "epochs": 1, "valid_fraction": 0.0}).fit(
        pairs, reporter=SILENT
    )
    decoding = DecodingSettings(search="sample", max_length=200)
    for seed in range(3):  # untrained: bytes in any order, characters that never end
        said = model.predict("a b", decoding=decoding, seed=seed).translation
        assert "".join(model.stream("a b", decoding=decoding, seed=seed)) == said


@pytest.mark.parametrize("wide", [8, 9, 500])
def test_a_beam_wider_than_the_vocabulary(reverser, wide):
    decoding = DecodingSettings(beam=wide, best=min(wide, 5), max_length=3)
    assert len(reverser.predict(["fox"], decoding=decoding)[0].others) == min(wide, 5) - 1


def test_a_text_without_a_known_word_gets_an_answer(reverser):
    said = reverser.predict(["zebra ¿ yak", "\u200b", "🦊"], decoding=GREEDY)
    assert [len(each.source_units) for each in said] == [3, 1, 1]
    assert all("<" not in each.translation for each in said)


def test_a_text_without_a_unit_is_named_by_its_place(reverser):
    with pytest.raises(DataError, match=r"^text 3: there is no token in this example"):
        reverser.predict(["ant", "bee", " \n"])


def test_a_megabyte_of_text_is_read_as_far_as_it_is_read(reverser):
    head = "ant bee cat dog " * 128
    huge = head + "fox " * 250_000
    decoding = DecodingSettings(search="greedy", max_length=8)
    said = reverser.predict([huge, "x" * 1_000_000], decoding=decoding)
    assert len(said[0].source_units) == 512
    assert np.array(said[0].attention).shape[1] == 512
    assert said[0].translation == reverser.predict([head], decoding=decoding)[0].translation
    scored = reverser._outputs(reverser.model, [huge], decoding)  # as scores are counted
    assert scored == [said[0].translation]
    assert said[0].caution == "250,512 units, of which 512 are read; the longest source in training had 4"
    assert said[1].caution.startswith("nothing in it is in the model's vocabulary")


def test_cautions_begin_above_the_longest_source_and_where_nothing_is_known(folder, reverser):
    longest = max(len(line.split("\t")[0].split()) for line in (folder / "train.tsv").read_text().splitlines()[1:])
    said = reverser.predict(["ant " * longest, "ant " * (longest + 1), "yak ant", "yak gnu"])
    assert [each.caution for each in said] == [
        "",
        f"{longest + 1} units; the longest source in training had {longest}",
        "",
        "nothing in it is in the model's vocabulary: the output is a guess",
    ]


def test_learned_positions_end_and_outputs_with_them(corpus, monkeypatch):
    monkeypatch.setattr("unspool.tasks.parts.encoder_decoders._LEARNED_POSITIONS", 40)
    monkeypatch.setattr("unspool.tasks.translate.translator._LONGEST", 24)
    model = Translator(
        **{
            **SMALL,
            "network": "transformer",
            "positions": "learned",
            "heads": 2,
            "feedforward": 5,
            "embedding": 6,
        }
    ).fit(corpus, reporter=SILENT)
    with torch.no_grad():
        model.model.softmax.bias[2] = -1e9  # it never comes to an end
    said = model.predict(["ant " * 90], decoding=GREEDY, begin="bee cat")
    assert (len(said[0].source_units), len(said[0].target_units)) == (24, 40)


def test_training_names_the_path_of_every_cell(corpus):
    heard = []

    class Listening(Reporter):
        def note(self, text: str) -> None:
            heard.append(text)

    Translator(**{**SMALL, "network": "additive", "cell": "gru-reset-before"}).fit(corpus, reporter=Listening())
    engine = [line for line in heard if line.startswith("engine: ")]
    assert [line.split(" on the ")[0] for line in engine] == ["engine: ResetBeforeGRUCell", "engine: AttentiveCell"]
    assert "reference path (not cpu: it takes context of (batch, width), not (1, 1, 6)" in engine[1]


# ---- unknown words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", ["word", "blank", "character"])
def test_unknown_units_are_copied_from_where_the_network_looked(corpus, units):
    model = Translator(**{**SMALL, "units": units, "network": "additive"}, copy_unknown=True)
    model.fit(corpus, reporter=SILENT)
    with torch.no_grad():
        model.model.softmax.bias[UNKNOWN] = 100.0
    said = model.predict(["Zoë ant 42"], decoding=GREEDY)[0]
    looked = np.array(said.attention).argmax(1)
    joined = "" if units == "character" else " "
    assert said.translation == joined.join(said.source_units[place] for place in looked[: len(said.target_units)])
    assert len(said.target_units) >= 6


def test_copying_goes_by_the_step_of_each_unknown_word(reverser):
    reverser.settings = reverser.settings.replace(copy_unknown=True)
    assert reverser.target_vocabulary is not None
    ant, bee = reverser.target_vocabulary.encode("ant bee")
    attention = np.array([[0.9, 0.1, 0], [0.2, 0.2, 0.6], [0, 1, 0], [0, 0.4, 0.6], [1, 0, 0]], np.float32)
    found = Hypothesis([ant, UNKNOWN, bee, UNKNOWN], -1.0, -1.0, [], attention, finished=True)
    assert reverser._text(found, "x Yak's ¿") == "ant ¿ bee ¿"
    attention[3] = [0.1, 0.5, 0.4]
    assert reverser._text(found, "x Yak's ¿") == "ant ¿ bee Yak's"
    without = Hypothesis([ant, bee], -1.0, -1.0, [], attention[:3], finished=True)
    assert reverser._text(without, "x Yak's ¿") == "ant bee"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"copy_unknown": True, "units": "bpe", "network": "dot"}, "has no unknown words; also set units='word'"),
        ({"copy_unknown": True, "units": "word", "network": "initial"}, "copy_unknown needs attention"),
        ({"coverage": 0.5, "network": "window"}, "coverage needs attention, and network = window has none"),
        ({"network": "concatenated", "joint": False}, "needs one vocabulary for source and target: joint=True"),
        ({"sampling_start": 1.5}, "sampling_start"),
        ({"network": "transformer", "hidden": 10, "heads": 4}, "heads = 4"),
        ({"network": "luong"}, "network"),
        ({"choose_by": "ter"}, "choose_by"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(values, said):
    with pytest.raises(SettingError) as caught:
        Translator(**values)
    assert said in str(caught.value)


# ---- held-out data -------------------------------------------------------------------------------------------------


def test_all_pairs_of_a_source_are_held_out_together(tmp_path):
    pairs = [(f"source {number // 5}", f"target {number}") for number in range(100)]
    model = Translator(**SMALL)
    examples = model._read(write(tmp_path / "a.tsv", pairs))
    train, held = examples.divide(0.25, 0)
    assert not set(train.sources) & set(held.sources)
    assert len(set(held.sources)) == 5
    assert len(held.sources) == 25
    together = sorted(zip(train.targets + held.targets, train.where + held.where, strict=True))
    assert together == sorted(zip(examples.targets, examples.where, strict=True))
    again = examples.divide(0.25, 0)[1]
    other = examples.divide(0.25, 5)[1]
    assert again.targets == held.targets != other.targets
    with pytest.raises(DataError, match="1 example can't be split"):
        model._read(write(tmp_path / "b.tsv", [("a", "b"), ("a", "c")])).divide(0.1, 0)


def test_a_source_with_several_targets_is_one_sentence_with_several_right_outputs(folder, reverser, tmp_path):
    path = write(tmp_path / "t.tsv", [("ant bee", "no"), ("cat", "cat"), ("ant bee", "bee ant"), ("ant bee", "no")])
    scores = reverser.evaluate(path)
    assert scores["exact"] == 1.0
    assert "nrefs:var" in reverser.score_notes(path)[0]
    reverser.settings = reverser.settings.replace(references="single")
    assert reverser.evaluate(path)["exact"] == 0.5
    assert "nrefs:1|" in reverser.score_notes(path)[0]
    assert reverser.evaluate(path)["perplexity"] == scores["perplexity"]


def test_grouping_keeps_order_and_drops_repeats():
    sources, targets = ["a", "b", "a", "a"], ["1", "2", "3", "1"]
    assert grouped(sources, targets, together=True) == (["a", "b"], [["1", "3"], ["2"]])
    assert grouped(sources, targets, together=False) == (sources, [["1"], ["2"], ["3"], ["1"]])


# ---- scores --------------------------------------------------------------------------------------------------------


def test_scores_with_uneven_references_are_sacrebleu_s():
    from sacrebleu.metrics import BLEU, CHRF, TER

    outputs = ["the cat sat on the mat .", "a dog runs fast", "it rains today , they say"]
    references = [["the cat is on the mat .", "a cat sat on the mat ."], ["dogs run fast"], ["it rains", "rain today"]]
    streams = [[each[0] for each in references], [references[0][1], None, references[2][1]]]
    scores = translation_scores(outputs, references, "13a")
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF()), ("ter", TER())):
        assert scores[name] == pytest.approx(metric.corpus_score(outputs, streams).score)
    assert scores["exact"] == 0
    assert translation_scores(["rain today"], [["it rains", "rain today"]], "none")["exact"] == 1
    assert scores["bleu"] != pytest.approx(BLEU().corpus_score(outputs, streams[:1]).score)


@pytest.mark.parametrize(
    ("references", "count"),
    [([["a"], ["b"]], "1"), ([["a", "b"], ["c", "d"]], "2"), ([["a", "b"], ["c", "d"], ["e"]], "var")],
    ids=str,
)
def test_the_signature_says_how_many_references_there_are(references, count):
    assert f"nrefs:{count}|" in signature(references, "13a")
    assert "tok:none" in signature(references, "none")


@pytest.mark.parametrize(
    ("lengths", "names"),
    [
        ([1, 2, 3, 4, 5, 6], ["up to 2 words", "3 to 4 words", "over 4 words"]),
        ([3, 3, 3, 3, 9], ["up to 3 words", "over 3 words"]),
        ([7, 7], ["up to 7 words"]),
        ([4], ["up to 4 words"]),
    ],
    ids=str,
)
def test_scores_by_length_part_the_sentences(lengths, names, monkeypatch):
    counted: list[int] = []

    def count(outputs: Sequence[str], references: Sequence[Sequence[str]], _: str) -> float:
        assert [each[0] for each in references] == [f"r{output}" for output in outputs]
        counted.extend(map(int, outputs))
        return float(len(outputs))

    monkeypatch.setattr("unspool.tasks.translate.scores.corpus_bleu", count)
    sources = [" ".join(["w"] * length) for length in lengths]
    outputs = [str(number) for number in range(len(lengths))]
    scores = by_length(sources, outputs, [[f"r{output}"] for output in outputs], "13a")
    assert list(scores) == [f"bleu, {name}" for name in names]
    assert sorted(counted) == list(range(len(lengths)))


def test_sources_without_blanks_are_parted_by_their_characters():
    sources = ["ab", "abcd", "abcdef"]
    assert list(by_length(sources, sources, [[each] for each in sources], "char")) == [
        *("bleu, up to 2 characters", "bleu, 3 to 4 characters", "bleu, over 4 characters")
    ]


# ---- every network, every unit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"network": "window", "window": 4, "tied": False},
        {"network": "concatenated", "cell": "mingru"},
        {"network": "initial", "bidirectional": False, "layers": 2, "joint": False},
        {"network": "every-step", "tied": False, "residual": True},
        {"network": "dot", "joint": False, "units": "character"},
        {"network": "additive", "tied": False, "layers": 2, "units": "blank"},
        {"network": "bilinear", "units": "bpe", "size": 270},
        {"network": "transformer", "heads": 2, "feedforward": 5, "embedding": 6, "positions": "learned"},
        {"network": "latent", "latent": 2, "joint": False, "units": "unigram", "size": 265},
    ],
    ids=lambda settings: settings["network"],
)
def test_every_network_says_the_same_after_saving_and_loading(settings, corpus, tmp_path):
    model = Translator(**{**SMALL, **settings}).fit(corpus, out=tmp_path / "m", reporter=SILENT)
    texts = ["ant bee", "fox cat dog elk ant"]
    again = unspool.load(tmp_path / "m")
    assert again.predict(texts) == model.predict(texts)
    assert again.evaluate(corpus) == model.evaluate(corpus)
    tied = model.model.softmax.weight is model.model.target.table.weight
    assert tied == settings.get("tied", True)
    assert (again.model.softmax.weight is again.model.target.table.weight) == tied
    assert (again.source_vocabulary is again.target_vocabulary) == settings.get("joint", True)
    assert (tmp_path / "m" / "vocabulary" / "target.json").exists() != settings.get("joint", True)
    assert settings["network"] in model._summary()
    trace = again.trace("ant bee")
    assert trace.tokens == tuple(again.predict(["ant bee"])[0].source_units)
    assert trace.prediction["translation"] == again.predict(["ant bee"])[0].translation


def test_resumed_training_ends_with_the_same_bits(corpus, tmp_path):
    """The chance of reading own words moves with the progress of the training, so a resumed run must know it."""
    settings = {**SMALL, "network": "additive", "epochs": 4, "dropout": 0.2, "batch_size": 16}
    settings |= {"sampling_start": 0.1, "sampling_end": 1.0, "word_dropout": 0.1, "coverage": 0.2}
    Translator(**settings).fit(corpus, out=tmp_path / "whole", baselines=False, reporter=SILENT)
    heard: list[float] = []

    class Stop(Reporter):
        def validated(self, progress: Any, metrics: Any, improved: Any) -> None:
            heard.append(progress.epoch)
            if progress.epoch >= 2:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        Translator(**settings).fit(corpus, out=tmp_path / "cut", baselines=False, reporter=Stop())
    resumed = Translator(**settings)
    resumed.fit(corpus, out=tmp_path / "cut", resume=True, baselines=False, reporter=SILENT)
    assert 0.9 < resumed.model.progress < 1
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


@pytest.mark.parametrize("ratio", ["1e9", "0", "-3", '"x"'])
def test_a_folder_that_would_have_it_write_without_end_is_refused(folder, tmp_path, ratio):
    place = tmp_path / "m"
    shutil.copytree(folder / "model", place)
    lengths = '{"longest_source": 4, "ratio": ' + ratio + "}"
    (place / "vocabulary" / "lengths.json").write_text(lengths, encoding="utf-8")
    with pytest.raises(ModelFolderError, match=r"lengths\.json"):
        Translator.load(place)
