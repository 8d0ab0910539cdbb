"""A planned network as LLVM text: one function that calls its steps one after the other."""

from functools import lru_cache
from typing import Any

from llvmlite import ir

from mobilenets.engine.codegen.abi import ARENA, CLOCK, FUNCTION, INPUT, OUTPUTS, WEIGHTS
from mobilenets.engine.codegen.sync import declare_barrier
from mobilenets.engine.ir.types import FLOAT32, INT64, UINT8
from mobilenets.engine.kernels.emit import Emitter, Module, Parameter
from mobilenets.engine.kernels.values import ADDRESS, Pointer, Value
from mobilenets.engine.plan.program import SCRATCH, Program
from mobilenets.engine.steps.step import StepContext, wait
from mobilenets.engine.targets.target import CYCLES


def generate(program: Program) -> str:
    """The program as LLVM text, before LLVM optimises it: one function, its kernels and tables.

    The same program gives the same text, byte for byte (`bench/llvm_text.py` compares it).
    """
    module = Module(program.target)
    parameters: list[Parameter] = [ADDRESS, "i64", "i64", "ptr"]
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


def _network(e: Emitter, program: Program, p: list[Any]) -> None:
    """The steps one after the other, a barrier and a look at the clock after each."""
    context, thread, _, barrier = p
    types = program.lowered.types
    arena, weights = (e.load_address(context, slot, UINT8) for slot in (ARENA, WEIGHTS))
    clock = e.load_address(context, CLOCK, INT64)
    outside = {program.graph.input: e.load_address(context, INPUT, types[program.graph.input])}
    for i, name in enumerate(program.lowered.outputs):
        outside[name] = e.load_address(context, OUTPUTS + i, types[name])
    _tick(e, clock, thread, 0)
    for index, entry in enumerate(program.entries):
        step = entry.step
        names = (*step.inputs, step.output)
        tensors = {}
        for name in names:
            root, offset = program.roots.get(name, (name, 0))
            held = outside.get(root)
            if held is None:
                held = e.part(arena, program.plan.offsets[root], types[name])
            tensors[name] = e.part(held, offset, types[name])
        scratch = program.plan.offsets.get(SCRATCH + step.name, 0)
        frame = StepContext(
            e, tensors, _lines(e, weights, program.weight_offsets[index]),
            _lines(e, arena, scratch), thread, _lines(e, weights, program.zeros), barrier,
        )  # fmt: skip
        step.emit(frame)
        wait(frame, program.threads)
        _tick(e, clock, thread, index + 1)


def _lines(e: Emitter, place: Pointer, offset: int) -> Pointer:
    """The address some whole cache lines further, which it counts in words of four bytes."""
    return e.part(place, offset, FLOAT32).of(place.element)


def _tick(e: Emitter, clock: Pointer, thread: Value, index: int) -> None:
    """The first thread notes the time stamp counter."""
    with e.when(e.compare("eq", thread, 0)):
        register = e.module.target.clock
        if register != CYCLES:
            # The counter that programs may read; assembly would need LLVM's parser of it.
            e.module.declare("i64", "llvm.read_volatile_register.i64", "metadata")
            register = f'metadata !{{!"{register}"}}'
            now = e.value("i64", f"call i64 @llvm.read_volatile_register.i64({register})")
        else:
            e.module.declare("i64", "llvm.readcyclecounter")
            now = e.value("i64", "call i64 @llvm.readcyclecounter()")
        e.store(now, clock, index)
