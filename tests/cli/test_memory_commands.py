"""Readers and exercises from the command line: train, ask, predict, inspect, compare, evaluate; and what is refused."""

from __future__ import annotations

import json
import re

import pytest
from command_line import Shell, files_in

STORIES = "".join(
    f"1 Mary went to the {room}.\n2 John went to the {other}.\n3 Where is Mary? \t{room}\t1\n"
    for room, other in (("garden", "kitchen"), ("kitchen", "garden"), ("garden", "garden"), ("kitchen", "kitchen"))
)
SMALL = ("--embedding", "8", "--epochs", "2", "--hops", "2", "--device", "cpu")
TINY = ("--hidden", "8", "--examples", "32", "--valid-examples", "8", "--epochs", "1", "--max-length", "3")
TOLD = "Mary went to the garden.\nJohn went to the kitchen.\nWhere is Mary?\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    (folder / "qa.txt").write_text(STORIES * 5)
    shell = Shell()
    shell("train", "read", folder / "qa.txt", *SMALL, "--out", folder / "reader")
    shell(
        "train", "algorithm", "copy", *TINY, "--width", "2", "--cell", "ntm(slots=4, width=3)", "--out", folder / "ntm"
    )
    return folder


def test_a_reader_is_asked_line_by_line(shell, place):
    said = shell("ask", place / "reader", stdin=TOLD + "Where is John?\n\nJohn went to the garden.\nWhere is John?\n")
    lines = said.stdout.splitlines()
    assert len(lines) == 9  # an answer, and a sentence for each of two hops, three times
    assert lines[0].split()[0] in ("garden", "kitchen")
    assert lines[1].startswith("  hop 1 read: ")
    assert all("John went to the garden." in line for line in lines[7:])  # a blank line begins another story
    (answer,) = [json.loads(line) for line in shell("ask", place / "reader", "--json", stdin=TOLD).stdout.splitlines()]
    assert answer["sentences"] == TOLD.splitlines()[:2]
    assert len(answer["hops"]) == 2


def test_a_reader_predicts_shows_its_hops_and_is_scored(shell, place):
    answer, chance, question = shell(
        "predict", place / "reader", stdin="Mary went to the garden. Where is Mary?\n"
    ).stdout.split("\t")
    assert answer in ("garden", "kitchen")
    assert 0 < float(chance) <= 1
    assert question == "Where is Mary?\n"
    shown = shell("inspect", place / "reader", f"{place / 'qa.txt'}:3").stdout
    assert "support" in shown
    assert "hop 2" in shown
    scores = json.loads(shell("evaluate", place / "reader", place / "qa.txt", "--json").stdout)
    assert scores["accuracy"] + scores["error"] == pytest.approx(1)
    table = shell("compare", "read", place / "qa.txt", "--networks", "memory,key-value,gru", *SMALL, "--no-baselines")
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == ["memory", "key-value", "gru"]


def test_a_gated_reader_tells_of_its_gates(shell, place, tmp_path):
    shell("train", "read", place / "qa.txt", *SMALL, "--gated", "--out", tmp_path / "gated")
    assert "memory network, adjacent, gated, 2 hops of 8" in shell("inspect", tmp_path / "gated", TOLD).stdout
    assert 'gates: {"hop 1": 0.' in shell("inspect", tmp_path / "gated", TOLD).stdout
    _, *hops = shell("ask", tmp_path / "gated", stdin=TOLD).stdout.splitlines()
    assert len(hops) == 2
    assert all(re.search(r"\(\d+%, gate \d+% open\)$", line) for line in hops)
    assert "gate" not in shell("ask", place / "reader", stdin=TOLD).stdout
    said = shell.refuses(
        "train", "read", place / "qa.txt", "--network", "dynamic", "--gated", "--out", tmp_path / "m", code=2
    )
    assert "gated needs network = memory, and network = dynamic has no gates after its hops" in said
    assert files_in(tmp_path / "m") == set()


def test_a_machine_with_sizes_is_opened_without_anybody_s_code(shell, place):
    assert "10 01" in shell("predict", place / "ntm", stdin="10 01\n").stdout
    shown = shell("inspect", place / "ntm", "10 01", "--maps", "*").stdout
    assert "read head 1" in shown
    assert "write head 1" in shown
    scores = json.loads(shell("evaluate", place / "ntm", "copy", "--json").stdout)
    assert "bits_wrong at 12" in scores
    networks = "gru,ntm(slots=4, width=3)"
    table = shell("compare", "algorithm", "reverse", "--networks", networks, *TINY, "--width", "2", "--no-baselines")
    assert [line.split("  ")[0].strip() for line in table.stdout.splitlines()[1:]] == ["gru", "ntm(slots=4, width=3)"]


def test_what_can_t_be_read_is_said_and_nothing_is_left_behind(shell, place, tmp_path):
    bad = tmp_path / "bad.txt"
    for text, line, part in [
        ("1 Mary left.\n2 Where is Mary?\tgarden\t9\n", 2, "supporting sentence '9' is none of the sentences above"),
        ("1 Where is Mary?\tgarden\n", 1, "the question comes before any sentence"),
        ("Mary left.\n", 1, "'Mary left.' does not begin with a number and a blank"),
    ]:
        bad.write_text(text)
        assert f"{bad}:{line}: {part}" in shell.refuses("train", "read", bad, "--out", tmp_path / "m")
        assert files_in(tmp_path) == {"bad.txt"}
    assert "'copi' (did you mean 'copy'?)" in shell.refuses(
        "train", "algorithm", "copi", "--out", tmp_path / "m", code=2
    )
    assert "has no option 'slot' (did you mean 'slots'?)" in shell.refuses(
        "train", "algorithm", "copy", "--cell", "ntm(slot=3)", "--out", tmp_path / "m", code=2
    )
    assert "no sentence before it" in shell.refuses("ask", place / "reader", stdin="Where is Mary?\n")
    assert "ask takes a reader" in shell.refuses("ask", place / "ntm", stdin=TOLD, code=2)
