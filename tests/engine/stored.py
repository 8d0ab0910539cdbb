"""Small graphs of stored integers, with numbers drawn at random."""

from typing import Any

import numpy as np

from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.graph import Conv, Graph, Node, Tensor
from mobilenets.engine.ir.integers import Quantization, Requantize
from mobilenets.engine.ir.types import INT8, UINT8, ElementType


class Drawn:
    """Layers one after the other, of a type; what they give goes to all that the type can hold."""

    def __init__(self, seed: int, dtype: ElementType, channels: int, size: tuple[int, int]) -> None:
        self.random, self.dtype = np.random.default_rng(seed), dtype
        shape = (1, channels, *size)
        self.zero = self._zero()
        self.tensors = {"x": Tensor("x", shape, dtype, Quantization(1.0, self.zero))}
        self.nodes: list[Node] = []
        self.last = "x"

    def _zero(self) -> int:
        info = np.iinfo(self.dtype.name)
        return int(self.random.integers(info.min, info.max + 1))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what was made last."""
        return self.tensors[self.last].shape

    def conv(self, outputs: int, kernel: tuple[int, int] = (1, 1), **how: Any) -> "Drawn":
        """One more convolution; `how`: strides, dilations, pads, groups."""
        _, inputs, high, wide = self.shape
        strides, dilations = how.get("strides", (1, 1)), how.get("dilations", (1, 1))
        top, left, bottom, right = how.get("pads", (0, 0, 0, 0))
        sides = (high + top + bottom, kernel[0]), (wide + left + right, kernel[1])
        size = tuple(
            (side - (taps - 1) * apart - 1) // step + 1
            for (side, taps), apart, step in zip(sides, dilations, strides, strict=True)
        )
        depth = inputs // how.get("groups", 1) * kernel[0] * kernel[1]
        legacy = self.dtype == UINT8  # weights of old files: any zero point
        info = np.iinfo(np.uint8 if legacy else np.int8)
        weight = self.random.integers(
            info.min, info.max + 1, (outputs, inputs // how.get("groups", 1), *kernel)
        ).astype(info.dtype)
        spread = 128 * 74 * depth**0.5
        multiplier = np.float32(self.random.uniform(20, 80, outputs) / spread)
        bias = self.random.integers(-100, 100, outputs).astype(np.int32) * int(spread / 100)
        to, (low, high_end) = self._zero(), self._limits()
        made = Requantize(multiplier, to, low, high_end, self.dtype)
        name = f"c{len(self.nodes)}"
        node = Conv(
            name, (self.last,), name, weight, bias.astype(np.int32), zero_point=self.zero,
            weight_zero=int(self.random.integers(0, 256)) if legacy else 0, requantize=made, **how,
        )  # fmt: skip
        return self._add(node, (1, outputs, *size), to)

    def _limits(self) -> tuple[int, int]:
        info = np.iinfo(self.dtype.name)
        return int(info.min) + int(self.random.integers(0, 20)), int(info.max)

    def _add(self, node: Node, shape: tuple[int, ...], zero: int) -> "Drawn":
        self.nodes.append(node)
        self.tensors[node.output] = Tensor(node.output, shape, self.dtype, Quantization(1.0, zero))
        self.last, self.zero = node.output, zero
        return self

    def pool(self, kind: str, kernel: tuple[int, int]) -> "Drawn":
        """A pool of stride 2, with a pad at the top and the left."""
        _, channels, high, wide = self.shape
        size = ((high + 1 - kernel[0]) // 2 + 1, (wide + 1 - kernel[1]) // 2 + 1)
        name = f"p{len(self.nodes)}"
        node = g.Pool(name, (self.last,), name, kind, kernel, (2, 2), (1, 1, 0, 0))  # type: ignore[arg-type]
        return self._add(node, (1, channels, *size), self.zero)

    def graph(self) -> Graph:
        """All of it, what was made last being the output."""
        return Graph(tuple(self.nodes), self.tensors, "x", (self.last,))

    def image(self) -> np.ndarray:
        """Any numbers of the type."""
        info = np.iinfo(self.dtype.name)
        shape = self.tensors["x"].shape
        return self.random.integers(info.min, info.max + 1, shape).astype(info.dtype)


def networks() -> list[tuple[Graph, np.ndarray]]:
    """Odd channels and sizes: a stem, blocks of every kind, layers by themselves, pools."""
    drawn = [
        Drawn(0, INT8, 3, (13, 11)).conv(9, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
        .conv(31).conv(31, (3, 3), groups=31, pads=(1, 1, 1, 1)).conv(7)
        .conv(7, (5, 5), groups=7, pads=(2, 2, 2, 2), strides=(2, 2)).conv(17),
        Drawn(1, UINT8, 5, (9, 8)).conv(5, (3, 2), groups=5, dilations=(2, 2), pads=(2, 1, 2, 1))
        .pool("max", (3, 2)).conv(33).pool("average", (2, 3)),
        Drawn(2, UINT8, 6, (7, 7)).conv(8, (3, 3), groups=2, pads=(1, 1, 1, 1)).conv(40),
    ]  # fmt: skip
    return [(one.graph(), one.image()) for one in drawn]
