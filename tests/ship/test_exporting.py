"""`unspool export` and `Task.export`: what is written, what is refused, and that refusals leave nothing behind."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from ship_cases import assistant, classifier, reviews, writer

from unspool import load
from unspool.cli.main import run, unspool
from unspool.errors import UsageError
from unspool.ship import targets
from unspool.ship.answers import compare_answers, score_answers

pytest.importorskip("onnxruntime", reason="the extra `onnx` is missing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "reviews"
    classifier("words, both directions, two layers").save(place)
    return place


@pytest.fixture
def lines(tmp_path):
    texts, labels = reviews(30, 8)
    path = tmp_path / "held-out.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{t}\t{l}\n" for t, l in zip(texts, labels, strict=True) if t.strip()))
    return path


def test_the_verb_writes_the_file_and_a_report_beside_it(folder, lines, tmp_path):
    out = tmp_path / "reviews.onnx"
    result = CliRunner().invoke(
        unspool, ["export", str(folder), "--to", "onnx", "--out", str(out), "--data", str(lines)]
    )
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "reviews.onnx.json").read_text())
    assert report["files"][0]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert report["agreement"] == 1
    assert 0 < report["largest_difference"] < 1e-5
    assert (
        report["score"]["model"]
        == report["score"]["export"]
        == pytest.approx(load(folder).evaluate(lines)["accuracy"], abs=1e-4)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held-out.tsv", "reviews.onnx", "reviews.onnx.json"]


def test_nothing_is_replaced_without_being_told(folder, lines, tmp_path):
    model, out = load(folder), tmp_path / "reviews.onnx"
    out.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        model.export(out, data=lines)
    assert out.read_text() == "precious"
    model.export(out, data=lines, overwrite=True)
    assert out.stat().st_size > 10_000
    for place in (folder, tmp_path):
        before = sorted(place.rglob("*"))
        with pytest.raises(UsageError, match="is a folder, and an export would replace it"):
            model.export(place, data=lines, overwrite=True)
        assert sorted(place.rglob("*")) == before
    with pytest.raises(UsageError, match="name a new file in a folder"):
        model.export(".", data=lines, overwrite=True)
    with pytest.raises(UsageError, match="there is no folder"):
        model.export(tmp_path / "nowhere" / "x.onnx", data=lines)
    with pytest.raises(UsageError, match=r"there is no target 'onx' .did you mean 'onnx'"):
        model.export(tmp_path / "x", to="onx", data=lines)


def test_an_export_that_differs_is_not_written(folder, lines, tmp_path, monkeypatch):
    model = load(folder)
    true = targets.target("onnx")

    def off(sheet, path, options):
        artefact = true(sheet, path, options)
        run_ = artefact.run
        artefact.run = lambda texts: [{name: share + 0.001 for name, share in row.items()} for row in run_(texts)]
        return artefact

    monkeypatch.setattr("unspool.tasks.running.exporting.target", lambda name: off)
    with pytest.raises(UsageError, match=r"nothing was written: the export differs .* by up to 0.001 \(limit 0.0001\)"):
        model.export(tmp_path / "x.onnx", data=lines)
    assert [path.name for path in tmp_path.iterdir()] == ["held-out.tsv"]
    assert model.export(tmp_path / "x.onnx", data=lines, limit=0.01).report["agreement"] == 1


def test_without_data_texts_are_drawn_from_the_vocabulary(folder, tmp_path):
    written = load(folder).export(tmp_path / "x.onnx")
    assert "drawn from the vocabulary" in written.report["lines"]
    assert written.report["score"] is None
    assert "the same answers" in str(written)


def test_lines_without_labels_are_compared_without_a_score(folder, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("a joy\ndull, dull\n\nplot\n")
    report = load(folder).export(tmp_path / "x.onnx", data=path).report
    assert (report["texts"], report["score"]) == (3, None)


def test_a_model_that_writes_becomes_a_folder(tmp_path):
    model = writer("characters, two layers")
    written = model.export(tmp_path / "writer", data=["a joy", "dull"])
    assert [file.name for file in written.files] == ["start.onnx", "step.onnx", "write.onnx", "writer.json"]
    assert all(file.is_file() for file in written.files)
    with pytest.raises(UsageError, match="an export would replace it"):
        model.export(tmp_path / "writer", data=["a joy"])
    model.export(tmp_path / "writer", data=["a joy"], overwrite=True)
    (tmp_path / "writer" / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="an export would replace it"):
        model.export(tmp_path / "writer", data=["a joy"], overwrite=True)
    assert (tmp_path / "writer" / "letter.txt").read_text() == "mine"


def test_a_file_of_weights_replaces_nothing_unasked(folder, lines, tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.ship.c.files.MOST_EMBEDDED", 0)
    (tmp_path / "model.bin").write_text("mine")
    with pytest.raises(UsageError, match=r"model\.bin exists already"):
        load(folder).export(tmp_path / "model.c", to="c", data=lines)
    assert (tmp_path / "model.bin").read_text() == "mine"
    assert not (tmp_path / "model.c").exists()
    written = load(folder).export(tmp_path / "model.c", to="c", data=lines, overwrite=True)
    assert [file.name for file in written.files] == ["model.c", "model.bin", "model.c.json"]
    with pytest.raises(UsageError, match="the name of a C file"):
        load(folder).export(tmp_path / 'a"b.c', to="c", data=lines)


@pytest.mark.parametrize("small", [None, "int4"])
def test_without_node_the_judge_stands_in_for_a_page(tmp_path, monkeypatch, small):
    monkeypatch.setattr("unspool.ship.page.artefact.shutil.which", lambda name: None)
    data = [("when do you open", "At nine."), ("hi", "Hello!")]
    written = assistant().export(tmp_path / "page.html", to="html", small=small, data=data, max_loss=1.0)
    assert written.report["ran"] is False
    assert "no node" in written.report["hindrance"]
    assert small is not None or written.report["score"]["export"] == 1.0


def test_an_assistant_is_scored_by_its_answers(tmp_path):
    written = assistant().export(tmp_path / "assistant.onnx", data=[("when do you open", "At nine."), ("hi", "Hello!")])
    assert written.report["score"] == {"model": 1.0, "export": 1.0}


def test_comparison_sees_other_labels_and_not_a_number():
    sheet = classifier("words, both directions, two layers").sheet()
    names = sheet.back.names
    right = [dict.fromkeys(names, 0.0) | {names[0]: 1.0}] * 2
    other = [dict.fromkeys(names, 0.0) | {names[1]: 1.0}, dict.fromkeys(names, 0.0) | {names[0]: float("nan")}]
    comparison = compare_answers(sheet, ["x", "y"], right, other)
    assert comparison.largest_difference == np.inf
    assert comparison.first_difference == ("x", names[0], names[1])
    assert comparison.agreement < 1
    assert score_answers(sheet, right, [names[0], names[1]]) == 0.5


def test_the_extra_is_named_where_it_is_missing(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    monkeypatch.setattr(
        "sys.argv", ["unspool", "export", str(folder), "--to", "onnx", "--out", str(tmp_path / "x.onnx")]
    )
    with pytest.raises(SystemExit) as left:
        run()
    assert left.value.code in (1, 2)
    assert "pip install -c constraints.txt '.[onnx]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
