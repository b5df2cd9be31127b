"""Forecasts over HTTP: series as text, numbers or columns, and never a file of the server's machine."""

from __future__ import annotations

import math

import pytest
from live import serving

from unspool import Forecaster
from unspool.server.models import describe_folders
from unspool.training import Reporter


def test_a_server_forecasts_what_it_is_sent_and_reads_no_file(tmp_path):
    months = [f"{2000 + step // 12}-{step % 12 + 1:02}" for step in range(96)]
    values = [10 * math.sin(math.pi * step / 6) + step for step in range(96)]
    model = Forecaster(horizon=3, hidden=6, epochs=1, plan=False, device="cpu")
    model.fit({"month": months, "units": values}, baselines=False, reporter=Reporter())
    model.save(tmp_path / "sales")
    expected = model.predict()[0].values
    text = "\n".join(f"{month},{value}" for month, value in zip(months, values, strict=True))
    (tmp_path / "sales.csv").write_text("month,units\n" + text)
    with serving(describe_folders([str(tmp_path / "sales")]), studio=True) as live:
        for sent in (text, {"month": months, "units": values}):
            answer = live.post("/api/predict", {"model": "sales", "input": sent})
            assert answer.status == 200, answer.body
            assert answer.json["prediction"]["channels"]["units"]["values"] == pytest.approx(expected, rel=1e-4)
        several = live.post("/api/predict", {"model": "sales", "inputs": [text, text]})
        assert len(several.json["predictions"]) == 2
        path = str(tmp_path / "sales.csv")
        for attempt in (path, [path], [[path]], 7, {"units": path}, [1.0, 2.0], {"month": [path], "units": [1]}):
            answer = live.post("/api/predict", {"model": "sales", "input": attempt})
            assert answer.status in (400, 422), (attempt, answer.body)
        shown = live.post("/api/forecast", {"model": "sales", "input": text, "horizon": 5}).json
        again = model.predict(text, horizon=5)
        assert shown["columns"]["time"] == list(again.times)
        assert shown["columns"]["value"] == pytest.approx(again.values, rel=1e-4)
        assert shown["svg"].startswith("<svg")
        assert "build on its own forecasts" in shown["caution"]
        following = live.post("/api/forecast", {"model": "sales"}).json
        assert following["columns"]["value"] == pytest.approx(expected, rel=1e-4)
        for body in ({"horizon": 0}, {"horizon": 10_001}, {"input": path}):
            assert live.post("/api/forecast", {"model": "sales", **body}).status in (400, 422), body
        trace = live.post("/api/trace", {"model": "sales", "input": text})
        assert trace.status == 200, trace.body
