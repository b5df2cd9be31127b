"""Write the table of features that other programs compute for a generated signal, `expected_features.json`.

python -m venv judge && judge/bin/pip install kaldi-native-fbank==1.23.0 python_speech_features==0.6 numpy
judge/bin/python tests/inputs/make_expected_features.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def signal(rate: int, seconds: float = 0.4) -> np.ndarray:
    """A rising tone with a second one and repeatable noise, amplitudes between -1 and 1, float32."""
    n = np.arange(int(rate * seconds))
    t = n / rate
    noise = ((n.astype(np.int64) * 1103515245 + 12345) % 65536) / 65536 - 0.5
    tone = 0.4 * np.sin(2 * np.pi * (200 * t + 1500 * t * t)) + 0.1 * np.sin(2 * np.pi * 2200 * t) + 0.2 * noise
    return (0.1 + 0.9 * tone).astype(np.float32)


CASES = {
    "mel 8000": {"rate": 8000, "features": "mel"},
    "mel 16000, 23 bands above 100 Hz": {"rate": 16000, "features": "mel", "bands": 23, "lowest": 100.0},
    "mel 16000, no pre-emphasis, up to 6 kHz": {
        "rate": 16000,
        "features": "mel",
        "preemphasis": 0.0,
        "highest": 6000.0,
    },
    "cepstra 8000": {"rate": 8000, "features": "cepstra"},
    "cepstra 16000, 20 of 30 bands, lifter 12": {
        "rate": 16000,
        "features": "cepstra",
        "bands": 30,
        "coefficients": 20,
        "lifter": 12.0,
    },
}


def kaldi(case: dict) -> np.ndarray:
    import kaldi_native_fbank as knf

    cepstra = case["features"] == "cepstra"
    options = knf.MfccOptions() if cepstra else knf.FbankOptions()
    options.frame_opts.samp_freq = case["rate"]
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = True
    options.frame_opts.preemph_coeff = case.get("preemphasis", 0.97)
    options.mel_opts.num_bins = case.get("bands", 40)
    options.mel_opts.low_freq = case.get("lowest", 20.0)
    options.mel_opts.high_freq = case.get("highest", 0.0)
    if cepstra:
        options.num_ceps = case.get("coefficients", 13)
        options.cepstral_lifter = case.get("lifter", 22.0)
    options.use_energy = False
    computer = (knf.OnlineMfcc if cepstra else knf.OnlineFbank)(options)
    computer.accept_waveform(case["rate"], (signal(case["rate"]) * 32768).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


def main() -> None:
    from python_speech_features import delta

    table: dict = {}
    for name, case in CASES.items():
        features = kaldi(case)
        table[name] = {"frames": len(features), "every 9th": np.round(features[::9].astype(float), 5).tolist()}
    first = delta(kaldi(CASES["cepstra 8000"]), 2)
    table["deltas of cepstra 8000"] = {"every 9th": np.round(first[::9].astype(float), 5).tolist()}
    table["deltas of those"] = {"every 9th": np.round(delta(first, 2)[::9].astype(float), 5).tolist()}
    Path(__file__).with_name("expected_features.json").write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in table.items()) + "\n}\n"
    )


if __name__ == "__main__":
    main()
