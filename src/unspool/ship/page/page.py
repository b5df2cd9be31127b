"""The HTML page of a sheet: weights, run time, model and view in one file that needs no network."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from unspool.errors import UsageError
from unspool.ship.answers import EXPORTED_UNITS
from unspool.ship.page.artefact import PageArtefact
from unspool.ship.page.memory import memory_script, smaller
from unspool.ship.page.minify import called, minified
from unspool.ship.page.program import ProgramWriter
from unspool.ship.page.script import VIEW, Kernels, compact, part
from unspool.ship.page.weights import Weights
from unspool.ship.sheet import Attend, Program, Sheet, Softmax, Writer
from unspool.ship.sheet_text import Labels, TagNames, TextFront, Units, Writing
from unspool.ship.small import Small
from unspool.ship.targets import Options
from unspool.writing import replace_file

__all__ = ["export", "model_script"]

_READ_BY_START = ("ids", "lengths", "characters", "bag")
_LIBRARY = (
    "erf.js", "weights.js", "memory.js", "unroll.js", "layers.js", "text.js", "spelling.js", "ngrams.js", "join.js",
    "task_answer.js", "task_classify.js", "task_tag.js", "task_write.js",
)  # fmt: skip
"""Files of declarations; a page gets those that it needs."""
_TASKS = {"answer": "answer", "classify": "classify", "tag": "tag", "write": "write", "translate": "translate"}
"""View of each task."""


def export(sheet: Sheet, path: Path, options: Options) -> PageArtefact:
    """Write a sheet as one HTML page.

    Args:
        sheet: The model.
        path: File to write.
        options: Choices.

    Raises:
        UsageError: If pages can't show the model, or can't compute one of its operations.
        MachineError: If the file can't be written.
    """
    if sheet.task not in _TASKS:
        raise UsageError(f"there is no page for models of the task {sheet.task!r} yet; export to onnx or c")
    weights = Weights(options.small)
    model = model_script(sheet, weights, options.small)
    view = _joined(["view.js", f"view_{_TASKS[sheet.task]}.js"])
    style = "".join(part(name) for name in ("page.css", f"view_{_TASKS[sheet.task]}.css"))
    script = f"{minified(model)}\n{VIEW}\n{minified(view)}"
    pieces = {
        "HASH": b64encode(sha256(script.encode()).digest()).decode(),
        "TITLE": escape(options.title or sheet.task),
        "STYLE": style,
        "WEIGHTS": weights.block(),
        "SCRIPT": script,
    }
    page = re.sub(f"%({'|'.join(pieces)})%", lambda match: pieces[match[1]], part("page.html"))
    replace_file(path, page.encode())
    return PageArtefact(path)


def model_script(sheet: Sheet, weights: Weights, small: Small | None = None) -> str:
    """Return the script that defines `load`, an async function that returns the model.

    Args:
        sheet: The model.
        weights: Takes the arrays of the model.
        small: Rounding of the weights.
    """
    kernels, definitions = Kernels(), list[str]()
    back = sheet.back
    if sheet.memory is not None:
        memory = sheet.memory if small is None else smaller(sheet.memory, small)
        script = _loading([], weights, [], memory_script(memory, weights, small))
        return f"{called(_joined(_LIBRARY), script)}\n{script}"
    if sheet.run is not None:
        run = ProgramWriter(sheet.run, "w", weights, kernels)
        definitions += [*run.definitions, f"const run = fresh({run.function});"]
    if sheet.writer is not None:
        assert isinstance(back, Writing)
        task = _writer(sheet, sheet.writer, back, weights, kernels, definitions)
    else:
        task = _classify(back) if isinstance(back, Labels) else _tag(back)
    begin = "  language = await begin(language === 'JavaScript' ? null : module, plain);"
    front = _front(sheet.front, weights)
    script = _loading([kernels.script()], weights, [begin, front, *definitions], task)
    return f"{called(_joined(_LIBRARY), script)}\n{script}"


def _loading(before: list[str], weights: Weights, lines: list[str], task: str) -> str:
    """Return the script of `load`, from what stands before it, its lines, and the expression of the task."""
    return "\n".join(
        [
            *before,
            f"const arrays = {weights.table()};",
            "const load = async (language) => {",
            f"  block = {weights.reader};",
            *lines,
            f"  return {{ language, ...{task} }};",
            "};",
        ]
    )


def _joined(names: Sequence[str]) -> str:
    return "\n".join(part(name) for name in names)


def _classify(back: Labels) -> str:
    described: dict[str, Any] = {"names": back.names, "several": back.several}
    if back.thresholds is not None:
        described["thresholds"] = back.thresholds.tolist()
    return f"classifier(front, run, {compact(described)})"


def _tag(back: Any) -> str:
    assert isinstance(back, TagNames)
    return f"tagger(front, run, {compact(back.names)})"


def _writer(
    sheet: Sheet, writer: Writer, back: Writing, weights: Weights, kernels: Kernels, definitions: list[str]
) -> str:
    """Add the programs of a writer to the definitions; returns the JavaScript of the model."""
    start = ProgramWriter(writer.start, "s", weights, kernels)
    step = ProgramWriter(writer.step, "w", weights, kernels, _attention(writer.step))
    results = [port.name for port in writer.start.outputs]
    read = [port.name for port in writer.step.inputs]
    given = ", ".join(f"{name}: r[{number}]" for number, name in enumerate(read[1:]))
    definitions += [*start.definitions, *step.definitions, f"const start = {start.function};"]
    definitions += [
        f"const one = {step.function};",
        f"const step = (n, id, ...r) => one({{ n, {read[0]}: id, {given} }});",
    ]
    described: dict[str, Any] = {
        "first": writer.first,
        "end": writer.end,
        "longest": writer.longest,
        "ratio": writer.ratio,
        "asked": EXPORTED_UNITS,
        "never": writer.never,
        "state": [[results.index(name), writer.start.outputs[results.index(name)].width] for name in writer.state],
        "prompted": not any(port.name in _READ_BY_START for port in writer.start.inputs),
    }
    units = "" if back.units is sheet.front.units else f", units: {_units(back.units)}"
    return f"writer(front, start, step, {{ ...{compact(described)}{units} }})"


def _attention(program: Program) -> list[str]:
    """Return the name of the weights over the units of the source, if a step has some."""
    names = [op.output for op in program.operations if isinstance(op, Softmax) and op.over == "time"]
    names += [op.weights for op in program.operations if isinstance(op, Attend) and op.weights is not None]
    return names[-1:]


def _front(front: TextFront, weights: Weights) -> str:
    parts = [f"units: {_units(front.units)}, most: {front.most_units}"]
    if front.spelling is not None:
        names = compact(front.spelling.names)
        parts.append(f"spelling: {{ ids: places({names}), longest: {front.spelling.longest} }}")
    if front.ngrams is not None:
        ngrams = front.ngrams
        numbers = f"orders: {ngrams.orders}, longest: {ngrams.longest}, words: {ngrams.most_words}"
        rarity = weights.add(ngrams.rarity)
        parts.append(f"ngrams: known({compact(ngrams.entries)}, {{ {numbers}, rarity: {rarity} }})")
    return f"  const front = {{ {', '.join(parts)} }};"


def _units(units: Units) -> str:
    if units.units in ("bpe", "unigram"):
        raise UsageError("a page can't split texts into subwords yet; export to onnx or c")
    flags = f"lowercase: {int(units.lowercase)}, digits: {int(units.digits_to_zero)}"
    return f'known({compact(units.names)}, {{ units: "{units.units}", {flags} }})'
