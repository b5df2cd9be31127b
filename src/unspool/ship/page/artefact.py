"""Run a page without a browser: its own script, under node."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unspool.errors import MachineError
from unspool.ship.answers import Answer
from unspool.ship.judge_memory import MemoryJudge
from unspool.ship.page.memory import smaller
from unspool.ship.page.script import part
from unspool.ship.sheet import Sheet
from unspool.ship.small import Small
from unspool.ship.targets import Artefact

__all__ = ["PageArtefact"]

Language = Literal["WebAssembly", "JavaScript"]
_NO_NODE = "this machine has no node to run the page's script; install Node.js 18 or newer"


@dataclass(frozen=True)
class PageArtefact(Artefact):
    """A page."""

    path: Path
    language: Language = "WebAssembly"
    """Language that computes the steps and products."""

    @property
    def files(self) -> tuple[Path, ...]:  # type: ignore[override]
        """The page."""
        return (self.path,)

    def hindrance(self) -> str | None:
        """Return why the script can't run here; None if there is a node."""
        return None if shutil.which("node") else _NO_NODE

    def judged(self, sheet: Sheet, texts: Sequence[Any], small: Small | None) -> list[Answer]:
        """Return what the page should answer; a page of questions finds them by its memory."""
        if sheet.memory is None:
            return super().judged(sheet, texts, small)
        judge = MemoryJudge(sheet.memory if small is None else smaller(sheet.memory, small))
        return [judge.reply(text) for text in texts]

    def run(self, texts: Sequence[Any]) -> list[Any]:
        """Run the page's script on texts, under node; see `Artefact.run`.

        Raises:
            MachineError: If there is no node, or the script fails.
        """
        node = shutil.which("node")
        if node is None:
            raise MachineError(_NO_NODE)
        with tempfile.TemporaryDirectory(prefix="unspool-page-") as folder:
            script = Path(folder) / "run.mjs"
            script.write_text(part("under_node.js"), encoding="utf-8")
            done = subprocess.run(
                [node, str(script), str(self.path), self.language],
                input=json.dumps(list(texts)),
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
        if done.returncode:
            raise MachineError(f"the page's script fails under node: {_reason(done.stderr)}")
        answers: list[Any] = json.loads(done.stdout)
        return answers


def _reason(text: str) -> str:
    errors = [line for line in text.splitlines() if "Error" in line]
    return (errors or text.splitlines() or ["no message"])[0][:300]
