"""Synthesized speech by `espeak-ng`, in several voices, speeds and pitches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from unspool.data.resampling import resample
from unspool.data.sounds import Recording, sound_of
from unspool.errors import MachineError
from unspool.voice.programs import first_installed, run_program
from unspool.voice.sound_files import RATE, write_wav

__all__ = ["VOICES", "Speech", "draw_speech", "has_synthesizer", "synthesize", "write_speech"]

VOICES = ("en-us", "en-gb", "en-gb-scotland", "en-us+f3", "en-us+m3", "en-gb+f2")
"""Voices of `espeak-ng`; those after a plus sign are variants of a voice."""

_PROGRAM = "espeak-ng"
_SPEEDS, _PITCHES = (125, 185), (30, 70)
_LIMIT = 60.0


class Speech(NamedTuple):
    """How a sentence is spoken."""

    voice: str
    """Name of a voice, as `en-us+f3`."""
    speed: int
    """Words a minute."""
    pitch: int
    """Pitch between 0 and 99; 50 is the voice's own."""


def has_synthesizer() -> bool:
    """Return whether `espeak-ng` is installed."""
    return first_installed([_PROGRAM]) is not None


def draw_speech(random: Random, voices: Sequence[str] = VOICES) -> Speech:
    """Draw a voice, a speed of 125 to 185 words a minute, and a pitch of 30 to 70."""
    return Speech(random.choice(voices), random.randint(*_SPEEDS), random.randint(*_PITCHES))


def synthesize(text: str, speech: Speech) -> Recording:
    """Speak a sentence into a recording of 16 kHz.

    Raises:
        MachineError: If `espeak-ng` is not installed or fails.
    """
    if not has_synthesizer():
        raise MachineError(f"{_PROGRAM} is not installed, so no speech can be synthesized; install it, or record")
    options = ["-v", speech.voice, "-s", str(speech.speed), "-p", str(speech.pitch), "--stdout"]
    content = run_program([_PROGRAM, *options, "--", text], limit=_LIMIT, flag="speech synthesis")
    if not content:
        raise MachineError(f"{_PROGRAM} wrote no speech for the voice {speech.voice!r}; espeak-ng --voices lists all")
    recording = sound_of(content, f"the speech of {_PROGRAM}")
    assert isinstance(recording, Recording)
    return Recording(resample(recording.samples, recording.rate, RATE), RATE)


def write_speech(folder: Path, sentences: Sequence[str], speeches: Sequence[Speech]) -> None:
    """Write `0000.wav`, `0000.txt` and so on: each sentence as spoken, and its words.

    Raises:
        MachineError: If `espeak-ng` fails, or a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, (sentence, speech) in enumerate(zip(sentences, speeches, strict=True)):
        (folder / f"{number:04d}.txt").write_text(f"{sentence}\n", encoding="utf-8")
        write_wav(folder / f"{number:04d}.wav", synthesize(sentence, speech).samples)
