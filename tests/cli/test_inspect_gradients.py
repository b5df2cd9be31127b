"""`unspool inspect MODEL TEXT --gradients`: the heat map, the decay in words, and files."""

import json

import numpy as np
import pytest

from unspool import load


def test_the_map_the_words_and_the_files(shell, models, tmp_path):
    files = [tmp_path / f"g.{suffix}" for suffix in ("json", "npz", "csv", "svg", "html")]
    out = [word for path in files for word in ("--out", path)]
    said = shell("inspect", models / "writer", "a joy", "--gradients", "--truncation", 2, *out)
    for part in ("|dL/d", "per step", "half-life", "Jacobian", "lies 2 steps or more back"):
        assert part in " ".join(said.stdout.split())
    assert max(map(len, said.stdout.splitlines())) <= 80
    assert said.stderr.count("written: ") == 5
    record = json.loads(files[0].read_text())
    result = load(models / "writer").gradients("a joy", truncation=2)
    np.testing.assert_allclose(record["norms"][result.main], result.array(result.main))
    with np.load(files[1]) as arrays:
        assert np.array_equal(arrays[result.main], result.array(result.main))


def test_one_loss_one_array_and_a_target(shell, models):
    shown = shell("inspect", models / "writer", "a joy", "--gradients", "--loss-at", 4, "--array", "input / x").stdout
    assert "input / x: |dL/dx|" in shown
    assert "bars: logarithm of the norm" in shown
    labels = load(models / "classifier").classes_
    for label in labels[:2]:
        assert "|dL/d" in shell("inspect", models / "classifier", "a joy", "--gradients", "--target", label).stdout
    shown = shell("inspect", models / "tagger", "a b", "--gradients").stdout
    assert "rows: the loss at t" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--loss-at", 2), "--loss-at belongs to --gradients"),
        (("--target", "x"), "--target belongs to --gradients"),
        (("--gradients", "--maps", "*"), "pass one of them"),
        (("--gradients", "--loss-at", 99), "there is no loss at position 99; losses stand at 1 to"),
        (("--gradients", "--array", "input / y"), "did you mean 'input / x'"),
        (("--gradients", "--out", "g.png"), "expected one of the formats .json, .npz, .csv, .svg, .html"),
        (("--gradients", "--loss-at", 0), "0 is not in the range"),
    ],
)
def test_what_does_not_fit_is_refused(shell, models, arguments, words):
    assert words in " ".join(shell.refuses("inspect", models / "writer", "a joy", *arguments, code=2).split())
