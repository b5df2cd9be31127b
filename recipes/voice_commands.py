#!/usr/bin/env python3
"""Train a recogniser of the sample assistant's commands on synthesized speech; test a voice that it never heard.

    OMP_NUM_THREADS=1 python recipes/voice_commands.py work/voice

needs `espeak-ng`. It speaks sentences of the grammar of `src/unspool/samples/assistant/commands.py`, without free text,
in three voices for training and in a fourth for the test, each with its own speed and pitch. No test sentence is in the
training data. The score is the share of sentences whose function and arguments, as typed values, are those of the words
that were spoken. The grammar of the search is that of all six commands.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import unspool
from unspool import CommandSet, Transcriber
from unspool.commands.grammar import Grammar
from unspool.data import Files
from unspool.samples.assistant import source_files
from unspool.tasks.transcribe.hearing import compiled
from unspool.voice.expected import answers_grammar
from unspool.voice.sentences import draw_sentences
from unspool.voice.synthesis import Speech, draw_speech, has_synthesizer, write_speech
from unspool.voice.training import divided, settings_for

TRAIN_VOICES = ("en-us", "en-gb-scotland", "en-us+f3")
TEST_VOICE = "en-gb"
OWNER = "en-gb-scotland"
NOW = datetime(2026, 6, 3, 10, 0)
SETTINGS: dict[str, Any] = {
    "shift": 50.0,
    "noise": 0.1,
    "speed": 0.1,
    "equalizer": 6.0,
    "center": True,
    "batch_tokens": 1000,
    "learning_rate": 3e-3,
    "epochs": 28,
    "validate_every": 1.0,
    "choose_by": "cer",
    "threads": 1,
    "seed": 0,
    "device": "cpu",
}
"""Settings of the training, chosen on validation sentences in the training voices."""


def commands(place: Path) -> CommandSet:
    """Return the commands of the sample assistant."""
    path = place / "commands.py"
    path.write_bytes(source_files()["commands.py"])
    return CommandSet.load(path)


def grammars_of(sample: CommandSet) -> dict[str, Grammar]:
    """Return the grammar of each command."""
    return {name: sample.grammar([name]) for name in sample.names}


def call_of(sample: CommandSet, grammars: dict[str, Grammar], text: str) -> tuple[str, dict[str, Any]] | None:
    """Return function and typed arguments of a sentence of the grammar; None if it is none."""
    for command in sample:
        values = grammars[command.name].captures(text)
        if values is not None:
            return command.name, {name: command.slot(name).kind.parse(words, NOW) for name, words in values.items()}
    return None


def plain_sentences(grammars: dict[str, Grammar], each: int, random: Random, used: set[str]) -> list[str]:
    """Draw sentences of every command, each choice of the grammar as likely as the others; none comes twice."""
    sentences = []
    for grammar in grammars.values():
        fresh: list[str] = []
        while len(fresh) < each:
            sentence = grammar.sample(random)
            if sentence not in used:
                used.add(sentence)
                fresh.append(sentence)
        sentences += fresh
    return sentences


def write_parts(place: Path, sample: CommandSet, voice: str, train: Iterable[str]) -> None:
    """Write the recordings of training, validation and test, each with its words beside it."""
    random, grammars = Random(0), grammars_of(sample)
    held_out = draw_sentences(sample, 10, seed=1)
    used = set(held_out)
    tests = plain_sentences(grammars, 50, random, used)
    plain = plain_sentences(grammars, 125, random, used)
    texts = [*plain, *draw_sentences(sample, 125, seed=0, without=used)]
    voices = tuple(train)
    write_speech(place / "train", texts, [draw_speech(random, voices) for _ in texts])
    write_speech(place / "valid", held_out, [draw_speech(random, voices) for _ in held_out])
    write_speech(place / "test", tests, [draw_speech(random, (voice,)) for _ in tests])


def as_owner(place: Path, sample: CommandSet) -> Transcriber:
    """Write ten sentences of each command and ten answers in one voice, with 90 others for the test; train on them."""
    random, texts = Random(1), draw_sentences(sample, 10, answers=answers_grammar(sample))
    tests = plain_sentences(grammars_of(sample), 15, random, set(texts))
    for name, sentences in (("own", texts), ("test", tests)):
        spoken = [Speech(OWNER, random.randint(140, 165), random.randint(45, 55)) for _ in sentences]
        write_speech(place / name, sentences, spoken)
    own = sorted((place / "own").glob("*.wav"))
    train, valid = divided(own, [], sample)
    model = Transcriber(settings_for(own, str(place / "commands.py"), {"training.threads": 1, "training.seed": 0}))
    return model.fit(Files(map(str, train)), valid=Files(map(str, valid)), baselines=False)


def score(model: Transcriber, sample: CommandSet, folder: Path, show: int) -> dict[str, float]:
    """Return the shares of sentences with the right call, the right function, and the right words."""
    grammar, grammars = compiled(sample.grammar()), grammars_of(sample)
    paths = sorted(folder.glob("*.wav"))
    said = [path.with_suffix(".txt").read_text(encoding="utf-8").strip() for path in paths]
    heard = [each.transcript for each in model.predict(paths, grammar=grammar)]
    calls = [
        (call_of(sample, grammars, one), call_of(sample, grammars, two)) for one, two in zip(said, heard, strict=True)
    ]
    wrong = [pair for pair, (one, two) in zip(zip(said, heard, strict=True), calls, strict=True) if one != two]
    for one, two in wrong[:show]:
        print(f"  {one}\n  > {two}")
    return {
        "call": statistics.mean(one == two for one, two in calls),
        "function": statistics.mean(two is not None and one is not None and one[0] == two[0] for one, two in calls),
        "words": statistics.mean(one == two for one, two in zip(said, heard, strict=True)),
        "none of these": statistics.mean(not each for each in heard),
    }


def main() -> None:
    """Speak, train and score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for recordings and model")
    parser.add_argument("--test-voice", default=TEST_VOICE, help="voice of the test")
    parser.add_argument("--train-voices", default=",".join(TRAIN_VOICES), help="voices of the training")
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"], help="passes over the training data")
    parser.add_argument("--owner", action="store_true", help="train as `unspool listen` does, on 70 sentences")
    parser.add_argument("--part", default="test", choices=("valid", "test"), help="what is scored")
    parser.add_argument("--show", type=int, default=10, help="wrong sentences that are printed")
    arguments = parser.parse_args()
    if not has_synthesizer():
        print("skipped: espeak-ng is not installed, and it speaks the sentences")
        return
    place: Path = arguments.out
    place.mkdir(parents=True, exist_ok=True)
    sample = commands(place)
    if arguments.owner:
        print(json.dumps(score(as_owner(place, sample), sample, place / "test", arguments.show)))
        return
    if not (place / "spoken").exists():
        write_parts(place, sample, arguments.test_voice, arguments.train_voices.split(","))
        (place / "spoken").touch()
    if not (place / "model").exists():
        begun = time.process_time()
        model = Transcriber(**{**SETTINGS, "epochs": arguments.epochs})
        model.fit(
            str(place / "train"), valid=str(place / "valid"), out=place / "model.part", resume=True, baselines=False
        )
        print(f"trained in {(time.process_time() - begun) / 60:.1f} processor minutes")
        shutil.move(place / "model.part", place / "model")
    model = unspool.load(place / "model")
    print(
        json.dumps(
            {
                name: round(value, 4)
                for name, value in score(model, sample, place / arguments.part, arguments.show).items()
            }
        )
    )


if __name__ == "__main__":
    main()
