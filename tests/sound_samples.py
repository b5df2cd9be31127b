"""Recordings that tests make: tones, rising and falling chirps with noise, and WAV files of any form."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = ("tone", "up", "down")


def sweep(label: str, seed: int, *, rate: int = 8000) -> NDArray[np.float32]:
    """One recording of 0.1 to 0.3 seconds: a tone, or a chirp that rises or falls, with noise, float32 (samples,)."""
    generator = np.random.default_rng([LABELS.index(label), seed])
    t = np.arange(int(generator.uniform(0.1, 0.3) * rate)) / rate
    low, high = generator.uniform(300, 500), generator.uniform(1200, 1800)
    first, last = {"tone": (low, low), "up": (low, high), "down": (high, low)}[label]
    phase = 2 * np.pi * (first * t + (last - first) * t * t / (2 * t[-1]))
    return (0.4 * np.sin(phase) + 0.02 * generator.normal(size=len(t))).astype(np.float32)


def sweeps(count: int, seed: int = 0) -> tuple[list[tuple[NDArray[np.float32], int]], list[str]]:
    """Pairs of samples and rate, and their labels."""
    labels = [LABELS[place % 3] for place in range(count)]
    return [(sweep(label, 1000 * seed + place), 8000) for place, label in enumerate(labels)], labels


def wav_bytes(
    samples: NDArray[np.floating], rate: int = 8000, *, bits: int = 16, kind: int = 1, extensible: bool = False
) -> bytes:
    """A WAV file of samples between -1 and 1, (samples,) or (samples, channels): PCM (kind 1) or float (3)."""
    table = samples.reshape(len(samples), -1)
    channels = table.shape[1]
    if kind == 3:
        data = table.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = np.rint(table * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.rint(table * (2 ** (bits - 1) - 1)).astype("<i8")
        data = whole.reshape(-1, 1).view(np.uint8)[:, : bits // 8].tobytes()
    frame = channels * bits // 8
    code = 0xFFFE if extensible else kind
    form = struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, kind) + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # a chunk of odd size, with its padding byte
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + odd + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write_wav(path: Path, samples: NDArray[np.floating], rate: int = 8000, **form: object) -> Path:
    """Write a WAV file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes(samples, rate, **form))
    return path


def write_mfc(path: Path, frames: NDArray[np.floating]) -> Path:
    """Write a Sphinx feature file of frames, (frames, 13)."""
    path.write_bytes(struct.pack(">i", frames.size) + frames.astype(">f4").tobytes())
    return path
