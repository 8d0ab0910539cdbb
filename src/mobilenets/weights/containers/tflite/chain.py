"""Following a TFLite graph, one convolution after another."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.stored import StoredLayer
from mobilenets.weights.containers.tflite.graph import TfliteGraph, TfliteOperator

TflitePads = tuple[tuple[int, int], tuple[int, int]]
"""((top, bottom), (left, right)) in pixels."""

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_ACTIVATIONS = ("RELU", "RELU6", "LEAKY_RELU")
_LOWEST = {"UINT8": 0, "INT8": -128, "INT16": -32768}
_HIGHEST = {"UINT8": 255, "INT8": 127, "INT16": 32767}


@dataclass(frozen=True)
class TfliteStep:
    """A convolution of a chain and what its operator says."""

    layer: StoredLayer
    operator: TfliteOperator
    stored: str
    """The type of its weights in the file, such as `UINT8`."""
    source: int
    """The tensor that it reads."""
    output: int
    """The tensor that it writes, behind its activation."""
    image: tuple[int, int]
    """(height, width) of `source`; 0 where the file leaves it open."""
    pads: TflitePads | None
    """Of a padding operator before it."""
    ceiling: float | None
    """Where its activation cuts off, 6 for ReLU6, infinity for ReLU; None without activation."""
    slope: float | None = None
    """Below 0, of a leaky ReLU."""


class Chain:
    """Convolutions in a row.

    `shortcuts` maps a step to the earlier step whose input is added to its output.
    """

    def __init__(self, graph: TfliteGraph, operators: Iterable[TfliteOperator], start: int) -> None:
        """Walk `operators` from the tensor `start`.

        WeightsError for an operator that no MobileNet has there.
        """
        self.graph = graph
        self.steps: list[TfliteStep] = []
        self.shortcuts: dict[int, int] = {}
        self._position = start
        self._same: dict[int, int] = {}  # a tensor -> the one with the same values before it
        self._pads: TflitePads | None = None
        for operator in operators:
            self._advance(operator)

    def ends_at(self, tensor: int) -> bool:
        """Whether `tensor` is what the last step gives, and something has been walked."""
        return bool(self.steps) and self._root(tensor) == self._position

    def _root(self, tensor: int) -> int:
        return self._same.get(tensor, tensor)

    def _advance(self, operator: TfliteOperator) -> None:
        if not operator.inputs or not operator.outputs or min(operator.outputs) < 0:
            raise WeightsError(f"an operator {operator.kind} without inputs or outputs")
        source, output = self._root(operator.inputs[0]), operator.outputs[0]
        kind = operator.kind
        if kind in ("QUANTIZE", "DEQUANTIZE"):  # of activations, and of float16 weights
            self._same[output] = source
        elif kind == "ADD":
            self._add(operator)
        elif self._is_aside(kind):
            return
        elif source != self._position:
            raise WeightsError(f"not a MobileNet: its {kind} does not follow the layer before it")
        elif kind == "PAD" and self._pads is None:
            self._pads = self._padding(operator)
            self._same[output] = source
        elif kind in _CONVOLUTIONS:
            self._convolve(operator, source)
            self._position = output
        elif kind in _ACTIVATIONS and self._pads is None and self._activate(operator):
            return
        elif self._pads is not None:
            raise WeightsError(f"padding before {kind}, which no MobileNet has")
        else:
            self._other(operator, source)

    def _is_aside(self, kind: str) -> bool:
        """Whether an operator may stand beside the chain."""
        return False

    def _other(self, operator: TfliteOperator, source: int) -> None:
        raise WeightsError(f"not a MobileNet: it has no operator {operator.kind} there")

    def _padding(self, operator: TfliteOperator) -> TflitePads:
        pads = self.graph.constant(self._input(operator, 1))
        if pads.shape != (4, 2) or pads[0].any() or pads[3].any():
            raise WeightsError(f"a PAD that is not of height and width: {pads.tolist()}")
        return (int(pads[1, 0]), int(pads[1, 1])), (int(pads[2, 0]), int(pads[2, 1]))

    def _input(self, operator: TfliteOperator, index: int) -> int:
        """Input `index`, behind its dequantisation; WeightsError where the operator has none."""
        if len(operator.inputs) <= index or operator.inputs[index] < 0:
            raise WeightsError(f"an operator {operator.kind} without its input {index}")
        return self._root(operator.inputs[index])

    def _layer(self, operator: TfliteOperator) -> StoredLayer:
        """A convolution's weights in torch's layout."""
        stored = self._input(operator, 1)
        weight = self.graph.real(stored)
        has_bias = len(operator.inputs) > 2 and operator.inputs[2] >= 0
        bias = self.graph.real(self._root(operator.inputs[2])) if has_bias else None
        if weight.ndim != (2 if operator.kind == "FULLY_CONNECTED" else 4):
            raise WeightsError(f"{operator.kind} with weights of shape {weight.shape}")
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        if weight.ndim == 2:
            weight = weight[:, :, None, None]
        else:  # (out, h, w, in), or (1, h, w, channels)
            weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        if bias is not None and bias.shape != weight.shape[:1]:
            raise WeightsError(f"a bias of shape {bias.shape} for {weight.shape[0]} channels")
        name = f"layer {len(self.steps) + 1}"
        return StoredLayer(name, weight, depthwise, bias)

    def _convolve(self, operator: TfliteOperator, source: int) -> None:
        layer = self._layer(operator)
        shape = self.graph.tensors[operator.inputs[0] if self._pads is None else source].shape
        if len(shape) != 4 or operator.kind == "FULLY_CONNECTED":
            raise WeightsError(f"not a MobileNet: {operator.kind} before the pool")
        kind = self.graph.tensors[self._input(operator, 1)].type
        ceiling = self._ceiling(operator)
        image, output = (shape[1], shape[2]), operator.outputs[0]
        self.steps.append(
            TfliteStep(layer, operator, kind, source, output, image, self._pads, ceiling)
        )
        self._pads = None

    def _ceiling(self, operator: TfliteOperator) -> float | None:
        """Where the activation cuts off: written in the operator, or in the output's range.

        A quantised output whose range begins at 0 is a ReLU, and the end of its range cuts it
        off: older converters leave ReLU6 out for that.
        """
        if operator.activation == "RELU6":
            return 6.0
        output = self.graph.tensors[operator.outputs[0]]
        if output.quantization is not None and output.type in _LOWEST:
            scale, zero = output.quantization.scale[0], output.quantization.zero_point[0]
            if operator.activation == "RELU" or zero == _LOWEST[output.type]:
                step = float(scale)
                end = step * (_HIGHEST[output.type] - int(zero))
                if not (np.isfinite(end) and end > 0):
                    raise WeightsError(f"a quantization range that ends at {end}")
                return 6.0 if abs(end - 6.0) <= step else end
        if operator.activation == "RELU":
            return math.inf
        if operator.activation != "NONE":
            raise WeightsError(f"an activation {operator.activation}; ours are RELU6 and RELU")
        return None

    def _activate(self, operator: TfliteOperator) -> bool:
        """Take an activation that is an operator by itself, behind a step without one."""
        bare = self.steps and self.steps[-1].output == self._position
        if not bare or self.steps[-1].ceiling is not None or self.steps[-1].slope is not None:
            return False
        if operator.kind == "LEAKY_RELU":
            self.steps[-1] = dataclasses.replace(self.steps[-1], slope=operator.slope)
        else:
            ceiling = 6.0 if operator.kind == "RELU6" else math.inf
            self.steps[-1] = dataclasses.replace(self.steps[-1], ceiling=ceiling)
        self._same[operator.outputs[0]] = self._position
        return True

    def _add(self, operator: TfliteOperator) -> None:
        """A shortcut: the output of the last step and the input of an earlier one."""
        others = [self._root(i) for i in operator.inputs if self._root(i) != self._position]
        sources = [step.source for step in self.steps]
        if len(operator.inputs) != 2 or len(others) != 1 or others[0] not in sources:
            raise WeightsError("not a MobileNet: an ADD that is no shortcut")
        if operator.activation != "NONE" or self._pads is not None:
            raise WeightsError("not a MobileNet: a shortcut with an activation or padding")
        self.shortcuts[len(self.steps) - 1] = sources.index(others[0])
        self._position = operator.outputs[0]


def check_pool(graph: TfliteGraph, operator: TfliteOperator, source: int) -> None:
    """WeightsError unless a pool takes the whole of the map that it reads, as a MobileNet's."""
    if operator.kind == "MEAN":
        if len(operator.inputs) < 2 or operator.inputs[1] < 0:
            raise WeightsError("an operator MEAN without its input 1")
        axes = np.sort(graph.constant(operator.inputs[1]).ravel() % 4)
        if axes.tolist() != [1, 2]:
            raise WeightsError(f"a mean over axes {axes.tolist()}, must be height and width")
    elif operator.activation != "NONE":
        raise WeightsError(f"a pool with an activation {operator.activation}, must have none")
    elif operator.padding == "SAME" and operator.stride != operator.window:
        raise WeightsError(f"a pool with a stride of {operator.stride} and padding")
    elif operator.window != graph.tensors[source].shape[1:3]:
        raise WeightsError(
            f"a pool of {operator.window} on a map of {graph.tensors[source].shape[1:3]}"
        )
