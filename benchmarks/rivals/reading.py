"""Files as the peers of the frontier benchmark read them, through Unspool's own readers and without torch."""

from __future__ import annotations

from pathlib import Path

from workloads.frontier_sets import DataSet

from unspool.data import Layout, read_pairs
from unspool.tasks.classify.data import open_data as open_texts
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.tag.data import open_data as open_sentences
from unspool.tasks.tag.settings import TaggerSettings

__all__ = ["Sentences", "read_both_sides", "read_labelled", "read_running_text", "read_tagged"]

Files = tuple[str, ...]
Sentences = list[tuple[list[str], list[str]]]
"""Words and tags of each sentence."""


def read_labelled(data: DataSet) -> list[tuple[list[str], list[str]]]:
    """Read texts and labels of the training, validation and test files."""
    parts, layout = [], None
    for files in (data.train, data.valid, data.test):
        texts, labels, layout = _texts(files, layout)
        parts.append((texts, labels))
    return parts


def _texts(files: Files, before: Layout | None) -> tuple[list[str], list[str], Layout]:
    reader = open_texts(ClassifierSettings(), files, before)
    examples = list(reader)
    return [str(each.value) for each in examples], [each.labels[0] for each in examples], before or reader.layout


def read_tagged(files: Files) -> Sentences:
    """Read tagged sentences."""
    return [(sentence.words, sentence.tags) for sentence in open_sentences(TaggerSettings(), files)]


def read_both_sides(files: Files) -> tuple[list[str], list[str]]:
    """Read sources and targets, from a table or from two parallel files."""
    examples = list(read_pairs(files))
    return [pair.source for pair in examples], [pair.target for pair in examples]


def read_running_text(files: Files) -> str:
    """Read a text."""
    return "".join(Path(file).read_text(encoding="utf-8") for file in files)
