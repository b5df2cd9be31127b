"""C99 for the pointwise operations of a step, with the polynomials that the engine uses."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

from unspool.engine import polynomials as p

__all__ = ["DEFINITIONS", "EXPRESSIONS", "PREAMBLE", "literal", "needed", "polynomial"]

PREAMBLE = """\
#if defined(__FAST_MATH__)
#error "compile without -ffast-math: it breaks the rounding that exp needs, and results would be wrong"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
#if defined(__GNUC__)
#define MAYBE_UNUSED __attribute__((unused))
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__)
#define FOURS /* four numbers in a register */
#endif
#else
#define MAYBE_UNUSED
#endif
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
"""


def literal(number: float) -> str:
    """Return a float32 constant of C that reads back as the same number."""
    number = struct.unpack("f", struct.pack("f", number))[0]
    if math.isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    if math.isnan(number):
        return "NAN"
    text = f"{number:.9g}"
    text = text if "." in text or "e" in text else text + ".0"
    return f"({text}f)" if text.startswith("-") else text + "f"


def polynomial(name: str, x: str, factors: tuple[float, ...]) -> str:
    """Return the C statements `name = ...` of a polynomial in x, for factors from the highest power on."""
    first, *rest = map(literal, factors)
    return " ".join(
        [f"{name} = {first} * {x} + {rest[0]};", *(f"{name} = {name} * {x} + {factor};" for factor in rest[1:])]
    )


DEFINITIONS = {
    "reduced": f"""\
/* exp(x) as a number near 1 times a power of two; the lowest eight bits of *biased are the power's exponent */
static inline MAYBE_UNUSED float reduced(float x, uint32_t *biased)
{{
    float shifted = x * {literal(p.LOG2_E)} + {literal(p.ROUND + p.BIAS)}, count, rest, series;
    memcpy(biased, &shifted, 4);
    count = shifted - {literal(p.ROUND + p.BIAS)};
    rest = x - count * {literal(p.LN2_HIGH)};
    rest = rest - count * {literal(p.LN2_LOW)};
    {polynomial("series", "rest", p.EXP)}
    return series * (rest * rest) + rest + 1.0f;
}}
""",
    "power_of_two": """\
static inline MAYBE_UNUSED float power_of_two(uint32_t biased)
{
    uint32_t bits = biased << 23;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}
""",
    "exp": f"""\
static inline MAYBE_UNUSED float op_exp(float x)
{{
    uint32_t biased, whole, half;
    float part;
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    part = reduced(x, &biased);
    whole = biased - {0x4B400000 + p.BIAS}u + 256u; /* even and positive, so that halves are whole */
    half = whole / 2u;
    return part * power_of_two(half - 128u + {p.BIAS}u) * power_of_two(whole - half - 128u + {p.BIAS}u);
}}
""",
    "sigmoid": """\
static inline MAYBE_UNUSED float op_sigmoid(float x)
{
    uint32_t biased;
    float part;
    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    part = reduced(-x, &biased);
    return 1.0f / (1.0f + part * power_of_two(biased));
}
""",
    "tanh": f"""\
static inline MAYBE_UNUSED float op_tanh(float x)
{{
    float square, over, under;
    x = x < {literal(-p.TANH_BOUND)} ? {literal(-p.TANH_BOUND)} : x;
    x = x > {literal(p.TANH_BOUND)} ? {literal(p.TANH_BOUND)} : x;
    square = x * x;
    {polynomial("over", "square", p.TANH_OVER)}
    {polynomial("under", "square", p.TANH_UNDER)}
    return x * over / under;
}}
""",
    "softplus": """\
static inline MAYBE_UNUSED float op_softplus(float x)
{
    return (x > 0.0f ? x : 0.0f) + log1pf(op_exp(-fabsf(x)));
}
""",
}
"""Functions by name, each after those that it calls."""

_CALLS = {
    "exp": ("reduced", "power_of_two"),
    "sigmoid": ("reduced", "power_of_two"),
    "softplus": ("reduced", "power_of_two", "exp"),
}

EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabsf({0})",
    "sign": "(float)({0} > 0.0f) - (float)({0} < 0.0f)",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "at_least": "{0} < {1} ? {1} : {0}",
    "at_most": "{0} > {1} ? {1} : {0}",
    "relu": "{0} < 0.0f ? 0.0f : {0}",
    "sigmoid": "op_sigmoid({0})",
    "tanh": "op_tanh({0})",
    "exp": "op_exp({0})",
    "log": "logf({0})",
    "log1p": "log1pf({0})",
    "sin": "sinf({0})",
    "cos": "cosf({0})",
    "erf": "erff({0})",
    "sqrt": "sqrtf({0})",
    "softplus": "op_softplus({0})",
    "pow": "powf({0}, {1})",
    "where": "{0} != 0.0f ? {1} : {2}",
    "detach": "{0}",
    "expand": "{0}",
    "eq": "(float)({0} == {1})",
    "ne": "(float)({0} != {1})",
    "lt": "(float)({0} < {1})",
    "le": "(float)({0} <= {1})",
    "gt": "(float)({0} > {1})",
    "ge": "(float)({0} >= {1})",
}
"""Each pointwise operation, for arguments that are names or literals."""


def needed(operations: Iterable[str]) -> list[str]:
    """Return the definitions that some operations call, each after those that it calls itself."""
    names: set[str] = set()
    for operation in operations:
        if operation in DEFINITIONS:
            names |= {operation, *_CALLS.get(operation, ())}
    return [text for name, text in DEFINITIONS.items() if name in names]
