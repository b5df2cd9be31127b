"""Captions on the command line: check, train, predict, evaluate, inspect, compare."""

from __future__ import annotations

import json

import pytest

from unspool.samples.scene_files import write_folder
from unspool.samples.scenes import generate

SMALL = ("--hidden", "12", "--embedding", "8", "--widths", "6", "--stem", "4", "--no-plan", "--seed", "1")
SHORT = (*SMALL, "--epochs", "1", "--batch-size", "8", "--device", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_folder(folder, {"train": generate(24, 1), "test": generate(5, 1, "test")})
    return folder


@pytest.fixture
def model(shell, place):
    folder = place / "model"
    if not folder.exists():
        said = shell(
            "train", "caption", place / "train.tsv", "--valid", place / "test.tsv", "--out", folder, *SHORT
        ).stderr
        assert "24 images" in said
        assert "language model without image" in said
    return folder


def test_predict_writes_a_caption_for_each_image(shell, model, place):
    assert len(shell("predict", model, place / "test").stdout.splitlines()) == 5
    image = place / "test/00001.png"
    (record,) = map(json.loads, shell("predict", model, image, "--best", "2", "--json").stdout.splitlines())
    assert record["grid"] == [12, 12]
    assert len(record["others"]) == 1
    assert len(record["attention"]) == len(record["units"])
    begun = shell("predict", model, image, "--begin", "a large").stdout
    assert begun.startswith("a large")


def test_evaluate_scores_against_all_references(shell, model, place):
    scores = json.loads(shell("evaluate", model, place / "test.tsv", "--json").stdout)
    (values,) = [each for each in scores.values() if isinstance(each, dict)] or [scores]
    assert {"cider-d", "bleu-4", "cider-d, images shuffled", "distinct"} <= set(values)
    assert "10 references" in shell("evaluate", model, place / "test.tsv").stderr


def test_inspect_lights_the_image_at_each_word(shell, model, place, tmp_path):
    image = place / "test/00002.png"
    said = shell("inspect", model, image).stdout
    assert "where it looked" in said
    for form in ("html", "svg", "json"):
        shell("inspect", model, image, "--out", tmp_path / f"looked.{form}")
    written = json.loads((tmp_path / "looked.json").read_text())
    assert written["image"]["height"] == 48
    words = written["maps"]["attention"]["rows"]
    assert (tmp_path / "looked.svg").read_text().count("<image") == 1 + len(words)


def test_a_text_is_no_image(shell, model):
    assert "no such file" in shell("predict", model, "none.png", code=1).stderr


def test_networks_are_compared(shell, place, tmp_path):
    said = shell("compare", "caption", place / "train.tsv", "--networks", "initial,bilinear", *SHORT).stdout
    assert "initial" in said
    assert "bilinear" in said
