"""C99 for products of a row with a matrix: weights packed in panels of columns, of 32, 8 or 4 bits.

A panel holds 32 columns, line behind line, so that a product adds up 32 sums in registers and reads its weights in one
stream. The columns that are left over make panels of 16, 8 and 4; the last one is filled with zeros.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["PANELS", "ROWS", "pack", "pack_int4", "panels", "product_functions"]

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


def pack_int4(matrix: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pack a matrix of numbers 0 to 15 into panels; a byte holds column k of a panel, and column k + half of it."""
    depth, width = matrix.shape
    packed: NDArray[np.uint8] = pack(matrix.astype(np.uint8)).astype(np.uint8)
    parts: list[NDArray[np.uint8]] = []
    place = 0
    for columns in panels(width):
        panel = packed[place : place + depth * columns].reshape(depth, columns)
        halves = panel[:, : columns // 2], np.left_shift(panel[:, columns // 2 :], 4)
        parts.append(np.bitwise_or(*halves).ravel())
        place += depth * columns
    return np.concatenate(parts)


def product_functions(kinds: Collection[str]) -> str:
    """Return the C functions for products with weights of some kinds: `float`, `int8` and `int4`."""
    parts = []
    if "float" in kinds:
        parts += [*(_panel(columns) for columns in PANELS), _FLOAT]
    parts += [_INT8] * ("int8" in kinds) + [_INT4] * ("int4" in kinds)
    return "\n".join(parts)


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

_INT4 = """\
/* the same with weights of 4 bits; each group of 32 numbers of a column has a scale and an offset, line behind line */
static void product_int4(const float *x, int depth, const uint8_t *w, const float *scales, const float *offsets,
    int width, float *y)
{
    int column = 0;
    while (column < width) {
        int left = (width - column + 3) / 4 * 4, columns = left >= 32 ? 32 : left >= 16 ? 16 : left >= 8 ? 8 : 4;
        int here = width - column < columns ? width - column : columns, half = columns / 2, start, i, k;
        float totals[32] = {0.0f};
        for (start = 0; start < depth; start += 32) {
            int stop = start + 32 < depth ? start + 32 : depth;
            float sums[32] = {0.0f}, sum = 0.0f;
            for (i = start; i < stop; i++, w += half) {
                sum += x[i];
                for (k = 0; k < half; k++) {
                    sums[k] += x[i] * (float)(w[k] & 15);
                    sums[half + k] += x[i] * (float)(w[k] >> 4);
                }
            }
            for (k = 0; k < here; k++) {
                size_t at = (size_t)(start / 32) * width + column + k;
                totals[k] += sums[k] * scales[at] + sum * offsets[at];
            }
        }
        memcpy(y + column, totals, (size_t)here * sizeof *y);
        column += columns;
    }
}
"""

ROWS = {
    "float": """\
static void row_float(const float *table, int row, int width, float *y)
{
    memcpy(y, table + (size_t)row * width, (size_t)width * sizeof *y);
}
""",
    "int8": """\
static void row_int8(const int8_t *table, const float *scales, int row, int width, float *y)
{
    int k;
    for (k = 0; k < width; k++)
        y[k] = (float)table[(size_t)row * width + k] * scales[row];
}
""",
    "int4": """\
static void row_int4(const uint8_t *table, const float *scales, const float *offsets, int row, int width, float *y)
{
    int k, groups = (width + 31) / 32;
    for (k = 0; k < width; k++) {
        int pair = table[(size_t)row * ((width + 1) / 2) + k / 2], group = row * groups + k / 32;
        y[k] = (float)(k % 2 ? pair >> 4 : pair & 15) * scales[group] + offsets[group];
    }
}
""",
    "columns": """\
static void row_columns(const int8_t *table, const float *scales, int row, int width, float *y)
{
    int k;
    for (k = 0; k < width; k++)
        y[k] = (float)table[(size_t)row * width + k] * scales[k];
}
""",
}
"""C functions that copy one row of a table, by kind; `columns` has a scale for each column."""
