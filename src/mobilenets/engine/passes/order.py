"""The order in which units run: large values are read, and let go of, as soon as may be."""

from collections.abc import Sequence

from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.passes.fuse import Unit, inputs_of


def thrifty(units: Sequence[Unit], graph: Graph, stream: int) -> list[Unit]:
    """Another order for `units`: of those that can run, first the one that adds the least.

    What a unit adds is what it makes less what nobody reads after it. Where a value of more than
    `stream` bytes has one reader, that comes next, as the two may be streamed as one. On a chain
    this is the order there is; where a map has several readers, such as a detector's heads, they
    run before what follows makes more.
    """
    readers: dict[str, list[int]] = {}
    for index, unit in enumerate(units):
        for name in set(inputs_of(unit)):
            readers.setdefault(name, []).append(index)
    missing = [len(set(inputs_of(unit)) - {graph.input}) for unit in units]
    left = {name: len(found) for name, found in readers.items()}
    ready = [index for index, count in enumerate(missing) if not count]
    result: list[Unit] = []

    def size(name: str) -> int:
        return 0 if name in (graph.input, *graph.outputs) else graph.tensors[name].nbytes

    def added(index: int) -> int:
        freed = sum(size(name) for name in set(inputs_of(units[index])) if left[name] == 1)
        return size(units[index].output) - freed

    following: list[int] = []
    while ready:
        index = following[0] if following else min(ready, key=lambda i: (added(i), i))
        ready.remove(index)
        unit = units[index]
        result.append(unit)
        for name in set(inputs_of(unit)):
            left[name] -= 1
        after = readers.get(unit.output, [])
        for other in after:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
        large = 0 <= stream < graph.tensors[unit.output].nbytes
        following = after if large and len(after) == 1 and after[0] in ready else []
    return result
