"""A compiled network: steps laid out in one arena, their weights in one array, one function.

The function is `void network(context, thread, threads, barrier)`. The context is an array of
addresses: the arena, the weights, the clock's readings, the input, and then the outputs.
"""

from dataclasses import dataclass
from functools import lru_cache

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from mobilenets.engine.codegen.sync import declare_barrier
from mobilenets.engine.ir.graph import Array, Graph
from mobilenets.engine.kernels.emit import Emitter, Module
from mobilenets.engine.kernels.values import Value
from mobilenets.engine.passes.fuse import fuse
from mobilenets.engine.passes.order import thrifty
from mobilenets.engine.plan.arena import Buffer, Plan, plan
from mobilenets.engine.plan.layouts import Entry, Lowered
from mobilenets.engine.plan.lower import Lowering
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.run.loader import FUNCTION
from mobilenets.engine.steps.step import Frame, round_up, wait
from mobilenets.engine.targets.target import Target

ARENA, WEIGHTS, CLOCK, INPUT, OUTPUTS = range(5)
_SCRATCH = "scratch of "


@dataclass(frozen=True)
class Program:
    """All that is needed to generate code, and to report on it, before anything is generated."""

    graph: Graph
    lowered: Lowered
    target: Target
    threads: int
    plan: Plan
    weight_offsets: tuple[int, ...]
    zeros: int
    roots: dict[str, tuple[str, int]]
    """Where a buffer that has no place of its own is: in another, from so many floats on."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The steps."""
        return self.lowered.entries

    @property
    def arena_bytes(self) -> int:
        """Bytes of the one arena: maps between steps, rings, partial sums."""
        return self.plan.size * 4

    @property
    def weights_bytes(self) -> int:
        """Bytes of packed constants."""
        return (self.zeros + self.zero_floats) * 4

    @property
    def zero_floats(self) -> int:
        """Floats of zeros that steps read for rows outside an image."""
        return round_up(max((entry.step.zero_floats for entry in self.entries), default=0))


def prepare(graph: Graph, target: Target, threads: int, schedule: Schedule) -> Program:
    """Fuse, choose schedules and plan memory, in the file's order or in one that needs less."""
    units = fuse(graph)
    other = thrifty(units, graph, schedule.limit(threads))
    ways = [units] if other == units else [units, other]
    found = []
    for way in ways:
        lowered = Lowering(graph, target, threads, schedule).run(way)
        buffers, roots = _buffers(graph, lowered, target)
        found.append((lowered, plan(buffers), roots))
    lowered, memory, roots = min(found, key=lambda one: one[1].size)
    offsets, at = [], 0
    for entry in lowered.entries:
        offsets.append(at)
        at += round_up(sum(part.size for part in entry.step.weights(target)))
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
        if floats := step.scratch(target):
            result.append(Buffer(_SCRATCH + step.name, floats, index, index))
        name = roots.get(step.output, (step.output, 0))[0]
        if name in outside:
            continue
        end = last.get(name, index)
        root = roots.get(step.inputs[0], (step.inputs[0], 0))
        alone = name == step.output and root[0] in life and life[root[0]][1] == index
        if alone and step.in_place(target):
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
    buffers = [Buffer(n, graph.tensors[n].size, first[n], last[n]) for n in names]
    return plan(buffers).size * 4


def pack_weights(program: Program) -> Array:
    """Every step's constants in its order of use, then zeros."""
    result: Array = np.zeros(program.zeros + program.zero_floats, np.float32)
    for entry, at in zip(program.entries, program.weight_offsets, strict=True):
        for part in entry.step.weights(program.target):
            result[at : at + part.size] = part.ravel()
            at += part.size
    return result


def generate(program: Program) -> str:
    """The program as LLVM assembly."""
    module = Module(program.target)
    parameters = ["ptr", "i64", "i64", "ptr"]
    module.function(FUNCTION, parameters, lambda e, p: _network(e, program, p), public=True)
    text = str(module)
    return text + _barrier_text() if program.threads > 1 else text


@lru_cache
def _barrier_text() -> str:
    module = ir.Module()
    declare_barrier(module)
    lines = str(module).splitlines()
    kept = [line for line in lines if not line.startswith((";", "target", "source_filename"))]
    return "\n".join(kept) + "\n"


def _network(e: Emitter, program: Program, p: list[Value]) -> None:
    """The steps one after the other, a barrier and a look at the clock after each."""
    context, thread, _, barrier = p
    arena, weights, clock, source = (
        e.load(e.at(context, slot, "ptr"), 0, "ptr") for slot in (ARENA, WEIGHTS, CLOCK, INPUT)
    )
    outside = {program.graph.input: source}
    for i, name in enumerate(program.lowered.outputs):
        outside[name] = e.load(e.at(context, OUTPUTS + i, "ptr"), 0, "ptr")
    _tick(e, clock, thread, 0)
    for index, entry in enumerate(program.entries):
        step = entry.step
        names = (*step.inputs, step.output)
        tensors = {}
        for name in names:
            root, offset = program.roots.get(name, (name, 0))
            held = outside.get(root)
            start = e.at(arena, program.plan.offsets[root]) if held is None else held
            tensors[name] = e.at(start, offset)
        scratch = program.plan.offsets.get(_SCRATCH + step.name, 0)
        frame = Frame(
            e, tensors, e.at(weights, program.weight_offsets[index]), e.at(arena, scratch),
            thread, e.at(weights, program.zeros), barrier,
        )  # fmt: skip
        step.emit(frame)
        wait(frame, program.threads)
        _tick(e, clock, thread, index + 1)


def _tick(e: Emitter, clock: Value, thread: Value, index: int) -> None:
    """The first thread notes the time stamp counter."""
    with e.when(e.compare("eq", thread, 0)):
        if e.module.target.triple.startswith(("aarch64", "arm64")):
            # The counter that programs may read; assembly would need LLVM's parser of it.
            e.module.declare("i64", "llvm.read_volatile_register.i64", "metadata")
            register = 'metadata !{!"cntvct_el0"}'
            now = e.value("i64", f"call i64 @llvm.read_volatile_register.i64({register})")
        else:
            e.module.declare("i64", "llvm.readcyclecounter")
            now = e.value("i64", "call i64 @llvm.readcyclecounter()")
        e.store(now, e.at(clock, index, "i64"))


def compile_object(text: str, target: Target) -> bytes:
    """LLVM assembly to an object file for a target."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = target_machine(target)
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


def target_machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for a target."""
    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )
