"""Activations as LLVM text, for a vector of float32 or a single one.

Only instructions and intrinsics that become instructions: the loader has no libm to offer.
"""

import math

from mobilenets.engine.ir.graph import Activation
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.values import Value

_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # their sum is ln 2, the first part exact
_ROUND = 1.5 * 2.0**23
_LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
"""Cephes' logf: log(1 + x) without x - x^2 / 2, divided by x^3; the highest power first."""
_EXP = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)


def activate(e: Emitter, x: Value, activation: Activation) -> Value:
    """The activation of each element; NaN stays NaN."""
    if activation.kind == "none":
        return x
    if activation.kind == "clip":
        return _clip(e, x, activation.low, activation.high)
    if activation.kind == "sigmoid":
        return sigmoid(e, x)
    if activation.kind == "exp":
        return exp(e, x)
    if activation.kind == "log":
        return log(e, x)
    if activation.kind == "reciprocal":
        return e.value(x.type, f"fdiv {e.splat(1.0)}, {x.text}")
    if activation.kind == "sqrt":
        return sqrt(e, x)
    if activation.kind == "leaky":
        return _leaky(e, x, activation.alpha)
    if activation.kind == "silu":
        return e.fmul(x, sigmoid(e, x))
    inner = e.fma(x, e.splat(activation.alpha), e.splat(activation.beta))
    gate = _clip(e, inner, 0.0, 1.0)
    return gate if activation.kind == "hardsigmoid" else e.fmul(x, gate)


def _clip(e: Emitter, x: Value, low: float, high: float) -> Value:
    if low > -math.inf:
        x = e.at_least(x, e.splat(low))
    return e.at_most(x, e.splat(high)) if high < math.inf else x


def _leaky(e: Emitter, x: Value, alpha: float) -> Value:
    bits = "i1" if x.type == "float" else f"<{e.lanes} x i1>"
    below = e.value(bits, f"fcmp olt {x}, {e.splat(0.0).text}")
    return e.select(below, e.fmul(x, e.splat(alpha)), x)


def sqrt(e: Emitter, x: Value) -> Value:
    """The square root of each element of a vector, or of a scalar; NaN below 0."""
    suffix = "f32" if x.type == "float" else f"v{e.lanes}f32"
    e.module.declare(x.type, f"llvm.sqrt.{suffix}", x.type)
    return e.value(x.type, f"call {x.type} @llvm.sqrt.{suffix}({x})")


def sigmoid(e: Emitter, x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    one = e.splat(1.0)
    below = e.fadd(one, exp(e, e.fmul(x, e.splat(-1.0))))
    return e.value(x.type, f"fdiv {one}, {below.text}")


def exp(e: Emitter, x: Value) -> Value:
    """E to the x, to 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].

    Below -87.3 it is the smallest normal number's neighbourhood or 0; above 88.7, infinity.
    """
    kind, lanes = x.type, e.lanes
    integers = f"<{lanes} x i32>"
    held = e.at_most(e.at_least(x, e.splat(-104.0)), e.splat(89.0))
    scaled = e.fmul(held, e.splat(1 / math.log(2)))
    # Where floats are 1 apart, a sum is rounded to a whole number.
    n = e.fadd(e.fadd(scaled, e.splat(_ROUND)), e.splat(-_ROUND))
    rest = e.fma(n, e.splat(-_LN2_HIGH), held)
    rest = e.fma(n, e.splat(-_LN2_LOW), rest)
    total = e.splat(_EXP[0])
    for coefficient in _EXP[1:]:
        total = e.fma(total, rest, e.splat(coefficient))
    # 2^n in two factors, each in the range of exponents; a NaN's integer is harmless.
    known = e.value(f"<{lanes} x i1>", f"fcmp uno {x}, {x.text}")
    safe = e.select(known, e.splat(0.0), n)
    power = e.value(integers, f"fptosi {safe} to {integers}")
    half = e.value(integers, f"ashr {power}, splat (i32 1)")
    other = e.value(integers, f"sub {power}, {half.text}")
    for part in (half, other):
        biased = e.value(integers, f"add {part}, splat (i32 127)")
        bits = e.value(integers, f"shl {biased}, splat (i32 23)")
        total = e.fmul(total, e.value(kind, f"bitcast {bits} to {kind}"))
    return e.select(known, x, total)


def log(e: Emitter, x: Value) -> Value:
    """The natural logarithm, to 2 units in the last place or 1e-7, whichever is more.

    NaN below 0, minus infinity at 0.
    """
    kind, lanes = x.type, e.lanes
    integers, bits = f"<{lanes} x i32>", f"<{lanes} x i1>"
    tiny = e.value(bits, f"fcmp olt {x}, {e.splat(2.0**-126).text}")
    whole = e.value(
        integers, f"bitcast {e.select(tiny, e.fmul(x, e.splat(2.0**24)), x)} to {integers}"
    )
    shifted = e.value(integers, f"lshr {whole}, splat (i32 23)")
    unbiased = e.value(integers, f"sub {shifted}, splat (i32 126)")
    power = e.value(kind, f"sitofp {unbiased} to {kind}")
    power = e.select(tiny, e.fadd(power, e.splat(-24.0)), power)
    low = e.value(integers, f"and {whole}, splat (i32 8388607)")
    scaled = e.value(integers, f"or {low}, splat (i32 1056964608)")
    half = e.value(kind, f"bitcast {scaled} to {kind}")
    # x = 2^power * half, half in [1/2, 1); brought to [sqrt(1/2), sqrt(2)), and 1 taken off.
    small = e.value(bits, f"fcmp olt {half}, {e.splat(0.5**0.5).text}")
    power = e.select(small, e.fadd(power, e.splat(-1.0)), power)
    part = e.fadd(e.select(small, e.fadd(half, half), half), e.splat(-1.0))
    square = e.fmul(part, part)
    total = e.splat(_LOG[0])
    for coefficient in _LOG[1:]:
        total = e.fma(total, part, e.splat(coefficient))
    rest = e.fmul(e.fmul(total, part), square)
    rest = e.fma(power, e.splat(_LN2_LOW), rest)
    rest = e.fma(square, e.splat(-0.5), rest)
    found = e.fma(power, e.splat(_LN2_HIGH), e.fadd(part, rest))
    for compared, at, value in (
        ("oeq", 0.0, -math.inf), ("oeq", math.inf, math.inf), ("olt", 0.0, math.nan),
    ):  # fmt: skip
        there = e.value(bits, f"fcmp {compared} {x}, {e.splat(at).text}")
        found = e.select(there, e.splat(value), found)
    unknown = e.value(bits, f"fcmp uno {x}, {x.text}")
    return e.select(unknown, x, found)
