"""Vector math: the pointwise operations on vectors.

In float32 exp, log, sigmoid and tanh are polynomials with an error of a few units of the last place. The C library
computes everything else that a processor has no instruction for, and all of float64, lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable

from unspool.engine.cpu.codegen.llvm_builder import Function
from unspool.engine.polynomials import (
    BIAS,
    EXP,
    FRACTION,
    LN2_HIGH,
    LN2_LOW,
    LOG,
    LOG2_E,
    ONE,
    ROOT_OF_HALF,
    ROUND,
    TANH_BOUND,
    TANH_OVER,
    TANH_UNDER,
)

__all__ = ["pointwise"]


def pointwise(f: Function, operation: str, *x: str) -> str:
    """Emit one operation of `operations.POINTWISE`."""
    return _OPERATIONS[operation](f, *x)


def _polynomial(f: Function, x: str, factors: tuple[float, ...]) -> str:
    total = f.constant(factors[0])
    for factor in factors[1:]:
        total = f.fused(total, x, f.constant(factor))
    return total


def _at_least(f: Function, x: str, bound: str) -> str:
    """NaN stays NaN."""
    return f.choose(f.compare("olt", x, bound), bound, x)


def _at_most(f: Function, x: str, bound: str) -> str:
    return f.choose(f.compare("ogt", x, bound), bound, x)


def _larger(f: Function, a: str, b: str) -> str:
    return f.intrinsic("maximum", a, b)


def _smaller(f: Function, a: str, b: str) -> str:
    return f.intrinsic("minimum", a, b)


def _clip(f: Function, x: str, low: float, high: float) -> str:
    return _at_most(f, _at_least(f, x, f.constant(low)), f.constant(high))


def _exp(f: Function, x: str) -> str:
    if f.bits == 64:
        return f.each_lane("exp", x)
    x = _clip(f, x, -104.0, 89.0)
    rest, biased = _reduced(f, x)
    # 2^whole in two factors: one alone can't reach the smallest and the largest results
    bias = f"splat (i32 {BIAS})"
    whole = f.value(f"sub {f.integers} {biased}, splat (i32 {0x4B400000 + BIAS})")
    half = f.value(f"ashr {f.integers} {whole}, splat (i32 1)")
    other = f.value(f"sub {f.integers} {whole}, {half}")
    for part in (half, other):
        rest = f.two("fmul", rest, _power_of_two(f, f.value(f"add {f.integers} {part}, {bias}")))
    return rest


def _exp_bounded(f: Function, x: str) -> str:
    """Exp of a number within ±87."""
    rest, biased = _reduced(f, x)
    return f.two("fmul", rest, _power_of_two(f, biased))


def _reduced(f: Function, x: str) -> tuple[str, str]:
    """Return exp(x) as a number near 1 and a power of two with a biased exponent, whose eight bits are the lowest."""
    shift = f.constant(ROUND + BIAS)
    shifted = f.fused(x, f.constant(LOG2_E), shift)
    count = f.two("fsub", shifted, shift)
    rest = f.fused(count, f.constant(-LN2_HIGH), x)
    rest = f.fused(count, f.constant(-LN2_LOW), rest)
    series = f.fused(_polynomial(f, rest, EXP), f.two("fmul", rest, rest), rest)
    biased = f.value(f"bitcast {f.vector} {shifted} to {f.integers}")
    return f.two("fadd", series, f.constant(1.0)), biased


def _power_of_two(f: Function, biased: str) -> str:
    return f.value(f"bitcast {f.integers} {f.value(f'shl {f.integers} {biased}, splat (i32 23)')} to {f.vector}")


def _log(f: Function, x: str) -> str:
    if f.bits == 64:
        return f.each_lane("log", x)
    infinite, zero = f.constant(float("inf")), f.constant(0.0)
    small = f.compare("olt", x, f.constant(2.0**-126))  # such numbers have leading zeros
    bits = f.value(f"bitcast {f.vector} {f.choose(small, f.two('fmul', x, f.constant(2.0**23)), x)} to {f.integers}")
    bits = f.value(f"add {f.integers} {bits}, splat (i32 {ONE - ROOT_OF_HALF})")
    whole = f.value(f"sitofp {f.integers} {f.value(f'ashr {f.integers} {bits}, splat (i32 23)')} to {f.vector}")
    count = f.two("fsub", whole, f.choose(small, f.constant(BIAS + 23.0), f.constant(float(BIAS))))
    fraction = f.value(f"and {f.integers} {bits}, splat (i32 {FRACTION})")
    fraction = f.value(f"add {f.integers} {fraction}, splat (i32 {ROOT_OF_HALF})")
    rest = f.two("fsub", f.value(f"bitcast {f.integers} {fraction} to {f.vector}"), f.constant(1.0))
    square = f.two("fmul", rest, rest)
    series = f.two("fmul", f.two("fmul", _polynomial(f, rest, LOG), rest), square)
    series = f.fused(square, f.constant(-0.5), f.fused(count, f.constant(LN2_LOW), series))
    result = f.fused(count, f.constant(LN2_HIGH), f.two("fadd", rest, series))
    result = f.choose(f.compare("olt", x, infinite), result, x)
    result = f.choose(f.compare("olt", x, zero), f.constant(float("nan")), result)
    return f.choose(f.compare("oeq", x, zero), f.constant(float("-inf")), result)


def _log1p(f: Function, x: str) -> str:
    if f.bits == 64:
        return f.each_lane("log1p", x)
    one = f.constant(1.0)
    total = f.two("fadd", one, x)
    lost = f.two("fdiv", f.two("fsub", x, f.two("fsub", total, one)), total)  # of x by rounding
    inside = f.value(f"and {f.truths} {f.compare('ogt', x, f.constant(-1.0))}, {f.compare('olt', x, f.constant(1e30))}")
    return f.two("fadd", _log(f, total), f.choose(inside, lost, f.constant(0.0)))


def _sigmoid(f: Function, x: str) -> str:
    minus, one = f.value(f"fneg {f.vector} {x}"), f.constant(1.0)
    if f.bits == 64:
        return f.two("fdiv", one, f.two("fadd", one, f.each_lane("exp", minus)))
    return f.quotient(one, f.two("fadd", one, _exp_bounded(f, _clip(f, minus, -87.0, 87.0))))


def _tanh(f: Function, x: str) -> str:
    if f.bits == 64:
        return f.each_lane("tanh", x)
    x = _clip(f, x, -TANH_BOUND, TANH_BOUND)
    square = f.two("fmul", x, x)
    over = f.two("fmul", x, _polynomial(f, square, TANH_OVER))
    return f.quotient(over, _polynomial(f, square, TANH_UNDER))


def _softplus(f: Function, x: str) -> str:
    minus = f.value(f"fneg {f.vector} {f.intrinsic('fabs', x)}")
    return f.two("fadd", _larger(f, x, f.constant(0.0)), _log1p(f, _exp(f, minus)))


def _sign(f: Function, x: str) -> str:
    zero = f.constant(0.0)
    above = f.choose(f.compare("ogt", x, zero), f.constant(1.0), zero)
    return f.choose(f.compare("olt", x, zero), f.constant(-1.0), above)


def _where(f: Function, condition: str, a: str, b: str) -> str:
    return f.choose(f.compare("une", condition, f.constant(0.0)), a, b)


def _truth(how: str) -> Callable[..., str]:
    return lambda f, a, b: f.choose(f.compare(how, a, b), f.constant(1.0), f.constant(0.0))


def _two(instruction: str) -> Callable[..., str]:
    return lambda f, a, b: f.two(instruction, a, b)


def _library(name: str) -> Callable[..., str]:
    return lambda f, *x: f.each_lane(name, *x)


def _same(f: Function, x: str) -> str:
    return x


_OPERATIONS: dict[str, Callable[..., str]] = {
    "add": _two("fadd"),
    "sub": _two("fsub"),
    "mul": _two("fmul"),
    "div": _two("fdiv"),
    "neg": lambda f, x: f.value(f"fneg {f.vector} {x}"),
    "abs": lambda f, x: f.intrinsic("fabs", x),
    "sign": _sign,
    "minimum": _smaller,
    "maximum": _larger,
    "at_least": _at_least,
    "at_most": _at_most,
    "relu": lambda f, x: _at_least(f, x, f.constant(0.0)),
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "exp": _exp,
    "log": _log,
    "log1p": _log1p,
    "sin": _library("sin"),
    "cos": _library("cos"),
    "erf": _library("erf"),
    "sqrt": lambda f, x: f.intrinsic("sqrt", x),
    "softplus": _softplus,
    "pow": _library("pow"),
    "where": _where,
    "detach": _same,
    "expand": _same,
    "eq": _truth("oeq"),
    "ne": _truth("une"),
    "lt": _truth("olt"),
    "le": _truth("ole"),
    "gt": _truth("ogt"),
    "ge": _truth("oge"),
}
