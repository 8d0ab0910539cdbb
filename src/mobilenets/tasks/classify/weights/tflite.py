"""TFLite files of classifiers: one path of operators from the image to the scores."""

from typing import Any

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.stored import Infer, StoredLayer, foreign, module_names
from mobilenets.weights.containers.tflite.chain import Chain, check_pool
from mobilenets.weights.containers.tflite.file import TfliteFile
from mobilenets.weights.containers.tflite.graph import TfliteGraph, TfliteOperator
from mobilenets.weights.containers.tflite.rules import (
    from_ceiling,
    padding_of,
    shortcut_of,
    strides_of,
    to_relu6,
)

_REARRANGE = ("RESHAPE", "SQUEEZE", "SOFTMAX", "LOGISTIC")
_SHAPE_ARITHMETIC = ("SHAPE", "STRIDED_SLICE", "PACK")
"""How a converter computes the shape of the last RESHAPE."""


def matches(graph: TfliteGraph) -> bool:
    """Any graph may be one that no other use has claimed; `read` says what it is not."""
    return True


def read(file: TfliteFile, infer: Infer) -> Foreign:
    """The classifier in a file.

    Raises WeightsError for another network, ValueError for damaged weights.
    """
    layers, arguments, stored = _layers(file.graph)
    return foreign(
        layers,
        infer,
        arguments=arguments,
        preprocessing=file.preprocessing,
        source=f"TFLite, {stored.lower()}",
        labels=file.labels(layers[-1].weight.shape[0]),
    )


def _layers(graph: TfliteGraph) -> tuple[list[StoredLayer], dict[str, Any], str]:
    """Layers, arguments, and the type of the weights in the file."""
    trunk = Trunk(graph)
    names = module_names([step.layer for step in trunk.steps])
    arguments = {
        "padding": padding_of(trunk.steps),
        **strides_of(trunk.steps, names),
        **shortcut_of(trunk, names),
    }
    classifier = from_ceiling(trunk.classifier, trunk.steps[-1].ceiling or 6.0)
    return [*to_relu6(trunk.steps, names), classifier], arguments, trunk.steps[-1].stored


class Trunk(Chain):
    """The one path through a classifier: a chain, a pool over the whole map, a classifier."""

    def __init__(self, graph: TfliteGraph) -> None:
        """Walk all of `graph`. WeightsError for an operator that no MobileNet has there."""
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise WeightsError(
                f"a classifier has one input and one output, got {len(graph.inputs)} and "
                f"{len(graph.outputs)}"
            )
        self.heads: list[StoredLayer] = []
        self._pooled = False
        super().__init__(graph, graph.operators, graph.inputs[0])
        if not (self.ends_at(graph.outputs[0]) and self._pooled and len(self.heads) == 1):
            raise WeightsError("not a MobileNet: it does not end in a pool and one classifier")
        self.classifier = self.heads[0]

    def _is_aside(self, kind: str) -> bool:
        # If it gave the scores, the walk would not end at the output.
        return kind in _SHAPE_ARITHMETIC and self._pooled

    def _other(self, operator: TfliteOperator, source: int) -> None:
        if operator.kind in ("AVERAGE_POOL_2D", "MEAN") and not self._pooled:
            check_pool(self.graph, operator, source)
            self._pooled, self._position = True, operator.outputs[0]
        elif operator.kind in _REARRANGE and self._pooled:
            self._same[operator.outputs[0]] = source
        else:
            super()._other(operator, source)

    def _add(self, operator: TfliteOperator) -> None:
        if self._pooled:
            raise WeightsError("not a MobileNet: a shortcut behind the pool")
        super()._add(operator)

    def _convolve(self, operator: TfliteOperator, source: int) -> None:
        if not self._pooled:
            super()._convolve(operator, source)
            return
        layer = self._layer(operator)
        if operator.activation != "NONE" or layer.weight.shape[2:] != (1, 1):
            raise WeightsError("the classifier must be 1x1 without an activation")
        self.heads.append(layer)
