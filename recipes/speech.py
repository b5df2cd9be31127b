#!/usr/bin/env python3
"""Write tables of recordings and transcripts, for the recipes `yesno.toml`, `an4.toml` and `digit-strings.toml`.

    python recipes/speech.py yesno $UNSPOOL_DATA/yesno work/yesno
    python recipes/speech.py an4 $UNSPOOL_DATA/an4_mfc work/an4
    python recipes/speech.py digits $UNSPOOL_DATA/fsdd work/digits

Each writes `train.tsv`, `valid.tsv`, `test.tsv`, and `train.txt`, the transcripts of `train.tsv` for a language model.
Validation data come from the training part: every fifth recording of yesno, every tenth speaker of AN4, and clips 19 to
21 of each digit and speaker of FSDD (training strings hold clips 5 to 18, test strings clips 0 to 4).
"""

from __future__ import annotations

import argparse
import re
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000
PARTS = {"train": (range(5, 19), 2000), "valid": (range(19, 22), 200), "test": (range(5), 300)}
"""Clips of each part of FSDD, and its number of strings."""

Rows = dict[str, list[tuple[str, str]]]


def yesno(folder: Path, out: Path) -> Rows:
    """List the recordings: names that begin with 0 are for training, those that begin with 1 for the test."""
    rows: Rows = {"train": [], "valid": [], "test": []}
    for place, path in enumerate(sorted((folder / "waves_yesno").glob("*.wav"))):
        words = " ".join("yes" if digit == "1" else "no" for digit in path.stem.split("_"))
        part = "test" if path.stem[0] == "1" else "valid" if place % 5 == 4 else "train"
        rows[part].append((str(path.resolve()), words))
    return rows


def an4(folder: Path, out: Path) -> Rows:
    """List the cepstra; every tenth speaker of the training part is for validation."""
    rows: Rows = {"train": [], "valid": [], "test": []}
    for part in ("train", "test"):
        names = (folder / "etc" / f"an4_{part}.fileids").read_text().split()
        lines = (folder / "etc" / f"an4_{part}.transcription").read_text().splitlines()
        speakers = sorted({Path(name).parent.name for name in names})
        held_out = set(speakers[9::10]) if part == "train" else set()
        for name, line in zip(names, lines, strict=True):
            text = re.sub(r"</?s>|\([^()]*\)\s*$", " ", line)
            path = (folder / "feat" / f"{name}.mfc").resolve()
            rows["valid" if Path(name).parent.name in held_out else part].append((str(path), " ".join(text.split())))
    return rows


def digits(folder: Path, out: Path) -> Rows:
    """Write strings of three to seven clips of one speaker, with pauses and white noise; no clip is in two parts."""
    clips: dict[tuple[str, int, int], NDArray[np.float64]] = {}
    for path in sorted((folder / "recordings").glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        clips[speaker, int(digit), int(index)] = samples
    speakers = sorted({speaker for speaker, _, _ in clips})
    rows: Rows = {}
    for number, (part, (indices, count)) in enumerate(PARTS.items()):
        generator = np.random.default_rng(number)
        rows[part] = []
        (out / part).mkdir(parents=True, exist_ok=True)
        for place in range(count):
            speaker = speakers[generator.integers(len(speakers))]
            spoken = generator.integers(10, size=generator.integers(3, 8))
            pieces = [_pause(generator)]
            for digit in spoken:
                pieces += [clips[speaker, int(digit), int(generator.choice(indices))], _pause(generator)]
            path = out / part / f"{place:04d}.wav"
            _write(path, _noisy(np.concatenate(pieces), generator))
            rows[part].append((str(path.resolve()), " ".join(DIGITS[digit] for digit in spoken)))
    return rows


def _pause(generator: np.random.Generator) -> NDArray[np.float64]:
    """Return silence of 20 to 250 milliseconds."""
    return np.zeros(int(RATE * generator.uniform(0.02, 0.25)))


def _noisy(samples: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Add white noise, 10 to 30 dB below the speech."""
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-generator.uniform(10, 30) / 20)
    return samples + level * generator.standard_normal(len(samples))


def _write(path: Path, samples: NDArray[np.float64]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{path}\t{text}\n" for path, text in [("audio", "transcript"), *rows])


def main() -> None:
    """Write the tables of one data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("yesno", "an4", "digits"))
    parser.add_argument("folder", type=Path, help="folder of the data set")
    parser.add_argument("out", type=Path, help="folder for the tables, and for the digit strings")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = {"yesno": yesno, "an4": an4, "digits": digits}[arguments.data](arguments.folder, arguments.out)
    for part, each in rows.items():
        (arguments.out / f"{part}.tsv").write_text(_table(each), encoding="utf-8")
    (arguments.out / "train.txt").write_text("".join(f"{text}\n" for _, text in rows["train"]), encoding="utf-8")
    print(", ".join(f"{len(each)} of {part}" for part, each in rows.items()))


if __name__ == "__main__":
    main()
