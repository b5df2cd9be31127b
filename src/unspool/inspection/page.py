"""HTML page of a trace, self-contained: template, script and data in one file.

The page is safe against injection by tokens: the data are a block of JSON with `<`, `>` and `&` escaped, the script
sets text content only, and the content security policy allows no other script, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.maps import Map
from unspool.inspection.overview import columns, extent, legend, lookups, scale, sentences, units
from unspool.inspection.trace import Trace, visible
from unspool.inspection.words import lines_of

__all__ = ["content_of", "page"]


def page(trace: Trace, **state: Any) -> str:
    """Return the HTML page of a trace; it loads nothing from the network.

    Args:
        trace: The trace.
        state: First choices of the page: `array`, `map`, `place`, by name.
    """
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    words = trace.tokens if trace.image is None or trace.written is None else trace.written.tokens
    title = " ".join(map(visible, words))
    parts = {
        "%SCRIPT_HASH%": f"sha256-{digest}",
        "%TITLE%": escape(title if len(title) <= 80 else title[:79] + "…"),
        "%STYLE%": _static("theme.css"),
        "%SCRIPT%": script,
        "%DATA%": _json({**content_of(trace), "state": state}),
    }
    template = _static("page.html")
    pieces: list[str] = []
    for part, text in sorted(parts.items(), key=lambda item: template.index(item[0])):
        before, template = template.split(part, 1)
        pieces += [before, text]
    return "".join([*pieces, template])


@cache
def _script() -> str:
    """Return the modules of the page as one script; a module that stands alone can't import others."""
    modules = "".join(_static(name) for name in ("dom.js", "heatmap.js", "trace_view.js", "saved_page.js"))
    return "".join(
        line for line in modules.splitlines(keepends=True) if not line.startswith(("import ", '"use strict"'))
    )


@cache
def _static(name: str) -> str:
    return files("unspool.inspection").joinpath("static", name).read_text(encoding="utf-8")


def content_of(trace: Trace, *, values: bool = True) -> dict[str, Any]:
    """Return what a page draws: the trace with the columns, sentences and legends of its views.

    Args:
        trace: The trace.
        values: Whether arrays and maps hold their values, as base64 of little-endian float32.
    """
    return {
        "model": trace.model,
        "notes": trace.notes,
        "tokens": [visible(token) for token in trace.tokens],
        "prediction": _prediction(trace),
        "maps": [_map(name, matrix, values) for name, matrix in trace.maps.items()],
        "places": [_place(trace, place) for place in trace.places],
        "arrays": [_array(trace, name, values) for name in trace.arrays],
        "image": None if trace.image is None else trace.image.record(),
        "written": None if trace.written is None else content_of(trace.written, values=values),
    }


def _map(name: str, matrix: Map, values: bool) -> dict[str, Any]:
    low, high = extent(matrix.values)
    return {
        "name": name,
        "rows": [visible(token) for token in matrix.rows],
        "columns": [visible(token) for token in matrix.columns],
        "low": low,
        "high": high,
        "lookups": lookups(matrix),
        **_data(matrix.values, values),
    }


def _place(trace: Trace, place: str) -> dict[str, Any]:
    place_columns = columns(trace, place)
    return {
        "name": place,
        "columns": [{"title": c.title, "high": c.high, "values": _numbers(c.values)} for c in place_columns],
        "sentences": sentences(trace, place),
        "legend": legend(place_columns, units(trace.at(place))),
    }


def _array(trace: Trace, name: str, values: bool) -> dict[str, Any]:
    array = trace.array(name)
    low, high = scale(name.rpartition(" / ")[2], array)
    return {"name": name, "units": array.shape[1], "low": low, "high": high, **_data(array, values)}


def _data(array: NDArray[np.float32], values: bool) -> dict[str, str]:
    return {"data": base64.b64encode(array.astype("<f4").tobytes()).decode()} if values else {}


def _prediction(trace: Trace) -> dict[str, Any]:
    rest = dict(trace.prediction)
    label, labels, probabilities = rest.pop("label", None), rest.pop("labels", None), rest.pop("probabilities", None)
    ranked = (
        sorted(probabilities.items(), key=lambda item: -(item[1] or 0.0)) if isinstance(probabilities, dict) else []
    )
    titles = {"tags": "tag", "tag_probabilities": "probability", "surprise": "surprise (nats)"}
    per_token = [{"title": title, "values": rest.pop(key)} for key, title in titles.items() if key in rest]
    return {
        "shown": bool(rest or ranked or label is not None or labels is not None),
        "labels": [str(name) for name in (labels if isinstance(labels, list) else [label]) if name is not None],
        "probabilities": [[visible(name), value] for name, value in ranked[:50]],
        "tags": [str(tag) for tag in trace.prediction.get("tags", ())],
        "perToken": per_token,
        "others": [line for key, value in rest.items() for line in lines_of(key, value)],
    }


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [round(float(value), 6) if np.isfinite(value) else None for value in values]


def _json(content: dict[str, Any]) -> str:
    """Return JSON in ASCII that can't end its script block."""
    text = json.dumps(content, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
