"""Features of recordings against Kaldi's, stored in a table, and against the formulae once more in numpy."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unspool.errors import SettingError
from unspool.inputs.audio.features import add_deltas, mel_filters
from unspool.inputs.audio.features import features_of as features_of_all
from unspool.inputs.audio.settings import AudioSettings

PLACE = Path(__file__).parent
EXPECTED = json.loads((PLACE / "expected_features.json").read_text())
SPEC = importlib.util.spec_from_file_location("make_expected_features", PLACE / "make_expected_features.py")
assert SPEC is not None
assert SPEC.loader is not None
MAKER = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MAKER)


def features_of(samples: torch.Tensor, rate: int, chosen: AudioSettings) -> torch.Tensor:
    (only,) = features_of_all([samples], rate, chosen)
    return only


def features(case: dict[str, object], **more: object) -> np.ndarray:
    settings = AudioSettings(**{name: value for name, value in case.items() if name != "rate"}, **more)
    return features_of(torch.from_numpy(MAKER.signal(case["rate"])), case["rate"], settings).numpy()


@pytest.mark.parametrize("name", MAKER.CASES)
def test_features_are_those_of_kaldi(name):
    computed = features(MAKER.CASES[name])
    assert len(computed) == EXPECTED[name]["frames"]
    tolerance = 1e-4 if name.startswith("mel") else 5e-4  # cepstra of up to 120, which Kaldi computes in float32
    np.testing.assert_allclose(computed[::9], EXPECTED[name]["every 9th"], rtol=0, atol=tolerance)


def test_deltas_are_those_of_python_speech_features():
    computed = features(MAKER.CASES["cepstra 8000"], deltas=2)
    assert computed.shape[1] == 39
    np.testing.assert_allclose(computed[::9, 13:26], EXPECTED["deltas of cepstra 8000"]["every 9th"], atol=5e-4)
    np.testing.assert_allclose(computed[::9, 26:], EXPECTED["deltas of those"]["every 9th"], atol=5e-4)


def plain_mel(x: np.ndarray, rate: int, bands: int, preemphasis: float) -> np.ndarray:
    """The equations of `features_of`, frame by frame and band by band, in float64."""
    length, hop = rate * 25 // 1000, rate * 10 // 1000
    size = 2 ** int(np.ceil(np.log2(length)))
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))) ** 0.85
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + rate / 2 / 700), bands + 2)
    rows = []
    for begin in range(0, len(x) - length + 1, hop):
        frame = x[begin : begin + length].astype(np.float64) * 32768
        frame = frame - frame.mean()
        frame = window * np.array([frame[n] - preemphasis * frame[max(n - 1, 0)] for n in range(length)])
        k, n = np.arange(size // 2)[:, None], np.arange(length)
        power = np.abs((frame * np.exp(-2j * np.pi * k * n / size)).sum(1)) ** 2
        row = []
        for b in range(bands):
            energy = 0.0
            for i, p in enumerate(power):
                mel = 1127 * np.log(1 + rate * i / size / 700)
                if edges[b] < mel <= edges[b + 1]:
                    energy += p * (mel - edges[b]) / (edges[b + 1] - edges[b])
                elif edges[b + 1] < mel < edges[b + 2]:
                    energy += p * (edges[b + 2] - mel) / (edges[b + 2] - edges[b + 1])
            row.append(np.log(max(energy, np.finfo(np.float32).eps)))
        rows.append(row)
    return np.array(rows)


def test_log_mel_energies_follow_the_equations():
    x = MAKER.signal(8000, 0.09)
    settings = AudioSettings(bands=19, preemphasis=0.9)
    computed = features_of(torch.from_numpy(x), 8000, settings).numpy()
    np.testing.assert_allclose(computed, plain_mel(x, 8000, 19, 0.9), atol=1e-4)


def test_cepstra_are_the_liftered_cosine_transform_of_the_energies():
    x = torch.from_numpy(MAKER.signal(8000))
    energies = features_of(x, 8000, AudioSettings(bands=21)).double().numpy()
    i, b = np.arange(10)[:, None], np.arange(21)
    transform = np.sqrt(2 / 21) * np.cos(np.pi * i * (b + 0.5) / 21)
    transform[0] = np.sqrt(1 / 21)
    lifter = 1 + 11 * np.sin(np.pi * np.arange(10) / 22)
    computed = features_of(x, 8000, AudioSettings(features="cepstra", bands=21, coefficients=10)).numpy()
    np.testing.assert_allclose(computed, energies @ transform.T * lifter, atol=1e-3)
    plain = features_of(x, 8000, AudioSettings(features="cepstra", bands=21, coefficients=10, lifter=0)).numpy()
    np.testing.assert_allclose(plain, energies @ transform.T, atol=1e-4)


def test_deltas_of_a_slope_are_its_slope():
    slope = torch.arange(9, dtype=torch.float64)[:, None] * torch.tensor([[2.0, -0.5]], dtype=torch.float64)
    both = add_deltas(slope, 1)
    assert torch.allclose(both[2:-2, 2:], torch.tensor([[2.0, -0.5]], dtype=torch.float64))
    assert torch.allclose(both[0, 2:], torch.tensor([1.0, -0.25], dtype=torch.float64))  # (1·1 + 2·2) / 10 of the slope


def test_long_recordings_are_transformed_in_parts_that_fit_together(monkeypatch):
    x = torch.from_numpy(MAKER.signal(8000))
    whole = features_of(x, 8000, AudioSettings())
    monkeypatch.setattr("unspool.inputs.audio.features._FRAMES", 7)
    torch.testing.assert_close(features_of(x, 8000, AudioSettings()), whole)


def test_features_of_several_recordings_are_those_of_each():
    several = [torch.from_numpy(MAKER.signal(8000))[:count] for count in (900, 3, 2000)]
    chosen = AudioSettings(features="cepstra", deltas=2)
    for alone, together in zip(several, features_of_all(several, 8000, chosen), strict=True):
        torch.testing.assert_close(features_of(alone, 8000, chosen), together)


@pytest.mark.parametrize("count", [1, 5, 199, 200, 201, 279, 280])
def test_a_recording_shorter_than_a_window_has_one_frame(count):
    x = torch.from_numpy(MAKER.signal(8000))[:count]
    computed = features_of(x, 8000, AudioSettings())
    assert computed.shape == (2 if count == 280 else 1, 40)
    assert torch.isfinite(computed).all()


def test_filters_rise_and_fall_between_their_neighbours_centres():
    filters = mel_filters(12, 512, 16000, 50.0, None)
    peaks = filters.argmax(1)
    assert (peaks.diff() > 0).all()
    assert filters[:, : 50 * 512 // 16000 + 1].sum() == 0
    with pytest.raises(
        SettingError, match="lowest = 5000 Hz: expected less than the upper edge of the mel bands, 4000"
    ):
        mel_filters(12, 256, 8000, 5000.0, None)
