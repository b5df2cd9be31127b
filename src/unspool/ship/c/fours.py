"""C for the pointwise operations of a step on four numbers at once, where a processor has such registers.

Compilers make vectors of loops at `-O2` only if no operation chooses between two values. These functions choose by
bits.
"""

from __future__ import annotations

from collections.abc import Iterable

from unspool.engine import polynomials as p
from unspool.ship.c.maths import EXPRESSIONS, literal, polynomial

__all__ = ["FOUR_EXPRESSIONS", "FOUR_TYPES", "needed_fours"]

FOUR_TYPES = """\
#if defined(FOURS)
typedef float four __attribute__((vector_size(16)));
typedef float four_at __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t four_bits __attribute__((vector_size(16)));
typedef int32_t four_truths __attribute__((vector_size(16)));
#define LOAD(at) ((four)*(const four_at *)(at))
#define STORE(at, x) (*(four_at *)(at) = (x))
#define ADD_TIMES(sums, x, at) ((sums) += (x) * LOAD(at))
#define ZERO {0.0f, 0.0f, 0.0f, 0.0f}
#else
typedef struct { float part[4]; } four;
#define STORE(at, x) memcpy(at, (x).part, sizeof(x))
#define ADD_TIMES(sums, x, at) ((sums).part[0] += (x) * (at)[0], (sums).part[1] += (x) * (at)[1], \\
    (sums).part[2] += (x) * (at)[2], (sums).part[3] += (x) * (at)[3])
#define ZERO {{0.0f, 0.0f, 0.0f, 0.0f}}
#endif
"""

_DEFINITIONS = {
    "all": """\
static inline MAYBE_UNUSED four all_four(float x)
{
    const four result = {x, x, x, x};
    return result;
}
""",
    "choose": """\
static inline MAYBE_UNUSED four choose_four(four_truths which, four a, four b)
{
    return (four)((which & (four_truths)a) | (~which & (four_truths)b));
}
""",
    "truth": """\
static inline MAYBE_UNUSED four truth_four(four_truths which)
{
    return (four)(which & (four_truths)all_four(1.0f));
}
""",
    "each": """\
static inline MAYBE_UNUSED four each_four(float (*function)(float), four x)
{
    float parts[4];
    int k;
    memcpy(parts, &x, sizeof parts);
    for (k = 0; k < 4; k++)
        parts[k] = function(parts[k]);
    memcpy(&x, parts, sizeof parts);
    return x;
}
""",
    "clip": """\
static inline MAYBE_UNUSED four clip_four(four x, float low, float high)
{
    x = choose_four(x < low, all_four(low), x);
    return choose_four(x > high, all_four(high), x);
}
""",
    "reduced": f"""\
static inline MAYBE_UNUSED four reduced_four(four x, four_bits *biased)
{{
    const four shifted = x * {literal(p.LOG2_E)} + {literal(p.ROUND + p.BIAS)};
    const four count = shifted - {literal(p.ROUND + p.BIAS)};
    const four rest = x - count * {literal(p.LN2_HIGH)} - count * {literal(p.LN2_LOW)};
    four series;
    *biased = (four_bits)shifted;
    {polynomial("series", "rest", p.EXP)}
    return series * (rest * rest) + rest + 1.0f;
}}
""",
    "exp": f"""\
static inline MAYBE_UNUSED four exp_four(four x)
{{
    four_bits biased, whole, half;
    four part = reduced_four(clip_four(x, -104.0f, 89.0f), &biased);
    whole = biased - {0x4B400000 + p.BIAS}u + 256u;
    half = whole >> 1;
    return part * (four)((half - 128u + {p.BIAS}u) << 23) * (four)((whole - half - 128u + {p.BIAS}u) << 23);
}}
""",
    "sigmoid": """\
static inline MAYBE_UNUSED four sigmoid_four(four x)
{
    four_bits biased;
    const four part = reduced_four(-clip_four(x, -87.0f, 87.0f), &biased);
    return 1.0f / (1.0f + part * (four)(biased << 23));
}
""",
    "tanh": f"""\
static inline MAYBE_UNUSED four tanh_four(four x)
{{
    four square, over, under;
    x = clip_four(x, {literal(-p.TANH_BOUND)}, {literal(p.TANH_BOUND)});
    square = x * x;
    {polynomial("over", "square", p.TANH_OVER)}
    {polynomial("under", "square", p.TANH_UNDER)}
    return x * over / under;
}}
""",
}
"""Functions by name, each after those that it calls."""

_CALLS = {
    "truth": ("all",),
    "clip": ("all", "choose"),
    "exp": ("all", "choose", "clip", "reduced"),
    "sigmoid": ("all", "choose", "clip", "reduced"),
    "tanh": ("all", "choose", "clip"),
    "where": ("choose",),
    "relu": ("all", "choose"),
    **dict.fromkeys(("minimum", "maximum", "at_least", "at_most"), ("choose",)),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), ("all", "truth")),
    **dict.fromkeys(("log", "log1p", "sin", "cos", "erf", "sqrt"), ("each",)),
}

FOUR_EXPRESSIONS = {
    **{name: EXPRESSIONS[name] for name in ("add", "sub", "mul", "div", "neg", "detach", "expand")},
    "abs": "(four)((four_bits){0} & 0x7FFFFFFFu)",
    "minimum": "choose_four(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "maximum": "choose_four(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "at_least": "choose_four({0} < {1}, {1}, {0})",
    "at_most": "choose_four({0} > {1}, {1}, {0})",
    "relu": "choose_four({0} < 0.0f, all_four(0.0f), {0})",
    "where": "choose_four({0} != 0.0f, {1}, {2})",
    **{name: f"{name}_four({{0}})" for name in ("sigmoid", "tanh", "exp")},
    **{name: f"each_four({name}f, {{0}})" for name in ("log", "log1p", "sin", "cos", "erf", "sqrt")},
    **{
        name: f"truth_four({{0}} {sign} {{1}})"
        for name, sign in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items()
    },
}
"""The pointwise operations that have a form for four numbers, for arguments that are names of such."""


def needed_fours(operations: Iterable[str]) -> list[str]:
    """Return the definitions that some operations call, each after those that it calls itself."""
    names = {name for operation in operations for name in ("all", operation, *_CALLS.get(operation, ()))}
    texts = [text for name, text in _DEFINITIONS.items() if name in names]
    return ["#if defined(FOURS)", *texts, "#endif"] if texts else []
