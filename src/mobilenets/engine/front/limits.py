"""What every front end checks before it believes a file: sizes, shapes, names."""

import math
from collections.abc import Sequence

from mobilenets.engine.ir.graph import Shape
from mobilenets.errors import WeightsError

MAX_BYTES = 2**31
"""Of one tensor, and of all of a file's constants together."""
MAX_RANK = 8
_MAX_QUOTED = 60


def quote(name: str) -> str:
    """A name out of a file, on one line and not too long."""
    return repr(name if len(name) <= _MAX_QUOTED else f"{name[:_MAX_QUOTED]}...")


def check_size(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """`shape` as plain ints; WeightsError where an array of it cannot be or is too large."""
    if len(shape) > MAX_RANK:
        raise WeightsError(f"at most {MAX_RANK} dimensions are supported, got {len(shape)}")
    shape = tuple(int(size) for size in shape)
    if any(size < 0 for size in shape):
        raise WeightsError(f"dimensions must not be negative, got {shape}")
    if math.prod(shape) * itemsize > MAX_BYTES:
        raise WeightsError(f"a tensor can have {MAX_BYTES} bytes, got shape {shape}")
    return shape


def check_runtime(shape: Sequence[int]) -> Shape:
    """A shape that a value of a running network may have: not empty, not too large."""
    shape = check_size(shape, 4)
    if 0 in shape:
        raise WeightsError(f"empty tensors are not supported, got shape {shape}")
    return shape


def broadcast(first: Shape, second: Shape) -> Shape:
    """The shape by numpy's rule, checked before there is anything to broadcast."""
    rank = max(len(first), len(second))
    pairs = zip(
        (1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True
    )
    out = []
    for a, b in pairs:
        if a != b and 1 not in (a, b):
            raise WeightsError(f"shapes {first} and {second} do not fit together")
        out.append(b if a == 1 else a)
    if math.prod(out) * 4 > MAX_BYTES:
        raise WeightsError(f"a tensor can have {MAX_BYTES} bytes, got shape {tuple(out)}")
    return tuple(out)
