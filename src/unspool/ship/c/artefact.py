"""A C file that an export wrote: compile it with this machine's compiler, and run it on texts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unspool.errors import MachineError, UsageError
from unspool.ship.answers import EXPORTED_UNITS
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels, Replies, TagNames
from unspool.ship.targets import Artefact

__all__ = ["CArtefact", "c_compiler"]

_PATIENCE = 600  # seconds


def c_compiler() -> list[str]:
    """Return the command of this machine's C compiler: that of the environment variable CC, or cc, gcc or clang.

    Raises:
        MachineError: If there is none.
    """
    command = os.environ.get("CC", "").split()
    for name in [command] if command else [["cc"], ["gcc"], ["clang"]]:
        if shutil.which(name[0]):
            return name
    missing = command[0] if command else "cc, gcc or clang"
    raise MachineError(f"there is no C compiler on this machine to run the file with ({missing}); set CC to one")


class CArtefact(Artefact):
    """A C file, with a file of weights beside it if they are large.

    Args:
        files: The files, the C file first.
        sheet: What it was written from.
    """

    def __init__(self, files: tuple[Path, ...], sheet: Sheet) -> None:
        self.files, self._sheet = files, sheet

    def hindrance(self) -> str | None:
        """Return why there is no compiler; None if there is one."""
        try:
            c_compiler()
        except MachineError as error:
            return str(error)
        return None

    def compile(self, target: Path, *flags: str) -> Path:
        """Compile the file to a program.

        Raises:
            MachineError: If there is no compiler, or it fails; the message holds what it said.
        """
        command = [*c_compiler(), "-std=c99", "-O2", *flags, str(self.files[0]), "-o", str(target), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        if done.returncode:
            raise MachineError(f"{' '.join(command)} failed: {done.stderr.strip()[:2000]}")
        return target

    def run(self, texts: Sequence[Any]) -> list[Any]:
        """Compile the file, and run it on texts; see `Artefact.run`.

        Args:
            texts: Texts, or lists of words.
        """
        with tempfile.TemporaryDirectory(prefix="unspool-c-") as folder:
            most = max((len(_line(text)) for text in texts), default=0) + 16
            sizes = [f"-DUNSPOOL_BYTES={max(most, 16384)}", f"-DUNSPOOL_UNITS={max(most, 2000)}"]
            program = self.compile(Path(folder) / "model", *sizes)
            return [self._read(answer) for answer in self._answers(program, texts)]

    def _answers(self, program: Path, texts: Sequence[Any]) -> list[str]:
        answers = [""] * len(texts)
        for split in (False, True):
            places = [place for place, text in enumerate(texts) if isinstance(text, list) == split]
            if not places:
                continue
            lines = [_line(texts[place]) for place in places]
            if any(b"\0" in line for line in lines):
                raise UsageError("a text with a zero byte can't be sent to a program in C")
            command = [str(program), "-0", "-a", *["-w"] * split]
            writer = self._sheet.writer
            command += ["-n", str(EXPORTED_UNITS)] if writer is not None and not writer.longest else []
            command += ["-m", str(self.files[1])] if len(self.files) > 1 else []
            sent = b"".join(line + b"\0" for line in lines)
            done = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=_PATIENCE)
            replies = done.stdout.decode("utf-8", "replace").split("\0")[:-1]
            if len(replies) != len(places):
                raise MachineError(f"the compiled program ended early: {done.stderr.decode()[:500]}")
            for place, answer in zip(places, replies, strict=True):
                answers[place] = answer
        return answers

    def _read(self, answer: str) -> Any:
        back = self._sheet.back
        if isinstance(back, Labels):
            return dict(zip(back.names, map(float, answer.split("\t")), strict=True)) if answer else {}
        if isinstance(back, TagNames):
            return [back.names[int(number)] for number in answer.split("\t")] if answer else []
        return answer.split("\t", 2)[-1] if isinstance(back, Replies) else answer


def _line(text: Any) -> bytes:
    line: str = text if isinstance(text, str) else "\t".join(text)
    return line.encode("utf-8", "replace")
