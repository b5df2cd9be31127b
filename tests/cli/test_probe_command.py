"""`unspool probe` and `unspool units`, and what `inspect` shows of named units."""

from __future__ import annotations

import json
import random

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("probe")


@pytest.fixture
def model(shell, folder):
    path = folder / "model"
    if not path.exists():
        draw = random.Random(1)
        lines = ("".join(draw.choice("ab") for _ in range(9)) + f"({'x' * draw.randint(3, 9)})" for _ in range(220))
        (folder / "text.txt").write_text("\n".join(lines) + "\n")
        small = ("--hidden", 8, "--embedding", 4, "--epochs", 2, "--no-plan", "--no-baselines", "--device", "cpu")
        shell("train", "write", folder / "text.txt", "--units", "character", "--out", path, *small)
    return path


QUICK = ("--no-untrained", "--ablation-tokens", 300, "--random-units", 3)


def test_the_report_is_printed_written_and_its_unit_named(shell, model, folder, tmp_path):
    out = tmp_path / "report.json"
    outcome = shell(
        "probe", model, folder / "text.txt", "--property", "depth", *QUICK, "--out", out, "--name", "inside"
    )
    report = json.loads(out.read_text())
    assert outcome.stdout.splitlines()[0] == f"bracket depth: {report['verdict']}"
    assert report["verdict"] != "nothing"
    assert report["best"]["p"] < 0.01
    assert "network: " in outcome.stderr
    assert f"written: {out}" in outcome.stderr
    best = report["best"]
    listed = shell("units", model, "--json").stdout
    assert json.loads(listed) == [{"array": best["array"], "unit": best["unit"], "name": "inside"}]
    shown = shell("inspect", model, "ab(xx)").stdout
    assert "named units" in shown
    assert "inside" in shown.split("named units")[1].splitlines()[1]
    refusal = shell.refuses("probe", model, folder / "text.txt", "--property", "depth", "--out", out, code=2)
    assert "exists already" in refusal
    shell("units", model, "--remove", "inside")
    assert "no unit of" in shell("units", model).stderr
    assert "named units" not in shell("inspect", model, "ab(xx)").stdout


def test_json_is_one_line(shell, model, folder):
    arguments = ("--regex", "x+", "--no-ablate", "--no-untrained", "--tokens", 2000, "--json", "--quiet")
    outcome = shell("probe", model, folder / "text.txt", *arguments)
    report = json.loads(outcome.stdout)
    assert report["kind"] == "binary"
    assert report["ablation"] is None
    assert sum(report["tokens"].values()) < 2000
    assert outcome.stderr == ""


def test_brushed_tokens_and_categories(shell, model, folder):
    marks = [word for place in range(1, 1800, 60) for word in ("--brush", f"{place}-{place + 9}")]
    outcome = shell("probe", model, folder / "text.txt", *marks, *QUICK, "--category", "brace=[()]", "--json")
    assert "brace" in [row["category"] for row in json.loads(outcome.stdout)["ablation"]["categories"]]


def test_a_unit_gets_a_name_by_hand(shell, model):
    assert "second" in shell("units", model, "--add", "layer 1 / h", 2, "second").stdout
    assert "already" in shell.refuses("units", model, "--add", "layer 1 / h", 3, "second", code=2)
    shell("units", model, "--remove", "second")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "none came; expected one of --property"),
        (("--property", "depth", "--regex", "x"), "--property and --regex came"),
        (("--property", "dept"), "did you mean 'depth'"),
        (("--brush", "9-3"), "expected two numbers of tokens"),
        (("--property", "depth", "--category", "x"), "expected NAME=REGEX, a name and a regular expression"),
        (("--property", "depth", "--out", "report.txt"), "expected a file .json"),
        (("--property", "depth", "--by", "label"), "no column 'label'"),
        (("--column", "upos"), "no column 'upos'"),
    ],
)
def test_wrong_words_are_refused(shell, model, folder, words, message):
    code = 1 if "no column" in message else 2
    assert message in shell.refuses("probe", model, folder / "text.txt", *words, "--quiet", code=code)
