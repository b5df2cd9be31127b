"""`unspool compare`: equal budgets, seeds, tables, and what is refused."""

import json
import math
import statistics

import pytest
from command_line import SMALL


def test_compare_gives_each_network_the_same_budget(shell, models, tmp_path):
    words = ["compare", "classify", models / "train.tsv", "--test", models / "test.tsv", *SMALL, "--epochs", "2"]
    done = shell(*words, "--networks", "bag,elman,lstm", "--json", "--out", tmp_path / "t.md", "--batch-size", "10")
    record = json.loads(done.stdout)
    assert record["scored_on"] == "test"
    assert [row["network"] for row in record["networks"]] == ["bag", "elman", "lstm"]
    assert {row["updates"] for row in record["networks"]} == {8}
    weights = [row["weights"] for row in record["networks"]]
    assert weights == sorted(set(weights))
    assert set(record["baselines"]) == {"majority class", "linear n-grams"}
    table = (tmp_path / "t.md").read_text().splitlines()
    assert len(table) == 2 + 3 + 2
    assert table[0].startswith("| on test | accuracy |")
    alone = shell(
        "train",
        "classify",
        *words[2:],
        "--no-ngrams",
        "--cell",
        "elman",
        "--batch-size",
        "10",
        "--out",
        tmp_path / "m",
        "--json",
    )
    assert json.loads(alone.stdout)["test"] == record["networks"][1]["scores"]


def test_compare_gives_mean_and_interval_over_seeds(shell, models, tmp_path):
    words = ["compare", "classify", models / "train.tsv", "--test", models / "test.tsv", *SMALL, "--epochs", "2"]
    words += ["--networks", "bag,elman", "--seeds", "3", "--no-baselines"]
    done = shell(*words, "--out", tmp_path / "t.json", "--out", tmp_path / "t.md")
    record = json.loads((tmp_path / "t.json").read_text())
    assert record["seeds"] == [1, 2, 3]
    for row, line in zip(record["networks"], done.stdout.splitlines()[1:], strict=True):
        scores = [run["scores"]["accuracy"] for run in row["runs"]]
        assert row["scores"]["accuracy"] == pytest.approx(statistics.fmean(scores))
        half_width = 4.302652729749462 * statistics.stdev(scores) / math.sqrt(3)
        assert row["half_widths"]["accuracy"] == pytest.approx(half_width)
        assert line.split()[:4] == [row["network"], f"{statistics.fmean(scores):.4g}", "±", f"{half_width:.2g}"]
    assert "Student's t" in done.stderr
    assert "-- elman, seed 3 --" in done.stderr
    assert (tmp_path / "t.md").read_text().count(" ± ") >= 4
    alone = shell(
        "train",
        "classify",
        *words[2:-5],
        "--no-ngrams",
        "--cell",
        "elman",
        "--seed",
        "2",
        "--out",
        tmp_path / "m",
        "--json",
    )
    assert json.loads(alone.stdout)["test"] == record["networks"][1]["runs"][1]["scores"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--seeds", "0"], 2, "0 is not in the range"),
        (["--networks", "gru,lstn"], 2, "there is no cell 'lstn' (did you mean 'lstm'?)"),
        (["--networks", ","], 2, "names nothing to compare"),
        (["--out", "t.png"], 2, ".md or .json"),
        (["--networks", "gru,my_cell.py:Cell"], 2, "my_cell.py: no such file"),
    ],
)
def test_compare_refuses_before_it_trains(shell, models, words, code, said):
    assert said in shell.refuses("compare", "classify", models / "train.tsv", *words, code=code)


@pytest.mark.parametrize(
    ("task", "network", "said"),
    [
        ("tag", "bag", "the network 'bag' is one of the task classify, not of tag; choose among transformer, "),
        (
            "classify",
            "bagg",
            "there is no cell 'bagg' (did you mean 'bag'?); choose among bag, transformer, convolutional, ",
        ),
        ("tag", "gruu", "there is no cell 'gruu' (did you mean 'gru'?)"),
    ],
)
def test_compare_names_the_networks_there_are(shell, models, task, network, said):
    assert said in shell.refuses("compare", task, models / "train.tsv", "--networks", f"lstm,{network}", code=2)
