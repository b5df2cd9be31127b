"""C99 for products of a row with a matrix: weights packed in panels of columns, float32 or int8.

A panel holds 32 columns, line behind line, so that a product adds up 32 sums in registers and reads its weights in one
stream. The columns that are left over make panels of 16, 8 and 4; the last one is filled with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["PANELS", "pack", "product_functions", "product_name"]

PANELS = (32, 16, 8, 4)
"""Columns of a panel."""


def panels(width: int) -> list[int]:
    """Return the columns of each panel of a matrix so many columns wide, widest first."""
    left = -(-width // PANELS[-1]) * PANELS[-1]
    counts = []
    for columns in PANELS:
        counts += [columns] * (left // columns)
        left %= columns
    return counts


def pack(matrix: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pack a matrix, (depth, width), into panels, one behind the other, in one dimension."""
    depth, width = matrix.shape
    padded = np.zeros((depth, -(-width // PANELS[-1]) * PANELS[-1]), matrix.dtype)
    padded[:, :width] = matrix
    cuts = np.cumsum([0, *panels(width)])
    parts = [padded[:, start:stop].ravel() for start, stop in pairwise(cuts)]
    return np.concatenate(parts)


def product_name(kind: str) -> str:
    """Return the name of the C function that multiplies with weights of a kind, `float` or `int8`."""
    return f"product_{kind}"


def product_functions(kinds: Sequence[str]) -> str:
    """Return the C functions for products with weights of some kinds, `float` and `int8`."""
    parts = [_VECTORS]
    if "float" in kinds:
        parts += [_panel(columns) for columns in PANELS]
        parts.append(_FLOAT)
    if "int8" in kinds:
        parts.append(_INT8)
    return "\n".join(parts) if kinds else ""


_VECTORS = """\
#if defined(__GNUC__) && (defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__))
typedef float four __attribute__((vector_size(16), aligned(4), may_alias)); /* four numbers in a register */
#define LOAD(at) (*(const four *)(at))
#define STORE(at, sums) (*(four *)(at) = (sums))
#define ADD_TIMES(sums, x, at) ((sums) += (x) * LOAD(at))
#define ZERO {0.0f, 0.0f, 0.0f, 0.0f}
#else
typedef struct { float part[4]; } four;
#define STORE(at, sums) memcpy(at, (sums).part, sizeof(sums))
#define ADD_TIMES(sums, x, at) ((sums).part[0] += (x) * (at)[0], (sums).part[1] += (x) * (at)[1], \\
    (sums).part[2] += (x) * (at)[2], (sums).part[3] += (x) * (at)[3])
#define ZERO {{0.0f, 0.0f, 0.0f, 0.0f}}
#endif
"""


def _panel(columns: int) -> str:
    """Return the function of one panel of float32; sums stand in registers."""
    count = columns // 4
    names = [f"s{number}" for number in range(count)]
    zeros = ", ".join(f"{name} = ZERO" for name in names)
    body = "\n".join(f"        ADD_TIMES({name}, x[i], w + {4 * n});" for n, name in enumerate(names))
    stores = "\n".join(f"    STORE(y + {4 * n}, {name});" for n, name in enumerate(names))
    return f"""\
static const float *panel_{columns}(const float *x, int depth, const float *w, float *y)
{{
    four {zeros};
    int i;
    for (i = 0; i < depth; i++, w += {columns}) {{
{body}
    }}
{stores}
    return w;
}}
"""


_FLOAT = """\
/* y = x W: `depth` numbers in, `width` out; W is packed in panels of 32, 16, 8 and 4 columns */
static void product_float(const float *x, int depth, const float *w, int width, float *y)
{
    float whole[32];
    while (width > 0) {
        int left = (width + 3) / 4 * 4, columns = left >= 32 ? 32 : left >= 16 ? 16 : left >= 8 ? 8 : 4;
        float *to = width >= columns ? y : whole;
        w = columns == 32 ? panel_32(x, depth, w, to) : columns == 16 ? panel_16(x, depth, w, to)
            : columns == 8 ? panel_8(x, depth, w, to) : panel_4(x, depth, w, to);
        if (to == whole)
            memcpy(y, whole, (size_t)width * sizeof *y);
        y += columns;
        width -= columns;
    }
}
"""

_INT8 = """\
/* the same with weights of 8 bits, each column with a scale of its own */
static void product_int8(const float *x, int depth, const int8_t *w, const float *scales, int width, float *y)
{
    while (width > 0) {
        int left = (width + 3) / 4 * 4, columns = left >= 32 ? 32 : left >= 16 ? 16 : left >= 8 ? 8 : 4, i, k;
        float sums[32] = {0.0f};
        if (columns == 32) {
            for (i = 0; i < depth; i++, w += 32)
                for (k = 0; k < 32; k++)
                    sums[k] += x[i] * (float)w[k];
        } else {
            for (i = 0; i < depth; i++, w += columns)
                for (k = 0; k < columns; k++)
                    sums[k] += x[i] * (float)w[k];
        }
        for (k = 0; k < columns && k < width; k++)
            y[k] = sums[k] * scales[k];
        y += columns;
        scales += columns;
        width -= columns;
    }
}
"""
