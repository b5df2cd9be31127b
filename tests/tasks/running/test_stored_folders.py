"""Model folders of format 1 as the first version wrote them: they load, predict the same, and their training goes on.

Each folder in `stored` holds its training data, the model after two epochs (`trained.json`: what it predicted and the
sum of each weight's magnitudes), and the same after one more epoch (`resumed.json`). The figures were written on one
processor; another adds in another order, so they are compared to five digits.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import unspool
from unspool.training import Reporter

STORED = Path(__file__).parent / "stored"
TASKS = sorted(path.name for path in STORED.iterdir())
TEXTS = {
    "classify": ["the cat sees the fish", "a horse"],
    "tag": ["the cat sees the fish"],
    "translate": ["the cat sees the fish"],
    "answer": ["where do i find the dog"],
    "read": ["Mary went to the kitchen. John went to the garden. Where is Mary?"],
}


@pytest.fixture
def stored(request, tmp_path, monkeypatch) -> Path:
    """A copy of a stored folder, which is also the working directory: its record names the data by relative paths."""
    copy = tmp_path / request.param
    shutil.copytree(STORED / request.param, copy)
    monkeypatch.chdir(copy)
    return copy


def behaviour(task: Any) -> dict[str, Any]:
    """What a model predicts, and the sum of each weight's magnitudes."""
    predictions: Any = (
        [prediction.record() for prediction in task.predict(TEXTS[task.name])] if task.name in TEXTS else []
    )
    if task.name == "write":
        predictions = {"trace": list(task.trace("the cat").prediction["surprise"])}
    weights = {name: float(weight.double().abs().sum()) for name, weight in task.model.state_dict().items()}
    return {"predictions": predictions, "weights": weights}


def assert_alike(actual: Any, expected: Any, place: str) -> None:
    """Compare nested values, numbers to five digits; what is new in `actual` is let be."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            if value is not None:
                assert_alike(actual[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), place
        for number, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_alike(one, other, f"{place}[{number}]")
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-6), place
    else:
        assert actual == expected, place


@pytest.mark.parametrize("stored", TASKS, indirect=True)
def test_a_stored_folder_predicts_what_it_did(stored):
    task = unspool.load(stored / "model")
    assert task.name == stored.name
    assert_alike(behaviour(task), json.loads((stored / "trained.json").read_text()), "trained")


@pytest.mark.parametrize("stored", TASKS, indirect=True)
def test_the_training_of_a_stored_folder_goes_on(stored):
    task = unspool.load(stored / "model")
    longer = type(task)(task.settings.replace(epochs=task.settings.training.epochs + 1))
    data = [path.name for path in stored.glob("data.*")] or ["reverse"]
    longer.fit(data, out="model", resume=True, allow=["epochs"], baselines=False, reporter=Reporter())
    assert_alike(behaviour(longer), json.loads((stored / "resumed.json").read_text()), "resumed")
