"""Data of the task `transcribe`: sounds with transcripts, from tables, folders or memory; imports no torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from unspool.data import DataSource, Layout, Reader, Row, RowsInMemory, Sample, Sound, read_text, sound_of, split
from unspool.data.rows import Side, find_sides, read_rows
from unspool.data.sound_names import SOUND_NAMES
from unspool.errors import DataError
from unspool.inputs.files import path_beside
from unspool.tasks.contracts import Examples
from unspool.tasks.parts.data_settings import table_options
from unspool.tasks.transcribe.settings import TRANSCRIPT_NAMES, SpeechSettings, TranscriberSettings

__all__ = ["SpokenExamples", "SpokenText", "open_data", "samples"]


class SpokenText(NamedTuple):
    """A sound and its transcript."""

    where: str
    sound: Sound
    transcript: str


@dataclass(frozen=True)
class SpokenExamples(Examples):
    """Sounds with their transcripts."""

    sounds: list[Sound]
    transcripts: list[str]
    where: list[str]

    @classmethod
    def of(cls, reader: Iterable[SpokenText]) -> Self:
        """Read all sounds of a reader."""
        examples = cls([], [], [])
        for each in reader:
            examples.sounds.append(each.sound)
            examples.transcripts.append(each.transcript)
            examples.where.append(each.where)
        return examples

    def take(self, places: NDArray[np.int64]) -> Self:
        """Return the sounds at some indices."""
        return type(self)(*([column[i] for i in places] for column in (self.sounds, self.transcripts, self.where)))

    def divide(self, fraction: float, seed: int) -> tuple[Self, Self]:
        """Hold out a random share of the sounds; see `Examples.divide`."""
        rest, held_out = split(len(self.sounds), fraction, seed)
        return self.take(rest), self.take(held_out)

    def fingerprint(self, paths: tuple[str, ...]) -> str | None:
        """Hash the sounds and transcripts; see `Examples.fingerprint`."""
        if not paths:
            return None
        whole = hashlib.sha256()
        for sound, transcript in zip(self.sounds, self.transcripts, strict=True):
            whole.update(f"{sound.digest}\n{transcript}\n".encode())
        return whole.hexdigest()

    def sizes(self) -> dict[str, int]:
        """Return the number of sounds and of words."""
        return {"sounds": len(self.sounds), "words": sum(len(text.split()) for text in self.transcripts)}

    def samples(self) -> Iterator[Sample]:
        """Yield each transcript."""
        return samples(map(SpokenText, self.where, self.sounds, self.transcripts))


def open_data(
    settings: TranscriberSettings, source: DataSource, before: Layout | None = None, *, skip_bad: bool | None = None
) -> Reader[SpokenText]:
    """Open sounds with transcripts for reading.

    A table holds paths, relative to its folder, and transcripts. A folder without tables holds sounds, each with its
    transcript in a text file of the same name, `one.wav` with `one.txt`.

    Args:
        settings: The settings of the task.
        source: Files, folders, or rows in memory.
        before: Layout of the task's earlier data; the source is read the same way.
        skip_bad: Skip and count malformed lines; by the settings if omitted.

    Raises:
        DataError: If a file is missing, empty or in an unknown format.
    """
    data, options = settings.data, table_options(settings.data, skip_bad)
    if isinstance(source, RowsInMemory):
        rows = source.reader(skip_bad=options["skip_bad"])
    else:
        earlier = () if before is None else (*before.columns_of("audio"), *before.columns_of("transcript"))
        wanted = (*SOUND_NAMES, *TRANSCRIPT_NAMES, data.audio_column, data.transcript_column, *earlier)
        names = {name for name in wanted if name and not name.isdecimal()}
        rows = read_rows(source, **options, names=names, whole_files=True)
    return rows.map(_Columns(data, rows.layout, settings.audio.longest).spoken)


def samples(examples: Iterable[SpokenText]) -> Iterator[Sample]:
    """Convert transcripts to samples for summaries and checks."""
    for each in examples:
        yield Sample(each.where, (each.transcript,))


class _Columns:
    """The columns of sounds and transcripts, detected in the first row of each file."""

    def __init__(self, data: SpeechSettings, layout: Layout, longest: float) -> None:
        self._sides = (
            Side("audio path", SOUND_NAMES, data.audio_column),
            Side("transcript", TRANSCRIPT_NAMES, data.transcript_column),
        )
        self._layout, self._longest = layout, longest
        self._by_file: dict[str, tuple[str, str]] = {}

    def spoken(self, row: Row) -> SpokenText | DataError:
        """Return the sound and transcript of a row, or the error of a bad row."""
        try:
            if row.values.get("audio") == row.where:  # the file itself is the example
                self._layout.files[str(Path(row.where).parent.parent)] = "sounds, each with a text file"
                return SpokenText(row.where, sound_of(row.where, row.where, longest=self._longest), _beside(row.where))
            audio, transcript = self._columns(row)
            text = _transcript(row.values.get(transcript), transcript, row.where)
            return SpokenText(row.where, self._sound(row.values.get(audio), audio, row.where), text)
        except DataError as error:
            return error

    def _columns(self, row: Row) -> tuple[str, str]:
        file = row.where.rpartition(":")[0]
        if file not in self._by_file:
            audio, transcript = find_sides(
                list(row.values), *self._sides, row.where, layout=self._layout.files.get(file)
            )
            self._by_file[file] = audio, transcript
            self._layout.columns |= {"audio": audio, "transcript": transcript}
        return self._by_file[file]

    def _sound(self, value: Any, column: str, where: str) -> Sound:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise DataError(f"column {column!r} is empty; expected the path of a sound", where)
        if not isinstance(value, str | os.PathLike):
            return sound_of(value, where, longest=self._longest)
        path = path_beside(os.fspath(value), where)
        try:
            return sound_of(path, where, longest=self._longest)
        except DataError as error:
            raise DataError(error.message, where) from None


def _transcript(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str):
        came = "no text" if value is None else f"{type(value).__name__} {value!r:.40}"
        raise DataError(f"column {column!r} holds {came}; expected the transcript", where)
    text = " ".join(value.split())
    if not text:
        raise DataError(f"column {column!r} is empty; expected the words of the sound", where)
    return text


def _beside(path: str) -> str:
    """Return the transcript of a sound in a text file of the same name."""
    file = Path(path).with_suffix(".txt")
    if not file.exists():
        hint = "; or pass a table with columns audio and transcript"
        raise DataError(f"there is no transcript of the sound; expected it in {file.name} beside it{hint}", path)
    return _transcript("".join(read_text(str(file))), "transcript", str(file))
