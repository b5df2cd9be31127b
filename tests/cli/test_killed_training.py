"""A training killed by the machine, at whatever moment, goes on to the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unspool.samples.agreement import generate, write_tsv

SETTINGS = "--hidden 24 --embedding 16 --epochs 3 --validate-every 0.2 --average ema --word-dropout 0.3 --threads 1"


def start(data: Path, folder: Path) -> subprocess.Popen[bytes]:
    words = ["train", "classify", str(data), "--out", str(folder), "--resume", "--no-baselines", *SETTINGS.split()]
    command = [sys.executable, "-m", "unspool", "--quiet", *words]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_no_bit(tmp_path):
    data = tmp_path / "agreement.tsv"
    write_tsv(data, generate(3000, seed=1))
    whole = start(data, tmp_path / "whole")
    begun = time.perf_counter()
    assert whole.wait(600) == 0
    needed = time.perf_counter() - begun

    lot = random.Random(7)
    killed = 0
    for _ in range(60):
        process = start(data, tmp_path / "killed")
        try:
            # ten times somewhere between the start of Python and the end of the training, then let it end
            process.wait(lot.uniform(0.2, 0.9) * needed if killed < 10 else 600)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    assert process.returncode == 0
    assert killed >= 3, "the training ended before it was killed often enough to mean anything"
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
