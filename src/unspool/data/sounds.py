"""Reader of sound files and feature files: WAV, FLAC, OGG, MP3, NumPy arrays and Sphinx cepstra."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unspool.data.arrays import open_array
from unspool.data.sound_names import LONGEST_SOUND, SOUND_SUFFIXES
from unspool.errors import DataError, MissingExtraError, counted, option

__all__ = [
    "CEPSTRA",
    "FeatureFrames",
    "Recording",
    "Sound",
    "read_sound",
    "sound_of",
]

CEPSTRA = 13
"""Values per frame of a Sphinx feature file (`.mfc`)."""

_FRAMES_PER_SECOND = 100  # of feature files
_RATES = 1_000, 384_000  # lowest and highest sample rate, in Hz
_WIDEST = 4096  # values per frame of a feature file
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # formats of WAV files


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording, mixed to one channel."""

    samples: NDArray[np.float32]
    """Amplitudes, mostly between -1 and 1, (samples,)."""
    rate: int
    """Sample rate in Hz."""
    name: str = "recording"
    """Path of the file, or a name for messages."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    @property
    def digest(self) -> str:
        """Hash of samples and rate."""
        return hashlib.sha256(self.samples.tobytes() + struct.pack("<q", self.rate)).hexdigest()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class FeatureFrames:
    """A recording as a sequence of feature vectors from another program, 100 a second."""

    values: NDArray[np.float32]
    """(frames, features)."""
    name: str = "features"
    """Path of the file, or a name for messages."""

    @property
    def seconds(self) -> float:
        """Length in seconds, with 100 frames a second."""
        return len(self.values) / _FRAMES_PER_SECOND

    @property
    def digest(self) -> str:
        """Hash of the values."""
        return hashlib.sha256(self.values.tobytes() + struct.pack("<q", self.values.shape[1])).hexdigest()

    def __str__(self) -> str:
        return self.name


Sound = Recording | FeatureFrames
"""One input of a model that reads sounds."""


def sound_of(value: Any, where: str, *, longest: float = LONGEST_SOUND) -> Sound:
    """Convert a value to a sound.

    Args:
        value: A path, the bytes of a WAV file, a pair of samples and sample rate in Hz, or a sound. Samples are
            numbers, (samples,) or (samples, channels); integers are scaled by their type to ±1.
        where: Place of the value, for messages.
        longest: Maximum length in seconds.

    Raises:
        DataError: If the value is no sound, or the sound is empty, silent, too long or not finite.
    """
    if isinstance(value, Recording | FeatureFrames):
        return value
    if isinstance(value, str | os.PathLike):
        return read_sound(value, longest=longest)
    if isinstance(value, bytes | bytearray):
        return _decoded(bytes(value), where, longest)
    pair = isinstance(value, list | tuple) and len(value) == 2
    if not pair or not isinstance(value[1], int | np.integer) or not hasattr(value[0], "__len__"):
        raise DataError(
            f"{type(value).__name__} came; expected a path, or a pair of samples and sample rate in Hz", where
        )
    samples, rate = np.asarray(value[0]), int(value[1])
    if samples.dtype.kind not in "iuf" or samples.ndim not in (1, 2):
        raise DataError(
            f"samples of type {samples.dtype} and shape {samples.shape} came; expected numbers, (samples,) or "
            f"(samples, channels)",
            where,
        )
    if samples.dtype.kind != "f":
        limits = np.iinfo(samples.dtype)
        half = (float(limits.max) - float(limits.min) + 1) / 2
        samples = (samples.astype(np.float64) - (half if limits.min == 0 else 0.0)) / half
    return _checked(_mono(samples), rate, where, where, longest)


def read_sound(path: str | os.PathLike[str], *, longest: float = LONGEST_SOUND) -> Sound:
    """Read a sound file or a feature file.

    The standard forms of WAV (PCM of 8, 16, 24 and 32 bits, and float) need no further package; FLAC, OGG, MP3 and
    other forms of WAV need the extra `audio`. `.npy` holds features, (frames, features), and `.mfc` Sphinx cepstra: the
    number of values as a big-endian int32, then big-endian float32, 13 a frame.

    Args:
        path: The file.
        longest: Maximum length in seconds.

    Raises:
        DataError: If the file is missing, no sound, damaged, empty, silent or too long, or holds NaN.
        MissingExtraError: If the file needs the extra `audio`.
    """
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    try:
        if suffix == ".npy":
            return _checked_frames(_read_npy(name), name, longest)
        if suffix == ".mfc":
            return _checked_frames(_read_mfc(name), name, longest)
        with open(name, "rb") as file:
            start = file.read(12)
            if not start:
                raise DataError("the file is empty", name)
            if start[:4] == b"RIFF" and start[8:] == b"WAVE":
                return _read_wav(file, name, longest)
        if suffix == ".wav" or suffix not in SOUND_SUFFIXES:
            raise DataError(
                f"no recording: the file begins with {start!r}, and a WAV file with b'RIFF', its size and b'WAVE'; "
                f"expected one of {', '.join(SOUND_SUFFIXES)}",
                name,
            )
        return _read_with_soundfile(name, longest)
    except FileNotFoundError:
        raise DataError("no such file", name) from None
    except (PermissionError, IsADirectoryError) as error:
        raise DataError(f"can't read the file: {error.strerror}", name) from None


def _decoded(content: bytes, where: str, longest: float) -> Recording:
    import io

    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise DataError(f"the bytes are no WAV file: they begin with {content[:4]!r}, not b'RIFF'", where)
    file = io.BytesIO(content)
    file.seek(12)
    return _read_wav(file, where, longest)


def _read_wav(file: BinaryIO, name: str, longest: float) -> Recording:
    """Read the chunks of a WAV file, from behind its first 12 bytes."""
    form: tuple[int, int, int, int] | None = None  # format, channels, rate, bits
    while len(head := file.read(8)) == 8:
        chunk, size = head[:4], struct.unpack("<I", head[4:])[0]
        if chunk == b"fmt ":
            form = _wav_format(file.read(size), name)
        elif chunk == b"data":
            if form is None:
                raise DataError("the WAV file is damaged: its data come before their format", name)
            kind, channels, rate, bits = form
            _refuse_long(_available(file, size) // (channels * bits // 8) / rate, name, longest)
            if kind not in (_PCM, _FLOAT):
                return _read_with_soundfile(name, longest)
            raw = file.read(size)
            return _checked(_mono(_amplitudes(raw, kind, channels, bits, name)), rate, name, name, longest)
        else:
            file.seek(size, os.SEEK_CUR)
        if size % 2:
            file.seek(1, os.SEEK_CUR)
    raise DataError("the WAV file is damaged: it ends before its data; record or copy it again", name)


def _available(file: BinaryIO, size: int) -> int:
    """Return the bytes of a chunk that a file holds; streamed files declare more than they have."""
    place = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(place)
    return min(size, end - place)


def _wav_format(header: bytes, name: str) -> tuple[int, int, int, int]:
    if len(header) < 16:
        raise DataError("the WAV file is damaged: its header is cut off", name)
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", header[:16])
    if kind == _EXTENSIBLE and len(header) >= 26:
        kind = struct.unpack("<H", header[24:26])[0]
    sizes = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}.get(kind)
    if not channels or (sizes is not None and bits not in sizes) or (sizes is None and not bits):
        raise DataError(
            f"the WAV file has {counted(channels, 'channels')} of {bits} bits; expected 8, 16, 24, 32 or 64 bits", name
        )
    _check_rate(rate, name)
    return kind, channels, rate, bits


def _amplitudes(raw: bytes, kind: int, channels: int, bits: int, name: str) -> NDArray[np.float32]:
    """Return the samples of a WAV file, (samples, channels)."""
    raw = raw[: len(raw) // (channels * bits // 8) * (channels * bits // 8)]
    if kind == _FLOAT:
        values = np.frombuffer(raw, f"<f{bits // 8}")
    elif bits == 8:
        values = (np.frombuffer(raw, np.uint8) - 128.0) / 128
    elif bits == 24:
        parts = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(parts), 4), np.uint8)
        wide[:, 1:] = parts
        values = wide.view("<i4")[:, 0] / 2.0**31
    else:
        values = np.frombuffer(raw, f"<i{bits // 8}") / 2.0 ** (bits - 1)
    with np.errstate(over="ignore"):
        return values.astype(np.float32).reshape(-1, channels)


def _read_with_soundfile(name: str, longest: float) -> Recording:
    try:
        import soundfile
    except (ImportError, OSError):
        raise MissingExtraError(f"reading {name}", "soundfile", "audio") from None
    try:
        with soundfile.SoundFile(name) as file:
            _refuse_long(file.frames / file.samplerate, name, longest)
            samples, rate = file.read(dtype="float32", always_2d=True), int(file.samplerate)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise DataError(f"not a readable recording: {' '.join(str(error).split())[:200]}", name) from None
    return _checked(_mono(samples), rate, name, name, longest)


def _read_npy(name: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = open_array(name)
    if values.ndim != 2:
        raise DataError(f"an array of shape {values.shape} came; expected features, (frames, features)", name)
    return values


def _read_mfc(name: str) -> NDArray[np.float32]:
    with open(name, "rb") as file:
        head, raw = file.read(4), file.read()
    count = struct.unpack(">i", head)[0] if len(head) == 4 else -1
    if count < 0 or 4 * count != len(raw) or count % CEPSTRA:
        raise DataError(
            f"not a Sphinx feature file: the header says {count} values, and {len(raw) // 4} follow; expected as many, "
            f"a multiple of {CEPSTRA}",
            name,
        )
    return np.frombuffer(raw, ">f4").astype(np.float32).reshape(-1, CEPSTRA)


def _mono(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean of all channels, float32 (samples,)."""
    if samples.ndim == 1 or samples.shape[1] == 1:
        return samples.reshape(-1).astype(np.float32, copy=False)
    mean: NDArray[np.float32] = samples.mean(1, dtype=np.float64).astype(np.float32)
    return mean


def _check_rate(rate: int, where: str) -> None:
    low, high = _RATES
    if not low <= rate <= high:
        raise DataError(f"the sample rate is {rate} Hz; expected {low:,} to {high:,} Hz", where)


def _refuse_long(seconds: float, where: str, longest: float) -> None:
    if seconds > longest:
        raise DataError(
            f"the sound is {seconds:,.1f} seconds long; expected at most {longest:g}: cut it, or pass "
            f"{option('longest', 'SECONDS')}",
            where,
        )


def _checked(samples: NDArray[np.float32], rate: int, where: str, name: str, longest: float) -> Recording:
    _check_rate(rate, where)
    if not len(samples):
        raise DataError("the recording is empty: it has no samples", where)
    _refuse_long(len(samples) / rate, where, longest)
    _refuse_not_finite(samples, where, "sample")
    if samples.min() == samples.max():
        raise DataError(f"the recording is silent: every sample is {samples[0]:g}", where)
    return Recording(samples, rate, name)


def _checked_frames(values: NDArray[np.float32], name: str, longest: float) -> FeatureFrames:
    if not values.size:
        raise DataError(f"the features are empty: their shape is {values.shape}", name)
    if values.shape[1] > _WIDEST:
        raise DataError(f"{values.shape[1]:,} features a frame came; expected at most {_WIDEST:,}", name)
    _refuse_long(len(values) / _FRAMES_PER_SECOND, name, longest)
    with np.errstate(over="ignore"):
        plain = np.array(values, np.float32)
    _refuse_not_finite(plain, name, "frame")
    return FeatureFrames(plain, name)


def _refuse_not_finite(values: NDArray[np.float32], where: str, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))
    if len(bad):
        raise DataError(f"{what} {bad[0] + 1:,} is not a finite number, and so are {len(bad) - 1:,} more", where)
