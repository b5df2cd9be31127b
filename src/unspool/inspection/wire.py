"""Traces as bytes for a browser: a header of JSON, then all arrays as float32, so that no digit is lost or parsed.

The form, in order:

- 8 bytes, the length of the header as a little-endian integer;
- the header, padded with spaces to a multiple of 8 bytes: `trace`, a trace file without values; `view`, what a page
  draws; and `numbers`, a list of `{"name", "shape", "begin"}`, where `begin` counts float32 numbers;
- the numbers, little-endian.
"""

from __future__ import annotations

import struct
from typing import Any

from unspool.inspection.files import all_numbers, encode, names_record
from unspool.inspection.page import content_of
from unspool.inspection.trace import Trace

__all__ = ["pack"]


def pack(trace: Trace) -> bytes:
    """Return a trace, that of the written text included, in the form of this module."""
    places: list[dict[str, Any]] = []
    numbers: list[bytes] = []
    begin = 0
    for name, array in all_numbers(trace):
        places.append({"name": name, "shape": list(array.shape), "begin": begin})
        numbers.append(array.astype("<f4").tobytes())
        begin += array.size
    header = encode({"trace": names_record(trace), "view": content_of(trace, values=False), "numbers": places})
    header += b" " * (-len(header) % 8)
    return b"".join([struct.pack("<Q", len(header)), header, *numbers])
