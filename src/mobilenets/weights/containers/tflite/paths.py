"""Ways through a TFLite graph from its end, for networks that are not one chain."""

from collections.abc import Sequence

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.tflite.chain import Chain
from mobilenets.weights.containers.tflite.graph import TfliteGraph, TfliteOperator

REQUANTISE = ("QUANTIZE", "DEQUANTIZE")


class Paths:
    """Ways through a graph, from a tensor back to what it was made of; tensors by their index."""

    def __init__(self, graph: TfliteGraph) -> None:
        self.graph = graph
        self._made = {
            output: index for index, op in enumerate(graph.operators) for output in op.outputs
        }

    def constant(self, operator: TfliteOperator, index: int) -> list[int]:
        """The numbers of an operator's input; WeightsError where there is none."""
        if len(operator.inputs) <= index or operator.inputs[index] < 0:
            raise WeightsError(f"an operator {operator.kind} without its input {index}")
        values: list[int] = self.graph.constant(operator.inputs[index]).ravel().tolist()
        return values

    def back(self, tensor: int, through: Sequence[str]) -> tuple[int, TfliteOperator | None]:
        """The tensor that `tensor` is made of by operators `through`, and what made that."""
        before = len(self.graph.operators)
        while True:
            index = self._made.get(tensor)
            if index is None:
                return tensor, None
            operator = self.graph.operators[index]
            if index >= before or not operator.inputs or operator.inputs[0] < 0:
                raise WeightsError(f"an operator {operator.kind} without an input before it")
            if operator.kind not in through:
                return tensor, operator
            before, tensor = index, operator.inputs[0]

    def chain(self, start: int, end: int, kind: type[Chain] = Chain) -> Chain:
        """The convolutions from one tensor to another; WeightsError where there is no such way."""
        needed, operators = {end}, []
        for operator in reversed(self.graph.operators):
            if needed.intersection(operator.outputs):
                operators.append(operator)
                needed.update(i for i in operator.inputs if i != start)
        chain = kind(self.graph, reversed(operators), start)
        if not chain.ends_at(end):
            raise WeightsError("its maps do not follow from each other")
        return chain
