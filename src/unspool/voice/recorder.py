"""Record utterances by a program of the system: `arecord`, `rec`, `sox`, `parecord`, `ffmpeg`, or one's own."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.errors import MachineError
from unspool.voice.endpointing import Endpointer
from unspool.voice.programs import first_installed, split_command, why
from unspool.voice.sound_files import RATE

__all__ = ["RECORDERS", "Recorder", "find_recorder"]

_FFMPEG_INPUT = {"darwin": ["-f", "avfoundation", "-i", ":default"]}.get(sys.platform, ["-f", "alsa", "-i", "default"])
_RAW = ["-t", "raw", "-b", "16", "-e", "signed-integer", "-L", "-c", "1", "-r", str(RATE)]
RECORDERS: dict[str, list[str]] = {
    "arecord": ["arecord", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(RATE), "-"],
    "rec": ["rec", "-q", *_RAW, "-"],
    "sox": ["sox", "-q", "-d", *_RAW, "-"],
    "parecord": ["parecord", "--raw", "--format=s16le", "--channels=1", f"--rate={RATE}"],
    "ffmpeg": [
        *("ffmpeg", "-loglevel", "error", "-nostdin", *_FFMPEG_INPUT),
        *("-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"),
    ],
}  # fmt: skip
"""Command lines that write the microphone's samples on standard output, in the order of preference."""

_CHUNK = 640  # bytes, 20 ms
_WAIT = 2.0  # seconds that a stopped recorder gets to end
_HEADER = 4096  # most bytes before the samples of a WAV stream


class _Form(NamedTuple):
    """Format of a WAV stream, and the length of its header in bytes."""

    channels: int
    rate: int
    bits: int
    size: int


def find_recorder(command: str | None = None) -> Recorder:
    """Return the recorder of a command line, or the first that is installed.

    Raises:
        MachineError: If none is installed.
        UsageError: If the command line is wrong.
    """
    if command is not None:
        return Recorder(split_command(command, "--recorder"))
    name = first_installed(RECORDERS)
    if name is None:
        raise MachineError(
            f"no recorder is installed; expected one of {', '.join(RECORDERS)}. Install one, pass --recorder COMMAND, "
            f"or use recordings: --recordings FOLDER to train, --wav FILE to chat"
        )
    return Recorder(RECORDERS[name])


class Recorder:
    """A program that writes what the microphone hears on standard output.

    Args:
        words: Program and arguments. Expected: raw samples or a WAV file, of 16 bits, one channel, 16 kHz.
    """

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def utterance(self, *, patience: float | None = None) -> NDArray[np.int16] | None:
        """Record until a pause ends an utterance.

        Args:
            patience: Time in seconds after which recording ends if nobody speaks. None: never.

        Returns:
            The utterance, int16 (samples,); None if nobody spoke.

        Raises:
            MachineError: If the recorder fails, or writes another format.
        """
        endpointer = Endpointer(patience=patience)
        with tempfile.TemporaryFile() as complaint:
            try:
                process = subprocess.Popen(
                    self.words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaint
                )
            except OSError as error:
                raise MachineError(f"the recorder {self.words[0]} can't be started: {error}") from None
            with _stopped_at_the_end(process) as stream:
                for samples in _samples(stream, self.words[0]):
                    if endpointer.feed(samples):
                        return endpointer.utterance()
                code = process.wait()
            complaint.seek(0)
            if code != 0:
                raise MachineError(f"the recorder {self.words[0]} {why(code, complaint.read())}")
        return endpointer.utterance()


class _stopped_at_the_end:  # noqa: N801
    """Context of a running process: its standard output; afterwards the process is stopped."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_WAIT)
            if process.poll() is None:
                process.kill()
                process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _samples(stream: IO[bytes], program: str) -> Iterator[NDArray[np.int16]]:
    """Yield the samples of a raw stream or a WAV stream."""
    content = stream.read(_CHUNK)
    if content[:4] == b"RIFF":
        while (form := _wav_form(content)) is None and len(content) < _HEADER and (more := stream.read(_CHUNK)):
            content += more
        if form is None:
            raise MachineError(f"the recorder {program} wrote a damaged WAV header; expected raw samples or a WAV file")
        if (form.channels, form.rate, form.bits) != (1, RATE, 16):
            raise MachineError(
                f"the recorder {program} wrote {form.channels} channels of {form.bits} bits at {form.rate:,} Hz; "
                f"expected one channel of 16 bits at {RATE:,} Hz"
            )
        content = content[form.size :]
    while content:
        if len(content) % 2 and (more := stream.read(1)):
            content += more
        yield np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.int16)
        content = stream.read(_CHUNK)


def _wav_form(content: bytes) -> _Form | None:
    """Return the format in the header of a WAV stream; None if the header is not whole yet."""
    place, form = 12, (0, 0, 0)
    while len(content) >= place + 8:
        chunk, size = content[place : place + 4], struct.unpack_from("<I", content, place + 4)[0]
        if chunk == b"data":
            return _Form(*form, place + 8)
        if chunk == b"fmt " and len(content) >= place + 24:
            _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, place + 8)
            form = channels, rate, bits
        place += 8 + size + size % 2
    return None
