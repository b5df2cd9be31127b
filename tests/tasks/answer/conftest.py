"""Two small assistants, with and without a generator, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pair_samples import MEMORY, SILENT, entries
from pair_samples import SMALL_ASSISTANT as SMALL
from pair_samples import write_entries as write
from unspool import Assistant, load


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two assistants, with and without a generator, their data beside them."""
    place = tmp_path_factory.mktemp("assistant")
    write(place / "train.jsonl", entries())
    for name, settings in (("memory", MEMORY), ("both", SMALL)):
        Assistant(**settings).fit(place / "train.jsonl", out=place / name, reporter=SILENT)
    return place


@pytest.fixture
def memory(folder: Path) -> Assistant:
    return load(folder / "memory", Assistant)


@pytest.fixture
def both(folder: Path) -> Assistant:
    return load(folder / "both", Assistant)
