"""Reading a run's log while it is written, after it was cut, and what it shows: curves, state, samples."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_training import Crash, Windows, crash_at, language_model, train

from unspool.errors import DataError, UsageError
from unspool.training.curves import Curve
from unspool.training.folder_lock import in_training, lock_folder
from unspool.training.run_log import RunLog, find_runs


def line(update, kind="train", **values):
    standard = {"epoch": update / 10, "loss": 1 / update}
    standard |= {"gradient_norm": 2.0, "learning_rate": 0.01} if kind == "train" else {}
    return json.dumps({"kind": kind, "update": update, **standard, **values}).encode() + b"\n"


@pytest.fixture
def log(tmp_path):
    (tmp_path / "training").mkdir()
    return tmp_path / "training" / "log.jsonl"


def append(log, *lines):
    with log.open("ab") as file:
        file.write(b"".join(lines))


def test_only_complete_lines_are_read_and_the_rest_later(log):
    append(log, line(1), line(2)[:20])
    run = RunLog(log.parent.parent)
    assert run.curve("training loss").updates.tolist() == [1]
    assert not run.read()
    append(log, line(2)[20:], line(3))
    assert run.read()
    assert run.curve("training loss").updates.tolist() == [1, 2, 3]
    assert run.curve("training loss").values.tolist() == [1, 1 / 2, 1 / 3]
    assert run.update == 3


def test_a_log_that_was_cut_is_read_anew(log):
    append(log, *map(line, range(1, 9)))
    run = RunLog(log.parent)  # the folder `training` will do
    os.truncate(log, log.stat().st_size - len(line(8) + line(7)))
    assert run.read()
    assert run.curve("training loss").updates.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_log_that_was_cut_and_grew_beyond_the_offset_is_read_anew(log):
    append(log, *map(line, range(1, 9)))
    run = RunLog(log.parent.parent)
    os.truncate(log, sum(len(line(update)) for update in range(1, 5)))
    append(log, *(line(update, loss=5.0) for update in range(5, 15)))
    assert run.read()
    curve = run.curve("training loss")
    assert curve.updates.tolist() == list(range(1, 15))
    assert curve.values[4:].tolist() == [5.0] * 10


def test_a_log_in_another_file_of_that_name_is_read_anew(log):
    append(log, *map(line, range(1, 9)))
    run = RunLog(log.parent.parent)
    log.rename(log.with_name("old"))
    assert run.read()
    assert not run.curves
    append(log, line(1, loss=7.0))
    assert run.read()
    assert run.curve("training loss").values.tolist() == [7.0]


def test_null_is_a_number_that_is_not_finite(log):
    append(log, line(1), line(2, loss=None), line(3))
    append(log, line(3, "validation", nats=None), line(4), line(4, "validation", nats=0.5, best=True))
    run = RunLog(log.parent.parent)
    assert run.curve("training loss").not_finite.tolist() == [2]
    assert run.curve("validation nats").not_finite.tolist() == [3]
    assert run.curve("validation nats").last == 0.5
    assert run.best_update == 4
    columns = run.curve("training loss").envelope(4)
    assert columns.not_finite.tolist() == [0, 1, 0, 0]
    assert np.isnan(columns.high).tolist() == [False, True, False, False]


def test_a_damaged_line_is_counted_and_left_out(log):
    append(log, line(1), b"\0\0\0\n", line(2), b'{"kind": "train"}\n', b"[1]\n", line(3, "validation", nats=2.0))
    run = RunLog(log.parent.parent)
    assert run.curve("training loss").updates.tolist() == [1, 2]
    assert run.curve("validation nats").values.tolist() == [2.0]
    assert run.bad_lines == 3


def test_fields_of_other_versions_do_no_harm(log):
    append(log, line(1, new={"a": [1]}), line(2, "remark", text="x"), line(3, "validation", nats=1, name="x", deep={}))
    run = RunLog(log.parent.parent)
    assert [name for name in run.curves if name.startswith("validation")] == ["validation nats"]
    assert run.curve("learning rate").values.tolist() == [0.01]
    with pytest.raises(UsageError, match=r"has no curve 'training los' \(did you mean 'training loss'\?\)"):
        run.curve("training los")


def test_a_spike_of_one_update_is_in_its_column():
    updates = np.arange(1, 100_001)
    values = np.ones(100_000)
    values[77_776], values[30_000] = 50, -3
    columns = Curve("x", updates, values).envelope(80)
    assert int(columns.high.argmax()) == 77_776 * 80 // 100_000
    assert columns.high.max() == 50
    assert columns.low.min() == -3
    assert np.count_nonzero(columns.high > 1) == np.count_nonzero(columns.low < 1) == 1


def test_envelopes_equal_a_plain_loop():
    chance = np.random.default_rng(3)
    updates = np.sort(chance.choice(500, 90, replace=False))
    values = chance.normal(size=90)
    values[chance.choice(90, 20, replace=False)] = np.nan
    curve = Curve("x", updates, values)
    for columns, first, last in ((7, 0, 499), (40, 100, 300), (499, 0, 499), (1, 0, 499), (3, 600, 700)):
        envelope, edges = curve.envelope(columns, first, last), np.linspace(first, last, columns + 1)
        for column in range(columns):
            inside = (updates >= edges[column]) & (updates < edges[column + 1])
            if column == columns - 1:
                inside |= updates == edges[-1]
            part = values[inside]
            finite = part[np.isfinite(part)]
            expected = (finite.min(), finite.max(), finite[-1]) if len(finite) else (np.nan,) * 3
            actual = (envelope.low[column], envelope.high[column], envelope.last[column])
            np.testing.assert_array_equal(actual, expected)
            assert envelope.not_finite[column] == len(part) - len(finite)


def test_few_points_are_joined_over_empty_columns():
    envelope = Curve("x", np.array([0, 100]), np.array([1.0, 2.0])).envelope(5)
    assert np.isnan(envelope.high).tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(envelope.joined().last, [1, 1.25, 1.5, 1.75, 2])
    with pytest.raises(UsageError, match="0 columns: expected at least 1"):
        Curve("x", np.array([0]), np.array([1.0])).envelope(0)


def test_a_killed_and_resumed_run_has_one_gapless_curve(tmp_path):
    whole = tmp_path / "whole"
    train(language_model(), Windows(), whole, epochs=4)
    source, cut = Windows(), tmp_path / "cut"
    source.before = crash_at(2, 5)
    with pytest.raises(Crash):
        train(language_model(), source, cut, epochs=4)
    run = RunLog(cut)
    assert run.state == "interrupted"
    assert run.update > 14  # beyond the checkpoint
    train(language_model(), Windows(), cut, epochs=4, resume=True)
    assert run.read()
    assert run.state == "finished"
    expected = RunLog(whole)
    assert run.curves.keys() == expected.curves.keys()
    for name, curve in run.curves.items():
        if name != "speed":
            np.testing.assert_array_equal(curve.updates, expected.curve(name).updates)
            np.testing.assert_array_equal(curve.values, expected.curve(name).values)
    assert run.curve("training loss").updates.tolist() == list(range(1, 29))


def test_gradient_norms_count_each_update_also_across_a_checkpoint(tmp_path):
    source = Windows(batches=30)
    train(language_model(), source, tmp_path / "fine", epochs=1, clip=0.3, validate_every=0.5)
    run = RunLog(tmp_path / "fine")
    assert run.curve("gradient norm").updates.tolist() == list(range(3, 31, 3))
    largest, newest = run.curve("largest gradient norm").values, run.curve("gradient norm").values
    assert (largest >= newest).all()
    assert (largest > newest).any()
    shares = run.curve("share clipped").values * 3
    np.testing.assert_allclose(shares, shares.round(), atol=1e-3)
    assert (shares[largest <= 0.3] == 0).all()
    assert (shares[newest > 0.3] >= 1).all()
    stopped = Windows(batches=30)
    stopped.before = crash_at(0, 20)
    with pytest.raises(Crash):  # the checkpoint is at update 15, between two log lines
        train(language_model(), stopped, tmp_path / "cut", epochs=1, clip=0.3, validate_every=8 / 15)
    train(language_model(), source, tmp_path / "cut", epochs=1, clip=0.3, validate_every=8 / 15, resume=True)
    cut = RunLog(tmp_path / "cut")
    for name in ("largest gradient norm", "share clipped"):
        np.testing.assert_array_equal(cut.curve(name).values, run.curve(name).values)


def test_a_run_without_clipping_has_no_norms(tmp_path):
    train(language_model(), Windows(), tmp_path, epochs=1, clip=None)
    assert set(RunLog(tmp_path).curves) == {"training loss", "validation nats", "learning rate", "speed"}


def test_a_run_is_running_while_its_process_lives(tmp_path):
    folder = tmp_path / "run"
    code = (
        "import sys, pathlib\n"
        "from unspool.training.folder_lock import lock_folder\n"
        "with lock_folder(pathlib.Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read(1)\n"
        "    import os; os._exit(1)\n"  # dies without removing the lock file
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert worker.stdout.readline() == "locked\n"
        run = RunLog(folder)
        assert (run.state, dict(run.curves)) == ("running", {})
        assert in_training(folder)
    finally:
        worker.communicate("x")
    assert (folder / "training" / "lock").is_file()
    assert run.state == "interrupted"
    with lock_folder(folder):
        assert run.state == "running"  # of this process too


def test_runs_are_found_below_a_folder_in_natural_order(tmp_path):
    for name in ("run-10", "run-9", "deep/er/one", "other"):
        (tmp_path / name / "training").mkdir(parents=True)
        (tmp_path / name / "training" / "log.jsonl").write_bytes(line(1) if name != "other" else b"")
    assert [run.name for run in find_runs([tmp_path])] == ["deep/er/one", "other", "run-9", "run-10"]
    assert [run.folder for run in find_runs([tmp_path / "run-9", tmp_path / "run-10"])] == [
        tmp_path / "run-9",
        tmp_path / "run-10",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no training run in this folder"):
        find_runs([tmp_path / "empty"])
    with pytest.raises(DataError, match="there is no such folder"):
        find_runs([tmp_path / "missing"])
    with pytest.raises(DataError, match="there is no training run"):
        RunLog(tmp_path / "empty")


def test_the_record_is_json_with_all_that_a_page_needs(log):
    append(log, *(line(update) for update in range(1, 50)), line(50, loss=None))
    append(log, line(50, "validation", nats=0.5, best=True, samples=[{"input": "a", "output": "b", "right": "c"}]))
    record = RunLog(log.parent.parent, "mine").record(columns=10)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["name"], record["state"], record["update"]) == ("mine", "interrupted", 50)
    assert len(record["curves"]["training loss"]["high"]) == 10
    assert record["curves"]["training loss"]["not_finite_updates"] == [50]
    assert record["samples"] == [{"update": 50, "input": "a", "output": "b", "right": "c"}]
    assert [warning["kind"] for warning in record["warnings"]] == ["not finite"]
    assert (record["metric"], record["best_update"]) == ("validation nats", 50)
