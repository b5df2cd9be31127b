import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from safetensors.torch import load_file
from tiny_training import (
    Crash,
    Ragged,
    Windows,
    assert_same_bits,
    classifier,
    crash_at,
    language_model,
    train,
)

import unspool
from unspool.errors import Interrupted, MachineError, ModelFolderError, SettingError
from unspool.training import checkpoint
from unspool.training.distributed import flattened

TIMES = {"seconds", "tokens_per_second"}


def log(folder: Path) -> list[dict]:
    records = map(json.loads, (folder / "training" / "log.jsonl").read_text().splitlines())
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


def assert_same_run(actual: Path, expected: Path) -> None:
    """Everything kept is the same: weights, optimizer, average, random numbers, state and log."""
    (a, one), (b, other) = (
        checkpoint.read(folder / "training" / "checkpoint.safetensors") for folder in (actual, expected)
    )
    assert_same_bits(a, b)
    for record in (one, other):
        del record["state"]["seconds"], record["state"]["log_bytes"], record["settings"]["checkpoint_minutes"]
    assert one == other
    assert log(actual) == log(expected)
    best = [sorted((folder / "training").glob("best-*.safetensors")) for folder in (actual, expected)]
    assert [path.name for path in best[0]] == [path.name for path in best[1]]
    for one_best, other_best in zip(*best, strict=True):
        assert_same_bits(load_file(one_best), load_file(other_best))


RUNS = {
    "adamw": {},
    "ema and cosine": {"average": "ema", "schedule": "cosine", "warmup": 4, "validate_every": 0.5},
    "tail and linear": {"average": "tail", "schedule": "linear", "optimizer": "adam", "tail": 0.5},
    "asgd": {
        "average": "asgd",
        "trigger": 1,
        "optimizer": "sgd",
        "learning_rate": 9.0,
        "clip": None,
        "validate_every": 0.3,
    },
    "momentum and plateau": {
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 4.0,
        "schedule": "plateau",
        "plateau_length": 1,
        "validate_every": 0.3,
        "patience": 5,
    },
    "accumulated": {"accumulate": 3, "schedule": "anneal", "precision": "bfloat16"},
}


@pytest.mark.parametrize("saved_every", [1e-9, 10.0], ids=["saved each update", "saved each validation"])
@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS.keys())
def test_a_run_that_dies_and_is_resumed_is_the_same_to_the_bit(tmp_path, settings, saved_every):
    settings = {"epochs": 4, "checkpoint_minutes": saved_every, **settings}
    whole = language_model()
    train(whole, Windows(), tmp_path / "whole", **settings)
    for epoch, index in [(0, 0), (0, 2), (1, 0), (1, 6), (2, 3)]:
        source = Windows()
        source.before = crash_at(epoch, index)
        with pytest.raises(Crash):
            train(language_model(), source, tmp_path / "parts", resume=True, **settings)
    model = language_model()
    train(model, Windows(), tmp_path / "parts", resume=True, **settings)
    assert_same_bits(model, whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_a_carry_lies_in_memory_alike_in_a_whole_and_a_resumed_run(tmp_path):
    """On AMD's processors MKL sums in another order where memory begins elsewhere; networks carry parts of tensors."""
    network = language_model()
    train(network, Windows(), tmp_path, epochs=1)
    carries = [carry for carry in network.carries if carry is not None]
    source = Windows()
    source.before = crash_at(0, 4)
    with pytest.raises(Crash):
        train(language_model(), source, tmp_path / "parts", epochs=1, checkpoint_minutes=1e-9)
    resumed = language_model()
    train(resumed, Windows(), tmp_path / "parts", resume=True, epochs=1)
    carries += [carry for carry in resumed.carries if carry is not None]
    assert len(carries) == 6 + 3
    for tensor in flattened(carries):
        assert tensor.is_contiguous()
        assert tensor.data_ptr() % 64 == 0


def test_the_asgd_run_above_does_average(tmp_path):
    train(language_model(), Windows(), tmp_path, epochs=4, **RUNS["asgd"])
    _, record = checkpoint.read(tmp_path / "training" / "checkpoint.safetensors")
    assert record["state"]["averaged"] > 0


def test_shuffled_batches_go_on_in_the_middle_of_an_epoch(tmp_path):
    whole, model, source = classifier(), classifier(), Ragged()
    train(whole, Ragged(), tmp_path / "whole", epochs=3)
    source.before = crash_at(1, 4)
    with pytest.raises(Crash):
        train(classifier(), source, tmp_path / "parts", epochs=3, checkpoint_minutes=1e-9)
    train(model, Ragged(), tmp_path / "parts", epochs=3, checkpoint_minutes=1e-9, resume=True)
    assert_same_bits(model, whole)


def test_a_finished_run_returns_at_once(tmp_path):
    first = language_model()
    before = train(first, Windows(), tmp_path, epochs=2)
    files = {path: path.read_bytes() for path in (tmp_path / "training").iterdir()}
    source, model = Windows(), language_model()
    source.before = crash_at(2, 0)
    result = train(model, source, tmp_path, epochs=2, validate=lambda _: pytest.fail("validated"), resume=True)
    assert result == before
    assert_same_bits(model, first)
    assert {path: path.read_bytes() for path in (tmp_path / "training").iterdir()} == files


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    whole, model = language_model(), language_model()
    train(whole, Windows(), tmp_path / "whole", epochs=5)
    train(language_model(), Windows(), tmp_path / "parts", epochs=2)
    assert train(model, Windows(), tmp_path / "parts", epochs=5, resume=True).updates == 35
    assert_same_bits(model, whole)


def test_time_spent_before_counts(tmp_path):
    first = train(language_model(), Windows(), tmp_path, epochs=1)
    second = train(language_model(), Windows(), tmp_path, epochs=2, resume=True)
    assert second.seconds > first.seconds
    third = train(language_model(), Windows(), tmp_path, epochs=9, minutes=second.seconds / 61, resume=True)
    assert (third.stopped, third.updates) == ("minutes", second.updates)


def test_another_run_is_not_taken_for_this_one(tmp_path):
    train(language_model(), Windows(), tmp_path, epochs=1, schedule="cosine")
    same = {"epochs": 1, "schedule": "cosine", "resume": True}
    with pytest.raises(SettingError, match=r"clip = 2.0 \(was 1.0\), seed = 3 \(was 0\); resume with the old values"):
        train(language_model(), Windows(), tmp_path, **same, clip=2.0, seed=3)
    with pytest.raises(SettingError, match=r"epochs = 2 \(was 1\)"):
        train(language_model(), Windows(), tmp_path, **same | {"epochs": 2})
    with pytest.raises(SettingError, match=r"batches of an epoch: 8 \(was 7\)"):
        train(language_model(), Windows(batches=8), tmp_path, **same)
    with pytest.raises(SettingError, match=r"metric: other \(was nats\)"):
        train(language_model(), Windows(), tmp_path, **same, metric="other")
    with pytest.raises(ModelFolderError, match="holds the weights of another network"):
        train(classifier(), Windows(), tmp_path, **same)


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(language_model(), Windows(), tmp_path, epochs=1)
    path = tmp_path / "training" / "checkpoint.safetensors"
    content = path.read_bytes()
    for damaged in (
        content[: len(content) // 2],
        b"",
        b"\x80\x04pickle",
        content.replace(b'"format\\": 1', b'"format\\": 9'),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ModelFolderError, match=r"checkpoint.safetensors: (damaged|written by a newer)"):
            train(language_model(), Windows(), tmp_path, epochs=1, resume=True)


# Ctrl-C


def signal_at(epoch: int, index: int, number: int = signal.SIGINT, times: int = 1):
    def before(*position: int) -> None:
        if position == (epoch, index):
            for _ in range(times):
                signal.raise_signal(number)

    return before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_update_saves_and_says_how_to_go_on(tmp_path, number):
    whole, model, source = language_model(), language_model(), Windows()
    train(whole, Windows(), tmp_path / "whole", epochs=3)
    source.before = signal_at(1, 3, number)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        train(language_model(), source, tmp_path / "parts", epochs=3, resume_with="unspool train --resume parts")
    assert str(caught.value) == (
        "stopped; all is saved up to update 11 (epoch 2 of 3); go on with: unspool train --resume parts"
    )
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    train(model, Windows(), tmp_path / "parts", epochs=3, resume=True)
    assert_same_bits(model, whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_ctrl_c_twice_stops_at_once(tmp_path):
    source = Windows()
    source.before = signal_at(1, 3, times=2)
    with pytest.raises(Interrupted, match=r"stopped at once; all is saved up to update 7 \(epoch 1 of 3\); go on with"):
        train(language_model(), source, tmp_path, epochs=3)
    source.before = signal_at(0, 3, times=2)
    with pytest.raises(Interrupted, match="stopped at once before the first checkpoint; start again with"):
        train(language_model(), source, tmp_path / "other", epochs=3)


def test_ctrl_c_during_validation_is_heard_at_once_and_loses_nothing(tmp_path):
    settings = {"epochs": 3, "average": "ema"}
    whole, model = language_model(), language_model()
    train(whole, Windows(), tmp_path / "whole", **settings)

    def stopped(_model):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("validation went on")

    with pytest.raises(Interrupted, match=r"stopped; all is saved up to update 7"):
        train(language_model(), Windows(), tmp_path / "parts", validate=stopped, **settings)
    train(model, Windows(), tmp_path / "parts", resume=True, **settings)
    assert_same_bits(model, whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


# The disk


@pytest.mark.parametrize("nth", [4, 5, 6])
def test_a_full_disk_leaves_the_checkpoint_before_and_nothing_else(tmp_path, monkeypatch, nth):
    real, calls, before = os.fsync, [], {}
    folder = tmp_path / "training"

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == nth * 3:
            before.update({path.name: path.read_bytes() for path in folder.glob("*.safetensors")})
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(MachineError, match="the disk is full; what was there before is unharmed"):
        train(language_model(), Windows(), tmp_path, epochs=9, checkpoint_minutes=1e-9)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == before
    assert not list(folder.glob("*.partial"))
    whole, model = language_model(), language_model()
    train(whole, Windows(), tmp_path / "whole", epochs=9)
    train(model, Windows(), tmp_path, epochs=9, resume=True)
    assert_same_bits(model, whole)


SCRIPT = """
import resource, sys
from pathlib import Path
from tiny_training import Windows, language_model, train

class Told(Windows):
    def epoch(self, number, *, start=0):
        print("going", flush=True)
        return super().epoch(number, start=start)

limit = int(sys.argv[2])
source = Told()
if limit:
    from unspool.training import checkpoint
    real = checkpoint.write
    def write(path, tensors, record):
        if record.get("state", {}).get("update", 0) > 10:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        real(path, tensors, record)
    checkpoint.write = write
train(language_model(), source, Path(sys.argv[1]), epochs=int(sys.argv[3]), average="ema", resume=True,
      checkpoint_minutes=1e-5)
"""


def start(folder: Path, *, limit: int = 0, epochs: int = 6) -> subprocess.Popen:
    path = os.pathsep.join([str(Path(unspool.__path__[0]).parent), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(limit), str(epochs)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_write_that_the_kernel_cuts_short_leaves_the_checkpoint_before(tmp_path):
    pytest.importorskip("resource")
    _, errors = start(tmp_path, limit=4096).communicate(timeout=120)
    assert "MachineError" in errors
    assert "can't be written (File too large); what was there before is unharmed" in errors
    assert not list((tmp_path / "training").glob("*.partial"))
    _, record = checkpoint.read(tmp_path / "training" / "checkpoint.safetensors")
    assert record["state"]["update"] > 0


# kill -9


def kill(folder: Path, *, times: int, seed: int, epochs: int, longest: float) -> int:
    """Start a run again and again, each killed at a random moment; return the kills that found it training."""
    waits, killed = Random(seed), 0
    for _ in range(times):
        process = start(folder, epochs=epochs)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(waits.uniform(0, longest))
        killed += process.poll() is None
        process.kill()
        process.communicate()
    return killed


def test_a_killed_run_is_resumed_to_the_same_bits(tmp_path):
    whole, model = language_model(), language_model()
    settings = {"epochs": 15, "average": "ema", "checkpoint_minutes": 1e-5}
    train(whole, Windows(), tmp_path / "whole", **settings)
    assert kill(tmp_path / "parts", times=1, seed=1, epochs=15, longest=0.2) == 1
    train(model, Windows(), tmp_path / "parts", resume=True, **settings)
    assert_same_bits(model, whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.slow
def test_a_run_killed_ten_times_is_resumed_to_the_same_bits(tmp_path):
    whole, model = language_model(), language_model()
    settings = {"epochs": 600, "average": "ema", "checkpoint_minutes": 1e-5}
    train(whole, Windows(), tmp_path / "whole", **settings)
    assert kill(tmp_path / "parts", times=10, seed=2, epochs=600, longest=1.5) == 10
    train(model, Windows(), tmp_path / "parts", resume=True, **settings)
    assert_same_bits(model, whole)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_what_a_killed_write_left_is_swept_away(tmp_path):
    train(language_model(), Windows(), tmp_path, epochs=1)
    left = tmp_path / "training" / "checkpoint.safetensors.partial"
    left.write_bytes(b"half a file")
    train(language_model(), Windows(), tmp_path, epochs=1, resume=True)
    assert not left.exists()
