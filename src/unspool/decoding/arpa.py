r"""ARPA files: n-gram language models as text.

A file lists base-10 logarithms of probability and backoff weight: `\data\`, a line `ngram 1=120` per order, a section
`\1-grams:` per order with lines `log10(p) <tab> units <tab> log10(backoff)`, and `\end\`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from unspool.data.files import decode_line, numbered_lines
from unspool.decoding.ngrams import UNKNOWN_UNIT, Context, Entry, NgramModel
from unspool.errors import DataError, counted
from unspool.writing import replace_file

__all__ = ["read_arpa", "write_arpa"]

_COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)$")
_SECTION = re.compile(r"\\(\d+)-grams:$")
_LONGEST = 20  # maximum order of a file


def write_arpa(model: NgramModel, path: str | Path) -> None:
    """Write a language model as an ARPA file; `read_arpa` returns an equal one.

    Raises:
        MachineError: If the file can't be written; an earlier file is unchanged.
    """
    lines = ["\\data\\", *(f"ngram {order}={len(level)}" for order, level in enumerate(model.levels, start=1)), ""]
    for order, level in enumerate(model.levels, start=1):
        lines.append(f"\\{order}-grams:")
        for gram, entry in level.items():
            units = " ".join(model.units[id] for id in gram)
            backoff = f"\t{entry.backoff!r}" if order < model.order else ""
            lines.append(f"{entry.probability!r}\t{units}{backoff}")
        lines.append("")
    replace_file(Path(path), "\n".join([*lines, "\\end\\", ""]).encode())


def read_arpa(path: str | Path) -> NgramModel:
    """Read an ARPA file.

    Raises:
        DataError: If the file is missing or no ARPA file; the message names the line.
    """
    counts: list[int] = []
    levels: list[dict[Context, Entry]] = []
    ids: dict[str, int] = {}
    order, state = 0, "before"
    for where, line in _lines(str(path)):
        section = _SECTION.match(line)
        if state == "before":
            state = "counts" if line == "\\data\\" else state
        elif line == "\\end\\":
            state = "after"
            break
        elif section:
            order, state = int(section[1]), "entries"
            if not 1 <= order <= len(counts):
                raise DataError(f"a section of {order}-grams came, and the header counts none", where)
        elif state == "counts":
            counts.append(_count(line, where, len(counts) + 1))
            levels.append({})
        else:
            gram, entry = _entry(line, where, order, ids)
            levels[order - 1][gram] = entry
    if state == "before":
        raise DataError("there is no line \\data\\; expected a language model in ARPA form", str(path))
    if state != "after":
        raise DataError("the file ends without \\end\\: it is not complete", str(path))
    for number, (count, level) in enumerate(zip(counts, levels, strict=True), start=1):
        if count != len(level):
            raise DataError(f"the header counts {count:,} {number}-grams, and {len(level):,} came", str(path))
    try:
        return NgramModel(tuple(ids), levels)
    except DataError as error:
        raise DataError(error.message, str(path)) from None


def _lines(path: str) -> Iterator[tuple[str, str]]:
    for number, raw in numbered_lines(path):
        where = f"{path}:{number}"
        line = decode_line(raw, where).strip()
        if line:
            yield where, line


def _count(line: str, where: str, order: int) -> int:
    """Return the number of n-grams that a line of the header counts."""
    match = _COUNT.match(line)
    if match is None or int(match[1]) != order or order > _LONGEST:
        raise DataError(f"{line!r:.60} came; expected a count such as ngram {order}=120", where)
    return int(match[2])


def _entry(line: str, where: str, order: int, ids: dict[str, int]) -> tuple[Context, Entry]:
    """Return the n-gram of a line and its numbers; unigrams add their unit to `ids`."""
    parts = line.split()
    if len(parts) not in (order + 1, order + 2):
        raise DataError(f"{line!r:.60} came; expected log10(p), {counted(order, 'units')}, log10(backoff)", where)
    try:
        probability, backoff = float(parts[0]), float(parts[order + 1]) if len(parts) == order + 2 else 0.0
    except ValueError:
        probability = backoff = math.nan
    if not (probability <= 0 and math.isfinite(probability) and math.isfinite(backoff)):
        raise DataError(f"{line!r:.60} came; expected finite logarithms, that of a probability at most 0", where)
    units = [UNKNOWN_UNIT if unit == "<UNK>" else unit for unit in parts[1 : order + 1]]
    if order == 1:
        ids.setdefault(units[0], len(ids))
    for unit in units:
        if unit not in ids:
            raise DataError(f"the unit {unit!r} is not among the 1-grams", where)
    return tuple(ids[unit] for unit in units), Entry(probability, backoff)
