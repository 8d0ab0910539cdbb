"""From an ONNX file to a network that runs: compiled once, then loaded from the cache."""

import hashlib
import json
import os
import time
from pathlib import Path

from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.run.cache import Cache, key_of
from mobilenets.engine.run.identity import maker, processor
from mobilenets.engine.run.session import Net
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
    if schedule is not None and not isinstance(schedule, Schedule):
        raise ValueError(f"schedule must be a Schedule, got {type(schedule).__name__}")
    if shape is not None and not isinstance(shape, tuple):
        raise ValueError(f"shape must be a tuple of integers, got {shape!r}")
    threads = min(threads, available()) if os.name != "posix" else threads
    schedule = schedule or Schedule()
    start = time.perf_counter()
    data = _bytes(Path(path))
    graph: Graph | None = None
    content = hashlib.blake2b(data).hexdigest()
    if b"location" in data:  # weights in other files belong to the content
        graph = _read(path, shape)
        content = _content(data, graph)
    asked = json.dumps([threads, shape, schedule.to_json()])
    key = key_of(content, asked, processor(), maker())
    cache = Cache()
    entry = cache.fetch(key)
    if entry is not None:
        return Net(entry.code, entry.weights, entry.info, cached=True)
    # LLVM and the front end are not needed, and not loaded, for what was compiled before.
    from mobilenets.engine.codegen.build import build
    from mobilenets.engine.targets.host import host

    graph = graph or _read(path, shape)
    code, weights, info = build(graph, host(), threads, schedule)
    info["report"]["compile_seconds"] = round(time.perf_counter() - start, 3)
    entry = cache.store(key, code, weights, info)
    return Net(entry.code, entry.weights, entry.info, cached=False)


def _read(path: str | os.PathLike[str], shape: tuple[int, ...] | None) -> Graph:
    from mobilenets.engine.front.read import read_graph

    return read_graph(path, shape=shape)


def available() -> int:
    """How many processors this process may use; 1 where there are no POSIX threads."""
    if os.name != "posix":
        return 1
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


def _content(data: bytes, graph: Graph) -> str:
    """A digest of a file and of the arrays that it has elsewhere."""
    digest = hashlib.blake2b(data)
    for node in graph.nodes:
        for value in vars(node).values():
            if hasattr(value, "tobytes"):
                digest.update(value.tobytes())
    return digest.hexdigest()
