"""Small files of one operator each: of float32, int8 and uint8, with scales drawn at random."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.engine.front.tflite.files import NONE, RELU, RELU6, RELU_N1, Draft

SAME, VALID = 0, 1
FLOAT, INT8, UINT8 = np.float32, np.int8, np.uint8
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Kind:
    """A type of numbers, and what the input's and the output's of a file stand for."""

    dtype: Any
    seed: int

    @property
    def random(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @property
    def whole(self) -> bool:
        return np.dtype(self.dtype).itemsize == 1

    def scale(self, place: int) -> tuple[float, int]:
        """Scale and zero point of the input (0), the output (1) and other values."""
        scales = self.random.uniform(0.02, 0.1, 8).astype(np.float32)
        zeros = self.random.integers(0, 120, 8) - (60 if self.dtype == INT8 else 0)
        return float(scales[place]), int(zeros[place])

    def of(self, place: int) -> tuple[Any, ...]:
        """The same as arguments of `Draft.tensor`; none for floats."""
        return self.scale(place) if self.whole else ()

    def values(self, *shape: int) -> np.ndarray:
        """Any numbers of the type; to begin with, all that a byte can be."""
        if not self.whole:
            return self.random.normal(0, 2, shape).astype(FLOAT)
        info = np.iinfo(self.dtype)
        drawn = self.random.integers(info.min, info.max + 1, int(np.prod(shape)))
        count = min(256, drawn.size)
        drawn[:count] = np.arange(info.min, info.max + 1)[:count]
        return drawn.astype(self.dtype).reshape(shape)


Made = tuple[bytes, np.ndarray]
Case = Callable[[Kind], Made]


def single(
    kind: Kind, name: str, shape: Shape, out: Shape,
    others: Callable[[Draft], list[int]] = lambda draft: [],
    *, same: bool = False, first: bool = True, to: Any = None, scaled: Any = None, **options: Any,
) -> Made:  # fmt: skip
    """A file of one operator, and an input. `same`: what goes out has the input's scale."""
    draft = Draft()
    x = draft.tensor(shape, kind.dtype, *kind.of(0))
    more = others(draft)
    target = to or kind.dtype
    whole = np.dtype(target).itemsize == 1
    scale = (scaled or kind.scale(0 if same else 1)) if whole else ()
    y = draft.tensor(out, target, *scale)
    draft.add(name, [x, *more] if first else [*more, x], [y], **options)
    return draft.finish([x], [y]), kind.values(*shape)


def ints(*values: Any) -> Callable[[Draft], list[int]]:
    """Constants of int32."""
    return lambda draft: [draft.constant(np.int32(value)) for value in values]


def _one(name: str, **options: Any) -> Case:
    return lambda kind: single(kind, name, (1, 256), (1, 256), **options)


def _constant(kind: Kind, *shape: int, place: int = 2) -> Callable[[Draft], list[int]]:
    return lambda draft: [draft.constant(kind.values(*shape), *kind.of(place))]


def _pair(name: str, activation: int = NONE, **options: Any) -> Case:
    return lambda kind: single(
        kind, name, (1, 5, 6, 7), (1, 5, 6, 7), _constant(kind, 7),
        fusedActivationFunction=activation, **options,
    )  # fmt: skip


def _twice(name: str, activation: int = NONE) -> Case:
    return lambda kind: single(
        kind, name, (1, 5, 6, 7), (1, 5, 6, 7), lambda draft: [0],
        fusedActivationFunction=activation,
    )  # fmt: skip


def _pool(name: str, padding: int, out: Shape, stride: int, activation: int = NONE) -> Case:
    return lambda kind: single(
        kind, name, (1, 8, 9, 5), (1, *out, 5), same=True, padding=padding, strideH=stride,
        strideW=stride, filterHeight=3, filterWidth=2, fusedActivationFunction=activation,
    )  # fmt: skip


def _reduced(name: str, axes: list[int], out: Shape, keep: bool = False) -> Case:
    return lambda kind: single(
        kind, name, (1, 7, 6, 9), out, ints(axes), keepDims=keep,
        scaled=(kind.scale(1)[0] * (8 if name == "SUM" else 1), kind.scale(1)[1]),
    )  # fmt: skip


def _resized(out: Shape, name: str = "RESIZE_BILINEAR", **options: Any) -> Case:
    return lambda kind: single(
        kind, name, (1, 7, 9, 5), (1, *out, 5), ints(list(out)), same=True, **options
    )


def _weighted(
    name: str, weight: Shape, axis: int, out: Shape, activation: int = NONE,
    shape: Shape = (1, 8, 9, 4), *, bias: bool = True, **options: Any,
) -> Case:  # fmt: skip
    """A convolution or a product: a scale for each output of int8, one and any zero of uint8."""

    def make(kind: Kind) -> Made:
        def others(draft: Draft) -> list[int]:
            outputs = weight[axis]
            random = kind.random
            if not kind.whole:
                held = [kind.values(*weight), kind.values(outputs)]
                return [draft.constant(one) for one in held[: 1 + bias]]
            per_channel = kind.dtype == INT8
            scales = random.uniform(1e-3, 1e-2, outputs if per_channel else 1).astype(FLOAT)
            low, high, zero = (-127, 128, 0) if per_channel else (0, 256, 117)
            stored = random.integers(low, high, weight).astype(kind.dtype)
            made = [draft.constant(stored, scales, zero, axis if per_channel else 0)]
            shift = random.integers(-2000, 2000, outputs).astype(np.int32)
            scale = np.float32(kind.scale(0)[0]) * scales
            return [*made, *([draft.constant(shift, scale, 0, 0)] if bias else [])]

        return single(kind, name, shape, out, others, fusedActivationFunction=activation, **options)

    return make


def _convolution(padding: int, stride: int, out: Shape, **options: Any) -> Case:
    return _weighted(
        "CONV_2D", (6, 3, 2, 4), 0, (1, *out, 6), padding=padding, strideH=stride, strideW=stride,
        dilationHFactor=1, dilationWFactor=1, **options,
    )  # fmt: skip


def _depthwise(times: int, padding: int, stride: int, out: Shape, dilation: int = 1) -> Case:
    return _weighted(
        "DEPTHWISE_CONV_2D", (1, 3, 3, 4 * times), 3, (1, *out, 4 * times), RELU6,
        padding=padding, strideH=stride, strideW=stride, depthMultiplier=times,
        dilationHFactor=dilation, dilationWFactor=dilation,
    )  # fmt: skip


def _probabilities(name: str, **options: Any) -> Case:
    """Of integers the output has the scale that the format asks for."""
    return lambda kind: single(
        kind, name, (1, 256), (1, 256),
        scaled=(1 / 256, -128 if kind.dtype == INT8 else 0), **options,
    )  # fmt: skip


PADS = [[0, 0], [1, 2], [0, 1], [0, 0]]
CASES: dict[str, Case] = {
    "add": _pair("ADD"),
    "add, ended": _pair("ADD", RELU6),
    "add to itself": _twice("ADD", RELU),
    "arg max": lambda kind: single(
        kind, "ARG_MAX", (1, 4, 5, 6), (1, 4, 5), ints(3), to=np.int64, outputType=4
    ),
    "average": _pool("AVERAGE_POOL_2D", SAME, (4, 5), 2),
    "average, ended": _pool("AVERAGE_POOL_2D", VALID, (6, 8), 1, RELU6),
    "concatenation": lambda kind: single(
        kind, "CONCATENATION", (1, 4, 5, 3), (1, 4, 5, 6), lambda draft: [0], axis=3,
        fusedActivationFunction=NONE, same=kind.dtype == INT8,
    ),
    "convolution": _convolution(SAME, 2, (4, 5)),
    "convolution, ended": _convolution(VALID, 1, (6, 8), activation=RELU),
    "depthwise": _depthwise(1, SAME, 2, (4, 5)),
    "depthwise, dilated": _depthwise(1, SAME, 1, (8, 9), dilation=2),
    "depthwise, three for one": _depthwise(3, VALID, 1, (6, 7)),
    "expand dims": lambda kind: single(
        kind, "EXPAND_DIMS", (1, 4, 5), (1, 4, 1, 5), ints(2), same=True
    ),
    "fully connected": _weighted("FULLY_CONNECTED", (6, 9), 0, (3, 6), RELU, (1, 3, 9)),
    "fully connected, no bias": _weighted(
        "FULLY_CONNECTED", (6, 9), 0, (3, 6), NONE, (1, 3, 9), bias=False
    ),
    "hard swish": _one("HARD_SWISH"),
    "largest": _pool("MAX_POOL_2D", SAME, (4, 5), 2),
    "largest, ended": _pool("MAX_POOL_2D", SAME, (8, 9), 1, RELU6),
    "leaky relu": _one("LEAKY_RELU", alpha=0.2),
    "logistic": _probabilities("LOGISTIC"),
    "mean": _reduced("MEAN", [1, 2], (1, 9)),
    "mean of channels": _reduced("MEAN", [-1], (1, 7, 6, 1), keep=True),
    "mul": _pair("MUL"),
    "mul, ended": _pair("MUL", RELU_N1),
    "mul by itself": _twice("MUL"),
    "nearest": _resized((14, 27), "RESIZE_NEAREST_NEIGHBOR"),
    "nearest, centres": _resized((14, 27), "RESIZE_NEAREST_NEIGHBOR", halfPixelCenters=True),
    "pack": lambda kind: single(
        kind, "PACK", (1, 4, 5), (1, 2, 4, 5), lambda draft: [0], axis=1, valuesCount=2, same=True
    ),
    "pad": lambda kind: single(kind, "PAD", (1, 4, 5, 3), (1, 7, 6, 3), ints(PADS), same=True),
    "pad with a value": lambda kind: single(
        kind, "PADV2", (1, 4, 5, 3), (1, 7, 6, 3),
        lambda draft: [*ints(PADS)(draft), *_constant(kind, place=0)(draft)], same=True,
    ),
    "relu": _one("RELU"),
    "relu of one scale": _one("RELU", same=True),
    "relu 6": _one("RELU6"),
    "relu from -1 to 1": _one("RELU_N1_TO_1"),
    "resize": _resized((13, 20)),
    "resize, corners": _resized((13, 20), alignCorners=True),
    "resize, centres": _resized((13, 20), halfPixelCenters=True),
    "resize to less": _resized((3, 4), halfPixelCenters=True),
    "slice": lambda kind: single(
        kind, "SLICE", (1, 4, 5, 3), (1, 2, 5, 2), ints([0, 1, 0, 1], [1, 2, -1, 2]), same=True
    ),
    "softmax": _probabilities("SOFTMAX", beta=1.0),
    "softmax of a part": _probabilities("SOFTMAX", beta=0.7),
    "split": lambda kind: single(
        kind, "SPLIT", (1, 4, 6), (1, 4, 6), ints(2), same=True, first=False, numSplits=1
    ),
    "squeeze": lambda kind: single(
        kind, "SQUEEZE", (1, 4, 1, 5), (1, 4, 5), same=True, squeezeDims=[2]
    ),
    "strided slice": lambda kind: single(
        kind, "STRIDED_SLICE", (1, 7, 5, 3), (1, 3, 3),
        ints([0, 1, 2, 0], [1, 7, 3, 3], [1, 2, 1, 1]), shrinkAxisMask=4, endMask=2, same=True,
    ),
    "sub": _pair("SUB"),
    "sub from a constant": _pair("SUB", RELU, first=False),
    "sum": _reduced("SUM", [1, 2], (1, 9)),
    "transpose": lambda kind: single(
        kind, "TRANSPOSE", (1, 4, 5, 6), (1, 6, 4, 5), ints([0, 3, 1, 2]), same=True
    ),
}  # fmt: skip
FLOATS: dict[str, Case] = {
    "div": _pair("DIV"),
    "length": lambda kind: single(kind, "L2_NORMALIZATION", (1, 4, 9), (1, 4, 9)),
    "prelu": _pair("PRELU"),
    "quantize": lambda kind: single(kind, "QUANTIZE", (1, 256), (1, 256), to=UINT8),
}
BYTES: dict[str, Case] = {
    "dequantize": _one("DEQUANTIZE", to=FLOAT),
    "quantize": _one("QUANTIZE"),
    "quantize, other sign": lambda kind: single(
        kind, "QUANTIZE", (1, 256), (1, 256), to=INT8 if kind.dtype == UINT8 else UINT8,
        scaled=(kind.scale(0)[0], 20),
    ),
}  # fmt: skip
