"""The HTML page of a sheet: weights, run time, model and view in one file that needs no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from unspool.errors import UsageError
from unspool.ship.page.artefact import PageArtefact
from unspool.ship.page.minify import minified
from unspool.ship.page.program import ProgramWriter, compact
from unspool.ship.page.script import VIEW, Kernels, part
from unspool.ship.page.weights import Weights
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels, TagNames, TextFront, Units
from unspool.ship.targets import Options
from unspool.writing import replace_file

__all__ = ["export", "model_script"]

_ORDER = ["erf.js", "weights.js", "memory.js", "unroll.js", "layers.js", "text.js", "spelling.js", "ngrams.js"]
_VIEWS = {"classify": "classify", "tag": "tag"}


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
    if sheet.task not in _VIEWS:
        raise UsageError(f"there is no page for models of the task {sheet.task!r} yet; export to onnx or c")
    weights = Weights(options.small)
    model = model_script(sheet, weights)
    view = _joined(["view.js", f"view_{_VIEWS[sheet.task]}.js"])
    style = "".join(part(name) for name in ("page.css", f"view_{_VIEWS[sheet.task]}.css"))
    script = f"{minified(model)}\n{VIEW}\n{minified(view)}"
    page = part("page.html")
    for name, value in {
        "HASH": b64encode(sha256(script.encode()).digest()).decode(),
        "TITLE": escape(options.title or sheet.task),
        "STYLE": style,
        "WEIGHTS": weights.block(),
        "SCRIPT": script,
    }.items():
        page = page.replace(f"%{name}%", value)
    replace_file(path, page.encode())
    return PageArtefact(path)


def model_script(sheet: Sheet, weights: Weights) -> str:
    """Return the script that defines `load`, an async function that returns the model.

    Args:
        sheet: The model.
        weights: Takes the arrays of the model.
    """
    kernels, definitions, parts = Kernels(), [], {"weights.js", "memory.js", "text.js", f"task_{sheet.task}.js"}
    back = sheet.back
    if sheet.run is not None:
        writer = ProgramWriter(sheet.run, "w", weights, kernels)
        parts |= writer.parts
        definitions += [*writer.definitions, f"const run = fresh({writer.function});"]
    parts |= {"spelling.js"} if sheet.front.spelling else set()
    parts |= {"ngrams.js"} if sheet.front.ngrams else set()
    task = _classify(back) if isinstance(back, Labels) else _tag(back)
    lines = [
        _joined([name for name in _ORDER if name in parts] + [f"task_{sheet.task}.js"]),
        kernels.script(),
        'const block = bytes(document.getElementById("weights").textContent);',
        "const load = async (language) => {",
        "  language = await begin(language === 'JavaScript' ? null : module, plain);",
        _front(sheet.front, weights),
        *definitions,
        f"  return {{ language, ...{task} }};",
        "};",
    ]
    return "\n".join([*lines[:3], f"const arrays = {weights.table()};", *lines[3:]])


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


def _front(front: TextFront, weights: Weights) -> str:
    parts = [f"units: {_units(front.units)}"]
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
