"""HTML page of a trace, self-contained: template, script and data in one file.

The page is safe against injection by tokens: the data are a block of JSON with `<`, `>` and `&` escaped, the script
sets text content only, and the content security policy allows no other script, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.inspection.maps import Map
from unspool.inspection.overview import columns, extent, legend, lookups, scale, sentences, units
from unspool.inspection.trace import Trace, visible
from unspool.inspection.words import lines_of

__all__ = ["page"]


def page(trace: Trace) -> str:
    """Return the HTML page of a trace; it loads nothing from the network."""
    here = files("unspool.inspection")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title = " ".join(map(visible, trace.tokens))
    parts = {
        "%SCRIPT_HASH%": f"sha256-{digest}",
        "%TITLE%": escape(title if len(title) <= 80 else title[:79] + "…"),
        "%SCRIPT%": script,
        "%DATA%": _json(_content(trace)),
    }
    template = here.joinpath("page.html").read_text(encoding="utf-8")
    pieces: list[str] = []
    for part, text in sorted(parts.items(), key=lambda item: template.index(item[0])):
        before, template = template.split(part, 1)
        pieces += [before, text]
    return "".join([*pieces, template])


def _content(trace: Trace) -> dict[str, Any]:
    return {
        "model": trace.model,
        "notes": trace.notes,
        "tokens": [visible(token) for token in trace.tokens],
        "prediction": _prediction(trace),
        "maps": [_map(name, matrix) for name, matrix in trace.maps.items()],
        "places": [_place(trace, place) for place in trace.places],
        "arrays": [_array(trace, name) for name in trace.arrays],
        "written": None if trace.written is None else _content(trace.written),
    }


def _map(name: str, matrix: Map) -> dict[str, Any]:
    low, high = extent(matrix.values)
    return {
        "name": name,
        "rows": [visible(token) for token in matrix.rows],
        "columns": [visible(token) for token in matrix.columns],
        "low": low,
        "high": high,
        "lookups": lookups(matrix),
        "data": base64.b64encode(matrix.values.astype("<f4").tobytes()).decode(),
    }


def _place(trace: Trace, place: str) -> dict[str, Any]:
    place_columns = columns(trace, place)
    return {
        "name": place,
        "columns": [{"title": c.title, "high": c.high, "values": _numbers(c.values)} for c in place_columns],
        "sentences": sentences(trace, place),
        "legend": legend(place_columns, units(trace.at(place))),
    }


def _array(trace: Trace, name: str) -> dict[str, Any]:
    array = trace.array(name)
    low, high = scale(name.rpartition(" / ")[2], array)
    data = base64.b64encode(array.astype("<f4").tobytes()).decode()
    return {"name": name, "units": array.shape[1], "low": low, "high": high, "data": data}


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
        "probabilities": ranked[:50],
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
