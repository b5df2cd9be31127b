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


@pytest.fixture(scope="module")
def with_features(folder):
    """A recommender with features of items and users; the table also lists a film that nobody saw."""
    rows = [f"{item}|{title}|{'new' if '(199' in title else 'old'}" for item, title in TITLES.items()]
    (folder / "films.txt").write_text("\n".join([*rows, "17|Blade Runner (1982)|old"]) + "\n")
    (folder / "u.tsv").write_text((folder / "u.data").read_text())
    (folder / "people.csv").write_text(
        "\n".join(["id,age,sex", *(f"{user},{20 + user % 7},{'MF'[user % 2]}" for user in range(1, 41))]) + "\n"
    )
    train = ["train", "recommend", folder / "u.data", "--items", folder / "films.txt", "--users", folder / "people.csv"]
    done = Shell()(*train, "--out", folder / "rich", *TINY)
    (folder / "rich.txt").write_text(done.stdout + done.stderr)
    return folder


def test_features_on_the_command_line(with_features, shell):
    folder, model = with_features, with_features / "rich"
    said = (folder / "rich.txt").read_text()
    assert "features of items: 3 (new, old)\n" in said
    assert "features of users: age (7 bins of numbers), sex (F, M)\n" in said
    assert "7 items, 1 of them by their features alone" in said
    lines = shell("predict", model, "--history", "sex = F, age = 23, Alien", "--k", 7).stdout.splitlines()
    assert lines[0] == "after sex = F, age = 23, Alien (1979):"
    assert sum("Blade Runner (1982)" in line for line in lines) == 1
    (folder / "later.txt").write_text("99|Zodiac (1990)|new\n11|Alien (1979)|old\n")
    done = shell("predict", model, "--items", folder / "later.txt", "--history", "Alien, Zodiac", "--k", 9)
    assert "added 1 item, ranked by their features alone" in done.stderr
    assert done.stdout.splitlines()[0] == "after Alien (1979), Zodiac (1990):"
    (folder / "others.csv").write_text("id,age,sex\n7,21,M\n")
    assert len(shell("predict", model, folder / "u.tsv", "--users", folder / "others.csv").stdout.splitlines()) == 40
    assert "ndcg@3" in shell("evaluate", model, folder / "u.tsv", "--users", folder / "others.csv").stdout
    assert "left out" in shell("inspect", model, "sex = F, Alien").stdout


def test_what_is_wrong_with_features_is_one_sentence(with_features, shell, tmp_path):
    folder, model = with_features, with_features / "rich"
    assert "sex = 'X': expected one of F, M" in shell.refuses("predict", model, "--history", "sex = X, Alien")
    said = shell.refuses("predict", model, folder / "u.tsv", "--users", tmp_path / "gone.csv")
    assert str(tmp_path / "gone.csv") in said
    said = shell.refuses("predict", folder / "model", "--items", folder / "films.txt", "--history", "Alien", code=2)
    assert said.startswith("this model learned no features of items, so it can't rank new ones; train it with --items")
    said = shell.refuses("predict", folder / "model", "--users", folder / "people.csv", "--history", "Alien", code=2)
    assert said.startswith("this model learned no features of users")
    (tmp_path / "twice.csv").write_text("item,genre\n11,x\n11,y\n")
    train = ["train", "recommend", folder / "u.data", "--out", tmp_path / "m", "--items"]
    said = shell.refuses(*train, tmp_path / "twice.csv")
    assert said.startswith(f"{tmp_path / 'twice.csv'}:3: item '11' is there twice, first in {tmp_path / 'twice.csv'}:2")
    assert not (tmp_path / "m").exists()


def test_bad_histories_from_the_command_line(folder, shell, tmp_path):
    model = folder / "model"

    def written(text, name="x.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    alone = written("user,item,time\na,11,5\nb,12,6\n")
    said = shell.refuses("evaluate", model, alone)
    assert (
        said == f"{alone}:2: user 'a' has one item, as have all 2 users; expected two or more, of which the last is "
        "predicted"
    )
    said = shell.refuses("train", "recommend", alone, "--out", tmp_path / "m")
    assert said.startswith(
        f"{alone}: no history is left of 2 users with 2 events: each needs 2 items, and each item 1 ev"
    )
    some = written("user,item,time\na,11,5\nb,12,6\nb,13,7\n", "some.csv")
    assert "1 history of one item leave nothing to predict" in shell("evaluate", model, some).stderr
    assert len(shell("predict", model, alone).stdout.splitlines()) == 2
    for time in ("nan", "inf", "", "soon"):
        bad = written(f"user,item,time\na,11,5\na,12,{time}\n")
        assert shell.refuses("predict", model, bad).startswith(f"{bad}:3: the time {time!r} is no number and no date")
    unsorted = written("user,item,time\na,11,30\na,12,10\na,13,20\nb,11,4\nb,15,4\nb,12,4\n")
    read = [json.loads(line)["history"] for line in shell("predict", model, unsorted, "--json").stdout.splitlines()]
    assert read == [
        ["Brazil (1985)", "Godfather, The (1972)", "Alien (1979)"],
        ["Alien (1979)", "Fargo (1996)", "Brazil (1985)"],
    ]
    unknown = written("user,item,time\na,11,30\na,Allien,40\n", "unknown.csv")
    said = shell.refuses("predict", model, unknown)
    assert said == f"{unknown}:3: there is no item 'Allien' in this model (did you mean 'Alien (1979)'?)"


def test_equal_times_are_said(shell, tmp_path):
    rows = [f"u{user},{(user + step) % 7},{step // 2}" for user in range(30) for step in range(6)]
    (tmp_path / "x.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    done = shell("train", "recommend", tmp_path / "x.csv", "--out", tmp_path / "m", *TINY)
    assert "50% of the events have the time of the one before, and keep the file's order" in done.stdout + done.stderr


def test_options_of_recommenders_are_refused_by_others(shell, tmp_path):
    text = tmp_path / "novel.txt"
    text.write_text("a b c d e f g h\n" * 30)
    shell("train", "write", text, "--out", tmp_path / "m", "--hidden", 4, "--epochs", 1, "--no-plan", "--threads", 1)
    said = shell.refuses("predict", tmp_path / "m", "--history", "a", code=2)
    assert said == "--history: this is a model of the task 'write'; a recommender takes this"
