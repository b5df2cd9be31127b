"""`unspool inspect --edit` and `unspool predict --edits`: both runs side by side, and recipes over files."""

import json

import pytest

import unspool
from unspool.inspection import read_recipe, read_trace

TEXT = "a good film"


@pytest.fixture(scope="module")
def places(models):
    return unspool.load(models / "classifier")._parts().names


def test_both_runs_and_a_recipe_that_predicts_the_same(shell, models, places, tmp_path):
    recipe, out = tmp_path / "recipe.json", tmp_path / "trace.json"
    edit = f"{places[0]} / h = 3 @ 2-"
    files = ("--save-edits", recipe, "--out", out)
    shown = shell("inspect", models / "classifier", TEXT, "--edit", edit, "--edit", "token = 'bad' @ 2", *files)
    lines = shown.stdout.splitlines()
    assert f"fork: {edit}" in lines
    assert "fork: token = 'bad' @ 2" in lines
    assert max(map(len, lines)) <= 80
    assert any("good > bad" in line for line in lines)
    assert str(recipe) in shown.stderr
    model = unspool.load(models / "classifier")
    assert [str(each) for each in read_recipe(recipe)] == [edit, "token = 'bad' @ 2"]
    trace = read_trace(out)
    assert trace == model.trace(TEXT, [edit, "token = 'bad' @ 2"])

    (tmp_path / "texts.txt").write_text(f"{TEXT}\n\nfilm\n")
    predictions = shell("predict", models / "classifier", tmp_path / "texts.txt", "--edits", recipe, "--json")
    first, blank, short = map(json.loads, predictions.stdout.splitlines())
    assert first["probabilities"] == pytest.approx(dict(trace.prediction["probabilities"]))
    assert blank is None
    assert short["probabilities"] == pytest.approx(model.predict("film").probabilities, rel=1e-5)
    assert "1 line had no token for one of the edits, which changed nothing there" in predictions.stderr
    again = shell("inspect", models / "classifier", TEXT, "--edits", recipe)
    assert again.stdout == shown.stdout


def test_a_language_model_goes_on_from_both_states(shell, models):
    arguments = ("inspect", models / "writer", "the cat", "--edit", "layer 1 / h = 2 @ 2-", "--length", 12, "--seed", 4)
    shown = shell(*arguments).stdout
    assert "original goes on:" in shown
    assert "fork goes on:" in shown
    assert "divergence: of the predictions, in nats, first at token 2" in shown
    assert shell(*arguments).stdout == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--edit", "h"], "the edit 'h' has another form; expected PLACE / QUANTITY"),
        (["--edit", "layer 9 / h = 0"], "this network has no place 'layer 9'"),
        (["--edits", "missing.json"], "missing.json: there is no such file"),
        (["--save-edits", "new.json"], "--save-edits needs an edit"),
        (["--length", "3"], "--length needs an edit"),
        (["--edit", "token = 'x' @ 1", "--length", "3"], "--length: only language models go on after the text"),
        (["--edit", "token = 'x' @ 1", "--save-edits", "here.json"], "here.json exists already"),
        (["--edit", "token = 'x' @ 9"], "begins past the end: there are 3 tokens"),
    ],
)
def test_says_what_does_not_fit(shell, models, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.json").write_text("{}")
    code = 1 if "missing" in message else 2
    assert message in shell.refuses("inspect", models / "classifier", TEXT, *arguments, code=code)
    assert [path.name for path in tmp_path.iterdir()] == ["here.json"]


def test_a_recipe_and_a_seed_do_not_go_together(shell, models, tmp_path):
    (tmp_path / "r.json").write_text('{"format": "unspool edits", "version": 1, "edits": []}')
    said = shell.refuses("predict", models / "classifier", "-", "--edits", tmp_path / "r.json", "--seed", 1, code=2)
    assert "--edits runs each text alone, without --begin and --seed" in said
