"""Data for the training benchmark: the known sets where they are, else generated text of like size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

KNOWN = {
    "tagger": ("ud_english_ewt/en_ewt-ud-train.conllu", "UD English EWT"),
    "classifier": ("sst2/train.tsv", "SST-2"),
    "language model": ("tinyshakespeare/input.txt", "Tiny Shakespeare"),
}
"""For each task, the file in the data folder and how the set is called."""


def data_folder() -> Path:
    """The folder of real data, which may not be there."""
    return Path(os.environ.get("UNSPOOL_DATA") or Path(__file__).parents[3] / "shared" / "data")


def corpora(folder: Path, generated: bool = False) -> dict[str, tuple[Path, str]]:
    """For each task a file to train on, and what it is.

    Args:
        folder: Where generated text may be written.
        generated: Whether to generate all of it, whatever is there.
    """
    data = data_folder()
    found = {}
    for task, (name, title) in KNOWN.items():
        if (data / name).is_file() and not generated:
            found[task] = (data / name, title)
        else:
            found[task] = (_write(task, folder), "generated text")
    return found


def _write(task: str, folder: Path) -> Path:
    """Text with the lengths and the word frequencies of the set it stands for."""
    generator = np.random.default_rng(0)
    words = _words(generator, 15_000)
    count, mean = {"tagger": (8_000, 16), "classifier": (6_000, 19), "language model": (20_000, 10)}[task]
    lengths = np.clip(generator.gamma(1.8, mean / 1.8, count).round().astype(int), 1, 90)
    sentences = [_draw(generator, words, length) for length in lengths]
    path = folder / {"tagger": "words.conllu", "classifier": "texts.tsv", "language model": "text.txt"}[task]
    if task == "tagger":
        lines = "\n".join("\n".join(_row(n, word) for n, word in enumerate(s, 1)) + "\n" for s in sentences)
    elif task == "classifier":
        lines = "\n".join(f"{len(' '.join(sentence)) % 2}\t{' '.join(sentence)}" for sentence in sentences)
    else:
        lines = "\n".join(" ".join(sentence) for sentence in sentences)
    path.write_text(lines + "\n", encoding="utf-8")
    return path


def _words(generator: np.random.Generator, count: int) -> list[str]:
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    chances = 1 / np.arange(3, len(letters) + 3)
    made: dict[str, None] = {}
    while len(made) < count:
        made["".join(generator.choice(letters, 1 + generator.poisson(4.5), p=chances / chances.sum()))] = None
    return sorted(made, key=len)


def _draw(generator: np.random.Generator, words: Sequence[str], length: int) -> list[str]:
    """Words with Zipf's frequencies, short ones more often."""
    ranks = generator.zipf(1.3, length)
    return [words[(rank - 1) % len(words)] for rank in ranks.tolist()]


def _row(number: int, word: str) -> str:
    tag = f"T{sum(map(ord, word)) % 17}"
    return "\t".join([str(number), word, "_", tag, *["_"] * 6])
