"""`inspect --against` and `evaluate --against`: two models, or two texts, side by side."""

import json

import pytest
from command_line import SMALL, SMALL_WRITER

from unspool.inspection import read_trace


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return tmp_path_factory.mktemp("others")


@pytest.fixture
def other(shell, models, others):
    folder = others / "second"
    if not folder.exists():
        shell("train", "classify", models / "train.tsv", "--out", folder, *SMALL, "--seed", 5)
    return folder


def test_two_models_on_one_text(shell, models, other, tmp_path):
    drawn = shell(
        "inspect", models / "classifier", "a good film", "--against", other, "--out", tmp_path / "t.npz"
    ).stdout
    assert "one    " in drawn
    assert "mean difference of the units" in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    assert all(name.endswith(" difference") for name in read_trace(tmp_path / "t.npz").arrays)


def test_two_texts_on_one_model(shell, models):
    drawn = shell("inspect", models / "classifier", "a good film", "--against-text", "a dull film").stdout
    assert "2 ~ good|dull" in drawn


def test_a_model_against_itself_has_no_difference(shell, models):
    folder = models / "classifier"
    assert "no difference" in shell("inspect", folder, "a good film", "--against", folder).stdout
    assert "no difference in 10 examples" in shell("evaluate", folder, models / "test.tsv", "--against", folder).stdout


def test_two_models_on_a_file(shell, models, other):
    drawn = shell("evaluate", models / "classifier", models / "test.tsv", "--against", other, "--most", 2).stdout
    table, rest = drawn.split("\n\n", 1)
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["classifier", "second"]
    assert "equal answers" in rest
    words = ("evaluate", models / "classifier", models / "test.tsv", "--against", other, "--most", 3, "--json")
    record = json.loads(shell(*words).stdout)
    sizes = [example["difference"] for example in record["disagreements"]]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert record["models"] == ["classifier", "second"]
    assert record["scores"].keys() == {"classifier", "second"}
    assert sum(record["counts"].values()) == record["examples"] == 10


def test_two_language_models_by_category(shell, models, others):
    second = others / "writer"
    shell("train", "write", models / "train.txt", "--out", second, *SMALL_WRITER, "--seed", 5)
    drawn = shell("evaluate", models / "writer", models / "train.txt", "--against", second).stdout
    for title in ("nats by kind", "nats by frequency", "largest differences"):
        assert title in drawn
    assert "letter" in drawn


def test_what_does_not_go_together_is_refused(shell, models, other):
    one = models / "classifier"
    assert "--array and --against draw different things" in shell.refuses(
        "inspect", one, "a", "--against", other, "--array", "layer 1 forward / h", code=2
    )
    assert "models of one task are compared" in shell.refuses(
        "evaluate", one, models / "test.tsv", "--against", models / "writer", code=2
    )
    assert "--against reads the data for both models" in shell.refuses(
        "evaluate", one, "-", "--against", other, code=2, stdin="a\tb\n"
    )
