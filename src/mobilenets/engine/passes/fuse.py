"""Which nodes of a graph run as one: a list of units, each of them a fused group or a node."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

from mobilenets.engine.ir.graph import (
    ArgMax,
    Binary,
    Conv,
    Dense,
    Graph,
    Node,
    Reduce,
    Resize,
    Tensor,
)


@dataclass(frozen=True, eq=False)
class FusedBlock:
    """[1x1 expansion,] depthwise convolution, 1x1 projection[, shortcut]."""

    name: str
    expand: Conv | None
    depthwise: Conv
    project: Conv
    shortcut: bool
    source: str
    output: str


@dataclass(frozen=True, eq=False)
class PooledConv:
    """A 1x1 convolution whose outputs are averaged over the image and not used otherwise."""

    name: str
    conv: Conv
    source: str
    output: str


@dataclass(frozen=True, eq=False)
class ResizedBest:
    """The best channel's index at each pixel of a resized image that is not used otherwise."""

    name: str
    resize: Resize
    source: str
    output: str


Unit = FusedBlock | PooledConv | ResizedBest | Node


class _Uses:
    """Who makes and who reads each value."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)

    def only_reader(self, name: str) -> Node | None:
        """The node that alone reads a value that is no output."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.graph.outputs else None


def fuse(graph: Graph) -> list[Unit]:
    """The graph's nodes as units, in an order in which they can run."""
    uses = _Uses(graph)
    taken: set[int] = set()
    units: list[Unit] = []
    for node in graph.nodes:
        if id(node) in taken:
            continue
        nodes, unit = _match(uses, node)
        taken |= {id(n) for n in nodes}
        units.append(unit)
    names = [unit.name for unit in units]
    for i, unit in enumerate(units):
        if isinstance(unit, FusedBlock) and names.count(unit.name) > 1:
            units[i] = replace(unit, name=unit.depthwise.name)
    return _ordered(units, graph)


def _match(uses: _Uses, node: Node) -> tuple[list[Node], Unit]:
    if isinstance(node, Conv):
        found = _block(uses, node) or _pooled(uses, node)
        if found is not None:
            return found
    if isinstance(node, Resize) and node.coordinates != "nearest" and not node.fraction:
        best = uses.only_reader(node.output)
        if isinstance(best, ArgMax) and best.axis == 1:
            return [node, best], ResizedBest(best.name, node, node.inputs[0], best.output)
    return [node], node


def _block(uses: _Uses, node: Conv) -> tuple[list[Node], Unit] | None:
    """A block that begins at this node."""
    if len(node.inputs) > 1:
        return None
    expand = node if node.pointwise else None
    depthwise = uses.only_reader(node.output) if expand else node
    if not isinstance(depthwise, Conv) or not depthwise.depthwise:
        return None
    project = uses.only_reader(depthwise.output)
    if not isinstance(project, Conv) or not project.pointwise or len(project.inputs) > 1:
        return None
    if not all(_fits(*pair) for pair in pairwise((node, depthwise, project))):
        return None
    nodes: list[Node] = [n for n in (expand, depthwise, project) if n is not None]
    source, output = nodes[0].inputs[0], project.output
    add = uses.only_reader(output)
    shortcut = (
        expand is not None
        and isinstance(add, Binary)
        and add.kind == "add"
        and add.integers is None  # what is stored is rounded once more before it is added
        and sorted(add.inputs) == sorted((source, output))
        and project.activation.kind == "none"
        and uses.graph.tensors[source].shape == uses.graph.tensors[output].shape
    )
    if shortcut and add is not None:
        nodes.append(add)
        output = add.output
    name = _common([n.name for n in nodes if isinstance(n, Conv)]) or depthwise.name
    return nodes, FusedBlock(name, expand, depthwise, project, shortcut, source, output)


def _fits(first: Conv, then: Conv) -> bool:
    """Whether both compute with floats, or one with the integers that the other makes."""
    if first.requantize is None or then.requantize is None:
        return first.requantize is then.requantize
    return first is then or first.requantize.zero_point == then.zero_point


def _common(names: list[str]) -> str:
    """What the names of a block's layers begin with: `blocks.3` of `blocks.3.expand`, ..."""
    parts = [re.split(r"([./])", name) for name in names]
    same = takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    return "".join(column[0] for column in same).strip("./")


def _pooled(uses: _Uses, node: Conv) -> tuple[list[Node], Unit] | None:
    mean = uses.only_reader(node.output)
    if not node.pointwise or len(node.inputs) > 1 or not isinstance(mean, Reduce):
        return None
    if (mean.kind, mean.axes) != ("mean", (2, 3)) or node.requantize is not None:
        return None
    return [node, mean], PooledConv(node.name, node, node.inputs[0], mean.output)


def _ordered(units: list[Unit], graph: Graph) -> list[Unit]:
    """The units in an order in which each reads only what is there already.

    There is one: a fused shortcut reads nothing later than its block's input.
    """
    made = {graph.input}
    waiting, result = list(units), []
    while waiting:
        ready = next(u for u in waiting if set(inputs_of(u)) <= made)
        waiting.remove(ready)
        made.add(ready.output)
        result.append(ready)
    return result


def inputs_of(unit: Unit) -> tuple[str, ...]:
    """The values that a unit reads."""
    return unit.inputs if isinstance(unit, Node) else (unit.source,)


def weights_of(unit: Unit) -> int:
    """How many weights a unit's matrix products have."""
    if isinstance(unit, FusedBlock):
        return unit.project.weight.size + (unit.expand.weight.size if unit.expand else 0)
    return unit.weight.size if isinstance(unit, Conv) else 0


def multiply_adds(unit: Unit, tensors: Mapping[str, Tensor]) -> int:
    """Multiply-adds of a unit's convolutions and matrix products."""
    if isinstance(unit, PooledConv):
        return int(unit.conv.weight.size * _pixels(tensors[unit.source]))
    if isinstance(unit, FusedBlock):
        expanded = unit.expand.weight.size * _pixels(tensors[unit.source]) if unit.expand else 0
        rest = unit.depthwise.weight.size + unit.project.weight.size
        return int(expanded + rest * _pixels(tensors[unit.output]))
    if isinstance(unit, Conv):
        return int(unit.weight.size * _pixels(tensors[unit.output]))
    if isinstance(unit, Dense):
        return int(unit.weight.size * (tensors[unit.output].size // unit.weight.shape[1]))
    return 0


def _pixels(tensor: Tensor) -> int:
    return tensor.shape[2] * tensor.shape[3]
