"""Operators that move elements: shapes, parts, joints, pads, resizing, the best of several."""

import math
from collections.abc import Sequence

import numpy as np

from mobilenets.engine.front.assembly import Constant, Operand
from mobilenets.engine.front.tflite import tables
from mobilenets.engine.front.tflite.builder import BYTES, LARGEST_STEP, TYPES, TfliteCall
from mobilenets.engine.front.tflite.elementwise import ended
from mobilenets.engine.ir.graph import (
    ArgMax,
    Concat,
    Expand,
    Lookup,
    Pad,
    Resize,
    Shape,
    Slice,
    Tensor,
)
from mobilenets.engine.ir.types import FLOAT32

_FRACTION = 11
"""Bits of a pixel's share where XNNPACK resizes integers."""


def reshape(call: TfliteCall) -> Operand:
    """RESHAPE: the same elements; -1 is what is left."""
    x = call.value(0)
    wanted = call.indices(1, "shape") if call.has(1) else call.op.listed
    count, known = math.prod(x.shape), math.prod(size for size in wanted if size != -1)
    shape = tuple(count // known if size == -1 and known > 0 else size for size in wanted)
    if list(wanted).count(-1) > 1 or min(shape, default=0) < 0 or math.prod(shape) != count:
        raise call.fail(f"{x.shape} cannot be reshaped to {wanted}")
    return _seen(call, x, shape)


def _seen(call: TfliteCall, x: Operand, shape: Sequence[int]) -> Operand:
    """The same elements under another shape."""
    return call.reshaped(x, shape) if isinstance(x, Tensor) else x.reshape(tuple(shape))


def squeeze(call: TfliteCall) -> Operand:
    """SQUEEZE: without the axes named, or without any of size 1."""
    x = call.value(0)
    named = [call.axis(axis, len(x.shape)) for axis in call.op.listed]
    axes = named or [axis for axis, size in enumerate(x.shape) if size == 1]
    if any(x.shape[axis] != 1 for axis in axes):
        raise call.fail(f"axes {axes} of {x.shape} are not 1")
    return _seen(call, x, [size for axis, size in enumerate(x.shape) if axis not in axes])


def expand_dims(call: TfliteCall) -> Operand:
    """EXPAND_DIMS: an axis of size 1 put in."""
    x = call.value(0)
    (axis,) = call.indices(1, "axis")[:1] or (0,)
    axis = call.axis(axis, len(x.shape) + 1)
    return _seen(call, x, (*x.shape[:axis], 1, *x.shape[axis:]))


def shape_of(call: TfliteCall) -> Operand:
    """SHAPE: known now, for shapes are."""
    return np.array(call.value(0).shape, np.int32)


def transpose(call: TfliteCall) -> Operand:
    """TRANSPOSE by a constant order."""
    x, order = call.tensor(), call.indices(1, "order")
    if sorted(order) != list(range(len(x.shape))):
        raise call.fail(f"its order must be one of {len(x.shape)} axes, got {order}")
    return call.transposed(x, order)


def concatenation(call: TfliteCall) -> Operand:
    """CONCATENATION along one axis; integers of another scale than the output's get that first."""
    parts = [call.value(index) for index in range(len(call.op.inputs))]
    if parts and not any(isinstance(part, Tensor) for part in parts):
        return _joined(call, [part for part in parts if not isinstance(part, Tensor)])
    tensors = [_rescaled(call, call.tensor(index)) for index in range(len(parts))]
    axis, shape = _along(call, [part.shape for part in tensors])
    if len({part.dtype for part in tensors}) != 1:
        raise call.fail("its inputs must be of one type")
    return ended(call, call.emit(Concat, tensors, shape, axis=axis))


def _joined(call: TfliteCall, parts: Sequence[Constant]) -> Constant:
    axis, shape = _along(call, [part.shape for part in parts])
    call.builder.spend(shape, max(part.itemsize for part in parts))
    return np.concatenate(parts, axis)


def _rescaled(call: TfliteCall, x: Tensor) -> Tensor:
    if x.dtype not in BYTES:
        return x
    source, to = call.scale(x), call.result(x)
    if source == to:
        return x
    return call.emit(Lookup, [x], x.shape, table=tables.joined(source, to, x.dtype))


def _along(call: TfliteCall, shapes: Sequence[Shape]) -> tuple[int, Shape]:
    """The axis along which, and the shape of all parts together."""
    if not shapes:
        raise call.fail("it has no inputs")
    axis = call.axis(call.op.axis, len(shapes[0]))
    if len({(len(s), *s[:axis], *s[axis + 1 :]) for s in shapes}) != 1:
        raise call.fail(f"{', '.join(map(str, shapes[:4]))} do not fit along axis {axis}")
    whole = sum(shape[axis] for shape in shapes)
    return axis, (*shapes[0][:axis], whole, *shapes[0][axis + 1 :])


def pack(call: TfliteCall) -> Operand:
    """PACK: values of one shape joined along a new axis."""
    parts = [call.value(index) for index in range(len(call.op.inputs))]
    if not parts or len({part.shape for part in parts}) != 1:
        raise call.fail("its inputs must have one shape")
    shape = parts[0].shape
    axis = call.axis(call.op.axis, len(shape) + 1)
    if not any(isinstance(part, Tensor) for part in parts):
        call.builder.spend((len(parts), *shape), 8)
        return np.stack([part for part in parts if not isinstance(part, Tensor)], axis)
    one = (*shape[:axis], 1, *shape[axis:])
    tensors = [call.reshaped(call.tensor(index), one) for index in range(len(parts))]
    if len({(part.dtype, part.quantization) for part in tensors}) != 1:
        raise call.fail("its inputs must be of one type and scale")
    return call.emit(Concat, tensors, (*shape[:axis], len(parts), *shape[axis:]), axis=axis)


def pad(call: TfliteCall) -> Operand:
    """PAD and PADV2: with a constant, of integers with what stands for 0."""
    x, widths = call.tensor(), call.constant(1, "pads")
    if widths.shape != (len(x.shape), 2) or widths.dtype.kind not in "iu":
        raise call.fail(f"its pads must be ({len(x.shape)}, 2) integers, got {widths.shape}")
    if ((widths < 0) | (widths > LARGEST_STEP)).any():
        raise call.fail(f"its pads must be 0 to {LARGEST_STEP}, got {widths.tolist()}")
    before, after = (tuple(int(size) for size in widths[:, side]) for side in (0, 1))
    value = float(call.scale(x).zero_point) if x.dtype in BYTES else 0.0
    if call.has(2):
        value = _fill(call, x)
    shape = [sum(sizes) for sizes in zip(x.shape, before, after, strict=True)]
    return call.emit(Pad, [x], shape, before=before, after=after, value=value)


def _fill(call: TfliteCall, x: Tensor) -> float:
    value = call.constant(2, "value")
    if value.size != 1 or value.dtype != x.dtype.numpy:
        raise call.fail(f"its value must be one {x.dtype}, got {value.dtype} {value.shape}")
    return float(value.ravel()[0])


def resize_bilinear(call: TfliteCall) -> Operand:
    """RESIZE_BILINEAR, aligned as its options say."""
    x, size = _resized(call)
    shape = (x.shape[0], x.shape[3], *size)
    planes = call.planes(x)
    if x.shape[1:3] == size:
        return x
    if x.shape[1:3] == (1, 1):
        return call.pixels(call.emit(Expand, [planes], shape))
    how = "align_corners" if call.op.corners else "asymmetric"
    how = "half_pixel" if call.op.centers else how
    fraction = _FRACTION if x.dtype in BYTES else 0
    y = call.emit(Resize, [planes], shape, coordinates=how, fraction=fraction)
    return call.pixels(y)


def resize_nearest(call: TfliteCall) -> Operand:
    """RESIZE_NEAREST_NEIGHBOR to whole multiples, each pixel repeated."""
    x, size = _resized(call)
    if call.op.corners or any(new % old for old, new in zip(x.shape[1:3], size, strict=True)):
        raise call.fail(f"nearest is for whole multiples, not align_corners, {x.shape} to {size}")
    if x.shape[1:3] == size:
        return x
    shape = (x.shape[0], x.shape[3], *size)
    return call.pixels(call.emit(Resize, [call.planes(x)], shape, coordinates="nearest"))


def _resized(call: TfliteCall) -> tuple[Tensor, tuple[int, int]]:
    """The images and the height and width that they get."""
    x, size = call.tensor(rank=4), call.indices(1, "size")
    if len(size) != 2 or min(size) < 1:
        raise call.fail(f"its size must be two numbers above 0, got {size}")
    return x, (size[0], size[1])


def arg_max(call: TfliteCall) -> Operand:
    """ARG_MAX along a constant axis, of the first where several are largest."""
    x = call.tensor()
    axes, kind = call.indices(1, "axis"), call.declared[0]
    if len(axes) != 1 or x.dtype not in (FLOAT32, *BYTES):
        raise call.fail("it is supported along one axis, of float32, int8 and uint8")
    axis = call.axis(axes[0], len(x.shape))
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    if kind != TYPES["INT64"]:
        raise call.fail(f"its output must be int64, got {kind}")
    return call.emit(ArgMax, [x], shape, kind, axis=axis, keep=False)


def slice_(call: TfliteCall) -> Operand:
    """SLICE: `size` elements from `begin` on, -1 for all that are left."""
    x = call.tensor()
    begin, sizes = call.indices(1, "begin"), call.indices(2, "size")
    if not len(begin) == len(sizes) == len(x.shape):
        raise call.fail(f"its begin and size must be {len(x.shape)} numbers")
    parts = []
    for start, size, whole in zip(begin, sizes, x.shape, strict=True):
        end = whole if size == -1 else start + size
        if not 0 <= start < end <= whole:
            raise call.fail(f"{size} elements from {start} on are not among {whole}")
        parts.append(range(start, end))
    return _sliced(call, x, parts)


def strided_slice(call: TfliteCall) -> Operand:
    """STRIDED_SLICE with steps of 1 or more; axes may be dropped, none put in."""
    x = call.value(0)
    lists = [call.indices(index, what) for index, what in ((1, "begin"), (2, "end"), (3, "steps"))]
    begin_mask, end_mask, ellipsis, new_axis, shrink = call.op.listed or (0,) * 5
    count = len(lists[0])
    if ellipsis or new_axis or count > len(x.shape) or {len(one) for one in lists} != {count}:
        raise call.fail("its begin, end and steps must be as many as the axes, without new ones")
    parts = [range(size) for size in x.shape]
    for axis, (begin, end, step) in enumerate(zip(*lists, strict=True)):
        size, bit = x.shape[axis], 1 << axis
        if shrink & bit:
            parts[axis] = range(size)[call.axis(begin, size) :][:1]
            continue
        if not 1 <= step <= LARGEST_STEP:
            raise call.fail(f"its steps must be 1 to {LARGEST_STEP}, got {step}")
        low = None if begin_mask & bit else begin
        parts[axis] = range(size)[low : None if end_mask & bit else end : step]
    if not isinstance(x, Tensor):
        y: Operand = x[tuple(slice(p.start, p.stop, p.step) for p in parts)]
    else:
        y = _sliced(call, x, parts)
    kept = [len(part) for axis, part in enumerate(parts) if not shrink >> axis & 1]
    return _seen(call, y, kept)


def _sliced(call: TfliteCall, x: Tensor, parts: Sequence[range]) -> Tensor:
    shape = tuple(len(part) for part in parts)
    if shape == x.shape:
        return x
    starts, steps = tuple(p.start for p in parts), tuple(p.step for p in parts)
    return call.emit(Slice, [x], shape, starts=starts, steps=steps)


def split(call: TfliteCall) -> list[Operand]:
    """SPLIT into equal parts along a constant axis."""
    axes, x = call.indices(0, "axis"), call.tensor(1)
    count = len(call.op.outputs)
    axis = call.axis(axes[0] if axes else 0, len(x.shape))
    size, left = divmod(x.shape[axis], count)
    if left or not size:
        raise call.fail(f"{x.shape[axis]} cannot be split into {count} equal parts")
    whole = [range(side) for side in x.shape]
    made: list[Operand] = []
    for part in range(count):
        whole[axis] = range(part * size, (part + 1) * size)
        made.append(_sliced(call, x, whole))
    return made
