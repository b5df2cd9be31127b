"""Latency of a command: from a typed sentence to its call, and from a recording to its words.

    python benchmarks/voice.py --parser parser --commands commands.py
    python benchmarks/voice.py --ears work/voice/model --sounds work/voice/test --commands work/voice/commands.py

One thread. Times of sentences are medians over sentences of the training templates, each parsed once after a warm-up.
Times of sounds are per second of sound, with features, network and search under the grammar of all commands; reading
the grammar at the start is printed apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

import unspool
from unspool import CommandSet
from unspool.data.sounds import read_sound
from unspool.tasks.transcribe.hearing import compiled


def timed(function: Callable[[Any], Any], inputs: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Return the seconds by the clock, and those of the processor, of each call."""
    clock, processor = [], []
    for each in inputs:
        begun = time.perf_counter(), time.process_time()
        function(each)
        clock.append(time.perf_counter() - begun[0])
        processor.append(time.process_time() - begun[1])
    return clock, processor


def sentences(folder: str, commands: CommandSet, count: int) -> None:
    """Print the time from a sentence to its call."""
    parser = unspool.load(folder)
    texts = [each.text for each in commands.utterances(most=count + 10, seed=5)]
    for text in texts[:10]:
        parser.parse(text)
    clock, processor = timed(parser.parse, texts[10:])
    print(
        f"text to call, {len(clock)} sentences: median {1000 * statistics.median(clock):.2f} ms by the clock, "
        f"{1000 * statistics.median(processor):.2f} ms of the processor; "
        f"95th percentile {1000 * sorted(clock)[int(0.95 * len(clock))]:.2f} ms"
    )


def sounds(folder: str, place: Path, commands: CommandSet, count: int) -> None:
    """Print the time of a second of sound, and of a whole utterance."""
    model = unspool.load(folder)
    paths = [str(path) for path in sorted(place.glob("*.wav"))]
    paths = paths[:: max(1, len(paths) // count)][:count]
    seconds = [read_sound(path).seconds for path in paths]
    begun = time.process_time()
    grammar = compiled(commands.grammar())
    model.predict(paths[0], grammar=grammar)
    print(f"reading the grammar: {time.process_time() - begun:.1f} s of the processor, once")
    for name, chosen in (("grammar of all commands", grammar), ("no grammar, beam 16", None)):
        clock, processor = timed(lambda path, chosen=chosen: model.predict(path, grammar=chosen), paths)
        rates = [[time / length for time, length in zip(times, seconds, strict=True)] for times in (clock, processor)]
        print(
            f"{name}, {len(paths)} sounds of {statistics.mean(seconds):.1f} s on average: a second of sound takes "
            f"{1000 * statistics.median(rates[0]):.0f} ms by the clock, {1000 * statistics.median(rates[1]):.0f} ms of "
            f"the processor; an utterance {1000 * statistics.median(clock):.0f} ms"
        )


def main() -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", required=True, help="file of commands")
    parser.add_argument("--parser", help="model folder of a command parser or assistant")
    parser.add_argument("--ears", help="model folder of a transcriber")
    parser.add_argument("--sounds", type=Path, help="folder of WAV files")
    parser.add_argument("--count", type=int, default=200, help="sentences, and sounds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    commands = CommandSet.load(arguments.commands)
    if arguments.parser:
        sentences(arguments.parser, commands, arguments.count)
    if arguments.ears:
        sounds(arguments.ears, arguments.sounds, commands, arguments.count)


if __name__ == "__main__":
    main()
