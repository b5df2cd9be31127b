"""Several inputs in one row: each encoded by its own network, joined by one head, with paths beside the table."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

import unspool
from unspool import Classifier
from unspool.errors import DataError, ModelFolderError, UsageError
from unspool.inputs.joined.values import JoinedValue
from unspool.training import Reporter

Image = pytest.importorskip("PIL.Image")

SMALL = {"resolution": "12", "widths": "4,6", "hidden": 7, "embedding": 5, "device": "cpu", "seed": 3, "plan": False}
SILENT = Reporter()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of pictures and texts: the label needs both, and neither alone has more than half of it."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "pictures").mkdir()
    chance = np.random.default_rng(0)
    rows = ["poster\tplot\tgenre\tyear"]
    for number in range(96):
        dark, ghost = number % 2, number // 2 % 2
        pixels = chance.integers(0, 90, (14, 11, 3)) + (10 if dark else 150)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / f"{number}.png")
        plot = f"a ghost walks in town {number % 7}" if ghost else f"lovers meet in the town of {number % 5}"
        genre = ("horror" if ghost else "drama") if dark else ("comedy" if ghost else "romance")
        rows.append(f"pictures/{number}.png\t{plot}\t{genre}\t19{number % 90 + 10}")
    (folder / "films.tsv").write_text("\n".join(rows) + "\n")
    return folder / "films.tsv"


@pytest.fixture(scope="module")
def trained(table):
    folder = table.parent / "model"
    options = {"text": "poster,plot", "label": "genre", "epochs": 12, "learning_rate": 1e-2, "ngrams": False}
    return Classifier(**SMALL, **options).fit(table, out=folder, reporter=SILENT, baselines=False), folder


def test_the_label_is_learned_from_both(trained, table):
    model = trained[0]
    assert model.evaluate(table)["accuracy"] > 0.9
    assert model.fitted.input.columns == ("poster", "plot")
    assert [part.kind for part in model.fitted.input.parts] == ["images", "text"]
    assert "poster (12 x 12 pixels in colour) and plot (texts)" in model.describe()["summary"]


def test_a_saved_model_reads_mappings_pairs_and_tables(trained, table):
    model, folder = trained
    again = unspool.load(folder)
    row = {"poster": table.parent / "pictures" / "2.png", "plot": "a ghost walks in town 2"}
    one = again.predict(row)
    assert one.label == "comedy"
    assert one.probabilities == model.predict(row).probabilities
    assert again.predict([(str(row["poster"]), row["plot"])])[0].probabilities == one.probabilities
    values = [again._checked_text(line.value, line.where) for line in again.read_inputs(table)]
    assert len(values) == 96
    assert values[2].digest == again._checked_text(row, "row").digest


def test_each_part_has_a_gradient_and_padding_changes_nothing(trained, table):
    model = trained[0]
    plots = ["a", "lovers meet in the town of nowhere at all", "a ghost walks"]
    rows = [{"poster": table.parent / f"pictures/{n}.png", "plot": plot} for n, plot in enumerate(plots)]
    values = [model._checked_text(row, "row") for row in rows]
    encoded = model.fitted.input.encode(values, ["row"] * 3)
    whole = model.model(encoded.batch(np.arange(3))).logits
    for place in range(3):
        alone = model.model(encoded.batch(np.array([place]))).logits
        torch.testing.assert_close(alone[0], whole[place], atol=1e-5, rtol=1e-5)
    whole.square().sum().backward()
    gradients = {name: weight.grad for name, weight in model.model.named_parameters()}
    model.model.zero_grad()
    for part in ("embedding.embeddings.0", "embedding.embeddings.1", "embedding.stacks.1"):
        found = [gradient for name, gradient in gradients.items() if name.startswith(part)]
        assert found, part
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in found), part


def test_a_trace_shows_the_steps_of_the_text(trained, table):
    trace = trained[0].trace({"poster": table.parent / "pictures" / "2.png", "plot": "a ghost walks"})
    assert trace.tokens == ("a", "ghost", "walks")
    assert trace.array("layer 1 forward / h").shape[0] == 3
    with pytest.raises(UsageError, match="gradients through time take one input"):
        trained[0].gradients({"poster": table.parent / "pictures" / "2.png", "plot": "a ghost"}, target="horror")


def test_rows_that_do_not_fit_are_refused(trained, table, tmp_path):
    model = trained[0]
    with pytest.raises(DataError, match="column 'plot' is missing; expected poster, plot"):
        model.predict({"poster": "x.png"})
    with pytest.raises(DataError, match="expected a value for each of poster, plot, as a mapping"):
        model.predict(["only a text"])
    with pytest.raises(DataError, match="text and text came; the training data hold images and text"):
        model.predict([JoinedValue(("text", "text"), ("a", "b"))])
    bad = table.parent / "bad.tsv"
    bad.write_text("poster\tplot\tgenre\npictures/0.png\ta ghost\thorror\npictures/none.png\ta ghost\thorror\n")
    with pytest.raises(DataError, match=r"none\.png") as raised:
        model.evaluate(bad)
    assert raised.value.where == f"{bad}:3"
    with pytest.raises(DataError, match="names a column twice"):
        Classifier(**SMALL, text="plot,plot").fit(table, reporter=SILENT)
    with pytest.raises(DataError, match="can't tell which column holds the label among poster, plot, shelf, year"):
        Classifier(**SMALL, text="poster,plot").fit(_without_usual_label(table), reporter=SILENT)


def _without_usual_label(table):
    lines = table.read_text().splitlines()
    other = table.parent / "other.tsv"
    other.write_text("\n".join([lines[0].replace("genre", "shelf"), *lines[1:]]) + "\n")
    return other


def test_a_damaged_list_of_inputs_is_refused(trained, tmp_path):
    shutil.copytree(trained[1], tmp_path / "m")
    path = tmp_path / "m" / "vocabulary" / "joined.json"
    record = json.loads(path.read_text())
    record["kinds"].reverse()
    path.write_text(json.dumps(record))
    with pytest.raises(ModelFolderError, match="its inputs are not those in the folders beside it"):
        unspool.load(tmp_path / "m")
