"""What tests of the engine share: which code multiplied, call by call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scopes import policy

from unspool.engine.cpu.launch.record import Recorder


@pytest.fixture
def strategies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who made the products over all steps, call by call."""
    calls: list[str] = []
    forward, inference = Recorder.forward, Recorder.inference
    monkeypatch.setattr(Recorder, "forward", lambda *call: (found := forward(*call), calls.append(found[0]))[0])
    monkeypatch.setattr(Recorder, "inference", lambda *call: (calls.append(call[1]), inference(*call))[1])
    return calls


@pytest.fixture(params=["jobs", "torch"])
def multiplier(request: pytest.FixtureRequest) -> Iterator[str]:
    """Who makes the products over all steps: commands of the buffer, or torch."""
    with policy(**({"serial_work": 0} if request.param == "torch" else {})):
        yield request.param
