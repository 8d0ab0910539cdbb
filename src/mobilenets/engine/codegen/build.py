"""A graph to object code, packed weights, and what a session needs to know of them."""

from typing import Any

from mobilenets.engine.codegen.network import generate
from mobilenets.engine.codegen.objects import compile_object
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.plan.program import Program, pack_weights, prepare, unfused_bytes
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.targets.target import Target


def build(
    graph: Graph, target: Target, threads: int, schedule: Schedule
) -> tuple[bytes, AnyArray, dict[str, Any]]:
    """Object code for a target, packed weights, and what `Net` needs to know."""
    program = prepare(graph, target, threads, schedule)
    code = compile_object(generate(program), target)
    return code, pack_weights(program), _describe(program, len(code))


def _describe(program: Program, code: int) -> dict[str, Any]:
    """What a session needs to know without the file, and the report."""
    graph, target = program.graph, program.target
    blocks = [_block(program, index) for index in range(len(program.entries))]
    report = {
        "arena_bytes": program.arena_bytes,
        "weights_bytes": program.weights_bytes,
        "unfused_arena_bytes": unfused_bytes(graph),
        "code_bytes": code,
        "target": target.name,
        "threads": program.threads,
        "compile_seconds": 0.0,
        "blocks": blocks,
    }
    outputs = [
        {"shape": list(graph.tensors[name].shape), "dtype": str(graph.tensors[name].dtype)}
        for name in graph.outputs
    ]
    return {
        "input": list(graph.tensors[graph.input].shape),
        "input_dtype": str(graph.tensors[graph.input].dtype),
        "outputs": outputs,
        "metadata": dict(graph.metadata),
        "report": report,
    }


def _block(program: Program, index: int) -> dict[str, Any]:
    entry = program.entries[index]
    scratch = entry.step.scratch(program.target)
    output = entry.step.output
    root, _ = program.roots.get(output, (output, 0))
    written = 0 if root in program.lowered.outputs else program.lowered.sizes[output]
    return {
        "name": " > ".join(entry.names),
        "kind": entry.step.kind,
        "schedule": entry.schedule,
        "input_shape": list(entry.source),
        "output_shape": list(entry.target),
        "output_dtype": str(program.lowered.types[output]),
        "madds": entry.madds,
        "arena_bytes": scratch + written,
        "weights_bytes": sum(part.nbytes for part in entry.step.weights(program.target)),
    }
