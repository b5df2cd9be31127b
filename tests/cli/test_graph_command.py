"""`unspool graph MODEL [TEXT]`: the network in words, as a picture, and as nodes and edges."""

import json

import pytest


def test_words_picture_and_data(shell, models, tmp_path):
    out = ("--out", tmp_path / "g.svg", "--out", tmp_path / "g.json")
    said = shell("graph", models / "writer", *out)
    assert said.stdout.startswith("Graph of ")
    assert "weights" in said.stdout
    assert "engine: " in said.stdout
    assert said.stderr.count("written: ") == 2
    record = json.loads((tmp_path / "g.json").read_text())
    assert record["tokens"] == []
    assert (tmp_path / "g.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("edges", [None, "h", "gradients"])
def test_unrolled_over_a_text(shell, models, tmp_path, edges):
    choice = () if edges is None else ("--edges", edges)
    shell("graph", models / "writer", "a joy to see", *choice, "--out", tmp_path / "g.json")
    record = json.loads((tmp_path / "g.json").read_text())
    assert len(record["tokens"]) == len("a joy to see")
    assert len(record["rows"][0]["values"]) == len("a joy to see") - 1
    assert max(record["rows"][0]["sizes"]) == 1


def test_every_model_can_be_drawn(shell, models, tmp_path):
    for name in ("classifier", "tagger"):
        shell("graph", models / name, "a b", "--out", tmp_path / f"{name}.svg")
        assert "Unrolled" in (tmp_path / f"{name}.svg").read_text()


def test_what_does_not_fit_is_refused(shell, models, tmp_path):
    writer = models / "writer"
    assert "--edges needs a text" in shell.refuses("graph", writer, "--edges", "h", code=2)
    assert "expected one of the formats .svg, .json" in shell.refuses("graph", writer, "--out", "g.png", code=2)
    assert "there is no array 'hh'" in shell.refuses("graph", writer, "a", "--edges", "hh", code=2)
    (tmp_path / "g.svg").write_text("mine")
    assert "exists already" in shell.refuses("graph", writer, "--out", tmp_path / "g.svg", code=2)
    assert (tmp_path / "g.svg").read_text() == "mine"
