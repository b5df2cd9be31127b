"""Damage model folders, files and settings from a seed, use them, and report whatever is not a result or a sentence.

A case ends well with a result that holds finite numbers only, or with an `UnspoolError` whose message is one printable
line. Another exception, a process that dies, and a case that takes too long are failures; each is printed with the seed
and the number that repeat it. Cases run in forked processes under a memory limit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # before the libraries are imported; not in a test session, whose other tests go on
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}

import torch
from targets import Target, choose, make_targets, not_finite, spoil

from unspool import reading
from unspool.errors import UnspoolError, for_command_line, printable

SECONDS = 20.0
"""What a case may take, on the clock; a sound one takes some hundredths."""
MEMORY = 2 << 30
"""Bytes that a process of cases may take beyond what it begins with."""
BATCH = 500
SHARED_MEMORY = "/dev/shm"
"""Where cases lie if it is there: files flushed to a disk take most of the time."""
LONGEST = 600
"""Characters of a message."""


class Hang(BaseException):
    """A case took too long."""


class Case(NamedTuple):
    """How one case ended."""

    number: int
    target: str
    damage: str
    outcome: str
    """`result`, the name of the error, or what went wrong."""
    failed: bool


def run_case(targets: list[Target], seed: int, number: int, work: Path) -> Case:
    """Damage one target and use it, in this process."""
    draw = random.Random(f"{seed} {number}")
    target = choose(draw, targets)
    home, outside = work / f"{seed}-{number}", work / f"{seed}-{number}-outside"
    place = home if target.sound is None else home / target.sound.name
    for folder in (home, outside):
        folder.mkdir()
    copy_sound(target, place)
    try:
        damage = spoil(draw, target, place, outside)
        problem, outcome = judge(target, place)
        return Case(number, target.name, damage, problem or outcome, bool(problem))
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(outside, ignore_errors=True)


def copy_sound(target: Target, place: Path) -> None:
    """Put an undamaged copy of a target in a place."""
    if target.sound is not None:
        (shutil.copytree if target.sound.is_dir() else shutil.copyfile)(target.sound, place)


def judge(target: Target, place: Path) -> tuple[str, str]:
    """Use a target; what went wrong, or nothing, and how it ended."""
    hung = []

    def ring(*_: Any) -> None:
        hung.append("".join(traceback.format_stack(limit=12)))
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    problem, outcome = "", "result"
    try:
        value = target.use(place)
        if not_finite(value):
            problem = f"a number that is not finite: {value!r:.3000}"
    except UnspoolError as error:
        outcome = type(error).__name__
        for text in (str(error), printable(for_command_line(error.message))):
            if len(text) > LONGEST or not text.isprintable() or not text.strip():
                problem = f"not one printable sentence: {text!r}"
    except BaseException as error:
        problem = "".join(traceback.format_exception(error, limit=-6))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return (f"took more than {SECONDS:g} s:\n{hung[0]}" if hung else problem), outcome


def run_cases(targets: list[Target], seed: int, numbers: range, work: Path) -> Iterator[Case]:
    """Run cases in forked processes, a new one for each batch and after each death."""
    at = numbers.start
    while at < numbers.stop:
        stop = min(at + BATCH, numbers.stop)
        for case in _forked(targets, seed, range(at, stop), work):
            yield case
            at = case.number + 1


def _forked(targets: list[Target], seed: int, numbers: range, work: Path) -> Iterator[Case]:
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run_in_child(targets, seed, numbers, work, writing)
    os.close(writing)
    last, problem = numbers.start - 1, "the process died"
    with os.fdopen(reading, "rb", buffering=0) as stream:  # what lay in a buffer, `select` would not see
        while select.select([stream], [], [], 2 * SECONDS)[0]:
            line = stream.readline()
            if not line:
                break
            case = Case(*json.loads(line))
            last = case.number
            yield case
            if not case.target:
                problem = ""  # the attack itself failed, and said so
        else:
            problem = f"took more than {2 * SECONDS:g} s outside of Python"
            os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if problem and last + 1 < numbers.stop:
        for left in work.glob(f"{seed}-{last + 1}*"):
            shutil.rmtree(left, ignore_errors=True)
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        yield Case(last + 1, *describe_case(targets, seed, last + 1), f"{problem}, {how}", True)


def _run_in_child(targets: list[Target], seed: int, numbers: range, work: Path, writing: int) -> None:
    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    number = numbers.start
    try:
        for number in numbers:
            os.write(writing, json.dumps(run_case(targets, seed, number, work)).encode() + b"\n")
    except BaseException:  # the attack itself failed; nothing of the parent's is unwound here
        os.write(writing, json.dumps(Case(number, "", "", traceback.format_exc(), True)).encode() + b"\n")
    finally:
        os._exit(0)


def describe_case(targets: list[Target], seed: int, number: int) -> tuple[str, str]:
    """The target and the damage of a case, drawn again without using it."""
    draw = random.Random(f"{seed} {number}")
    target = choose(draw, targets)
    with tempfile.TemporaryDirectory() as folder:
        place, outside = Path(folder, target.sound.name if target.sound else "settings"), Path(folder, "outside")
        outside.mkdir()
        copy_sound(target, place)
        return target.name, spoil(draw, target, place, outside)


def check_sound(targets: list[Target], work: Path) -> None:
    """Use every target undamaged, which also compiles what all cases share."""
    for target in targets:
        if target.sound is not None:
            place = work / "sound" / target.sound.name
            place.parent.mkdir()
            copy_sound(target, place)
            problem, outcome = judge(target, place)
            if problem or outcome != "result":
                raise AssertionError(f"{target.name} fails undamaged: {problem or outcome}")
            shutil.rmtree(place.parent)


def main() -> int:
    """Run cases and report; exit code 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="start of all damage  [0]")
    parser.add_argument("--cases", type=int, default=2000, help="how many cases  [2000]")
    parser.add_argument("--first", type=int, default=0, help="number of the first case  [0]")
    parser.add_argument("--case", type=int, help="one case alone, in this process, with its traceback")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reading.PATIENCE = 0.05  # no program writes to the pipes here
    started = time.monotonic()
    memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="attack-", dir=memory) as folder:
        work = Path(folder, "work")
        work.mkdir()
        targets = make_targets(Path(folder))
        check_sound(targets, work)
        if arguments.case is not None:
            case = run_case(targets, arguments.seed, arguments.case, work)
            print(f"{case.target}: {case.damage}\n{case.outcome}")
            return int(case.failed)
        ready = time.monotonic()
        numbers = range(arguments.first, arguments.first + arguments.cases)
        outcomes: Counter[str] = Counter()
        failures = 0
        for case in run_cases(targets, arguments.seed, numbers, work):
            outcomes["failure" if case.failed else case.outcome] += 1
            if case.failed:
                failures += 1
                print(f"--- seed {arguments.seed}, case {case.number}: {case.target}; {case.damage}\n{case.outcome}")
                print(f"repeat with: scripts/attack --seed {arguments.seed} --case {case.number}", flush=True)
    ended = ", ".join(f"{outcome} {count:,}" for outcome, count in outcomes.most_common())
    print(f"{len(numbers):,} cases in {time.monotonic() - ready:.0f} s, made ready in {ready - started:.0f} s: {ended}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
