"""Damage to bytes, JSON, safetensors and folders, all of it drawn from a `random.Random`."""

from __future__ import annotations

import copy
import gzip
import json
import os
import random
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NESTING = "nesting"
"""The kind of damage that nests brackets by the thousand."""

ODD = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**6, 2**31, 2**63, -(2**63), 10**30, 10**400),
    *(-0.5, 0.5, 1e-300, 1e38, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "a", "0", "nan", "\ud800", "a\udfffb", "\x00", "\x1b[31mred", "\u202e", "\n", "é" * 700, "x" * 20_000),
    *("../../../etc/passwd", "/dev/zero", "file.py:Cell", "lstm", "ntm(slots=9)"),
    *([], {}, [[]], [None], [0, 1, 2], {"a": 1}, {"": {}}),
)
TEXTS = (
    *("\ud800", "\U0010ffff", "\u202e", "\x85", "\u2028", "\ufeff", "\x00", "\x1b[2J"),
    *("´`'\"", "]}>", "\t", "\r", ",;"),
)
NUMBERS = ("0", "-1", "1e999", "nan", "-inf", "9" * 30, "9" * 5000, "0.0000000001", "18446744073709551616", "1_0")


def odd(draw: random.Random) -> Any:
    """One of `ODD`, copied: what a case changes in it stays in that case."""
    return copy.deepcopy(draw.choice(ODD))


def damaged_bytes(draw: random.Random, content: bytes) -> bytes:
    """Content with one to three of the changes of `BYTES`."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = draw.choice(BYTES)(draw, content)
    return content


def _span(draw: random.Random, content: bytes) -> tuple[int, int]:
    start = draw.randint(0, len(content))
    return start, min(len(content), start + draw.choice((1, 2, 4, 8, 16, 100, 1000)))


def _flip(draw: random.Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 10, 100)) if content else 0):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def _truncate(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randint(0, len(content))]


def _insert(draw: random.Random, content: bytes) -> bytes:
    place, size = draw.randint(0, len(content)), draw.choice((1, 2, 8, 100, 5000))
    pieces = (draw.randbytes(size), b"\x00" * size, b"\xff" * size, b"\n" * size, b'"' * size, b"{" * min(size, 100))
    return content[:place] + draw.choice(pieces) + content[place:]


def _insert_text(draw: random.Random, content: bytes) -> bytes:
    place = draw.randint(0, len(content))
    return content[:place] + draw.choice(TEXTS).encode("utf-8", "surrogatepass") + content[place:]


def _overwrite(draw: random.Random, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:start] + draw.choice((b"\x00", b"\xff", b" ", b"7")) * (end - start) + content[end:]


def _replace(draw: random.Random, content: bytes) -> bytes:
    size = draw.choice((0, 1, 8, len(content), 4096))
    return draw.choice((b"", b"\x00" * size, b"\xff" * size, draw.randbytes(size), b"\n" * size))


def _delete(draw: random.Random, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:start] + content[end:]


def _double(draw: random.Random, content: bytes) -> bytes:
    start, end = _span(draw, content)
    return content[:end] + content[start:end] * draw.choice((1, 1, 50)) + content[end:]


def _swap(draw: random.Random, content: bytes) -> bytes:
    first, second = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
    return content[second:] + content[first:second] + content[:first]


def _rows(draw: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        place, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        change = draw.randrange(3)
        if change == 0:
            lines.insert(place, lines[other] * draw.choice((1, 1, 300)))
        elif change == 1:
            del lines[place]
        else:
            lines[place], lines[other] = lines[other], lines[place]
    return b"".join(lines)


def _number(draw: random.Random, content: bytes) -> bytes:
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not numbers:
        return content
    chosen = draw.choice(numbers)
    return content[: chosen.start()] + draw.choice(NUMBERS).encode() + content[chosen.end() :]


BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip, _truncate, _insert, _insert_text, _overwrite, _replace, _delete, _double, _swap, _rows, _number),
)


def damaged_json(draw: random.Random, content: bytes) -> tuple[str, bytes]:
    """JSON with a key or value changed somewhere, and what was done; anything else is damaged as bytes."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return "bytes", damaged_bytes(draw, content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        what, tree = _changed_tree(draw, tree)
        if what == NESTING:
            opened, closed = draw.choice((("[", "]"), ('{"a":', "}")))
            deep = opened * 100_000 + "0" * (opened != "[") + closed * 100_000
            return what, json.dumps(tree).replace('"<nesting>"', deep, 1).encode()
        if what == "twice":
            key = draw.choice(_keys(tree) or ["null"])
            return what, json.dumps(tree).replace('"<twice>": ', f"{key}: ", 1).encode()
    return what, json.dumps(tree, indent=draw.choice((None, 2))).encode()


def _changed_tree(draw: random.Random, tree: Any) -> tuple[str, Any]:
    places = list(_places(tree))
    what = draw.choice(("delete", "odd", "odd", "odd", "odd", "rename", "add", "swap", "twice", NESTING, "repeat"))
    if what == NESTING and draw.random() < 0.8:
        what = "odd"  # one in ten of all changes is enough
    if not places:
        return what, "<nesting>" if what == NESTING else odd(draw)
    parent, key = draw.choice(places)
    if what == "delete":
        del parent[key]
    elif what == "odd":
        parent[key] = odd(draw)
    elif what == NESTING:
        parent[key] = "<nesting>"
    elif what == "swap":
        other, name = draw.choice(places)
        parent[key], other[name] = json.loads(json.dumps(other[name])), json.loads(json.dumps(parent[key]))
    elif isinstance(parent, list):
        parent[key:key] = [parent[key]] * draw.choice((1, 1, 3000))
    elif what == "rename":
        parent[draw.choice(("", "a", "\ud800", f"{key}s", str(key).upper()))] = parent.pop(key)
    elif what == "add":
        parent[draw.choice(("x", "\ud800", "\x1b", "format", "__class__"))] = odd(draw)
    else:
        parent["<twice>"] = odd(draw)
        what = "twice"
    return what, tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a tree, as what holds it and its key there."""
    held = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(held):
        yield tree, key
        yield from _places(value)


def _keys(tree: Any) -> list[str]:
    return [json.dumps(key) for parent, key in _places(tree) if isinstance(parent, dict) and key != "<twice>"]


def damaged_tensors(draw: random.Random, content: bytes) -> tuple[str, bytes]:
    """A safetensors file with its header changed, or its numbers."""
    size = int.from_bytes(content[:8], "little")
    header, numbers = content[8 : 8 + size], bytearray(content[8 + size :])
    what = draw.choice(("header", "header", "record", "size", "numbers", "numbers", "bytes"))
    try:
        tree = json.loads(header)
        record = tree["__metadata__"]["unspool"]
    except (ValueError, KeyError, TypeError):  # damaged before
        return "bytes", damaged_bytes(draw, content)
    if what == "header":
        how, header = damaged_json(draw, header)
        what = f"header, {how}"
    elif what == "record":
        how, changed = damaged_json(draw, record.encode())
        tree["__metadata__"]["unspool"] = changed.decode("utf-8", "replace")
        what, header = f"record, {how}", json.dumps(tree).encode()
    elif what == "size":
        wrong = draw.choice((0, 1, 2**31, 2**63, 2**64 - 1, size - 1, size + 8))
        return what, wrong.to_bytes(8, "little") + content[8:]
    elif what == "numbers" and len(numbers) >= 4:
        number = struct.pack("<f", draw.choice((float("nan"), float("inf"), float("-inf"), 1e38, -3e38, 1e20, 1e-40)))
        for _ in range(draw.choice((1, 1, 20))):
            place = draw.randrange(len(numbers) // 4) * 4
            numbers[place : place + 4] = number
    else:
        return "bytes", damaged_bytes(draw, content)
    return what, len(header).to_bytes(8, "little") + header + bytes(numbers)


def damaged_content(draw: random.Random, name: str, content: bytes) -> tuple[str, bytes]:
    """A file's content, damaged in a way that fits its form, and what was done."""
    if name.endswith(".gz") and draw.random() < 0.5:
        what, inner = damaged_content(draw, name.removesuffix(".gz"), gzip.decompress(content))
        return f"packed, {what}", gzip.compress(inner, mtime=0)
    if name.endswith(".json") and draw.random() < 0.8:
        return damaged_json(draw, content)
    if name.endswith(".jsonl") and draw.random() < 0.6:
        lines = content.splitlines(keepends=True)
        place = draw.randrange(len(lines))
        what, lines[place] = damaged_json(draw, lines[place])
        return what, b"\n".join(line.strip() for line in lines)
    if name.endswith(".safetensors") and draw.random() < 0.8:
        return damaged_tensors(draw, content)
    return "bytes", damaged_bytes(draw, content)


def damage_file(draw: random.Random, path: Path, *, outside: Path) -> str:
    """Damage one file in its place, or put something else there; returns what was done."""
    if draw.random() < 0.75:
        try:
            what, content = damaged_content(draw, path.name, path.read_bytes())
        except (RecursionError, ValueError, IndexError):  # damaged before, beyond what a reader of its form takes
            what, content = "bytes", damaged_bytes(draw, path.read_bytes())
        path.write_bytes(content)
        return f"{path.name}: {what}"
    what = draw.choice(tuple(INSTEAD))
    content = path.read_bytes()
    path.unlink()
    INSTEAD[what](path, content, outside)
    return f"{path.name}: {what}"


def _endless(path: Path, content: bytes, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def _link(path: Path, content: bytes, outside: Path) -> None:
    (outside / path.name).write_bytes(content)
    path.symlink_to(outside / path.name)


def _link_inside(path: Path, content: bytes, outside: Path) -> None:
    path.with_name(f"moved-{path.name}").write_bytes(content)
    path.symlink_to(f"moved-{path.name}")


def _huge(path: Path, content: bytes, outside: Path) -> None:
    path.write_bytes(content)
    os.truncate(path, 1 << 36)


INSTEAD: dict[str, Callable[[Path, bytes, Path], None]] = {
    "nothing": lambda path, content, outside: None,
    "empty": lambda path, content, outside: path.write_bytes(b"") and None,
    "a folder": lambda path, content, outside: path.mkdir(),
    "a pipe": lambda path, content, outside: os.mkfifo(path),
    "a loop": lambda path, content, outside: path.symlink_to(path.name),
    "a link to nothing": lambda path, content, outside: path.symlink_to("nowhere"),
    "a link to an endless file": _endless,
    "a link out of the folder": _link,
    "a link inside the folder": _link_inside,
    "a file of 64 GB": _huge,
}
"""What may stand where a file was."""
