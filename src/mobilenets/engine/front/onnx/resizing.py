"""Resizing: bilinear to any size, nearest by whole factors."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import check_runtime
from mobilenets.engine.front.onnx.builder import OpCall
from mobilenets.engine.ir.graph import Expand, Resize, Shape, Slice, Tensor

_ALIGNMENTS = {
    "half_pixel": "half_pixel",
    "half_pixel_symmetric": "half_pixel",  # differs only where scales give no whole size
    "pytorch_half_pixel": "half_pixel",  # differs only for one pixel
    "align_corners": "align_corners",
    "asymmetric": "asymmetric",
}
_WHOLE = 1e-3
"""How far a scaled size may be from whole: weights of pixels are wrong by as much."""
_ROUNDINGS: Mapping[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda at: math.ceil(at - Fraction(1, 2)),
    "round_prefer_ceil": lambda at: math.floor(at + Fraction(1, 2)),
    "floor": math.floor,
    "ceil": math.ceil,
}


def resize(call: OpCall) -> Operand:
    """Resize; Resize-10 and Upsample say nothing of how pixels are aligned."""
    x = call.image()
    how = call.choice("mode", "nearest", ("linear", "bilinear", "nearest"))
    call.only({"antialias": 0, "exclude_outside": 0})
    call.choice("keep_aspect_ratio_policy", "stretch", ("stretch",))
    size = _resized(call, x)
    check_runtime(size)
    if how == "nearest" and call.builder.images != size[0] == 1:
        return call.emit(Resize, [x], size, coordinates="nearest")  # of the first image alone
    if size[:2] != x.shape[:2]:
        raise call.fail(f"only height and width can be resized, got {x.shape} to {size}")
    default = "half_pixel" if call.opset >= 11 else "asymmetric"
    mode = call.choice("coordinate_transformation_mode", default, tuple(_ALIGNMENTS))
    if x.shape[2:] == (1, 1) and size[2:] != (1, 1):
        return call.emit(Expand, [x], size)
    if how == "nearest":
        return _nearest(call, x, size, mode)
    coordinates = _ALIGNMENTS[mode]
    changed = [axis for axis in (2, 3) if size[axis] != x.shape[axis]]
    if mode == "pytorch_half_pixel" and any(size[axis] == 1 for axis in changed):
        if any(size[axis] != 1 for axis in changed):
            raise call.fail("pytorch_half_pixel to a single row or column is not supported")
        coordinates = "align_corners"  # which also takes the first pixel
    return call.emit(Resize, [x], size, coordinates=coordinates) if changed else x


def _nearest(call: OpCall, x: Tensor, size: Shape, mode: str) -> Operand:
    """Pixels left out, then pixels repeated."""
    default = "round_prefer_floor" if call.opset >= 11 else "floor"
    near = _ROUNDINGS[call.choice("nearest_mode", default, tuple(_ROUNDINGS))]
    starts, steps = [0, 0], [1, 1]
    for axis in (2, 3):
        old, new = x.shape[axis], size[axis]
        regular = _taken(near, mode, old, new)
        if regular is None:
            how = "nearest_mode and coordinate_transformation_mode do not give each equally often"
            raise call.fail(f"nearest is for whole factors, got {old} to {new} pixels, or {how}")
        starts.append(regular[0])
        steps.append(regular[1])
    taken = (*x.shape[:2], *(min(pair) for pair in zip(x.shape[2:], size[2:], strict=True)))
    if taken != x.shape:
        x = call.emit(Slice, [x], taken, starts=tuple(starts), steps=tuple(steps))
    return call.emit(Resize, [x], size, coordinates="nearest") if taken != size else x


def _taken(
    near: Callable[[Fraction], int], mode: str, old: int, new: int
) -> tuple[int, int] | None:
    """The first pixel that is taken and the step to the next, then repeated; None: not regular."""
    if old == new:
        return 0, 1
    if mode == "align_corners" or (old % new and new % old):
        return None
    scale = Fraction(old, new)
    if old > new:
        single = mode == "pytorch_half_pixel" and new == 1
        return 0 if single else near(_position(mode, 0, scale)), old // new
    # All pixels are repeated as the first: further on, positions differ by whole numbers.
    ends = [near(_position(mode, index, scale)) for index in (0, new // old - 1)]
    return (0, 1) if ends == [0, 0] else None


def _position(mode: str, index: int, scale: Fraction) -> Fraction:
    """Where an output pixel lies among the inputs."""
    if mode == "asymmetric":
        return index * scale
    return (index + Fraction(1, 2)) * scale - Fraction(1, 2)


def _resized(call: OpCall, x: Tensor) -> Shape:
    """The output's shape, from sizes or from scales that give whole ones."""
    rank = len(x.shape)
    axes = call.ints("axes", None)
    axes = tuple(range(rank)) if axes is None else tuple(call.axis(a, rank) for a in axes)
    if call.opset >= 11 and call.has(3) and call.constant(3, "sizes").size:
        sizes = call.indices(3, "sizes")
        _same_count(call, "sizes", sizes, axes)
        chosen = dict(zip(axes, sizes, strict=True))
        if call.builder.images == 1 and chosen.get(0) == call.builder.batch:
            chosen[0] = 1
    else:
        scales = _scales(call)
        _same_count(call, "scales", scales, axes)
        chosen = {a: _scaled(call, x.shape[a], s) for a, s in zip(axes, scales, strict=True)}
    return tuple(chosen.get(axis, size) for axis, size in enumerate(x.shape))


def _same_count(call: OpCall, what: str, values: tuple[float, ...], axes: Shape) -> None:
    if len(values) != len(axes):
        raise call.fail(f"{what} must have {len(axes)} values, got {len(values)}")


def _scales(call: OpCall) -> tuple[float, ...]:
    if call.opset < 9 and "scales" in call.op.attributes:
        listed = call.op.attributes["scales"]
        if not isinstance(listed, tuple):
            raise call.fail("scales must be a list of numbers")
        return tuple(float(scale) for scale in listed)
    values = call.floats(2 if call.opset >= 11 else 1, "scales")
    return tuple(float(scale) for scale in values.ravel()[:64])


def _scaled(call: OpCall, size: int, scale: float) -> int:
    """The scaled size, rounded down as ONNX Runtime does, in float32."""
    exact = size * scale
    if not 1 <= exact < 2**31:
        raise call.fail(f"a scale of {scale} for {size} pixels is not supported")
    scaled = int(np.float32(size) * np.float32(scale))
    if abs(scaled - exact) > _WHOLE:
        raise call.fail(f"scales must give whole sizes, got {scale} for {size} pixels")
    return scaled
