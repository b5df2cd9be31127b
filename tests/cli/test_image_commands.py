"""Images on the command line: check, train, info, predict, evaluate, inspect, compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_samples import LABELS, many_stripes, write_image
from unspool.settings import read_recipe

SMALL = ("--epochs", "2", "--widths", "4,6", "--batch-size", "8", "--no-plan", "--seed", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for part, count, seed in (("train", 24, 0), ("test", 9, 1)):
        for number, (pixels, label) in enumerate(zip(*many_stripes(count, seed), strict=True)):
            write_image(folder / part / label / f"{number}.png", pixels)
    return folder


@pytest.fixture
def model(shell, place):
    folder = place / "model"
    if not folder.exists():
        shell("train", "classify", place / "train", "--valid", place / "test", "--out", folder, *SMALL)
    return folder


def test_check_recognises_the_task_and_finds_the_same_image_twice(shell, place, tmp_path):
    write_image(tmp_path / "down" / "again.png", many_stripes(2)[0][1])
    said = shell("check", place / "train", "--test", tmp_path / "down", code=None)
    assert "task: classify" in said.stdout
    assert "of the test data" in said.stdout  # the copy, by its pixels and not by its name
    assert "may leak it" not in said.stdout


def test_info_and_predictions_name_files(shell, model, place):
    assert "13 x 10 pixels in grey" in shell("info", model).stdout
    lines = shell("predict", model, place / "test").stdout.splitlines()
    assert len(lines) == 9
    assert {line.split("\t")[0] for line in lines} <= set(LABELS)
    assert str(place / "test") in lines[0].split("\t")[2]
    (record,) = map(json.loads, shell("predict", model, place / "test/down/1.png", "--json").stdout.splitlines())
    assert set(record["probabilities"]) == set(LABELS)


def test_evaluate_writes_scores_by_label_and_the_confusion_matrix(shell, model, place, tmp_path):
    said = shell("evaluate", model, place / "test", "--by-label", "--confusion", tmp_path / "c.html").stdout
    assert "precision" in said
    assert all(label in said for label in LABELS)
    assert "predicted" in (tmp_path / "c.html").read_text()
    record = json.loads(shell("evaluate", model, place / "test", "--by-label", "--json").stdout)
    assert sum(each["support"] for each in record["labels"].values()) == 9
    refused = shell("evaluate", model, place / "test", "--confusion", tmp_path / "c.html", code=2).stderr
    assert "exists already" in refused


def test_inspect_draws_the_picture_and_writes_files(shell, model, place, tmp_path):
    image = place / "test/down/1.png"
    outs = [tmp_path / f"a{suffix}" for suffix in (".png", ".svg", ".html", ".json", ".csv")]
    drawn = shell("inspect", model, image, *(word for out in outs for word in ("--out", out))).stdout
    assert "saliency of" in drawn
    assert "stage 2 / norm" in drawn
    assert outs[0].read_bytes()[:4] == b"\x89PNG"
    assert all(out.stat().st_size > 100 for out in outs)
    assert "expected one of" in shell("inspect", model, image, "--out", tmp_path / "a.npz", code=2).stderr


def test_a_bad_image_ends_in_one_sentence(shell, model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    said = shell("predict", model, tmp_path / "a.png", code=1)
    assert said.stderr.count("\n") == 1
    assert "a.png: no image: the file begins with b'no image'" in said.stderr


def test_scores_by_label_belong_to_classifiers(shell, models, tmp_path):
    for flags in (("--by-label",), ("--confusion", tmp_path / "c.html")):
        assert "a classifier has" in shell("evaluate", models / "tagger", models / "train.conll", *flags, code=2).stderr


@pytest.mark.parametrize("recipe", ["mnist-pixels", "mnist-permuted"])
def test_the_recipes_of_pixel_by_pixel_start(shell, tmp_path, recipe):
    path = Path(__file__).parents[2] / "recipes" / f"{recipe}.toml"
    assert read_recipe(path)["image.scan"] == "pixels"
    images, labels = many_stripes(6, width=9, height=7)
    for pixels, (number, label) in zip(images, enumerate(labels), strict=True):
        write_image(tmp_path / "data" / label / f"{number}.png", pixels)
    shell(
        "train",
        "classify",
        tmp_path / "data",
        "--recipe",
        path,
        "--epochs",
        "1",
        "--hidden",
        "4",
        "--out",
        tmp_path / "m",
    )
    said = shell("info", tmp_path / "m").stdout
    assert ("permuted by seed 92916 (SHA-256 " in said) == (recipe == "mnist-permuted")
