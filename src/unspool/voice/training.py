"""Settings and data of a recogniser that is trained on a few recordings of the owner."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from unspool.commands import CommandSet
from unspool.errors import DataError
from unspool.tasks.transcribe.settings import TranscriberSettings
from unspool.voice.expected import answers_grammar
from unspool.voice.sentences import draw_sentences
from unspool.voice.session import recordings_in, words_of
from unspool.voice.sound_files import RATE
from unspool.voice.synthesis import draw_speech, write_speech

__all__ = ["divided", "plan", "settings_for", "spoken_by_machine"]

_EXAMPLES = 18_000  # recordings that a training hears in all, repeated ones too
_EPOCHS = 12, 150  # fewest and most
_LEAST = 10  # own recordings from which some are held out
_HELD_OUT = 8  # of so many own recordings, one is held out


def plan(recordings: Sequence[Path], grammar: str) -> dict[str, Any]:
    """Return settings for few recordings, by their number and sample rate.

    Args:
        recordings: All WAV files of the training.
        grammar: File of commands, whose sentences the recogniser hears.

    Raises:
        DataError: If a file is no WAV file.
    """
    fewest, most = _EPOCHS
    return {
        "audio.rate": min(RATE, *map(_rate_of, recordings)),
        "audio.shift": 50.0,
        "audio.noise": 0.1,
        "audio.speed": 0.1,
        "audio.equalizer": 6.0,
        "audio.center": True,
        "training.epochs": max(fewest, min(most, _EXAMPLES // len(recordings))),
        "training.batch_size": 4 if len(recordings) < 200 else 16,
        "training.batch_tokens": 1000,
        "data.valid_fraction": 0.0,
        "hearing.grammar": grammar,
        "choose_by": "nats",
    }


def settings_for(recordings: Sequence[Path], grammar: str, chosen: Mapping[str, object]) -> TranscriberSettings:
    """Return the planned settings with those that the user chose.

    Raises:
        DataError: If a file is no WAV file.
        SettingError: If a chosen value does not fit.
    """
    from unspool.settings import make

    return make(TranscriberSettings, {**plan(recordings, grammar), **chosen})


def divided(own: Sequence[Path], machine: Sequence[Path], commands: CommandSet) -> tuple[list[Path], list[Path]]:
    """Divide recordings into training data and validation data.

    Every eighth of the owner's commands is held out; with fewer than ten of them, every twentieth of the machine's.
    """
    grammar = commands.grammar()
    mine, others = ([path for path in paths if grammar.accepts(words_of(path))] for paths in (own, machine))
    source, step = (mine, _HELD_OUT) if len(mine) >= _LEAST else (others, 20)
    held_out = set(source[step - 1 :: step])
    return [path for path in (*own, *machine) if path not in held_out], sorted(held_out)


def spoken_by_machine(commands: CommandSet, folder: Path, each: int, voices: Sequence[str]) -> list[Path]:
    """Return synthesized recordings of every command; they are spoken once, and kept in the folder.

    Args:
        commands: The commands.
        folder: Folder of the recordings.
        each: Number of sentences of each command.
        voices: Voices of `espeak-ng`.

    Raises:
        MachineError: If `espeak-ng` fails, or a file can't be written.
    """
    sentences, random = draw_sentences(commands, each, seed=1, answers=answers_grammar(commands)), Random(0)
    speeches = [draw_speech(random, voices) for _ in sentences]
    done = sorted(folder.glob("*.wav")) if folder.is_dir() else []
    if [words_of(path) for path in done] != sentences:
        write_speech(folder, sentences, speeches)
    return recordings_in(folder)


def _rate_of(path: Path) -> int:
    try:
        with wave.open(str(path), "rb") as file:
            return file.getframerate()
    except (wave.Error, EOFError) as error:
        raise DataError(
            f"not a WAV file that can be read ({error}); record it again, or remove it", str(path)
        ) from None
