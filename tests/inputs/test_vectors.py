"""Rows of numbers as input: recognised, standardised, classified, and judged against a linear model."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

import unspool
from unspool import Classifier
from unspool.data import Layout, Row, Vectors
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs import INPUTS, read_labelled
from unspool.inputs.vectors.fitted import FittedVectors
from unspool.layers import FeedForward
from unspool.training import Reporter

DATA = Path(os.environ.get("UNSPOOL_DATA", Path(__file__).parents[3] / "shared" / "data"))
SILENT = Reporter()
TINY = {"hidden": 8, "epochs": 3, "seed": 1, "device": "cpu"}


def rings(count: int, seed: int = 0) -> tuple[list[list[float]], list[str]]:
    """Points on two rings, which no line divides, in units of very different size."""
    generator = np.random.default_rng(seed)
    radius = np.where(np.arange(count) % 2, 1.0, 3.0) + 0.1 * generator.normal(size=count)
    angle = generator.uniform(0, 2 * np.pi, count)
    points = np.stack([1000 * radius * np.cos(angle) + 5000, 0.01 * radius * np.sin(angle)], axis=1)
    return points.tolist(), ["inner" if place % 2 else "outer" for place in range(count)]


def write(path: Path, header: str, rows: list[list[object]]) -> Path:
    path.write_text(header + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def rows_of(count: int, seed: int = 0) -> list[list[object]]:
    points, labels = rings(count, seed)
    return [[*point, label] for point, label in zip(points, labels, strict=True)]


def refusal(reader) -> str:
    with pytest.raises(DataError) as caught:
        list(reader)
    return str(caught.value)


# ---- columns -------------------------------------------------------------------------------------------------------


def test_a_table_of_numbers_is_recognised_and_its_last_column_is_the_label(tmp_path):
    reader = read_labelled(write(tmp_path / "a.csv", "", [[1, 2.5, 0], [-3, 4e2, 1], [5, 6, 0]]))
    assert [(each.value, each.labels) for each in reader] == [
        ((1.0, 2.5), ("0",)),
        ((-3.0, 400.0), ("1",)),
        ((5.0, 6.0), ("0",)),
    ]
    assert (reader.layout.input, reader.layout.values) == ("vectors", ("1", "2"))


@pytest.mark.parametrize(
    ("header", "rows", "input"),
    [
        ("class,x,y\n", [["a", 1, 2], ["b", 3, 4]], "vectors"),  # a label by its name, wherever it stands
        ("x,y\n", [[1, "a"], [2, "b"], [3, "a"]], "text"),  # one column of numbers is no vector
        ("x,y,label\n", [[1, "left", "a"], [2, "right", "b"]], "text"),
        ("text,x,label\n", [["1", 2, "a"], ["2", 3, "b"]], "vectors"),
    ],
)
def test_which_input_a_table_is_of(tmp_path, header, rows, input):
    names = header.strip().split(",")
    label = "label" if "label" in names else names[-1 if input == "text" else 0]
    reader = read_labelled(write(tmp_path / "a.csv", header, rows), label=label)
    with suppress(DataError):  # of three columns none need be the text
        list(reader)
    assert reader.layout.input == (input if input == "vectors" or len(names) == 2 else "")


def test_a_named_column_of_texts_is_read_as_text(tmp_path):
    path = write(tmp_path / "a.csv", "x,y,label\n", [[1, 2, "a"], [3, 4, "b"]])
    assert [each.value for each in read_labelled(path, column="x")] == ["1", "3"]


def test_bad_rows_are_named_or_left_out(tmp_path):
    rows = [[number, number + 1, "a"] for number in range(1100)]
    path = write(tmp_path / "a.csv", "x,y,label\n", [*rows, ["many", 2, "a"], [1, "nan", "b"], [3, 4, ""]])
    assert f"{path}:1102: column 'x' is 'many'; expected a finite number" in refusal(read_labelled(path))
    reader = read_labelled(path, skip_bad=True)
    assert len(list(reader)) == 1100
    assert reader.skipped == 3
    assert [error.where for error in reader.bad] == [f"{path}:{line}" for line in (1102, 1103, 1104)]


def test_one_bad_cell_among_few_rows_does_not_make_a_column_a_text(tmp_path):
    path = write(tmp_path / "a.csv", "x,y,label\n", [[1, 2, "a"], [3, "oops", "b"], [1, 2, "a"]])
    assert f"{path}:3: column 'y' is 'oops'; expected a finite number" in refusal(read_labelled(path))


def test_other_data_are_read_from_the_same_columns_in_any_order(tmp_path):
    before = Layout(columns={"label": "kind"}, input="vectors", values=("x", "y"))
    path = write(tmp_path / "b.csv", "kind,y,x\n", [["a", 2, 1], ["b", 4, 3]])
    assert [each.value for each in read_labelled(path, before=before)] == [(1.0, 2.0), (3.0, 4.0)]
    other = write(tmp_path / "c.csv", "kind,y\n", [["a", "word"], ["b", "other"]])
    assert "the columns do not hold vectors as the training data did; they are kind, y" in refusal(
        read_labelled(other, before=before)
    )


def test_inputs_find_themselves():
    assert list(INPUTS) == ["joined", "images", "audio", "series", "vectors", "text"]
    rows = [Row("a:1", {"text": "a b", "label": "x"})] * 4
    assert INPUTS["vectors"].find(rows, None, None, None, Layout()) is None


# ---- the fitted input ----------------------------------------------------------------------------------------------


def test_columns_are_standardised_and_a_constant_one_is_left(tmp_path):
    table = np.array([[1.0, 7, 1000], [3, 7, 3000], [8, 7, -500]])
    fitted = FittedVectors.learn(table.tolist(), ["a", "b", "c"], None)
    encoded = fitted.encode(table.tolist(), ["", "", ""]).vectors
    assert np.allclose(encoded[:, [0, 2]], ((table - table.mean(0)) / table.std(0).clip(1e-9))[:, [0, 2]], atol=1e-6)
    assert (encoded[:, 1] == 0).all()
    fitted.save(tmp_path)
    again = FittedVectors.load(tmp_path, None)
    assert again.columns == ("a", "b", "c")
    assert np.array_equal(again.encode(table.tolist(), [""] * 3).vectors, encoded)
    batch = again.encode(table.tolist(), [""] * 3).batch(np.array([2, 0]))
    assert isinstance(batch, Vectors)
    assert np.array_equal(batch.values.numpy(), encoded[[2, 0]])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("1,2", "2 numbers came; expected 3"),
        ("1,2,many", "expected 3 finite numbers"),
        ([1, 2, float("inf")], "expected 3 finite numbers"),
        ({"a": 1, "b": 2}, "there is no column 'c' here; the columns are a, b"),
        ({"a": 1, "b": "x", "c": 2}, "column 'b' is 'x'; expected a finite number"),
        (True, "expected 3 finite numbers"),
    ],
)
def test_a_value_that_is_no_row_is_refused(value, told):
    fitted = FittedVectors(["a", "b", "c"], np.zeros(3), np.ones(3))
    with pytest.raises(DataError, match=told):
        fitted.value(value, "text 1")


def test_one_row_is_told_from_several():
    fitted = FittedVectors(["a", "b"], np.zeros(2), np.ones(2))
    assert all(map(fitted.is_one, ["1,2", [1, 2.0], (3, 4), {"a": 1, "b": 2}, np.array([1.0, 2.0])]))
    assert not any(map(fitted.is_one, [[[1, 2]], [{"a": 1}], np.ones((1, 2)), [], ["1,2"]]))


def test_a_feed_forward_network_is_its_equation():
    torch.manual_seed(3)
    network = FeedForward(3, 5, num_layers=2)
    inputs = torch.randn(1, 4, 3)
    first, second = network.layers
    hidden = torch.clamp(inputs @ first.weight.T + first.bias, min=0)
    expected = torch.clamp(hidden @ second.weight.T + second.bias, min=0)
    assert torch.allclose(network(inputs).outputs, expected, atol=1e-6)
    with pytest.raises(SettingError, match="num_layers = 0"):
        FeedForward(3, 5, num_layers=0)


# ---- classifiers ---------------------------------------------------------------------------------------------------


def test_a_classifier_learns_what_no_line_divides(tmp_path):
    path = write(tmp_path / "rings.csv", "east,north,ring\n", rows_of(600))
    task = Classifier(hidden=32, epochs=20, seed=2, label="ring", device="cpu")
    model = task.fit(
        path,
        test=write(tmp_path / "t.csv", "north,ring,east\n", [[n, r, e] for e, n, r in rows_of(200, 1)]),
        out=tmp_path / "m",
        reporter=SILENT,
    )
    assert model.settings.network.network == "feedforward"
    assert model.record.metrics["test"]["accuracy"] > 0.95
    assert model.record.baselines["linear"]["accuracy"] < 0.75
    assert "feed-forward network over 2 numbers" in model.describe()["summary"]
    points, labels = rings(6, 7)
    loaded = unspool.load(tmp_path / "m", Classifier)
    said = [each.label for each in loaded.predict(points)]
    assert said == labels
    assert [each.label for each in loaded.predict(np.array(points))] == labels
    assert [each.label for each in loaded.predict([{"north": n, "east": e} for e, n in points])] == labels
    assert loaded.predict(points[0]).label == labels[0]
    assert loaded.predict(",".join(map(str, points[1]))).label == labels[1]
    assert loaded.evaluate(tmp_path / "t.csv") == model.record.metrics["test"]
    trace = loaded.trace(points[0])
    assert trace.prediction["label"] == labels[0]
    assert trace.tokens == ("row",)


def test_arrays_and_labels_in_memory(tmp_path):
    points, labels = rings(300)
    model = Classifier(hidden=32, epochs=20, seed=2, device="cpu").fit(np.array(points), labels, reporter=SILENT)
    assert model.fitted.input.columns == ("1", "2")
    assert model.evaluate(points, labels)["accuracy"] > 0.9
    whole = Classifier(**TINY).fit(points, labels, out=tmp_path / "a", reporter=SILENT)
    again = Classifier(**TINY).fit(points, labels, out=tmp_path / "a", resume=True, reporter=SILENT)
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_classifier_is_trained_on_texts_and_then_on_numbers():
    model = Classifier(**TINY).fit(["a fine film", "a dull film"] * 8, ["good", "bad"] * 8, reporter=SILENT)
    assert model.settings.network.network == "recurrent"
    assert model.fit(*rings(40), reporter=SILENT).settings.network.network == "feedforward"
    assert model.fit(["fine", "dull"] * 8, ["good", "bad"] * 8, reporter=SILENT).predict("fine").text == "fine"


def test_a_killed_training_on_numbers_goes_on_to_the_same_bits(tmp_path):
    path = write(tmp_path / "a.csv", "x,y,label\n", rows_of(80))
    whole = Classifier(**TINY).fit(path, out=tmp_path / "whole", reporter=SILENT, baselines=False)
    Classifier(**{**TINY, "epochs": 1}).fit(path, out=tmp_path / "part", reporter=SILENT, baselines=False)
    part = Classifier(**TINY).fit(
        path, out=tmp_path / "part", resume=True, allow=["epochs"], reporter=SILENT, baselines=False
    )
    for one, other in zip(whole.model.parameters(), part.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_several_labels_of_numbers(tmp_path):
    names = [[name for name, on in (("big", x > 5), ("even", x % 2 == 0)) if on] for x in range(10)]
    rows = [[x, y, "|".join(names[x])] for x in range(10) for y in range(8)]
    path = write(tmp_path / "a.csv", "x,y,label\n", rows)
    model = Classifier(hidden=32, epochs=30, seed=1, several=True, separator="|", learning_rate=1e-2, choose_by="score")
    model.fit(path, reporter=SILENT)
    assert set(model.classes_) == {"big", "even"}
    assert model.record.metrics["valid"]["micro_f1"] > model.record.baselines["linear"]["micro_f1"]


@pytest.mark.parametrize("network", ["recurrent", "transformer", "bag"])
def test_a_network_for_texts_is_refused(tmp_path, network):
    path = write(tmp_path / "a.csv", "x,y,label\n", rows_of(20))
    with pytest.raises(SettingError, match=f"network = {network} reads texts"):
        Classifier(**TINY, network=network).fit(path, reporter=SILENT)


def test_a_network_for_numbers_is_refused_for_texts(tmp_path):
    path = write(tmp_path / "a.tsv", "", [])
    path.write_text("text\tlabel\n" + "a fine film\tgood\na dull film\tbad\n" * 5)
    with pytest.raises(SettingError, match="these data are texts"):
        Classifier(**TINY, network="feedforward").fit(path, reporter=SILENT)


def test_a_damaged_list_of_columns(tmp_path):
    Classifier(**TINY).fit(*rings(40), out=tmp_path / "m", reporter=SILENT)
    path = tmp_path / "m" / "vocabulary" / "vectors.json"
    record = json.loads(path.read_text())
    for damage in ({"mean": [0.0]}, {"deviation": [0.0, 1.0]}, {"columns": []}, {"columns": 3}):
        path.write_text(json.dumps({**record, **damage}))
        with pytest.raises(ModelFolderError, match=r"vectors\.json: the list of columns is damaged"):
            unspool.load(tmp_path / "m")


def test_digits_are_told_apart_better_than_by_a_linear_model():
    path = DATA / "digits" / "digits.csv"
    if not path.exists():
        pytest.skip(f"no digits in {DATA}; set UNSPOOL_DATA")
    model = Classifier(test_fraction=0.2, device="cpu").fit(path, reporter=SILENT)
    assert model.record.metrics["test"]["accuracy"] >= 0.96
    assert model.record.metrics["test"]["accuracy"] > model.record.baselines["linear"]["accuracy"]
