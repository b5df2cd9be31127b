"""What tests of exporters share: cells of every kind, and small trained models with texts that they have not seen."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from unspool import Assistant, Classifier, LanguageModel, Tagger, Translator
from unspool.training import Reporter

FIT: dict[str, Any] = {"baselines": False, "reporter": Reporter()}
WORDS = [
    "a",
    "joy",
    "dull",
    "from",
    "end",
    "to",
    "it's",
    "Grand",
    "café",
    "İstanbul",
    "ÉTÉ",
    "42",
    "17",
    "plot-less",
    ",",
    "!",
    "?",
    "…",
    "<unk>",
    "naïve",
    "straße",
    "ΣΑΣ",
    "the",
    "of",
]


def sentences(count: int, seed: int, words: list[str] = WORDS) -> list[str]:
    """Draw sentences of 1 to 12 words, some joined without a blank."""
    chance = random.Random(seed)
    return [
        "".join(chance.choice(words) + chance.choice([" ", " ", "  ", ""]) for _ in range(chance.randint(1, 12)))
        for _ in range(count)
    ]


def reviews(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Draw sentences with labels that depend on their words."""
    texts = sentences(count, seed)
    return texts, ["good" if "joy" in text or "É" in text else "bad" if "dull" in text else "so-so" for text in texts]


CLASSIFIERS: dict[str, dict[str, Any]] = {
    "words, both directions, two layers": {
        "bidirectional": True,
        "layers": 2,
        "residual": True,
        "pooling": "attention",
    },
    "characters of words by convolution": {"characters": "convolution", "lowercase": True, "pooling": "last"},
    "characters of words by a cell": {"characters": "recurrent", "digits_to_zero": True, "cell": "gru-reset-before"},
    "characters": {"units": "character", "lowercase": True, "bidirectional": True, "pooling": "last"},
    "blanks, a bag": {"units": "blank", "network": "bag", "min_count": 2},
    "subwords": {"units": "bpe", "size": 300, "cell": "elman", "pooling": "mean", "ngrams": False},
    "several labels": {"several": True, "cell": "gru"},
}


@cache
def classifier(name: str) -> Classifier:
    """Train one of `CLASSIFIERS` for two epochs."""
    texts, labels = reviews(90, 1)
    values = {"hidden": 7, "embedding": 6, "epochs": 2, "threads": 1, "plan": False, **CLASSIFIERS[name]}
    if not values.get("several"):
        return Classifier(**values).fit(texts, labels, **FIT)
    several = [[label, "long"] if len(text) > 40 else [] for text, label in zip(texts, labels, strict=True)]
    return Classifier(**values).fit(texts, several, **FIT)


TAGGERS: dict[str, dict[str, Any]] = {
    "spans, a CRF, characters": {"characters": "convolution", "lowercase": True, "bidirectional": True},
    "single tags, two layers": {"layers": 2, "cell": "gru", "digits_to_zero": True},
}


@cache
def tagger(name: str) -> Tagger:
    """Train one of `TAGGERS` for two epochs."""
    sample = [words for text in sentences(80, 3) if (words := text.split())]
    if "spans" in name:
        begins = [[word[0] in "aÉ" for word in words] for words in sample]
        tags = [
            ["B-X" if begin else "I-X" if place and each[place - 1] else "O" for place, begin in enumerate(each)]
            for each in begins
        ]
    else:
        kinds = {(True, True): "UP", (True, False): "low"}
        tags = [[kinds.get((word.isalpha(), word.isupper()), "other") for word in words] for words in sample]
    values = {"hidden": 7, "embedding": 6, "epochs": 2, "threads": 1, "plan": False, **TAGGERS[name]}
    return Tagger(**values).fit(sample, tags, **FIT)


WRITERS: dict[str, dict[str, Any]] = {
    "characters, two layers": {"units": "character", "layers": 2, "residual": True, "hidden": 6},
    "words, a cell that no vendor has": {"units": "word", "cell": "mlstm", "tied": True},
    "subwords": {"units": "bpe", "size": 300, "cell": "gru"},
}


@cache
def writer(name: str) -> LanguageModel:
    """Train one of `WRITERS` for two epochs."""
    text = "\n".join(sentences(150, 4))
    values = {"hidden": 7, "embedding": 6, "epochs": 2, "threads": 1, "plan": False, "steps": 16, "batch_size": 4}
    return LanguageModel(**(values | WRITERS[name])).fit([text], **FIT)


TRANSLATORS: dict[str, dict[str, Any]] = {
    "initial": {"network": "initial", "bidirectional": False},
    "every-step": {"network": "every-step", "cell": "gru"},
    "dot": {"network": "dot", "layers": 2},
    "additive": {"network": "additive", "cell": "mlstm", "tied": True},
    "bilinear": {"network": "bilinear", "units": "character"},
}


@cache
def translator(name: str) -> Translator:
    """Train one of `TRANSLATORS` to reverse words, for two epochs."""
    pairs = [(text, " ".join(text.split()[::-1])) for text in sentences(80, 5) if text.strip()]
    values = {"hidden": 8, "embedding": 6, "epochs": 2, "threads": 1, "plan": False, "units": "word"}
    return Translator(**(values | TRANSLATORS[name])).fit(pairs, **FIT)


QUESTIONS = [
    ("when do you open", "At nine."), ("When do you open on Sundays?", "Not at all."), ("where are you", "In Paris."),
    ("who are you", "A network."), ("what is Straße", "A street."), ("WHERE are you?", "Here."), ("hi", "Hello!"),
    ("how can i pay with a card", "At the till."), ("do you take cash", "Yes."), ("what does it cost", "10 €."),
]  # fmt: skip
ASKED = [
    "when do you open", "When do you open?", "where are you!!", "who r u", "what is STRASSE", "hi", "Hi ?!", "pay cash",
    "opening on sunday", "it's what's ’cost’", "ﬁne ½ ①", "xyzzy", "?", "a",
    "do you take cash or cards ; .", "café naïve",
]  # fmt: skip


@cache
def assistant() -> Assistant:
    """Train an assistant of ten pairs, and add two more afterwards."""
    model = Assistant(generator=False, epochs=2, threshold=0.3).fit(QUESTIONS, **FIT)
    model.add([("is there a garden", "Yes, behind the house."), ("xyz qrs", "Nonsense.")])
    return model
