"""What mypy says of a user's code: nothing of good code, and of each slip the line it stands on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GOOD = """
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import torch
from torch import Tensor

import unspool
from unspool import Assistant, Cell, Classifier, LanguageModel, Tagger, Translator, load
from unspool.tasks import Classification, Prediction, Tagging, Task, Translation
from unspool.tasks.answer.settings import AssistantSettings, MemorySettings

model = Classifier(cell=LeakyCell, hidden=64, num_layers=2, lr=1, optimizer="adam", patience=None, units="bpe")
model.fit("reviews.tsv", valid=["dev.tsv"], out="m", overwrite=True)
model.fit(["a", "b"], ["x", "y"], valid=(["c"], ["x"])).evaluate([("a", "x")])
assert_type(model.predict("a text"), Classification)
assert_type(model.predict(["a text", "another"]), list[Classification])
assert_type(model.predict(["a text"])[0].probability, float)
assert_type(Tagger().predict([["Time", "flies"]]), list[Tagging])
assert_type(Translator().predict("a", begin="b", seed=1), Translation)
assert_type(load("m", Classifier), Classifier)
assert_type(load("m", Tagger, cell=LeakyCell).predict("a"), Tagging)
any_task: Task[Any, Any] = load("m")
some: Prediction | Sequence[Prediction] = any_task.predict("a")
Assistant(AssistantSettings(memory=MemorySettings(size=32)), generator=False)
LanguageModel(units="character", steps=50).generate("It was ", length=20)
unspool.training.Reporter()


class WithContext(Cell[LeakyState]):
    def step(self, x: Tensor, state: LeakyState, *context: Tensor) -> tuple[Tensor, LeakyState]:
        return torch.cat([x, *context], -1), state
"""
BAD = """
Classifier(hiden=64)
Classifier(hidden="64")
Classifier(cell=3)
Classifier(optimizer="adamm")
Tagger(pooling="max")
Classifier(AssistantSettings())
Classifier().predict("a").tags
Classifier().predict(["a"]).label
load("m", Classifier).predict("a").tags
unspool.Classifer()


class Wrong(Cell[LeakyState]):
    def step(self, x: Tensor, state: LeakyState) -> Tensor:
        return x
"""
EXPECTED = {
    "Classifier(hiden=64)": 'Unexpected keyword argument "hiden" for "Classifier"; did you mean "hidden"?',
    'Classifier(hidden="64")': 'Argument "hidden" to "Classifier" has incompatible type "str"; expected "int"',
    "Classifier(cell=3)": 'Argument "cell" to "Classifier" has incompatible type "int"',
    'Classifier(optimizer="adamm")': "expected \"Literal['adamw', 'adam', 'sgd']\"",
    'Tagger(pooling="max")': 'Unexpected keyword argument "pooling" for "Tagger"',
    "Classifier(AssistantSettings())": 'expected "ClassifierSettings | None"',
    'Classifier().predict("a").tags': '"Classification" has no attribute "tags"',
    'Classifier().predict(["a"]).label': '"list[Classification]" has no attribute "label"',
    'load("m", Classifier).predict("a").tags': '"Classification" has no attribute "tags"',
    "unspool.Classifer()": 'Module has no attribute "Classifer"; maybe "Classifier"?',
    "    def step(self, x: Tensor, state: LeakyState) -> Tensor:": 'Signature of "step" incompatible with supertype',
}


def cell_of_the_readme() -> str:
    """The cell that README prints, as it stands there."""
    return re.search(r"<!-- run: my_cell\.py -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]


def test_mypy_takes_good_code_and_names_each_slip(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    imports = GOOD.partition("\nmodel = ")[0]
    good = cell_of_the_readme() + GOOD.replace("from __future__ import annotations\n", "")
    bad = cell_of_the_readme() + imports.replace("from __future__ import annotations\n", "") + BAD
    (tmp_path / "good.py").write_text(good)
    (tmp_path / "bad.py").write_text(bad)
    options = ["--strict", "--no-error-summary", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    said, faults, _ = api.run([*options, str(tmp_path / "good.py"), str(tmp_path / "bad.py")])
    assert not faults
    lines = [line for line in said.splitlines() if ": error: " in line]
    assert [line for line in lines if "bad.py" not in line] == []
    errors = {}
    for line in lines:
        number, message = re.search(r"bad\.py:(\d+): error: (.*)", line).groups()
        errors.setdefault(bad.splitlines()[int(number) - 1], []).append(message)
    assert errors.keys() == EXPECTED.keys(), said
    for line, messages in errors.items():
        assert EXPECTED[line] in messages[0]
