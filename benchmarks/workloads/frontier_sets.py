"""Data sets of the frontier benchmark: two or three for each task, and a generated one for its small version."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workloads.small_language import SmallLanguage

__all__ = ["SETS", "SMALL", "DataSet", "MissingDataError", "data_folder"]

Files = tuple[str, ...]


class MissingDataError(Exception):
    """A file of a data set is not there."""


@dataclass(frozen=True)
class DataSet:
    """Files of one data set, with the score by which methods are compared."""

    task: str
    score: str
    """Name of the score: accuracy, f1, nats, perplexity or bleu."""
    train: Files
    valid: Files
    """Validation files; empty: settings are chosen on a part of the training files."""
    test: Files
    flags: Files = ()
    """Flags of `unspool train` that say what the data are; all else is left at its default."""

    def command(self) -> list[str]:
        """Arguments of `unspool`, without the time limit."""
        words = ["train", self.task, *self.train]
        for part in ("valid", "test"):
            words += [word for file in getattr(self, part) for word in (f"--{part}", file)]
        return [*words, *self.flags]


Parts = tuple[Files, Files, Files]
"""Files for training, validation and test."""


@dataclass(frozen=True)
class Description:
    """What a data set is called, and how its files come about."""

    title: str
    task: str
    score: str
    measure: str
    """The score in words."""
    find: Callable[[Path, Path], Parts]
    """Finds the files in a folder of data, and writes derived ones to a scratch folder."""
    flags: Files = ()
    """Flags of `unspool train`."""

    def prepare(self, data: Path, scratch: Path) -> DataSet:
        """Return the data set.

        Args:
            data: Folder of all data.
            scratch: Folder for derived files.

        Raises:
            MissingDataError: If a file is not there.
        """
        return DataSet(self.task, self.score, *self.find(data, scratch), self.flags)


def data_folder() -> Path:
    """The folder that UNSPOOL_DATA names, or `shared/data` beside the checkout."""
    return Path(os.environ.get("UNSPOOL_DATA") or Path(__file__).parents[3] / "shared" / "data").resolve()


def _paths(folder: Path, *names: str) -> Files:
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise MissingDataError(f"there is no {', '.join(absent)} in {folder}")
    return tuple(str(folder / name) for name in names)


def _same_files(pattern: str, *parts: str) -> Callable[[Path, Path], Parts]:
    """Files that need no change: a name, or several with blanks between, in which `{0}` stands for the part."""

    def find(data: Path, scratch: Path) -> Parts:
        train, valid, test = (_paths(data, *pattern.format(part).split()) for part in parts)
        return train, valid, test

    return find


def _clinc150(data: Path, scratch: Path) -> Parts:
    """The queries in scope."""
    (source,) = _paths(data, "clinc150/data_full.json")
    queries = json.loads(Path(source).read_text(encoding="utf-8"))
    files = []
    for part in ("train", "val", "test"):
        path = scratch / f"clinc150-{part}.tsv"
        rows = "".join(f"{intent}\t{' '.join(query.split())}\n" for query, intent in queries[part])
        path.write_text(f"label\ttext\n{rows}", encoding="utf-8")
        files.append((str(path),))
    return files[0], files[1], files[2]


def _tiny_shakespeare(data: Path, scratch: Path) -> Parts:
    """The first nine tenths and the last; as in `docs/results.md`, no part of the nine validates."""
    (source,) = _paths(data, "tinyshakespeare/input.txt")
    text = Path(source).read_text(encoding="utf-8")
    cut = int(0.9 * len(text))
    paths = [scratch / f"shakespeare-{part}.txt" for part in ("train", "test")]
    for path, part in zip(paths, (text[:cut], text[cut:]), strict=True):
        path.write_text(part, encoding="utf-8")
    return (str(paths[0]),), (), (str(paths[1]),)


SETS: dict[str, Description] = {
    "sst2": Description(
        "SST-2",
        "classify",
        "accuracy",
        "accuracy on test, %",
        _same_files("sst2/{0}.tsv", "train", "dev", "test"),
    ),
    "clinc150": Description("CLINC150, in scope", "classify", "accuracy", "accuracy on test, %", _clinc150),
    "ewt": Description(
        "UD English EWT, UPOS",
        "tag",
        "accuracy",
        "accuracy on test, %",
        _same_files("ud_english_ewt/en_ewt-ud-{0}.conllu", "train", "dev", "test"),
    ),
    "conll2003": Description(
        "CoNLL-2003, entities",
        "tag",
        "f1",
        "F1 on testb, %",
        _same_files("conll2003_en/eng.{0}", "train", "testa", "testb"),
    ),
    "shakespeare": Description(
        "Tiny Shakespeare, characters",
        "write",
        "nats",
        "nats per character, test",
        _tiny_shakespeare,
        ("--valid-fraction", "0"),
    ),
    "linux": Description(
        "Linux source, characters",
        "write",
        "nats",
        "nats per character, test",
        _same_files("linux_c/{0}.txt", "train", "valid", "test"),
    ),
    "ptb": Description(
        "Penn Treebank, words",
        "write",
        "perplexity",
        "perplexity per word, test",
        _same_files("ptb/ptb.{0}.txt", "train", "valid", "test"),
        ("--units", "blank"),
    ),
    "multi30k": Description(
        "Multi30k English–German, tokenised",
        "translate",
        "bleu",
        "BLEU on test2016",
        _same_files(
            "multi30k_en_de/tok/{0}.lc.norm.tok.en multi30k_en_de/tok/{0}.lc.norm.tok.de",
            "train",
            "val",
            "test_2016_flickr",
        ),
        ("--tokenization", "none"),
    ),
    "tatoeba": Description(
        "Tatoeba English–French",
        "translate",
        "bleu",
        "BLEU on test",
        _same_files("tatoeba_en_fr/{0}.tsv", "train", "valid", "test"),
    ),
}
"""The sets of the benchmark by name."""


def _generate(task: str, suffix: str, *counts: int) -> Callable[[Path, Path], Parts]:
    """Files in the small generated language: so many sentences for training, validation and test."""

    def find(data: Path, scratch: Path) -> Parts:
        files = []
        for seed, (part, count) in enumerate(zip(("train", "valid", "test"), counts, strict=True)):
            path = SmallLanguage(seed).write(task, scratch / f"small-{task}-{part}.{suffix}", count)
            files.append((str(path),))
        return files[0], files[1], files[2]

    return find


SMALL: dict[str, Description] = {
    "small-classify": Description(
        "generated, labels",
        "classify",
        "accuracy",
        "accuracy, %",
        _generate("classify", "tsv", 1500, 300, 1000),
        ("--epochs", "4"),
    ),
    "small-tag": Description(
        "generated, tags",
        "tag",
        "accuracy",
        "accuracy, %",
        _generate("tag", "conll", 150, 100, 1000),
        ("--epochs", "10"),
    ),
    "small-write": Description(
        "generated, characters",
        "write",
        "nats",
        "nats per character",
        _generate("write", "txt", 1500, 200, 300),
        ("--epochs", "2"),
    ),
    "small-translate": Description(
        "generated, pairs",
        "translate",
        "bleu",
        "BLEU",
        _generate("translate", "tsv", 1500, 100, 200),
        ("--epochs", "10", "--tokenization", "none"),
    ),
}
"""The sets of the small version. They fix the epochs, not the minutes: a busy machine then comes to the same scores."""
