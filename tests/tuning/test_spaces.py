"""Search spaces: those of the tasks fit their settings, and those of a user are checked in one sentence."""

from __future__ import annotations

import pytest

from unspool.errors import SettingError, UsageError
from unspool.tasks import TASKS
from unspool.tasks.space import Choice, Float, Int, LogFloat
from unspool.tuning.spaces import SPACES, check_space, combinations, in_range, read_space, short_names, space_of

CLASSIFY = TASKS["classify"].settings()


def test_the_spaces_are_those_of_the_task_folders():
    texts = {"classify", "tag", "write", "translate", "answer", "command", "read"}
    assert set(SPACES) == {*texts, "caption", "recommend", "transcribe", "forecast", "algorithm"}


@pytest.mark.parametrize("task", SPACES)
def test_a_written_space_fits_the_settings_of_its_task(task):
    space = dict(SPACES[task].settings)
    assert check_space(space_of(space), TASKS[task].settings(), ()) == space


def test_a_file_of_ranges_is_read(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        'cell = ["lstm", "gru"]\n'
        'dropout = {kind = "float", low = 0.1, high = 0.5}\n'
        '[network.hidden]\nkind = "int"\nlow = 8\nhigh = 32\nstep = 8\n'
        "[training]\n"
        'learning_rate = {kind = "log-float", low = 1e-4, high = 1e-2}\n'
        'clip = ["none", 1]\n'
    )
    assert check_space(read_space(path), CLASSIFY, ["network.dropout"]) == {
        "network.cell": Choice(("lstm", "gru")),
        "network.hidden": Int(8, 32, 8),
        "training.learning_rate": LogFloat(1e-4, 1e-2),
        "training.clip": Choice((None, 1.0)),
    }


@pytest.mark.parametrize(
    ("ranges", "error", "said"),
    [
        ({"hiden": [1, 2]}, SettingError, r"space: there is no setting 'hiden' \(did you mean 'hidden'\?\)"),
        ({}, UsageError, "space leaves nothing to tune, since it is empty"),
        ({"layers": [1, 2]}, UsageError, "since all of its settings are fixed: network.layers"),
        ({"hidden": {"kind": "flot", "low": 1, "high": 2}}, SettingError, "hidden = .* is no range .*'flot'"),
        ({"hidden": {"kind": "int", "low": 1}}, SettingError, "is no range .*high"),
        ({"hidden": 3}, SettingError, "hidden = 3 is no range .*; expected log-float, float, int or choice, as hidden"),
        ({"hidden": []}, SettingError, "hidden has no value to choose"),
        ({"dropout": {"kind": "float", "low": 0.5, "high": 0.5}}, SettingError, "goes from 0.5 to 0.5"),
        ({"dropout": {"kind": "float", "low": 0.5, "high": 1.5}}, SettingError, "space: .*dropout.*0.99"),
        ({"lr": {"kind": "log-float", "low": 0, "high": 1}}, SettingError, "log-float and begins at 0"),
        ({"hidden": {"kind": "int", "low": 1, "high": 8, "step": 2}}, SettingError, "from 1 to 8 in steps of 2"),
        ({"hidden": {"kind": "float", "low": 1, "high": 8}}, SettingError, "takes no fractions"),
        ({"cell": ["lstm", "lstn"], "hidden": ["x"]}, SettingError, "space: .*hidden = 'x'"),
        ({"pooling": ["max", "men"]}, SettingError, "pooling = 'men': expected one of .*did you mean 'mean'"),
        ({"hidden": [1], "network.hidden": [2]}, SettingError, "hidden and network.hidden are the same setting"),
        ({"epochs": [1, 2]}, SettingError, "training.epochs can't be tuned, since the trials have equal lengths"),
        ({"valid_fraction": [0.1, 0.2]}, SettingError, "data.valid_fraction can't be tuned, since it changes the val"),
        ({"choose_by": ["nats", "score"]}, SettingError, "choose_by can't be tuned"),
    ],
)
def test_a_space_that_can_t_be_used_is_refused(ranges, error, said):
    with pytest.raises(error, match=said):
        check_space(space_of(ranges), CLASSIFY, ["network.layers"])


@pytest.mark.parametrize(
    ("text", "said"),
    [("hidden = 5", "hidden = 5 is no range"), ("hidden = [", "not a TOML search space"), ("hidden = []", "no value")],
)
def test_a_bad_file_is_named(tmp_path, text, said):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=said) as caught:
        read_space(path)
    assert str(caught.value).startswith(str(path))
    with pytest.raises(SettingError, match="no such search space file"):
        read_space(tmp_path / "none.toml")


def test_what_a_range_holds():
    assert [value for value in range(12) if in_range(value, Int(2, 10, 4))] == [2, 6, 10]
    assert [in_range(value, Float(0.5, 1)) for value in (0.4, 0.5, 1, None, True)] == [False, True, True, False, False]
    assert in_range(None, Choice((None, 1.0)))


def test_combinations_of_a_finite_space():
    space = {"a": Choice(("x", "y")), "b": Int(1, 5, 2)}
    every = combinations(space, 6)
    assert every is not None
    assert len(every) == 6
    assert {"a": "y", "b": 3} in every
    assert combinations(space, 5) is None
    assert combinations({**space, "c": Float(0, 1)}, 100) is None


def test_short_names_are_those_that_stand_alone():
    names = ["network.hidden", "memory.size", "vocabulary.size"]
    assert list(short_names(names).values()) == ["hidden", "memory.size", "vocabulary.size"]
