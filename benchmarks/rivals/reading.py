"""Files as the peers of the frontier benchmark read them, through Unspool's own readers and without torch."""

from __future__ import annotations

from pathlib import Path

from workloads.frontier_sets import DataSet

from unspool.data import Layout, read_pairs
from unspool.tasks.classify.data import open_data as open_texts
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.tag.data import open_data as open_sentences
from unspool.tasks.tag.settings import TaggerSettings

__all__ = ["Tagged", "labelled", "pairs", "running_text", "tagged"]

Files = tuple[str, ...]
Tagged = list[tuple[list[str], list[str]]]
"""Words and tags of each sentence."""


def labelled(data: DataSet) -> list[tuple[list[str], list[str]]]:
    """Read texts and labels of the training, validation and test files."""
    parts, layout = [], None
    for files in (data.train, data.valid, data.test):
        texts, labels, layout = _labelled(files, layout)
        parts.append((texts, labels))
    return parts


def _labelled(files: Files, before: Layout | None) -> tuple[list[str], list[str], Layout]:
    reader = open_texts(ClassifierSettings(), files, before)
    examples = list(reader)
    return [str(each.value) for each in examples], [each.labels[0] for each in examples], before or reader.layout


def tagged(files: Files) -> Tagged:
    """Read tagged sentences."""
    return [(sentence.words, sentence.tags) for sentence in open_sentences(TaggerSettings(), files)]


def pairs(files: Files) -> tuple[list[str], list[str]]:
    """Read sources and targets, from a table or from two parallel files."""
    examples = list(read_pairs(files))
    return [pair.source for pair in examples], [pair.target for pair in examples]


def running_text(files: Files) -> str:
    """Read a text."""
    return "".join(Path(file).read_text(encoding="utf-8") for file in files)
