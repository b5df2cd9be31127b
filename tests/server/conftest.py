"""Small models of several tasks, and one server for them all."""

from __future__ import annotations

import pytest
from live import serving
from small_models import CASES, train

from house_assistant import train_house
from unspool.server.models import describe_folders


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """All models, not loaded."""
    folder = tmp_path_factory.mktemp("served")
    train(folder)
    names = ["classifier", "tagger", "assistant", "writer", "context", "mixed", "bytes"]
    plain = describe_folders([str(folder / name) for name in names])
    return [*plain, *describe_folders([str(folder / "own")], f"{CASES}:PairCell")]


@pytest.fixture(scope="session")
def live(served):
    """A server of all models with the usual limits."""
    with serving(served) as one:
        yield one


@pytest.fixture(scope="session")
def tasks(live):
    """The loaded tasks by name."""
    return {name: one.task for name, one in live.state.models.by_name.items()}


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """An assistant with commands and its parser, not loaded."""
    folder = tmp_path_factory.mktemp("house") / "house"
    train_house(folder)
    return describe_folders([str(folder)], parts=True)
