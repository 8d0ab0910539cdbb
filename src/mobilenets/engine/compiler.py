"""From an ONNX file to a network that runs: compiled once, then loaded from the cache."""

import hashlib
import json
import os
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite

from mobilenets.engine.cache import Cache, key_of
from mobilenets.engine.frontend import read_graph
from mobilenets.engine.graph import Array, Graph
from mobilenets.engine.program import (
    Program,
    compile_object,
    generate,
    pack_weights,
    prepare,
    unfused_bytes,
)
from mobilenets.engine.schedule import Schedule
from mobilenets.engine.session import Net
from mobilenets.engine.target import Target, host
from mobilenets.errors import WeightsError

_MOST_THREADS = 64


def compile(  # noqa: A001
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    shape: tuple[int, ...] | None = None,
    schedule: Schedule | None = None,
) -> Net:
    """Compile an .onnx file for this processor, or load it from the cache if that was done before.

    `threads` None: as many as this process may use. `shape`: the input's, as the file lays it out,
    where the file leaves it open or another is wanted. `schedule` overrides how blocks are run.
    WeightsError, in one line, for a file that is damaged or has operators that are not supported;
    ValueError for other arguments.

    >>> net = mobilenets.compile("model.onnx", threads=2)
    >>> logits = net(images)  # (N, 3, 224, 224) float32 -> (N, 1000)
    """
    threads = available() if threads is None else threads
    if not isinstance(threads, int) or not 1 <= threads <= _MOST_THREADS:
        raise ValueError(f"threads must be from 1 to {_MOST_THREADS}, got {threads!r}")
    schedule, target = schedule or Schedule(), host()
    start = time.perf_counter()
    data = _bytes(Path(path))
    graph: Graph | None = None
    content = hashlib.blake2b(data).hexdigest()
    if b"location" in data:  # weights in other files belong to the content
        graph = read_graph(path, shape=shape)
        content = _content(graph)
    asked = json.dumps([threads, shape, schedule.to_json(), target.__dict__])
    key = key_of(content, asked, _maker())
    cache = Cache()
    entry = cache.fetch(key)
    if entry is not None:
        return Net(entry.code, entry.weights, entry.info, target, cached=True)
    graph = graph or read_graph(path, shape=shape)
    code, weights, info = build(graph, target, threads, schedule)
    info["report"]["compile_seconds"] = round(time.perf_counter() - start, 3)
    entry = cache.store(key, code, weights, info)
    return Net(entry.code, entry.weights, entry.info, target, cached=False)


def build(
    graph: Graph, target: Target, threads: int, schedule: Schedule
) -> tuple[bytes, Array, dict[str, Any]]:
    """Object code for a target, packed weights, and what `Net` needs to know."""
    program = prepare(graph, target, threads, schedule)
    code = compile_object(generate(program), target)
    return code, pack_weights(program), _describe(program, len(code))


def available() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    return min(_MOST_THREADS, os.cpu_count() or 1)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


def _content(graph: Graph) -> str:
    digest = hashlib.blake2b()
    for node in graph.nodes:
        for value in vars(node).values():
            digest.update(value.tobytes() if hasattr(value, "tobytes") else repr(value).encode())
    return digest.hexdigest()


@lru_cache
def _maker() -> str:
    """What made the code: LLVM's version and this package's own source."""
    digest = hashlib.blake2b(version("llvmlite").encode() + llvmlite.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
        {"shape": list(graph.tensors[name].shape), "dtype": graph.tensors[name].dtype}
        for name in graph.outputs
    ]
    return {
        "input": list(graph.tensors[graph.input].shape),
        "outputs": outputs,
        "metadata": dict(graph.metadata),
        "report": report,
    }


def _block(program: Program, index: int) -> dict[str, Any]:
    entry = program.entries[index]
    scratch = entry.step.scratch(program.target)
    written = (
        0
        if entry.step.output in program.lowered.outputs
        else program.lowered.sizes[entry.step.output]
    )
    return {
        "name": " > ".join(entry.names),
        "kind": entry.step.kind,
        "schedule": entry.schedule,
        "input_shape": list(entry.source),
        "output_shape": list(entry.target),
        "madds": entry.madds,
        "arena_bytes": 4 * (scratch + written),
        "weights_bytes": 4 * sum(part.size for part in entry.step.weights(program.target)),
    }
