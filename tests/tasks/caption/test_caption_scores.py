"""Caption scores: equal to COCO's scorers (pycocoevalcap 1.2), and right where a score has no matches."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import pytest

from unspool.tasks.caption.scores import (
    DocumentFrequencies,
    bleu,
    caption_scores,
    cider_d,
    consensus_caption,
    rouge_l,
)
from unspool.tasks.caption.words import caption_words

Case = tuple[list[list[str]], list[list[list[str]]]]

# What pycocoevalcap 1.2 computes for `_case(seed)`: BLEU-1 to 4, ROUGE-L, CIDEr-D.
STORED = {
    1: [
        0.5825901685875312,
        0.49802744695778267,
        0.38529557708709683,
        5.067653326937517e-05,
        0.6286314289099627,
        1.9934719746063165,
    ],
    2: [
        0.7664918726838972,
        0.6396550667084702,
        0.5364261499440034,
        0.46904477386002386,
        0.5981808400607186,
        1.0869865383936232,
    ],
    3: [
        0.6363636363347108,
        0.48850421043282916,
        0.4632781243211094,
        0.45849617366325485,
        0.5634368224464155,
        0.8806505200118379,
    ],
}


def _case(seed: int) -> Case:
    """Captions of 0 to 12 words over a small vocabulary, with one to five references."""
    draw = random.Random(seed)
    vocabulary = ["a", "man", "dog", "red", "ball", "runs", "on", "the", "grass", "with", "two", "in"]

    def sentence(fewest: int) -> list[str]:
        return [vocabulary[int(draw.random() * len(vocabulary))] for _ in range(fewest + int(draw.random() * 12))]

    captions, references = [], []
    for _ in range(7):
        refs = [sentence(1) for _ in range(1 + int(draw.random() * 5))]
        own = sentence(0)
        if draw.random() < 0.6:  # close to a reference
            own = [word for word in refs[0] if draw.random() < 0.8]
        captions.append(own)
        references.append(refs)
    captions[2], references[3] = [], [["dog"]]
    captions[4], references[4] = ["dog"], [["dog"], ["a", "dog"], ["a", "red", "dog"]]
    return captions, references


def _coco(captions: list[list[str]], references: list[list[list[str]]]) -> list[float]:
    if importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("pycocoevalcap is not installed: the scores are compared with stored ones alone")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    gts: Any = {place: [" ".join(each) for each in refs] for place, refs in enumerate(references)}
    res: Any = {place: [" ".join(words)] for place, words in enumerate(captions)}
    four, _ = Bleu(4).compute_score(gts, res, verbose=0)
    return [*map(float, four), float(Rouge().compute_score(gts, res)[0]), float(Cider().compute_score(gts, res)[0])]


def _ours(case: Case) -> list[float]:
    return [*bleu(*case), rouge_l(*case), cider_d(*case)]


@pytest.mark.parametrize("seed", range(30))
def test_scores_equal_cocos_scorers(seed: int) -> None:
    assert _ours(_case(seed)) == pytest.approx(_coco(*_case(seed)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", STORED)
def test_scores_equal_stored_ones_of_cocos_scorers(seed: int) -> None:
    assert _ours(_case(seed)) == pytest.approx(STORED[seed], rel=1e-9)


def test_an_empty_caption_scores_zero_and_shortens_the_corpus() -> None:
    case: Case = ([["a", "dog"], []], [[["a", "dog"]], [["a", "cat"]]])
    assert rouge_l(*case) == pytest.approx(0.5)
    assert bleu(*case)[0] == pytest.approx(2.718281828**-1, rel=1e-6)
    assert bleu([[]], [[["a"]]])[0] == 0.0


def test_one_word_has_no_pairs() -> None:
    one, two, *_ = bleu([["dog"]], [[["dog"]]])
    assert one == pytest.approx(1.0)
    assert two < 1e-2  # no pair of words was guessed right


def test_closest_length_is_the_shorter_of_two_equally_close() -> None:
    refs = [[["a", "b"], ["a", "b", "c", "d"]]]
    assert bleu([["a", "b", "c"]], refs)[0] == pytest.approx(1.0)  # 2 words, not 4: no brevity penalty


def test_document_frequencies_of_other_data_change_cider_alone() -> None:
    captions, references = ["a red dog runs", "a man"], [["a red dog sits"], ["two men run"]]
    own = caption_scores(captions, references)
    words = [[caption_words(each) for each in row] for row in references]
    same = caption_scores(captions, references, DocumentFrequencies.of(words))
    other = DocumentFrequencies.of([[["a", "red", "dog"]]] * 9 + [[["snow"]]])
    changed = caption_scores(captions, references, other)
    assert own == same
    assert changed["cider-d"] != pytest.approx(own["cider-d"])
    assert {name: value for name, value in changed.items() if name != "cider-d"} == {
        name: value for name, value in own.items() if name != "cider-d"
    }


def test_scores_count_exact_and_distinct_captions() -> None:
    scores = caption_scores(["A dog.", "a dog", "snow"], [["a dog !"], ["a cat"], ["snow", "ice"]])
    assert scores["exact"] == pytest.approx(2 / 3)
    assert scores["distinct"] == pytest.approx(2 / 3)


def test_the_consensus_caption_shares_most_with_the_others() -> None:
    captions = ["snow falls", "a dog runs on grass", "a dog runs on the grass", "a red dog runs on the grass", "a cat"]
    frequencies = DocumentFrequencies.of([[caption_words(each)] for each in [*captions, "two men", "a boy", "the sea"]])
    assert captions[consensus_caption(captions, frequencies)] == "a dog runs on the grass"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A child in a pink dress .", "a child in a pink dress"),
        ("The boy's dog doesn't run!", "the boy 's dog does n't run"),
        ("they can’t; he'll", "they ca n't he 'll"),
        ("A tri-colored dog on a 4-wheeler, at 9:30", "a tri-colored dog on a 4-wheeler at 9:30"),
        ("gonna cannot", "gon na can not"),
        ("slip 'n' slide -- $ 1,000.50 (#7)", "slip 'n' slide $ 1,000.50 # 7"),
        ("in the U.S. , Mr. Smith's", "in the u.s. mr. smith 's"),
        ("Ein Mädchen – überall …", "ein mädchen überall"),
        (" . , ", ""),
    ],
)
def test_words_are_those_of_the_penn_treebank_without_punctuation(text: str, words: str) -> None:
    assert caption_words(text) == words.split()
