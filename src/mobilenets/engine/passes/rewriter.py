"""One pass over a graph that replaces nodes: each looks back at what made its inputs."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from mobilenets.engine.ir.graph import Graph, Node
from mobilenets.engine.ir.types import FLOAT32

Rule = Callable[["Rewriter", Node], "list[Node] | None"]
"""Says what to put in a node's place: nodes, the last with the same output; or None to leave it.
An empty list is the node's first input itself."""

N = TypeVar("N", bound=Node)


class Rewriter:
    """The new graph so far, node by node in the old order, and how often each value is used.

    Rules ask it who made a value; what they return takes the node's place.
    """

    def __init__(self, graph: Graph, rules: Sequence[Rule]) -> None:
        self._graph = graph
        self._rules = rules
        self._made: dict[str, Node] = {}
        self._outputs = set(graph.outputs)
        self._instead: dict[str, str] = {}
        self._taken = set(graph.tensors)
        self._counts: Counter[str] = Counter()
        self._uses = Counter(graph.outputs)
        self.tensors = dict(graph.tensors)

    def run(self) -> Graph:
        """The graph with the rules applied once to each node, and to what they put there."""
        nodes = _needed(self._graph.nodes, self._graph.outputs)
        for node in nodes:
            self._uses.update(node.inputs)
        for node in nodes:
            self._add(node)
        names = {self._graph.input, *self._made}
        tensors = {name: self.tensors[name] for name in self.tensors if name in names}
        return replace(self._graph, nodes=tuple(self._made.values()), tensors=tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The logical shape of the value `name`."""
        return self.tensors[name].shape

    def floats(self, name: str) -> bool:
        """Whether the value `name` is float32."""
        return self.tensors[name].dtype == FLOAT32

    def maker(self, name: str, kind: type[N]) -> N | None:
        """The node that makes a value, if it is of that kind."""
        node = self._made.get(name)
        return node if isinstance(node, kind) else None

    def only(self, name: str, kind: type[N]) -> N | None:
        """`maker`, but None where anything besides the asking node uses the value."""
        return self.maker(name, kind) if self._uses[name] == 1 else None

    def fresh(self, base: str, shape: Iterable[int]) -> str:
        """A name for a new value of this shape, made from the value `base` and of its type."""
        name = base
        while name in self._taken:
            self._counts[base] += 1
            name = f"{base}/{self._counts[base]}"
        self._taken.add(name)
        self.tensors[name] = replace(self.tensors[base], name=name, shape=tuple(shape))
        return name

    def _add(self, node: Node) -> None:
        """Take in a node whose uses are counted already."""
        waiting = [node]
        while waiting:
            node = self._renamed(waiting.pop())
            made = self._rewritten(node)
            if made is None:
                self._made[node.output] = node
                continue
            if not made:
                self._pass(node)
                continue
            for new in made:
                self._uses.update(new.inputs)
            self._release(node)
            waiting.extend(reversed(made))

    def _renamed(self, node: Node) -> Node:
        if not any(name in self._instead for name in node.inputs):
            return node
        names = tuple(self._instead.get(name, name) for name in node.inputs)
        return replace(node, inputs=names)

    def _rewritten(self, node: Node) -> list[Node] | None:
        for rule in self._rules:
            made = rule(self, node)
            if made is not None and (made or self._can_pass(node)):
                return made
        return None

    def _can_pass(self, node: Node) -> bool:
        """A network's output keeps its name, so what made the input must be able to take it."""
        source = node.inputs[0]
        return node.output not in self._outputs or (
            self._uses[source] == 1 and source in self._made
        )

    def _pass(self, node: Node) -> None:
        """Drop a node that changes nothing."""
        source = node.inputs[0]
        if node.output in self._outputs:
            maker = self._made.pop(source)
            self._made[node.output] = replace(maker, output=node.output)
            self._uses[source] = 0
            return
        self._instead[node.output] = source
        self._uses[source] += self._uses[node.output] - 1

    def _release(self, node: Node) -> None:
        """Count a node's uses no more, and drop what only it used."""
        waiting = [node]
        while waiting:
            for name in waiting.pop().inputs:
                self._uses[name] -= 1
                if not self._uses[name] and name in self._made:
                    waiting.append(self._made.pop(name))


def _needed(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Those that some output depends on."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]
