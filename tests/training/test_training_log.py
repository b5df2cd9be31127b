import builtins
import json
import math
import sys
from pathlib import Path

import pytest
from tiny_training import Windows, language_model, train

from unspool.errors import MachineError, MissingExtraError
from unspool.training.log import Log


def test_lines_after_the_checkpoint_are_cut_off(tmp_path):
    log = Log(tmp_path)
    log.write("train", 1, {"loss": 2.5, "norm": math.nan, "best": True})
    position = log.position()
    log.write("train", 2, {"loss": 2.0})
    log.close()
    log = Log(tmp_path, position=position)
    log.write("train", 2, {"loss": 2.25})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"kind": "train", "update": 1, "loss": 2.5, "norm": None, "best": True},
        {"kind": "train", "update": 2, "loss": 2.25},
    ]


def test_a_log_that_was_shortened_by_hand_is_gone_on_with(tmp_path):
    (tmp_path / "log.jsonl").write_text("{}\n")
    log = Log(tmp_path, position=1000)
    log.write("train", 1, {})
    log.close()
    assert (tmp_path / "log.jsonl").read_text() == '{}\n{"kind": "train", "update": 1}\n'


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is a Linux device")
def test_a_full_disk_is_a_sentence(tmp_path):
    log = Log(tmp_path)
    log.close()
    log._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 - closed as the log's
    with pytest.raises(MachineError, match=r"log.jsonl: the disk is full"):
        log.write("train", 1, {})
    log.close()


def test_tensorboard_gets_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event

    assert EventsWriter is not None
    train(language_model(), Windows(), tmp_path, epochs=1, tensorboard=True)
    seen = {}
    for path in (tmp_path / "training" / "tensorboard").iterdir():
        content = path.read_bytes()
        while content:  # each record: length, checksum, event, checksum
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            seen |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            content = content[16 + length :]
    lines = [json.loads(line) for line in (tmp_path / "training" / "log.jsonl").read_text().splitlines()]
    for line in lines:
        assert seen[f"{line['kind']}/loss", line["update"]] == pytest.approx(line["loss"])
    assert seen["validation/nats", 7] == pytest.approx(lines[-1]["nats"])


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tensorboardX":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints.txt '.\[tensorboard\]'"):
        Log(tmp_path, tensorboard=True)
