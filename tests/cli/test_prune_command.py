"""`unspool prune`: a new folder without the units, its scores before and after, and what is refused."""

from __future__ import annotations

import json

import pytest

import unspool


def test_a_model_is_pruned_scored_and_used(shell, models, tmp_path):
    out, data = tmp_path / "pruned", models / "test.tsv"
    place = unspool.load(models / "classifier")._parts().names[0]
    outcome = shell("prune", models / "classifier", "--unit", f"{place} / h[2,3]", "--out", out, "--test", data)
    assert f"written: {out}, without {place} / h[2,3]; " in outcome.stderr
    head, before, after = outcome.stdout.splitlines()
    assert str(data) in head
    assert before.startswith("before pruning")
    assert after.startswith("after pruning")
    shown = json.loads(shell("evaluate", out, data, "--json").stdout)
    scores = json.loads((out / "unspool.json").read_text())["pruned"]["scores"]
    assert scores == {
        "before": json.loads(shell("evaluate", models / "classifier", data, "--json").stdout),
        "after": shown,
    }
    info = shell("info", out).stdout
    assert f"pruned     {place} / h[2,3]; " in info
    assert "after pruning" in info
    assert shell("predict", out, data).stdout
    assert "whose training can't be resumed" in shell.refuses("train", "--resume", out, code=2)
    again = shell("prune", out, "--unit", f"{place} / h[1]", "--out", tmp_path / "twice", "--json")
    about = json.loads(again.stdout)
    assert about["units"] == [f"{place} / h[2,3]", f"{place} / h[1]"]
    assert about["model"] == str(tmp_path / "twice")


def test_a_named_unit_of_a_writer_is_pruned(shell, models, tmp_path):
    shell("units", models / "writer", "--add", "layer 1 / h", 2, "vowels")
    out = tmp_path / "pruned"
    shell("prune", models / "writer", "--unit", "vowels", "--out", out, "--quiet")
    shell("units", models / "writer", "--remove", "vowels")
    assert not unspool.load(out).trace("the cat").array("named units / vowels").any()
    arguments = ("--seed", 3, "--length", 30)
    assert shell("generate", out, *arguments).stdout != shell("generate", models / "writer", *arguments).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--unit", "layer 1 / h[1]"), "the flag --out is missing"),
        (("--out", "new"), "the flag --unit is missing"),
        (("--unit", "h[1]", "--out", "new"), "the unit 'h[1]': expected PLACE / PART[UNITS]"),
        (("--unit", "layer 7 / h[1]", "--out", "new"), "no place 'layer 7' whose units can be pruned"),
        (("--unit", "layer 1 / h[1]", "--out", "full"), "full exists already, and nothing is overwritten"),
        (("--unit", "layer 1 / h[1]", "--out", "new", "--test", "-"), "--test is read twice"),
        (("--unit", "layer 1 / h[1]", "--out", "new", "--test", "missing.txt"), "missing.txt"),
    ],
)
def test_wrong_words_are_refused_and_nothing_is_written(shell, models, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    code = 1 if message == "missing.txt" else 2
    assert message in shell.refuses("prune", models / "writer", *words, code=code)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
