"""Speech that tests make without a voice: each word is two tones of its own; and programs that record and speak it."""

from __future__ import annotations

import shlex
import sys
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sound_samples import write_wav

RATE = 16000


def tones(text: str, seed: int, *, noise: float = 0.001) -> NDArray[np.float32]:
    """Speak a text: two tones for each word, pauses and a little noise, float32 (samples,) of 16 kHz."""
    generator = np.random.default_rng(seed)
    quiet = generator.uniform(0.1, 0.4, 2) * RATE
    pieces = [np.zeros(int(quiet[0]))]
    for word in text.split():
        place = zlib.crc32(word.encode())
        seconds = (0.1 + 0.05 * len(word)) / 2 * generator.uniform(0.9, 1.1)
        times = 2 * np.pi * np.arange(int(RATE * seconds)) / RATE
        pieces += [0.3 * np.sin(tone * times) for tone in (350 + 130 * (place % 9), 1700 + 300 * (place // 9 % 11))]
        pieces.append(np.zeros(int(RATE * generator.uniform(0.05, 0.08))))
    pieces.append(np.zeros(int(quiet[1])))
    samples = np.concatenate(pieces)
    return (samples + noise * generator.standard_normal(len(samples))).astype(np.float32)


def write_tones(path: Path, text: str, seed: int) -> Path:
    """Write a spoken text as a WAV file."""
    return write_wav(path, tones(text, seed), RATE)


def program(folder: Path, name: str, source: str) -> str:
    """Write a Python program into a folder with a blank in its name; return a command line that runs it."""
    place = folder / "own programs"
    place.mkdir(exist_ok=True)
    (place / name).write_text(source, encoding="utf-8")
    return shlex.join([sys.executable, str(place / name)])


PLAY = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
state = folder / "next"
number = int(state.read_text()) if state.exists() else 0
files = sorted(folder.glob("*.wav"))
if number == len(files):
    sys.exit("the microphone is gone")
state.write_text(str(number + 1))
try:
    sys.stdout.buffer.write(files[number].read_bytes()[44:])
    while True:
        sys.stdout.buffer.write(b"\\x02\\x00\\xfe\\xff" * 800)
except BrokenPipeError:
    sys.stderr.close()
"""
"""Recorder that plays the WAV files of a folder, one a call, each with quiet after it."""

NOTE = """
import pathlib, sys
with pathlib.Path(sys.argv[1]).open("a", encoding="utf-8") as file:
    file.write(repr(sys.argv[2:]) + "\\n")
"""
"""Speaker that notes its arguments in a file."""


def player(folder: Path) -> str:
    """Return the command line of a recorder that plays the WAV files of a folder."""
    return f"{program(folder, 'play.py', PLAY)} {shlex.quote(str(folder))}"


def plain_wav(path: Path, text: str, seed: int) -> Path:
    """Write a spoken text as a WAV file whose header has 44 bytes."""
    import wave

    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((tones(text, seed) * 32767).astype("<i2").tobytes())
    return path
