"""The recommender on the command line: MovieLens's files, typed histories, files of histories, bad data."""

from __future__ import annotations

import json
import random

import pytest
from command_line import Shell

TITLES = {
    "11": "Alien (1979)",
    "12": "Brazil (1985)",
    "13": "Godfather, The (1972)",
    "14": "Diva (1981)",
    "15": "Fargo (1996)",
    "16": "Heat (1995)",
}
TINY = ("--hidden", 8, "--embedding", 8, "--epochs", 2, "--threads", 1, "--no-plan", "--k", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files in the form of MovieLens 100K, and a recommender trained on them."""
    place, lot = tmp_path_factory.mktemp("films"), random.Random(3)
    events = []
    for user in range(1, 41):
        start = lot.randrange(6)
        steps = range(6 if user == 7 else lot.randint(3, 5))  # user 7 has seen everything
        events += [f"{user}\t{11 + (start + step) % 6}\t4\t{880_000_000 + 100 * user + step}" for step in steps]
    lot.shuffle(events)
    (place / "u.data").write_text("\n".join(events) + "\n")
    rows = [f"{item}|{title}|01-Jan-1995||http://x|0|1" for item, title in TITLES.items()]
    (place / "u.item").write_text("\n".join(rows) + "\n")
    train = ["train", "recommend", place / "u.data", "--titles", place / "u.item", "--out", place / "model", *TINY]
    done = Shell()(*train)
    (place / "said.txt").write_text(done.stdout + done.stderr)
    return place


def test_training_says_what_it_understood(folder):
    said = (folder / "said.txt").read_text()
    assert "columns: user = '1', item = '2', time = '4'" in said
    assert "baselines on test (ndcg@3): popularity" in said
    assert "mixed with counts by weights from validation: network" in said
    assert f"go on with: unspool predict {folder / 'model'}" in said
    record = json.loads((folder / "model" / "unspool.json").read_text())
    assert {"hr@3", "ndcg@3", "mrr", "coverage", "distinct_lists"} == set(record["metrics"]["test"])


def test_a_typed_history(folder, shell):
    model = folder / "model"
    lines = shell(
        "predict", model, "--history", "alien, the godfather", "--k", 2, "--exclude", "Diva"
    ).stdout.splitlines()
    assert lines[0] == "after Alien (1979), Godfather, The (1972):"
    assert len(lines) == 3
    assert not any("Diva" in line for line in lines)
    one, two = shell("predict", model, "--history", "11", "--history", "Fargo; Heat", "--json").stdout.splitlines()
    assert json.loads(one)["history"] == ["Alien (1979)"]
    assert {item["id"] for item in json.loads(two)["items"]} <= {"11", "12", "13", "14"}


def test_a_file_of_histories_keeps_its_lines(folder, shell, tmp_path):
    answer = shell("predict", folder / "model", "-", "--k", 1, stdin="Alien, Brazil\n\n16 15\n").stdout.splitlines()
    assert [line.count("; ") for line in answer] == [0, 0, 0]
    assert answer[1] == ""
    (tmp_path / "people.tsv").write_text((folder / "u.data").read_text())
    people = shell("predict", folder / "model", tmp_path / "people.tsv", "--json").stdout.splitlines()
    lists = [json.loads(line)["items"] for line in people]
    assert len(lists) == 40
    assert sum(not items for items in lists) == 1


def test_evaluate_and_inspect(folder, shell):
    assert "ndcg@3" in shell("evaluate", folder / "model", folder / "u.data").stdout
    said = shell("inspect", folder / "model", "Alien, Fargo").stdout
    assert "left out" in said
    assert "layer 1" in said
    edited = shell("inspect", folder / "model", "Alien, Fargo", "--edit", "token = 'Heat' @ 2").stdout
    assert "fork: token = 'Heat' @ 2" in edited


def test_what_is_wrong_is_one_sentence(folder, shell, tmp_path):
    model = folder / "model"
    assert "there is no item 'Allien' in this model (did you mean 'Alien (1979)'?)" in shell.refuses(
        "predict", model, "--history", "Allien"
    )
    assert shell.refuses("predict", model, "-", stdin="Alien\nAlien, Hat\n").startswith(
        "standard input:2: there is no item"
    )
    assert "name one of both" in shell.refuses("predict", model, "x.txt", "--history", "Alien", code=2)
    (tmp_path / "bad.csv").write_text("user,item,time\na,x,1\na,y,\n")
    said = shell.refuses("train", "recommend", tmp_path / "bad.csv", "--out", tmp_path / "m")
    assert said.startswith(f"{tmp_path / 'bad.csv'}:3: the time '' is no number and no date")
    (tmp_path / "one.csv").write_text("user,item\na,x\nb,x\n")
    said = shell.refuses("train", "recommend", tmp_path / "one.csv", "--out", tmp_path / "m")
    assert "no history is left of 2 users with 2 events: each needs 2 items" in said
    assert not (tmp_path / "m").exists()
    (tmp_path / "columns.csv").write_text("user,time\na,5\nb,6\n")
    said = shell.refuses("train", "recommend", tmp_path / "columns.csv", "--out", tmp_path / "m")
    assert "expected a user and an item beside the time 'time' (--user NAME, --item NAME)" in said


def test_options_of_recommenders_are_refused_by_others(shell, tmp_path):
    text = tmp_path / "novel.txt"
    text.write_text("a b c d e f g h\n" * 30)
    shell("train", "write", text, "--out", tmp_path / "m", "--hidden", 4, "--epochs", 1, "--no-plan", "--threads", 1)
    said = shell.refuses("predict", tmp_path / "m", "--history", "a", code=2)
    assert said == "--history: this is a model of the task 'write'; a recommender takes this"
