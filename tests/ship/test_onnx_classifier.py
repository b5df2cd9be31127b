"""Classifiers as ONNX: text in, the same probabilities and labels as the model."""

from __future__ import annotations

import numpy as np
import pytest
from ship_cases import CLASSIFIERS, classifier, sentences

from unspool.ship.onnx.running import export, feeds_of
from unspool.ship.onnx.text import takes_text
from unspool.ship.targets import Options

pytest.importorskip("onnxruntime", reason="the extra `onnx` is missing")


@pytest.fixture(scope="module", params=CLASSIFIERS)
def model(request):
    return classifier(request.param)


def test_a_file_and_its_model_agree_on_texts_they_have_not_seen(model, tmp_path):
    odd = [
        "x",
        "İ ẞ ǅ e\u0301 <UNK> a<pad>b",
        "it's 'a' ''b''c d'e'f",
        "tab\tand\x1cblank\u2003wide\x85\xa0end",
        "1234 ١٢ ² Ⅷ",
    ]
    texts = [*sentences(40, 2), *odd, "word " * 2100, "a" * 90 + "b" * 50 + " joy", "<> >< < > <<>> <>"]
    sheet = model.sheet()
    artefact = export(sheet, tmp_path / "model.onnx", Options())
    for text, actual, right in zip(texts, artefact.run(texts), model.predict(texts), strict=True):
        for name, share in right.probabilities.items():
            assert actual[name] == pytest.approx(share, abs=1e-5), text
    feeds = feeds_of(sheet, texts[:30])
    assert ("text" in feeds) == takes_text(sheet.front)
    wanted = {port.name for port in artefact._session.get_inputs()}
    shares, chosen = artefact._session.run(None, {name: value for name, value in feeds.items() if name in wanted})
    for row, choice, right in zip(shares, chosen, model.predict(texts[:30]), strict=True):
        np.testing.assert_allclose(row, [right.probabilities[name] for name in sheet.back.names], atol=1e-5)
        labels = (
            [name for name, is_chosen in zip(sheet.back.names, choice, strict=True) if is_chosen]
            if sheet.back.several
            else [choice]
        )
        assert sorted(labels) == sorted(right.labels)
