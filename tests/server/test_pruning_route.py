"""Pruned models of the studio: written under a name into one folder, served at once, and never without leave."""

from __future__ import annotations

import pytest
from live import serving

import unspool

UNIT = "layer 1 forward / h[2,5]"


def test_a_pruned_model_is_written_and_answers(served, tmp_path):
    with serving(served[:2], studio=True, pruned=str(tmp_path / "models")) as live:
        answer = live.post("/api/prune", {"units": [UNIT], "name": "less"})
        assert answer.status == 200
        assert answer.json["units"] == [UNIT]
        assert answer.json["folder"] == str(tmp_path / "models" / "less")
        names = [one["name"] for one in live.get("/api/info").json["models"]]
        assert names == ["classifier", "tagger", "less"]
        texts = ["abc good day", "bad", "good good ghé"]
        shown = live.post("/api/predict", {"model": "less", "inputs": texts}).json["predictions"]
        whole = live.post("/api/predict", {"model": "classifier", "inputs": texts}).json["predictions"]
    assert shown != whole
    expected = unspool.load(served[0].folder).pruned(UNIT)
    assert [one.record() for one in unspool.load(tmp_path / "models" / "less").predict(texts)] == shown
    assert [one.record() for one in expected.predict(texts)] == shown


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"units": [UNIT], "name": "../less"}, 400, "'../less' is no name: expected letters"),
        ({"units": [UNIT], "name": ""}, 400, "'' is no name"),
        ({"units": [UNIT], "name": ".."}, 400, "'..' is no name"),
        ({"units": [UNIT], "name": "a" * 61}, 400, "is no name"),
        ({"units": [UNIT], "name": "classifier"}, 409, "there is a model 'classifier' already"),
        ({"units": [UNIT], "name": "there"}, 409, "there is a model 'there' already"),
        ({"units": [], "name": "less"}, 400, "units"),
        ({"units": ["layer 1 forward / h[99]"], "name": "less"}, 400, "layer 1 forward has units 1 to 8"),
        ({"units": ["h"], "name": "less"}, 400, "the unit 'h': expected PLACE / PART"),
        ({"model": "context", "units": ["layer 1 / h[1]"], "name": "less"}, 400, "pruning needs recurrent layers"),
    ],
)
def test_what_can_not_be_pruned_is_refused_and_nothing_is_written(writable, body, status, sentence):
    live, folder = writable
    answer = live.post("/api/prune", {"model": "classifier", **body})
    assert answer.status == status
    assert sentence in answer.error
    assert [path.name for path in folder.iterdir()] == ["there"]
    assert [one["name"] for one in live.get("/api/info").json["models"]] == ["classifier", "context"]


@pytest.fixture(scope="module")
def writable(served, tmp_path_factory):
    folder = tmp_path_factory.mktemp("writable")
    (folder / "there").mkdir()
    with serving([served[0], served[4]], studio=True, pruned=str(folder)) as live:
        yield live, folder


def test_a_studio_without_leave_writes_nothing(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(served[:1], studio=True) as live:
        answer = live.post("/api/prune", {"units": [UNIT], "name": "less"})
    assert answer.status == 403
    assert answer.error == "this studio may not write models: start it with --pruned FOLDER"
    assert list(tmp_path.iterdir()) == []
