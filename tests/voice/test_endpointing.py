"""Where utterances begin and end: quiet, noise, clicks, long pauses and streams in pieces of any size."""

from __future__ import annotations

import numpy as np
import pytest

from spoken_tones import RATE, tones
from unspool.voice.endpointing import Endpointer


def speech(text):
    """A spoken text without the quiet around it."""
    samples = tones(text, 3, noise=0)
    loud = np.flatnonzero(samples)
    return samples[loud[0] : loud[-1] + 1]


def stream(*parts, noise=0.001, seed=0):
    """Seconds of quiet (numbers) and speech (texts), int16."""
    pieces = [np.zeros(int(part * RATE)) if isinstance(part, float) else speech(part) for part in parts]
    samples = np.concatenate(pieces)
    samples += noise * np.random.default_rng(seed).standard_normal(len(samples))
    return (np.clip(samples, -1, 1) * 32767).astype(np.int16)


def fed(endpointer, samples, size=700):
    """The place at which the endpointer ends, in samples; None if it does not."""
    for begin in range(0, len(samples), size):
        if endpointer.feed(samples[begin : begin + size]):
            return begin + size
    return None


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("size", [77, 333, 5000])
def test_an_utterance_is_cut_out_of_quiet(noise, size):
    seconds = len(speech("lamp on")) / RATE
    samples = stream(1.5, "lamp on", 3.0, noise=noise)
    endpointer = Endpointer()
    assert fed(endpointer, samples, size) is not None
    cut = endpointer.utterance()
    assert seconds <= len(cut) / RATE <= seconds + 0.65
    loud = np.flatnonzero(np.abs(cut) > 5000)
    assert 0.2 < loud[0] / RATE < 0.35
    assert cut.tobytes() in samples.tobytes()


def test_pauses_inside_are_part_of_the_utterance():
    endpointer = Endpointer(pause=0.8)
    fed(endpointer, stream(0.5, "lamp", 0.4, "on", 2.0))
    assert len(endpointer.utterance()) / RATE > 0.8
    shorter = Endpointer(pause=0.3)
    fed(shorter, stream(0.5, "lamp", 0.4, "on", 2.0))
    assert len(shorter.utterance()) < len(endpointer.utterance()) - RATE // 3


def test_speech_from_the_first_sample_on():
    endpointer = Endpointer()
    assert fed(endpointer, stream("lamp on", 2.0)) is not None
    assert len(endpointer.utterance()) / RATE > 0.5


def test_clicks_and_steady_noise_are_no_speech():
    samples = stream(4.0, noise=0.03)
    samples[RATE : RATE + 200] = 20000
    endpointer = Endpointer(patience=3.0)
    assert fed(endpointer, samples[RATE // 2 :]) is not None
    loud = Endpointer(patience=3.0)
    assert fed(loud, stream(4.0, noise=0.001)) == pytest.approx(3 * RATE, abs=800)
    assert loud.utterance() is None


def test_an_utterance_ends_at_its_longest():
    endpointer = Endpointer(longest=1.0)
    assert fed(endpointer, stream(0.3, "lamp on the red green lamp on the red", 1.0)) < 2 * RATE
    assert len(endpointer.utterance()) <= 1.35 * RATE


def test_an_endpointer_waits_for_as_long_as_it_takes():
    endpointer = Endpointer()
    assert fed(endpointer, stream(30.0, "lamp on", 2.0)) is not None
    assert 0.6 < len(endpointer.utterance()) / RATE < 1.6
    assert len(endpointer._frames) < 1000
