"""Recorders: raw and WAV streams, other formats, failures, and the choice of a program."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from sound_samples import wav_bytes
from spoken_tones import RATE, plain_wav, player, program, tones
from unspool.errors import MachineError, UsageError
from unspool.voice.recorder import RECORDERS, Recorder, find_recorder


def writes(folder, content, code=0):
    """A recorder that writes a file and ends."""
    (folder / "stream").write_bytes(content)
    source = (
        f"import sys\nsys.stdout.buffer.write(open(sys.argv[1], 'rb').read())\nsys.stdout.flush()\nsys.exit({code})"
    )
    return find_recorder(f"{program(folder, 'write.py', source)} '{folder / 'stream'}'")


def test_a_stream_that_goes_on_is_stopped_after_the_utterance(tmp_path):
    plain_wav(tmp_path / "1.wav", "lamp on", 1)
    plain_wav(tmp_path / "2.wav", "paint it red please", 2)
    recorder = find_recorder(player(tmp_path))
    one, two = recorder.utterance(), recorder.utterance()
    assert len(two) > 1.5 * len(one) > RATE // 3
    with pytest.raises(MachineError, match=r"failed with exit code 1: the microphone is gone"):
        recorder.utterance()


def test_a_wav_stream_is_its_samples(tmp_path):
    speech = tones("paint it red", 5)
    raw = (speech * 32767).astype("<i2").tobytes()
    one = writes(tmp_path, raw).utterance()
    two = writes(tmp_path, wav_bytes(speech, RATE)).utterance()
    assert np.abs(one[: len(two)].astype(int) - two[: len(one)]).max() <= 1
    assert abs(len(one) - len(two)) <= RATE // 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav_bytes(tones("lamp", 1), 44100), "1 channels of 16 bits at 44,100 Hz; expected one channel of 16 bits at"),
        (wav_bytes(np.stack([tones("lamp", 1)] * 2, 1), RATE), "2 channels of 16 bits at 16,000 Hz"),
        (b"RIFFxxxxWAVEfmt ", "damaged WAV header"),
    ],
)
def test_another_format_is_refused(tmp_path, content, message):
    with pytest.raises(MachineError, match=message):
        writes(tmp_path, content).utterance()


def test_silence_is_no_utterance(tmp_path):
    assert writes(tmp_path, b"\0" * 64000).utterance() is None
    assert writes(tmp_path, b"").utterance() is None
    assert writes(tmp_path, b"\0" * (10 * 2 * RATE)).utterance(patience=1.0) is None


def test_the_first_installed_recorder_is_found(monkeypatch):
    for installed in (["rec", "ffmpeg"], ["ffmpeg"], ["parecord", "arecord"]):
        monkeypatch.setattr(shutil, "which", lambda name, have=installed: name if name in have else None)
        assert find_recorder().words[0] == min(installed, key=list(RECORDERS).index)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MachineError, match=r"no recorder is installed; expected one of arecord, rec, .*--wav FILE"):
        find_recorder()


@pytest.mark.parametrize("command", ["", "   ", "no-such-program-here -x", "sh 'open"])
def test_wrong_command_lines(command):
    with pytest.raises(UsageError, match="--recorder"):
        find_recorder(command)


def test_a_recorder_that_can_t_be_started(tmp_path):
    with pytest.raises(MachineError, match="can't be started"):
        Recorder([str(tmp_path)]).utterance()
    assert Recorder([sys.executable, "-c", ""]).utterance() is None
