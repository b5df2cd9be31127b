"""Traces as bytes for a browser: a header of JSON, then all arrays as float32, so that no digit is lost or parsed.

The form: 8 bytes, the length of the header as a little-endian integer; the header, a trace file in JSON without values
and with `arrays`, a list of `{"name", "shape", "begin"}`, where `begin` counts float32 numbers; and the numbers,
little-endian. The header is padded with spaces to a multiple of 8 bytes, so that a browser needs no copy.
"""

from __future__ import annotations

import struct
from typing import Any

from unspool.inspection.files import all_numbers, encode, names_record
from unspool.inspection.trace import Trace

__all__ = ["pack"]


def pack(trace: Trace) -> bytes:
    """Return a trace, that of the written text included, in the form of this module."""
    arrays: list[dict[str, Any]] = []
    numbers: list[bytes] = []
    begin = 0
    for name, array in all_numbers(trace):
        arrays.append({"name": name, "shape": list(array.shape), "begin": begin})
        numbers.append(array.astype("<f4").tobytes())
        begin += array.size
    header = encode({**names_record(trace), "arrays": arrays})
    header += b" " * (-len(header) % 8)
    return b"".join([struct.pack("<Q", len(header)), header, *numbers])
