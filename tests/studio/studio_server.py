"""A studio in a thread of this process, with small models that are trained in seconds."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from house_assistant import train_house
from unspool import Assistant, Cell, Classifier, Forecaster, LanguageModel, Reader, load
from unspool.server.models import Served
from unspool.server.serving import build, prepare, run
from unspool.server.settings import ServerSettings
from unspool.tasks.catalog import TASKS

__all__ = ["running_studio", "small_models"]

TEXTS = ["the flights was late", "a plane were early", "the crew of the plane was tired", "two flights were full"] * 6
LABELS = ["one", "many", "one", "many"] * 6
STORIES = [
    {"story": [f"Mary went to the {one}.", f"John went to the {two}."], "question": "Where is Mary?", "answer": one}
    for one in ("office", "garden")
    for two in ("kitchen", "office", "garden")
] * 3
SALES = {
    "month": [f"{2000 + step // 12}-{step % 12 + 1:02}" for step in range(72)],
    "units": [round(10 * math.sin(math.pi * step / 6) + step, 3) for step in range(72)],
}
NOVEL = "".join(f"The {noun} {verb} home.\n" for noun in ("cat", "dog", "old fox") for verb in ("ran", "went")) * 20


def small_models(folder: Path, cell: type[Cell[Any]]) -> dict[str, Any]:
    """Train small models of several kinds, one with a custom cell, and save them in a folder."""
    common = {"epochs": 2, "threads": 1, "seed": 3, "plan": False}
    small = {"hidden": 9, "embedding": 6, "ngrams": False}
    pairs = [("how do i begin", "Unpack it."), ("where is the cable", "In the box."), ("who made it", "We did.")]
    questions, answers = map(list, zip(*pairs, strict=True))
    tasks: dict[str, Any] = {
        "gru": Classifier(cell="gru", bidirectional=True, **small, **common).fit(TEXTS, LABELS),
        "own": Classifier(cell=cell, bidirectional=False, **small, **common).fit(TEXTS, LABELS),
        "writer": LanguageModel(cell="lstm", hidden=12, embedding=8, batch_size=4, steps=20, **common).fit([NOVEL]),
        "heads": Classifier(network="transformer", hidden=16, layers=1, heads=2, ngrams=False, **common).fit(
            TEXTS, LABELS
        ),
        "helper": Assistant(epochs=3, threads=1, seed=3).fit(questions, answers),
        "reader": Reader(embedding=8, hops=2, epochs=2, threads=1, seed=3).fit(STORIES),
        "sales": Forecaster(horizon=3, hidden=6, **common).fit(SALES),
    }
    for name, task in tasks.items():
        task.save(folder / name)
    train_house(folder / "house")
    house = load(folder / "house")
    return {**tasks, "house": house, "house-commands": house.parser}


@contextmanager
def running_studio(tasks: dict[str, Any], folder: Path, settings: ServerSettings, runs: Path) -> Iterator[str]:
    """Serve loaded models and a run with the studio's pages; yields the address."""
    served = [Served(name, folder / name, TASKS[task.name], task=task) for name, task in tasks.items()]
    for one in served:
        if one.name == "house-commands":
            one.folder, one.part_of = folder / "house" / "commands", "house"
    state, listener, address = prepare(served, settings, [runs])
    listening = threading.Event()
    server = build(state, listener, studio=True, on_start=listening.set, load=lambda: None)
    thread = threading.Thread(target=run, args=(server, state, listener), daemon=True)
    thread.start()
    assert listening.wait(20)
    yield address
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
