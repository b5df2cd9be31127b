"""Scripts of pages: the parts of the run time that a model needs, and its steps in JavaScript and WebAssembly."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from unspool.ship.page.javascript import write_step
from unspool.ship.page.step import PageStep
from unspool.ship.page.wasm_module import imports_of
from unspool.ship.page.webassembly import compile_steps

__all__ = ["VIEW", "Kernels", "compact", "layout", "part"]

VIEW = "/* view */"
"""Stands in the script of a page between the model and what shows it."""
_LIBRARY = {"sinf": "Math.sin", "cosf": "Math.cos", "erff": "erf", "powf": "Math.pow"}
"""Functions that compiled steps import, in JavaScript."""


def part(name: str) -> str:
    """Return a part of the run time, a file of the folder `static`."""
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


class Kernels:
    """The steps of a page; equal ones are compiled once."""

    def __init__(self) -> None:
        self._steps: list[PageStep] = []
        self._texts: list[str] = []

    def number(self, step: PageStep) -> int:
        """Return the number of a step's code."""
        text = write_step(step)
        if text not in self._texts:
            self._texts.append(text)
            self._steps.append(step)
        return self._texts.index(text)

    def script(self, *, compiled: bool = True) -> str:
        """Return JavaScript that defines `plain`, the steps; `module`, their WebAssembly; and `library`.

        Args:
            compiled: Whether WebAssembly is there; otherwise `module` is null.
        """
        code = compile_steps(self._steps) if compiled else b""
        imported = imports_of(code) if compiled else []
        library = ",".join(f"{name}:{_LIBRARY[name]}" for name in imported)
        module = f'bytes("{b64encode(code).decode()}")' if code else "null"
        return f"const library={{{library}}},module={module},plain=[{','.join(self._texts)}];"


def layout(step: PageStep, feeds: Sequence[str]) -> str:
    """Return the layout of a step's table, see `unroll.js`.

    Args:
        step: The step.
        feeds: Names of the input memories that stand before the parts of the state.
    """
    entries = {name: number for number, name in enumerate(step.memories)}
    order = {name: number for number, name in enumerate(feeds)}
    sources = [
        [entries[name], order[name] if name in order else len(feeds) + source.number]
        for name, source in step.sources.items()
    ]
    outputs = step.outputs
    return compact(
        {
            "n": len(entries),
            "i": sources,
            "o": [entries[f"output{number}"] for number in range(len(outputs))],
            "w": [outputs[f"output{number}"] for number in range(len(outputs))],
            "r": list(step.results),
        }
    )


def compact(value: Any) -> str:
    """Return JSON that may stand in a script."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
