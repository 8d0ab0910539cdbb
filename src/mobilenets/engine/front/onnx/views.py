"""Operators that move elements, and those along one axis."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import broadcast, check_runtime
from mobilenets.engine.front.onnx.builder import LARGEST_STEP, OpCall
from mobilenets.engine.ir.graph import (
    ArgMax,
    Concat,
    Expand,
    Pad,
    Reshape,
    Shape,
    Slice,
    Softmax,
    Tensor,
    Transpose,
)
from mobilenets.engine.ir.types import INT64

_PICKED = 16
"""Elements along an axis that are taken one by one."""


def identity(call: OpCall) -> Operand:
    """Identity, and Dropout of a network that is not trained."""
    return call.value(0)


def _reshaped(call: OpCall, x: Tensor, shape: Sequence[int]) -> Tensor:
    return x if tuple(shape) == x.shape else call.emit(Reshape, [x], shape, x.dtype)


def _viewed(call: OpCall, shape_of_it: Callable[[OpCall, Shape], Shape]) -> Tensor:
    """Input 0, which may be of indices, under another shape."""
    x = call.any_tensor()
    return _reshaped(call, x, shape_of_it(call, x.shape))


def flatten(call: OpCall) -> Operand:
    """Flatten to two dimensions: the axes before `axis` together, and those from it on."""
    return _viewed(call, flatten_shape)


def flatten_shape(call: OpCall, old: Shape) -> Shape:
    """Two sizes: all axes before the one named together, and all from it on."""
    axis = call.integer("axis", 1)
    axis = len(old) if axis == len(old) else call.axis(axis, len(old))
    return math.prod(old[:axis]), math.prod(old[axis:])


def reshape(call: OpCall) -> Operand:
    """Reshape: 0 keeps a size, -1 is what is left; a fixed batch in front becomes 1."""
    x, wanted = call.any_tensor(), call.indices(1, "shape")
    shape = reshape_shape(call, x.shape, wanted, call.builder.batch)
    return _reshaped(call, x, check_runtime(shape))


def reshape_shape(call: OpCall, old: Shape, wanted: Sequence[int], batch: int = 1) -> Shape:
    """The shape that Reshape's second input stands for."""
    if not call.integer("allowzero", 0):
        if any(size == 0 and axis >= len(old) for axis, size in enumerate(wanted)):
            raise call.fail(f"{old} cannot be reshaped to {tuple(wanted)}")
        wanted = [old[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if batch > 1 and wanted and wanted[0] == batch and old and old[0] == 1:
        wanted = [1, *wanted[1:]]
    known = math.prod(size for size in wanted if size != -1)
    count = math.prod(old)
    shape = tuple(count // known if size == -1 and known > 0 else size for size in wanted)
    wrong = min(shape, default=0) < 0 or list(wanted).count(-1) > 1
    if wrong or math.prod(shape) != count:
        raise call.fail(f"{old} cannot be reshaped to {tuple(wanted)}")
    return shape


def squeeze(call: OpCall) -> Operand:
    """Squeeze: the same elements without axes of size 1."""
    return _viewed(call, squeeze_shape)


def squeeze_shape(call: OpCall, old: Shape) -> Shape:
    """`old` without the axes named, or without any of size 1."""
    listed = call.listed("axes", 1, since=13)
    if listed is None:
        stays = _stays(call, old)
        if stays:
            call.builder.ranks_vary.add(call.op.outputs[0])
        return tuple(size for axis, size in enumerate(old) if size != 1 or axis in stays)
    axes = call.axes(listed, len(old))
    if any(old[axis] != 1 for axis in axes):
        raise call.fail(f"axes {axes} of {old} are not 1")
    return tuple(size for axis, size in enumerate(old) if axis not in axes)


def _stays(call: OpCall, old: Shape) -> tuple[int, ...]:
    """The axes that are 1 for one image only: those of the batch."""
    several = call.builder.several
    value = several.values.get(call.op.inputs[0]) if several else None
    if value is None or len(value.shape) != len(old):
        return ()
    return tuple(axis for axis, size in enumerate(value.shape) if size != old[axis])


def unsqueeze(call: OpCall) -> Operand:
    """Unsqueeze: the same elements with axes of size 1 put in."""
    return _viewed(call, unsqueeze_shape)


def unsqueeze_shape(call: OpCall, old: Shape) -> Shape:
    """`old` with axes of size 1 put in."""
    listed = call.listed("axes", 1, since=13)
    if listed is None:
        raise call.fail("it has no axes")
    rank = len(old) + len(listed)
    axes = call.axes(listed, rank)
    rest = iter(old)
    return tuple(1 if axis in axes else next(rest) for axis in range(rank))


def transpose(call: OpCall) -> Operand:
    """Transpose by `perm`; without it the axes are reversed."""
    x = call.tensor()
    order = transpose_order(call, len(x.shape))
    return call.emit(Transpose, [x], [x.shape[axis] for axis in order], order=order)


def transpose_order(call: OpCall, rank: int) -> Shape:
    """Which axis of the input each axis of the output is."""
    order = call.ints("perm", tuple(range(rank))[::-1])
    assert order is not None
    if sorted(order) != list(range(rank)):
        raise call.fail(f"perm must be an order of {rank} axes, got {order[:16]}")
    return order


def concat(call: OpCall) -> Operand:
    """Concat of float32 tensors along one axis; a single one is passed on as it is."""
    parts = [call.tensor(index) for index in range(len(call.inputs))]
    shapes = [part.shape for part in parts]
    axis, shape = concat_shape(call, shapes)
    return parts[0] if len(parts) == 1 else call.emit(Concat, parts, shape, axis=axis)


def concat_shape(call: OpCall, shapes: Sequence[Shape]) -> tuple[int, Shape]:
    """The axis along which, and the shape of all parts together."""
    if not shapes:
        raise call.fail("it has no inputs")
    axis = call.axis(call.integer("axis", 1), len(shapes[0]))
    if len({(len(s), *s[:axis], *s[axis + 1 :]) for s in shapes}) != 1:
        raise call.fail(f"{', '.join(map(str, shapes[:4]))} do not fit along axis {axis}")
    total = sum(shape[axis] for shape in shapes)
    return axis, (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


def pad(call: OpCall) -> Operand:
    """Pad with a constant, at any axes; pads that cut something off are not supported."""
    x = call.tensor()
    rank = len(x.shape)
    call.choice("mode", "constant", ("constant",))
    pads = call.listed("pads", 1, since=11)
    axes = tuple(range(rank))
    if call.has(3):
        axes = tuple(call.axis(axis, rank) for axis in call.indices(3, "axes"))
    if pads is None or len(pads) != 2 * len(axes) or len(set(axes)) != len(axes):
        raise call.fail(f"pads must be {2 * len(axes)} integers")
    if any(not 0 <= size <= LARGEST_STEP for size in pads):
        raise call.fail(f"pads must be 0 to {LARGEST_STEP}, got {pads}")
    before, after = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        before[axis], after[axis] = pads[index], pads[index + len(axes)]
    if not any(pads):
        return x
    shape = [sum(sizes) for sizes in zip(x.shape, before, after, strict=True)]
    value = _pad_value(call)
    return call.emit(Pad, [x], shape, before=tuple(before), after=tuple(after), value=value)


def _pad_value(call: OpCall) -> float:
    if call.opset < 11:
        return call.number("value", 0.0)
    if not call.has(2) or not call.constant(2, "value").size:
        return 0.0
    return float(call.floats(2, "value").ravel()[0])


def softmax(call: OpCall) -> Operand:
    """Softmax; before opset 13 over all axes from the one given, together."""
    x = call.tensor()
    rank = len(x.shape)
    axis = call.axis(call.integer("axis", 1 if call.opset < 13 else -1), rank)
    if call.opset >= 13 or math.prod(x.shape[axis + 1 :]) == 1:
        return call.emit(Softmax, [x], x.shape, axis=axis)
    rows = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    out = call.emit(Softmax, [_reshaped(call, x, rows)], rows, axis=1)
    return _reshaped(call, out, x.shape)


def arg_max(call: OpCall) -> Operand:
    """ArgMax, of the first where several are largest."""
    call.only({"select_last_index": 0})
    x = call.tensor()
    axis = call.axis(call.integer("axis", 0), len(x.shape))
    keep = call.integer("keepdims", 1) != 0
    shape = (*x.shape[:axis], *((1,) if keep else ()), *x.shape[axis + 1 :])
    return call.emit(ArgMax, [x], shape, INT64, axis=axis, keep=keep)


def slice_(call: OpCall) -> Operand:
    """Slice along any axes, with steps of 1 or more; backwards along a short one."""
    x = call.tensor()
    parts = slice_parts(call, x.shape)
    for axis, part in enumerate(parts):
        if part.step < 1:
            x = _picked(call, x, axis, list(part))
            parts[axis] = range(len(part))
    shape = tuple(len(part) for part in parts)
    if shape == x.shape:
        return x
    starts, steps = tuple(p.start for p in parts), tuple(p.step for p in parts)
    return call.emit(Slice, [x], shape, starts=starts, steps=steps)


def slice_parts(call: OpCall, shape: Shape) -> list[range]:
    """What is taken of each axis."""
    if call.opset < 10:
        starts, ends = call.ints("starts", None), call.ints("ends", None)
        axes, steps = call.ints("axes", None), None
    else:
        starts, ends = call.indices(1, "starts"), call.indices(2, "ends")
        axes = call.indices(3, "axes") if call.has(3) else None
        steps = call.indices(4, "steps") if call.has(4) else None
    if starts is None or ends is None:
        raise call.fail("it has no starts or no ends")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise call.fail("starts, ends, axes and steps must be equally many")
    if 0 in steps:
        raise call.fail("steps must not be 0")
    parts = [range(size) for size in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = call.axis(axis, len(shape))
        size = max(shape[axis], 1)
        # A step beyond the end is the same as one just beyond, and overflows nothing.
        parts[axis] = range(shape[axis])[start : end : min(max(step, -size), size)]
    return parts


def split(call: OpCall) -> list[Operand]:
    """Split into the parts that it has outputs for, each of them a slice."""
    x = call.tensor()
    axis = call.axis(call.integer("axis", 0), len(x.shape))
    sizes = split_sizes(call, x.shape[axis])
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    made: list[Operand] = []
    for start, size in zip(starts, sizes, strict=True):
        where = tuple(start if a == axis else 0 for a in range(len(x.shape)))
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        made.append(call.emit(Slice, [x], shape, starts=where, steps=(1,) * len(x.shape)))
    return made


def split_sizes(call: OpCall, size: int) -> tuple[int, ...]:
    """How much of the axis each output gets."""
    sizes = call.listed("split", 1, since=13)
    count = len(call.op.outputs)
    if sizes is None:
        each = -(-size // count)
        sizes = (*(each,) * (count - 1), size - each * (count - 1))
    if len(sizes) != count or min(sizes) < 1 or sum(sizes) != size:
        raise call.fail(f"{size} cannot be split into {count} parts {sizes[:16]}")
    return sizes


def gather(call: OpCall) -> Operand:
    """Gather of one index, a slice without its axis, or of a short list of them."""
    x = call.tensor()
    index = call.constant(1, "index")
    if index.ndim > 1 or index.dtype.kind not in "iu":
        raise call.fail(f"one index or a list of them is supported, got shape {index.shape}")
    axis = call.axis(call.integer("axis", 0), len(x.shape))
    if index.size > _PICKED:
        raise call.fail(f"at most {_PICKED} indices are supported, got {index.size}")
    where = [call.axis(int(one), x.shape[axis]) for one in index.ravel()]
    taken = _picked(call, x, axis, where)
    return taken if index.ndim else _reshaped(call, taken, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _picked(call: OpCall, x: Tensor, axis: int, where: Sequence[int]) -> Tensor:
    """Elements along an axis in any order, as channels exchanged: slices, one after the other."""
    if not 1 <= len(where) <= _PICKED:
        raise call.fail(f"1 to {_PICKED} elements in another order are supported, got {len(where)}")
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    parts = []
    for place in where:
        starts = tuple(place if a == axis else 0 for a in range(len(shape)))
        parts.append(call.emit(Slice, [x], shape, starts=starts, steps=(1,) * len(shape)))
    if len(parts) == 1:
        return parts[0]
    whole = (*x.shape[:axis], len(parts), *x.shape[axis + 1 :])
    return call.emit(Concat, parts, whole, axis=axis)


def expand(call: OpCall) -> Operand:
    """Expand; a fixed batch in front becomes 1."""
    x, wanted = call.any_tensor(), call.indices(1, "shape")
    if x.shape[:1] == (1,) and len(wanted) == len(x.shape) and wanted[0] == call.builder.batch:
        wanted = (1, *wanted[1:])
    shape = broadcast(x.shape, wanted)
    if math.prod(shape) == math.prod(x.shape):
        return _reshaped(call, x, shape)
    x = call.tensor()
    wide = (1,) * (len(shape) - len(x.shape)) + x.shape
    return call.emit(Expand, [_reshaped(call, x, wide)], shape)
