"""TFLite files of classifiers: one path of operators from the image to the scores."""

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.foreign import Foreign, Infer
from mobilenets.weights.containers.stored import StoredLayer, foreign, module_names
from mobilenets.weights.containers.tflite import rules
from mobilenets.weights.containers.tflite.chain import Chain, check_pool
from mobilenets.weights.containers.tflite.file import TfliteFile
from mobilenets.weights.containers.tflite.graph import TfliteGraph, TfliteOperator
from mobilenets.weights.containers.tflite.paths import REQUANTISE

_REARRANGE = ("RESHAPE", "SQUEEZE", "SOFTMAX", "LOGISTIC")
_SHAPE_ARITHMETIC = ("SHAPE", "STRIDED_SLICE", "PACK")
"""How a converter computes the shape of the last RESHAPE."""


def matches(graph: TfliteGraph) -> bool:
    """Any graph may be one that no other use has claimed; `read` says what it is not."""
    return True


def read(file: TfliteFile, infer: Infer) -> Foreign:
    """The classifier in a file; of one with another head, the backbone.

    Raises WeightsError for another network, ValueError for damaged weights.
    """
    trunk = Trunk(file.graph)
    names = module_names([step.layer for step in trunk.steps])
    arguments = {
        "padding": rules.padding_of(trunk.steps),
        **rules.strides_of(trunk.steps, names),
        **rules.shortcut_of(trunk, names),
        **rules.rectifier_of(trunk.steps, names),
    }
    ceiling = trunk.steps[-1].ceiling or 6.0
    heads = [rules.from_ceiling(layer, ceiling) for layer in trunk.heads[:1]] + trunk.heads[1:]
    try:
        return foreign(
            rules.to_relu6(trunk.steps, names),
            heads,
            infer,
            arguments=arguments,
            preprocessing=file.preprocessing,
            source=f"TFLite, {trunk.steps[-1].stored.lower()}; {file.said}",
            labels=_labels(file, heads[-1].weight.shape[0]) if heads else (),
            independent=trunk.sigmoid,
            rectified=trunk.rectified,
            unread=_unread(trunk),
        )
    except WeightsError as error:
        raise trunk.reason or error from error


def _labels(file: TfliteFile, outputs: int) -> tuple[str, ...]:
    """The names in the file; of one output both of its classes."""
    return file.labels(outputs) or (file.labels(2) if outputs == 1 else ())


def _unread(trunk: "Trunk") -> str:
    """What stands on the body, where that is not one classifier behind a pool."""
    if trunk.reason is None:
        return "" if trunk.heads else "it ends without a classifier"
    head = [*(f"FULLY_CONNECTED of {layer.weight.shape[0]} outputs" for layer in trunk.heads)]
    return f"its head is not a pool and one dense layer: it has {', '.join([*head, *trunk.unread])}"


class Trunk(Chain):
    """The one path through a classifier: a chain, a pool over the whole map, a classifier.

    What stands on a whole body and is no such head is gathered in `unread`, in words.
    """

    def __init__(self, graph: TfliteGraph) -> None:
        """Walk all of `graph`. WeightsError for an operator that no MobileNet has there."""
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise WeightsError(
                f"a classifier has one input and one output, got {len(graph.inputs)} and "
                f"{len(graph.outputs)}"
            )
        self.heads: list[StoredLayer] = []
        self.unread: list[str] = []
        self.reason: WeightsError | None = None
        self.sigmoid = self.rectified = False
        self._pooled = False
        super().__init__(graph, graph.operators, graph.inputs[0])
        if not self.steps:
            raise WeightsError("not a MobileNet: it has no convolutions before its pool")
        if not self.reason and not self.ends_at(graph.outputs[0]):
            raise WeightsError("not a MobileNet: its output is not what its last layer gives")

    def _advance(self, operator: TfliteOperator) -> None:
        if self.reason is None:
            try:
                super()._advance(operator)
                return
            except WeightsError as error:
                try:
                    module_names([step.layer for step in self.steps])
                except WeightsError:
                    raise error from None
                self.reason = error
        if operator.kind not in (*_SHAPE_ARITHMETIC, *_REARRANGE, *REQUANTISE):
            self.unread.append(self._words(operator))

    def _words(self, operator: TfliteOperator) -> str:
        """An operator of a head for a person: `FULLY_CONNECTED of 100 outputs with RELU`."""
        words = operator.kind
        sides = self.graph.tensors[operator.outputs[0]].shape if operator.outputs else ()
        if sides:
            words += f" of {sides[-1]} outputs"
        return words if operator.activation == "NONE" else f"{words} with {operator.activation}"

    def _is_aside(self, kind: str) -> bool:
        # If it gave the scores, the walk would not end at the output.
        return kind in _SHAPE_ARITHMETIC and self._pooled

    def _other(self, operator: TfliteOperator, source: int) -> None:
        if operator.kind in ("AVERAGE_POOL_2D", "MEAN") and not self._pooled:
            check_pool(self.graph, operator, source)
            self._pooled, self._position = True, operator.outputs[0]
        elif operator.kind in _REARRANGE and self._pooled:
            self.sigmoid |= operator.kind == "LOGISTIC"
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
        between = operator.activation == "RELU" and not self.heads
        if layer.weight.shape[2:] != (1, 1) or not (between or operator.activation == "NONE"):
            raise WeightsError("the classifier must be 1x1 without an activation")
        if len(self.heads) > self.rectified:
            raise WeightsError("two layers without a ReLU between")
        self.rectified |= between
        self.heads.append(layer)
