"""The translator on the command line: parallel files, standard input, JSON, n-best, a table of networks."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path

import pytest
from command_line import SMALL, Shell, files_in

from unspool import load

TINY = (*SMALL, "--units", "word", "--batch-size", "30", "--choose-by", "perplexity", "--decoding.max-length", "5")
WORDS = ["ant", "bee", "cat", "dog", "elk"]


def write_parallel(folder: Path, name: str, count: int, seed: int) -> tuple[Path, Path]:
    lot = random.Random(seed)
    lines = [[lot.choice(WORDS) for _ in range(lot.randint(1, 3))] for _ in range(count)]
    for suffix, turned in ((".en", 1), (".de.gz", -1)):
        text = "".join(" ".join(line[::turned]) + "\n" for line in lines).encode()
        (folder / (name + suffix)).write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    return folder / f"{name}.en", folder / f"{name}.de.gz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parallel files, and a translator trained on them."""
    place = tmp_path_factory.mktemp("parallel")
    train, valid = write_parallel(place, "train", 60, 0), write_parallel(place, "valid", 12, 1)
    words = ["train", "translate", *train, "--valid", valid[0], "--valid", valid[1], "--out", place / "model", *TINY]
    done = Shell()(*words)
    (place / "said.txt").write_text(done.stdout + done.stderr)
    return place


def test_train_on_two_parallel_files_says_what_it_does(folder):
    said = (folder / "said.txt").read_text()
    assert "train: 60 pairs\n" in said
    assert "valid: 12 pairs\n" in said
    assert "bilinear encoder–decoder of bidirectional lstm, 1 layer of 4" in said
    assert f"go on with: unspool predict {folder / 'model'}" in said
    assert "copy of the source" in said
    assert re.search(r"^ +bleu \(beam \d+\)  ", said, flags=re.MULTILINE)
    record = json.loads((folder / "model" / "unspool.json").read_text())
    assert (record["task"], record["complete"]) == ("translate", True)
    assert {"bleu", "chrf", "ter", "exact", "perplexity"} < set(record["metrics"]["valid"])


def test_the_log_names_the_search_whose_bleu_chooses_weights(shell, folder, tmp_path):
    train = write_parallel(tmp_path, "train", 20, 2)
    said = shell("train", "translate", *train, "--out", tmp_path / "m", *TINY, "--choose-by", "bleu").stderr
    assert re.search(r"perplexity \S+  greedy bleu ", said)
    assert "; best greedy bleu " in said


def test_predict_reads_standard_input_and_keeps_blank_lines(shell, folder):
    task = load(folder / "model")
    expected = [each.translation for each in task.predict(["ant bee", "cat"])]
    text = "ant bee\n\ncat\n"
    for size in ("1", "2", "100"):
        done = shell("predict", folder / "model", "-", "--batch-size", size, stdin=text)
        assert done.stdout.split("\n") == [expected[0], "", expected[1], ""]
    records = [
        json.loads(line) for line in shell("predict", folder / "model", "--json", stdin=text).stdout.splitlines()
    ]
    assert records[1] is None
    assert (records[0]["text"], records[0]["translation"]) == ("ant bee", expected[0])
    assert records[0]["source_units"] == ["ant", "bee"]
    assert len(records[0]["attention"]) == len(records[0]["target_units"])
    assert all(len(row) == 2 for row in records[0]["attention"])


def test_predict_gives_the_best_few_with_their_scores(shell, folder):
    shown = shell("predict", folder / "model", "--beam", "4", "--best", "3", stdin="ant bee\ncat\n").stdout
    blocks = shown.removesuffix("\n\n").split("\n\n")
    assert [len(block.splitlines()) for block in blocks] == [3, 3]
    scores = [float(line.split("\t")[1]) for line in blocks[0].splitlines()]
    assert scores == sorted(scores, reverse=True)
    begun = shell("predict", folder / "model", "--begin", "dog elk", stdin="ant bee\n").stdout
    assert begun.startswith("dog elk")


def test_predict_warns_of_lines_unlike_the_training_data(shell, folder):
    done = shell("predict", folder / "model", stdin="ant\nyak\n" + "bee bee bee bee\n" * 4)
    assert len(done.stdout.splitlines()) == 6
    assert done.stderr.splitlines() == [
        "standard input:2: nothing in it is in the model's vocabulary: the output is a guess",
        "standard input:3: 4 units; the longest source in training had 3",
        "standard input:4: 4 units; the longest source in training had 3",
        "2 more lines are unlike the training data; --json names each",
    ]


def test_evaluate_takes_two_files_and_refuses_one(shell, folder):
    source, target = folder / "valid.en", folder / "valid.de.gz"
    scores = json.loads(shell("evaluate", folder / "model", source, target, "--json").stdout)
    assert scores == load(folder / "model").evaluate([source, target])
    assert "expected parallel files in twos" in shell.refuses("evaluate", folder / "model", source)
    table = "source\ttarget\nant bee\tbee ant\ncat\t\n"
    said = shell.refuses("evaluate", folder / "model", "-", "--format", "tsv", stdin=table)
    assert "standard input:3: the target is empty" in said
    done = shell("evaluate", folder / "model", "-", "--format", "tsv", "--skip-bad", "--json", stdin=table)
    assert json.loads(done.stdout)["left_out"] == 1


def test_unequal_files_are_refused_before_anything_is_written(shell, folder, tmp_path):
    longer = tmp_path / "longer.en"
    longer.write_text((folder / "train.en").read_text() + "ant\n")
    words = ["train", "translate", longer, folder / "train.de.gz", "--out", tmp_path / "m", *TINY, "--quiet"]
    assert "61 lines go with 60; parallel files have equally many" in shell.refuses(*words)
    assert files_in(tmp_path) == {"longer.en"}
    words = ["train", "translate", "-", folder / "train.de.gz", "--out", tmp_path / "m", *TINY, "--quiet"]
    assert "save it to a file" in shell.refuses(*words, code=2)


def test_training_goes_on_where_it_stopped(shell, folder, tmp_path):
    train = (folder / "train.en", folder / "train.de.gz")
    words = ["train", "translate", *train, *TINY, "--no-baselines", "--schedule", "constant", "--sampling-end", "0"]
    shell(*words, "--out", tmp_path / "whole", "--epochs", "2")
    shell(*words, "--out", tmp_path / "parts")
    shell("train", "--resume", tmp_path / "parts", "--epochs", "2", "--quiet")
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


def test_compare_gives_two_networks_the_same_budget(shell, folder, tmp_path):
    train = (folder / "train.en", folder / "train.de.gz")
    words = ["compare", "translate", *train, *TINY, "--networks", "initial,gru,window", "--json"]
    record = json.loads(shell(*words, "--out", tmp_path / "table.md").stdout)
    assert [row["network"] for row in record["networks"]] == ["initial", "gru", "window"]
    assert len({row["updates"] for row in record["networks"]}) == 1
    assert all("bleu" in row["scores"] for row in record["networks"])
    assert list(record["baselines"]) == ["copy of the source"]
    assert (tmp_path / "table.md").read_text().startswith("| on valid | bleu | chrf | ter | exact | perplexity |")
    said = shell.refuses("compare", "translate", *train, *TINY, "--networks", "initial,aditive", code=2)
    assert "did you mean 'additive'?" in said
    with_coverage = ["compare", "translate", *train, *TINY, "--networks", "dot,initial", "--coverage", "1"]
    assert "coverage needs attention, and network = initial has none" in shell.refuses(*with_coverage, code=2)
