"""Sample rate conversion: tones stay tones, and what the new rate can't hold is gone."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.data.resampling import resample


def tone(frequency: float, rate: float, seconds: float = 0.2) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate + 0.3).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "new_rate"),
    [
        (8000, 16000),
        (16000, 8000),
        (44100, 16000),
        (16000, 44100),
        (48000, 8000),
        (8000, 7999),
        (44101, 8000),
        (11, 10),
    ],
)
@pytest.mark.parametrize("share", [0.03, 0.3, 0.7])
def test_a_tone_below_both_limits_stays_the_same_tone(rate, new_rate, share):
    frequency = share * min(rate, new_rate) / 2
    before = tone(frequency, rate, 4000 / rate)
    after = resample(before, rate, new_rate)
    assert after.dtype == np.float32
    assert len(after) == -(-len(before) * new_rate // rate)
    inside = slice(len(after) // 8, -len(after) // 8)
    np.testing.assert_allclose(after[inside], tone(frequency, new_rate, len(after) / new_rate)[inside], atol=3e-3)


@pytest.mark.parametrize(("rate", "new_rate"), [(16000, 8000), (44100, 16000), (48000, 8000)])
def test_a_tone_above_the_new_limit_is_gone(rate, new_rate):
    after = resample(tone(1.2 * new_rate / 2, rate), rate, new_rate)
    inside = after[len(after) // 8 : -len(after) // 8]
    assert np.abs(inside).max() < 2e-3


def test_the_mean_is_kept_and_equal_rates_change_nothing():
    constant = np.full(500, 0.7, np.float32)
    np.testing.assert_allclose(resample(constant, 16000, 11025)[60:-60], 0.7, atol=1e-6)
    assert resample(constant, 8000, 8000) is constant
    assert len(resample(constant[:0], 8000, 16000)) == 0
    assert len(resample(constant[:1], 16000, 8000)) == 1


def test_long_signals_are_converted_in_parts_that_fit_together(monkeypatch):
    before = tone(300, 8000)
    whole = resample(before, 8000, 11025)
    monkeypatch.setattr("unspool.data.resampling._CHUNK", 3)
    np.testing.assert_allclose(resample(before, 8000, 11025), whole, atol=1e-6)
