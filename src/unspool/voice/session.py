"""Record the sentences of a session one after the other, into a folder of recordings with their words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from unspool.data import read_text
from unspool.errors import MachineError, UsageError
from unspool.voice.recorder import Recorder
from unspool.voice.sound_files import RATE, write_wav

__all__ = ["record_sentences", "recorded", "recordings_in", "words_of"]

_PATIENCE = 8.0  # seconds until a recording without speech ends
_KEYS = "Enter: record · a: the last one again · s: skip · q: stop here"

Ask = Callable[[str], str]
"""Shows a text and returns the line that the user types; raises `EOFError` at the end of the input."""


def recordings_in(folder: Path) -> list[Path]:
    """Return the WAV files of a folder that have their words in a text file beside them, sorted.

    Raises:
        UsageError: If there is no such folder, or no such pair.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder; expected recordings, 001.wav, each with its words in 001.txt beside it"
        )
    pairs = sorted(path for path in folder.rglob("*.wav") if path.with_suffix(".txt").is_file())
    if not pairs:
        raise UsageError(
            f"{folder} has no recording with its words; expected 001.wav with 001.txt beside it, and so on"
        )
    return pairs


def recorded(folder: Path) -> set[str]:
    """Return the sentences that a folder has recordings of."""
    return {words for path in folder.glob("*.wav") if (words := words_of(path))} if folder.is_dir() else set()


def words_of(recording: Path) -> str:
    """Return the words of a recording; empty if there is no text file beside it.

    Raises:
        DataError: If the text file is not UTF-8.
    """
    text = recording.with_suffix(".txt")
    return " ".join("".join(read_text(str(text))).split()) if text.is_file() else ""


def record_sentences(
    folder: Path, sentences: Sequence[str], recorder: Recorder, *, ask: Ask, say: Callable[[str], None]
) -> int:
    """Show sentences one after the other, and record each when the user presses Enter.

    Sentences that the folder has already are left out, so that an interrupted session goes on. Each recording is
    written at once.

    Args:
        folder: Folder of the recordings.
        sentences: What to say.
        recorder: Program that records.
        ask: Asks the user for a line.
        say: Shows a message.

    Returns:
        The number of new recordings.

    Raises:
        MachineError: If the recorder fails, or a file can't be written.
    """
    done = recorded(folder)
    waiting = [sentence for sentence in sentences if sentence not in done]
    if len(waiting) < len(sentences):
        say(f"{len(sentences) - len(waiting)} of {len(sentences)} sentences are in {folder} already")
    if waiting:
        say(f"Read each sentence aloud after pressing Enter; a pause ends it. {_KEYS}")
    count, place = 0, 0
    written: dict[int, Path] = {}
    while place < len(waiting):
        say(f"\n[{place + 1}/{len(waiting)}]  {waiting[place]}")
        try:
            key = ask("> ").strip().lower()
        except EOFError:
            break
        if key == "q":
            break
        if key == "s":
            place += 1
        elif key == "a":
            place = max(0, place - 1)
        elif key:
            say(_KEYS)
        else:
            samples = recorder.utterance(patience=_PATIENCE)
            if samples is None:
                say("Nothing was heard: speak up, or check the microphone of the system.")
                continue
            if samples.min() == samples.max():
                raise MachineError("the recorder gave silence: every sample is equal; check the microphone")
            count += place not in written
            path = written.setdefault(place, _free(folder))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".txt").write_text(f"{waiting[place]}\n", encoding="utf-8")
            write_wav(path, samples)
            say(f"{len(samples) / RATE:.1f} seconds")
            place += 1
    return count


def _free(folder: Path) -> Path:
    """Return the path of the next recording."""
    numbers = [int(path.stem) for path in folder.glob("*.wav") if path.stem.isdecimal()] if folder.is_dir() else []
    return folder / f"{max(numbers, default=0) + 1:03d}.wav"
