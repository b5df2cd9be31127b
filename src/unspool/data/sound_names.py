"""Suffixes of sound files, usual names of their column, and the default limit of a sound; imports no NumPy."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["LONGEST_SOUND", "SOUND_NAMES", "SOUND_SUFFIXES", "is_sound_file"]

LONGEST_SOUND = 60.0
"""Default limit of a sound, in seconds."""
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".npy", ".mfc")
"""Suffixes of sound files and feature files, in lower case."""

SOUND_NAMES = ("path", "audio", "file", "sound", "recording", "filename", "wav")
"""Usual names of the column of paths of sounds."""


def is_sound_file(value: object) -> bool:
    """Return whether a value is a file name with the suffix of a sound or feature file."""
    return isinstance(value, str | os.PathLike) and Path(os.fspath(value)).suffix.lower() in SOUND_SUFFIXES
