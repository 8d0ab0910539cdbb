"""The typed graph between the front end and the compiler: shapes known, constants folded.

Tensors have ONNX's logical shapes (N, C, H, W for images) with N = 1; how they lie in memory is
the memory plan's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir.integers import (
    FloatSum,
    Quantization,
    Requantize,
    ScaledProduct,
    TabledSoftmax,
    WeightedSum,
)
from mobilenets.engine.ir.types import ElementType

Array = NDArray[np.float32]
Stored = NDArray[Any]
"""Numbers of a file: float32, or int8, uint8 and int32 where a node computes with integers."""
Shape = tuple[int, ...]
Pads = tuple[int, int, int, int]
"""Top, left, bottom, right."""


@dataclass(frozen=True)
class Activation:
    """An elementwise function: what a convolution may end in.

    clip: min(max(x, low), high), either of them infinite; exp: e to the x; hardsigmoid:
    clip(alpha x + beta, 0, 1); hardswish: x clip(x / 6 + 1/2, 0, 1); sigmoid: 1 / (1 + exp(-x));
    silu: x sigmoid(x); leaky: x, and alpha x below 0; reciprocal: 1 / x; sqrt: the square root.
    log: the natural logarithm. NaN stays NaN.
    """

    kind: Literal[
        "none",
        "clip",
        "exp",
        "hardsigmoid",
        "hardswish",
        "leaky",
        "log",
        "reciprocal",
        "sigmoid",
        "silu",
        "sqrt",
    ] = "none"
    low: float = -np.inf
    high: float = np.inf
    alpha: float = 1 / 6
    beta: float = 0.5


LINEAR = Activation()
RELU6 = Activation("clip", 0.0, 6.0)


@dataclass(frozen=True)
class Tensor:
    """A value's name, logical shape and element type."""

    name: str
    """What the file calls it."""
    shape: tuple[int, ...]
    """With the batch in front; () for a scalar."""
    dtype: ElementType
    """Of its elements, in a compiled network."""
    quantization: Quantization | None = None
    """What integers stand for; None for floats, and for integers that are only counted."""

    @property
    def size(self) -> int:
        """Number of elements, 1 for a scalar."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Its elements' bytes together."""
        return self.size * self.dtype.size


@dataclass(frozen=True, eq=False)
class Node:
    """One operation; `name` is that of the file's node, for messages."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Conv(Node):
    """Convolution of (1, C, H, W) with `weight` (O, C / groups, kh, kw) and `bias` (O,).

    A second input, (1, O, 1, 1) or as the output, is added before the activation: 1x1 only.
    With `requantize`, x, weight and bias (int32) are integers: zero_point, which fills the pads, is
    taken from each x, and weight_zero from each weight; there is no activation.
    """

    weight: Stored
    bias: Stored
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    groups: int = 1
    activation: Activation = LINEAR
    zero_point: int = 0
    weight_zero: int = 0
    requantize: Requantize | None = None

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved on its own, with one output each."""
        return bool(self.groups == self.weight.shape[0] and self.weight.shape[1] == 1)

    @property
    def pointwise(self) -> bool:
        """Whether it is a matrix product per pixel: 1x1, stride 1, no pads, one group."""
        plain = self.weight.shape[2:] == (1, 1) and self.strides == (1, 1) and self.groups == 1
        return plain and not any(self.pads)


@dataclass(frozen=True, eq=False)
class Dense(Node):
    """x (..., K) times `weight` (K, N) plus `bias` (N,); of integers as in a Conv."""

    weight: Stored
    bias: Stored
    activation: Activation = LINEAR
    zero_point: int = 0
    weight_zero: int = 0
    requantize: Requantize | None = None


@dataclass(frozen=True, eq=False)
class Activate(Node):
    """An activation that no layer ends in: y = activation(x), element by element."""

    activation: Activation


@dataclass(frozen=True, eq=False)
class Binary(Node):
    """Sum or product with numpy's broadcasting: of two values, or of one and `constant`.

    Of integers: a WeightedSum, FloatSum or ScaledProduct says how; None where they are floats.
    """

    kind: Literal["add", "mul"]
    constant: Stored | None = None
    integers: WeightedSum | FloatSum | ScaledProduct | None = None


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """Average or maximum over windows of (1, C, H, W); `count_pads`: pads count in the average.

    An average of integers is rounded to the nearest, halves away from 0.
    """

    kind: Literal["average", "max"]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: Pads = (0, 0, 0, 0)
    count_pads: bool = False


@dataclass(frozen=True, eq=False)
class Reduce(Node):
    """Mean, sum, or length (l2) over `axes` (none negative), kept as 1 or dropped.

    With `requantize`, a mean or sum of integers: the sum of (x - zero_point), requantized.
    """

    kind: Literal["mean", "sum", "l2"]
    axes: tuple[int, ...]
    keep: bool
    zero_point: int = 0
    requantize: Requantize | None = None


@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """The same elements in row-major order under the output's shape."""


@dataclass(frozen=True, eq=False)
class Expand(Node):
    """Repeated along axes of size 1 up to the output's shape, which has as many axes."""


@dataclass(frozen=True, eq=False)
class Transpose(Node):
    """Output axis i is input axis order[i]."""

    order: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """Inputs one after the other along `axis`."""

    axis: int


@dataclass(frozen=True, eq=False)
class Pad(Node):
    """`before` and `after` elements of `value` added at each axis."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Resize(Node):
    """Of (1, C, H, W) to the output's height and width: bilinear, or each pixel repeated (nearest).

    What is repeated is so a whole number of times. Where `fraction` is above 0, integers are
    blended by integers: the later pixel's share has so many bits, and the sum is rounded once,
    halves up.
    """

    coordinates: Literal["half_pixel", "align_corners", "asymmetric", "nearest"]
    fraction: int = 0


@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """exp(x) / sum(exp(x)) along `axis`; of integers by a table."""

    axis: int
    integers: TabledSoftmax | None = None


@dataclass(frozen=True, eq=False)
class ArgMax(Node):
    """Index (int64) of the first largest element along `axis`, kept as 1 or dropped."""

    axis: int
    keep: bool


@dataclass(frozen=True, eq=False)
class Slice(Node):
    """`starts[i] + steps[i] * k` along axis i, as many as the output's shape says; steps >= 1."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Lookup(Node):
    """A function of a byte: `table` (256,) has its values, the one of the smallest byte first."""

    table: Stored


@dataclass(frozen=True, eq=False)
class Quantize(Node):
    """From float32 to integers: round(x / scale) + zero_point, halves to even, within the type.

    `inverse`: x is multiplied by the float32 nearest to 1 / scale instead.
    """

    quantization: Quantization
    dtype: ElementType
    inverse: bool = False


@dataclass(frozen=True, eq=False)
class Dequantize(Node):
    """From integers to float32: (x - zero_point) scale, as the input's quantization has it."""

    quantization: Quantization


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run; every name in `tensors`."""

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    input: str
    outputs: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read the value `name`, in the graph's order."""
        return [node for node in self.nodes if name in node.inputs]
