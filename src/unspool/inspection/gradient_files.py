"""Files of gradients through time: JSON, npz, CSV, SVG picture, HTML page.

The JSON is the `record` of the result. The npz has each array under its name, such as `layer 1 / h`, (losses, steps),
and the rest as text in `gradients.json`. The CSV has the columns `network, array, position, loss, step, token, norm`;
positions and steps count from 1.
"""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from unspool.inspection.gradient_picture import gradient_picture
from unspool.inspection.gradients import Gradients
from unspool.inspection.result import new_file
from unspool.writing import replace_file

__all__ = ["FORMATS", "write_comparison", "write_gradients"]

FORMATS = (".json", ".npz", ".csv", ".svg", ".html")
"""Suffixes that `write_gradients` knows."""


def write_gradients(gradients: Gradients, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write gradients atomically, in the form of the file's suffix.

    Args:
        gradients: The gradients.
        path: A file .json, .npz, .csv, .svg or .html, in an existing folder.
        overwrite: Whether to replace an existing file.

    Returns:
        The path.

    Raises:
        UsageError: If the suffix is unknown, the folder is missing, or the file exists and `overwrite` is False.
        MachineError: If the file can't be written.
    """
    path = new_file(path, FORMATS, "a gradient", overwrite=overwrite)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        replace_file(path, _npz(gradients))
    elif suffix == ".svg":
        replace_file(path, gradient_picture({"": gradients}).encode("utf-8", "backslashreplace"))
    elif suffix == ".html":
        replace_file(path, _page(gradient_picture({"": gradients}), {"": gradients.record()}, gradients.sentences()))
    else:
        replace_file(path, _text(gradients.record(), {"": gradients.record()}, suffix))
    return path


def write_comparison(
    record: Mapping[str, Any], picture: str, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a comparison atomically, as .json, .csv, .svg or .html.

    Args:
        record: The record of a `GradientComparison`.
        picture: Its picture.
        path: The file.
        overwrite: Whether to replace an existing file.

    Raises:
        UsageError: If the suffix is unknown, the folder is missing, or the file exists and `overwrite` is False.
        MachineError: If the file can't be written.
    """
    forms = tuple(form for form in FORMATS if form != ".npz")
    path = new_file(path, forms, "a gradient comparison", overwrite=overwrite)
    suffix = path.suffix.lower()
    if suffix == ".svg":
        replace_file(path, picture.encode("utf-8", "backslashreplace"))
    elif suffix == ".html":
        replace_file(path, _page(picture, record["networks"], []))
    else:
        replace_file(path, _text(record, record["networks"], suffix))
    return path


def _npz(gradients: Gradients) -> bytes:
    record = {key: value for key, value in gradients.record().items() if key != "norms"}
    arrays = {**gradients.norms, **{f"{place} / jacobian": each.values for place, each in gradients.jacobians.items()}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("gradients.json"), json.dumps(record, allow_nan=False))
        for name, array in arrays.items():
            with file.open(zipfile.ZipInfo(f"{name}.npy"), "w") as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _text(record: Mapping[str, Any], networks: Mapping[str, Any], suffix: str) -> bytes:
    return (_csv(networks) if suffix == ".csv" else json.dumps(record, allow_nan=False)).encode(
        "utf-8", "backslashreplace"
    )


def _csv(networks: Mapping[str, Any]) -> str:
    buffer = io.StringIO(newline="")
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(["network", "array", "position", "loss", "step", "token", "norm"])
    for network, record in networks.items():
        for name, array in record["norms"].items():
            for position, (loss, norms) in enumerate(zip(record["losses"], array, strict=True), start=1):
                for step, (token, norm) in enumerate(zip(record["tokens"], norms, strict=True), start=1):
                    rows.writerow([network or record["model"], name, position, loss, step, token, norm])
    return buffer.getvalue()


def _page(picture: str, networks: Mapping[str, Any], sentences: list[str]) -> bytes:
    """Return a page without scripts: the picture, and a table of the decays."""
    rows = "".join(
        f"<tr><td>{escape(network or record['model'])}</td><td>{escape(name)}</td>"
        + "".join(f"<td>{_figure(decay[key])}</td>" for key in ("slope", "half_life"))
        + "</tr>"
        for network, record in networks.items()
        for name, decay in record["decay"].items()
    )
    lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gradient through time</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        "<style>body{font:14px system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem}"
        "svg{max-width:100%;height:auto}td,th{padding:.2rem .8rem .2rem 0;text-align:left}</style></head><body>"
        f"<h1>Gradient through time</h1>{lines}{picture}<table><tr><th>network</th><th>array</th>"
        f"<th>slope per step</th><th>half-life, steps</th></tr>{rows}</table></body></html>\n"
    )
    return page.encode("utf-8", "backslashreplace")


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
