"""Images over HTTP: image files in Base64, and never a file of the server's machine."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from live import serving

from image_samples import header_of_png, many_stripes, stripes, write_image
from unspool import Captioner, Classifier
from unspool.inspection.png import png_bytes
from unspool.samples.scenes import generate
from unspool.server.models import describe_folders
from unspool.training import Reporter


def test_a_server_labels_base64_and_reads_no_file_of_its_machine(tmp_path):
    model = Classifier(epochs=1, plan=False, seed=1, device="cpu", **{"image.residual.widths": "4,6"})
    model.fit(*many_stripes(12), baselines=False, reporter=Reporter())
    path = write_image(tmp_path / "down" / "1.png", stripes("down", 1))
    model.save(tmp_path / "images")
    with serving(describe_folders([str(tmp_path / "images")]), studio=True) as live:
        sent = base64.b64encode(path.read_bytes()).decode()
        answer = live.post("/api/predict", {"model": "images", "input": sent})
        assert answer.status == 200, answer.body
        expected = model.predict(str(path))
        assert answer.json["prediction"]["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
        bomb = base64.b64encode(header_of_png(30_000, 30_000)).decode()
        for attempt in (str(path), "/etc/passwd", bomb, "AAAA", 7):
            answer = live.post("/api/predict", {"model": "images", "input": attempt})
            assert answer.status == 422, answer.body
            assert "Base64" in answer.error or "image" in answer.error
        assert live.post("/api/trace", {"model": "images", "input": str(path)}).status == 422
        labelled = {"model": "images", "other": "images", "text": f"path\tlabel\n{path}\tdown\n", "suffix": ".tsv"}
        answer = live.post("/api/disagreements", labelled)
        assert answer.status == 400, answer.body
        assert "reads no images from files" in answer.error


def test_a_server_captions_and_traces_an_image_of_any_length(tmp_path):
    scenes = generate(12, 1)
    model = Captioner(epochs=1, hidden=8, embedding=8, widths="4", plan=False, seed=1, device="cpu")
    rows = [(scene.picture, scene.captions[0].text) for scene in scenes]
    model.fit(rows, valid=rows[:4], baselines=False, reporter=Reporter())
    model.save(tmp_path / "captions")
    with serving(describe_folders([str(tmp_path / "captions")]), studio=True) as live:
        picture = np.random.default_rng(1).integers(0, 256, (60, 50, 3), np.uint8)
        sent = base64.b64encode(png_bytes(picture)).decode()
        assert len(sent) > 5_000  # the limit of a text to trace
        answer = live.post("/api/predict", {"input": sent})
        assert answer.json["prediction"]["caption"] == model.predict(picture).caption
        traced = live.post("/api/trace", {"input": sent})
        assert traced.status == 200, traced.body
        assert traced.json["image"]["width"] == 48
        assert live.get("/api/info").json["models"][0]["reads_files"] == "images"
