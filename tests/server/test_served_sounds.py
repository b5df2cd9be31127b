"""Sounds over HTTP: WAV files in Base64, and never a file of the server's machine."""

from __future__ import annotations

import base64

import pytest
from live import serving

from sound_samples import sweep, sweeps, write_wav
from unspool import Classifier
from unspool.server.models import describe_folders
from unspool.training import Reporter


def test_a_server_labels_base64_and_reads_no_file_of_its_machine(tmp_path):
    model = Classifier(cell="gru", hidden=5, epochs=1, plan=False, seed=1, device="cpu")
    model.fit(*sweeps(12), baselines=False, reporter=Reporter())
    path = write_wav(tmp_path / "up" / "1.wav", sweep("up", 1))
    model.save(tmp_path / "sounds")
    with serving(describe_folders([str(tmp_path / "sounds")]), studio=True) as live:
        sent = base64.b64encode(path.read_bytes()).decode()
        answer = live.post("/api/predict", {"model": "sounds", "input": sent})
        assert answer.status == 200, answer.body
        expected = model.predict(str(path))
        assert answer.json["prediction"]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
        for attempt in (str(path), "/etc/passwd", [str(path), 8000]):
            answer = live.post("/api/predict", {"model": "sounds", "input": attempt})
            assert answer.status == 422, answer.body
            assert "Base64" in answer.error or "WAV" in answer.error or "expected numbers" in answer.error
        assert live.post("/api/trace", {"model": "sounds", "input": str(path)}).status == 422
        labelled = {"model": "sounds", "other": "sounds", "text": f"path\tlabel\n{path}\tup\n", "suffix": ".tsv"}
        answer = live.post("/api/disagreements", labelled)
        assert answer.status == 400, answer.body
        assert "reads no sounds from files" in answer.error
