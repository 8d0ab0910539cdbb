"""A planned network: its steps in order, and where everything that they use lies."""

from dataclasses import dataclass

import numpy as np

from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.passes.fuse import fuse
from mobilenets.engine.passes.order import thrifty
from mobilenets.engine.plan.arena import ArenaPlan, Buffer, plan_arena
from mobilenets.engine.plan.layouts import Lowered, LoweredStep
from mobilenets.engine.plan.lower import Lowering
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.steps.step import round_up
from mobilenets.engine.targets.target import Target

SCRATCH = "scratch of "
"""Before a step's name: the name of its scratch memory among the buffers."""


@dataclass(frozen=True)
class Program:
    """All that is needed to generate code, and to report on it, before anything is generated."""

    graph: Graph
    lowered: Lowered
    target: Target
    threads: int
    plan: ArenaPlan
    weight_offsets: tuple[int, ...]
    zeros: int
    """Where in the weights bytes begin that are 0."""
    roots: dict[str, tuple[str, int]]
    """Where a buffer that has no place of its own is: in another, from so many bytes on."""

    @property
    def entries(self) -> tuple[LoweredStep, ...]:
        """The steps in the order in which they run."""
        return self.lowered.entries

    @property
    def arena_bytes(self) -> int:
        """Bytes of the one arena that a session allocates: maps, rings, partial sums."""
        return self.plan.size

    @property
    def weights_bytes(self) -> int:
        """Bytes of all steps' packed constants, and of the zeros after them."""
        return self.zeros + self.zero_bytes

    @property
    def zero_bytes(self) -> int:
        """Bytes of zeros that steps read for rows outside an image."""
        return round_up(max((entry.step.zero_bytes for entry in self.entries), default=0))


def prepare(graph: Graph, target: Target, threads: int, schedule: Schedule) -> Program:
    """Fuse, choose schedules and plan memory, in the file's order or in one that needs less."""
    units = fuse(graph)
    other = thrifty(units, graph, schedule.limit(threads))
    ways = [units] if other == units else [units, other]
    found = []
    for way in ways:
        lowered = Lowering(graph, target, threads, schedule).run(way)
        buffers, roots = _buffers(graph, lowered, target)
        found.append((lowered, plan_arena(buffers), roots))
    lowered, memory, roots = min(found, key=lambda one: one[1].size)
    offsets, at = [], 0
    for entry in lowered.entries:
        offsets.append(at)
        at += round_up(sum(part.nbytes for part in entry.step.weights(target)))
    return Program(graph, lowered, target, threads, memory, tuple(offsets), at, roots)


def _buffers(
    graph: Graph, lowered: Lowered, target: Target
) -> tuple[list[Buffer], dict[str, tuple[str, int]]]:
    """What the arena holds, when; and where each buffer is that is part of another."""
    roots = {name: _root(lowered.within, name) for name in lowered.within}
    last: dict[str, int] = {}
    for index, entry in enumerate(lowered.entries):
        last |= dict.fromkeys(entry.step.inputs, index)
        last |= {roots[name][0]: index for name in entry.step.inputs if name in roots}
    outside = {graph.input, *lowered.outputs}
    life: dict[str, tuple[int, int]] = {}
    result = []
    for index, entry in enumerate(lowered.entries):
        step = entry.step
        if size := step.scratch(target):
            result.append(Buffer(SCRATCH + step.name, size, index, index))
        name = roots.get(step.output, (step.output, 0))[0]
        if name in outside:
            continue
        end = last.get(name, index)
        root = roots.get(step.inputs[0], (step.inputs[0], 0))
        alone = name == step.output and root[0] in life and life[root[0]][1] == index
        others = [other for other in step.inputs[1:] if other != step.inputs[0]]
        # A part of what is written over would be read after it.
        alone = alone and all(roots.get(other, (other, 0))[0] != root[0] for other in others)
        types = lowered.types
        same = types[step.output].size == types[step.inputs[0]].size
        if alone and same and step.in_place(target):
            roots[step.output] = root
            life[root[0]] = (life[root[0]][0], end)
            continue
        life[name] = (life.get(name, (index, 0))[0], end)
    result += [Buffer(name, lowered.sizes[name], *span) for name, span in life.items()]
    return result, roots


def _root(within: dict[str, tuple[str, int]], name: str) -> tuple[str, int]:
    """The buffer that is part of no other, and where in it `name` begins."""
    at = 0
    while name in within:
        name, offset = within[name]
        at += offset
    return name, at


def unfused_bytes(graph: Graph) -> int:
    """Bytes of the best plan where every operation writes its output, none in place."""
    first = {graph.input: -1} | {node.output: i for i, node in enumerate(graph.nodes)}
    last = dict(first)
    for i, node in enumerate(graph.nodes):
        for name in node.inputs:
            last[name] = i
    names = [node.output for node in graph.nodes if node.output not in graph.outputs]
    buffers = [Buffer(n, graph.tensors[n].nbytes, first[n], last[n]) for n in names]
    return plan_arena(buffers).size


def pack_weights(program: Program) -> AnyArray:
    """The bytes of every step's constants in its order of use, then zeros."""
    result = np.zeros(program.zeros + program.zero_bytes, np.uint8)
    for entry, at in zip(program.entries, program.weight_offsets, strict=True):
        for part in entry.step.weights(program.target):
            flat = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            result[at : at + flat.size] = flat
            at += flat.size
    return result
