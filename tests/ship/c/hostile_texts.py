"""Texts that no one would write, sent to a program with sanitizers."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compilers import compile_c, compilers

from unspool.ship.c import export
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels
from unspool.ship.targets import Options

PIECES = [
    b"\xc3\xa9", b"\xe2\x80\x99", b"\xcc\x81", b"\xf0\x9f\x98\x80", b"\xc4\xb0", b"\xed\xa0\x80", b"\xc0\x80",
    b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"\xe2\x80", b"<unk>", b"<eos", b"'", b" ", b"\t", b"\r", b"a", b"9",
    b"\xce\xa3", b"\xef\xbb\xbf", b"\xe1\xba\x9e", b"-", b"joy ", b"\xf0\x90\x8d", b"x" * 70, b"\n", b"'ll",
    b"\xc2\xa0", b"\xc2\xb2", b"\xe2\x84\xaa", b"\xef\xbc\xa1",
]  # fmt: skip
REFUSALS = {b"has no units", b"has more bytes than UNSPOOL_BYTES", b"has more units than UNSPOOL_UNITS"}
COMPARED = 200
FLAGS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def hostile(chance: random.Random) -> bytes:
    """Broken UTF-8, long runs, special units, bytes at random; no zero byte, which ends a text."""
    text = b"".join(chance.choice(PIECES) * chance.choice((1, 1, 1, 2, 9)) for _ in range(chance.randint(0, 30)))
    if chance.random() < 0.3:
        text += chance.randbytes(chance.randint(0, 60))
    if chance.random() < 0.01:
        text = text * 40
    return text.replace(b"\0", b"")


def attack(sheet: Sheet, folder: Path, count: int, seed: int, judge: Callable[[list[Any]], Any]) -> None:
    """Send hostile texts to a program with sanitizers, and compare the first answers with those of a judge."""
    artefact = export(sheet, folder / "attacked.c", Options())
    sizes = ["-DUNSPOOL_UNITS=300", "-DUNSPOOL_BYTES=900"]
    program = compile_c(next(iter(compilers().values())), artefact.files[0], folder / "attacked", *FLAGS, *sizes)
    chance = random.Random(seed)
    texts = [hostile(chance) for _ in range(count)]
    for split in ([], ["-w"]):
        sent = b"".join(text + b"\0" for text in texts)
        done = subprocess.run([program, "-0", "-a", *split], input=sent, capture_output=True, check=False)
        for finding in (b"runtime error", b"Sanitizer"):
            assert finding not in done.stderr, done.stderr[:3000]
        answers = done.stdout.decode("utf-8", "replace").split("\0")[:-1]
        assert len(answers) == count
        lines = done.stderr.splitlines()
        assert {line.split(b" ", 2)[2] for line in lines} <= REFUSALS
        refused = {int(line.split(b" ")[1]) - 1 for line in lines}
        usable = [place for place in range(count) if place not in refused][:COMPARED]
        decoded = [texts[place].decode("utf-8", "replace") for place in usable]
        if isinstance(sheet.back, Labels):
            right = judge([text.split("\t") if split else text for text in decoded])
            found = np.array([list(map(float, answers[place].split("\t"))) for place in usable])
            np.testing.assert_allclose(found, right, atol=2e-6)
        elif not split:
            assert [answers[place] for place in usable] == judge(decoded)
