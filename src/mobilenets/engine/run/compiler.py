"""From an ONNX or TFLite file to a network that runs: compiled once, then loaded from the cache."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from mobilenets.arguments import explained
from mobilenets.engine.front.source import Source
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.run.cache import Cache, key_of
from mobilenets.engine.run.identity import maker, processor
from mobilenets.engine.run.session import Net
from mobilenets.processors import processors

if TYPE_CHECKING:
    from mobilenets.engine.ir.graph import Graph

_MOST_THREADS = 64


@explained
def compile(  # noqa: A001
    path: str | os.PathLike[str] | Source,
    *,
    threads: int | None = None,
    shape: tuple[int, ...] | None = None,
    schedule: Schedule | None = None,
) -> Net:
    """Compile an .onnx or .tflite file for this processor, or load it from the cache.

    `threads` None: as many as this process may use. `shape`: the input's, as the file lays it out,
    where the file leaves it open or another is wanted. `schedule` overrides how blocks are run.
    Each file is read once: what is kept in the cache is what its key was made of.
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
    source = path if isinstance(path, Source) else Source.open(path)
    # Weights in other files, and pads and limits there, belong to the content: read them first.
    graph: Graph | None = None if source.whole else _read(source, shape)
    content = source.digest()
    asked = json.dumps([threads, shape, schedule.to_json()])
    key = key_of(content, asked, processor(), maker())
    cache = Cache()
    entry = cache.fetch(key)
    if entry is not None:
        return Net(entry.code, entry.weights, entry.info, cached=True)
    # LLVM and the front end are not needed, and not loaded, for what was compiled before.
    from mobilenets.engine.codegen.build import build
    from mobilenets.engine.targets.host import host

    graph = graph or _read(source, shape)
    code, weights, info = build(graph, host(), threads, schedule)
    info["report"]["compile_seconds"] = round(time.perf_counter() - start, 3)
    entry = cache.store(key, code, weights, info)
    return Net(entry.code, entry.weights, entry.info, cached=False)


def _read(source: Source, shape: tuple[int, ...] | None) -> Graph:
    from mobilenets.engine.front.read import read_graph

    return read_graph(source, shape=shape)


def available() -> int:
    """How many threads there are processors for; 1 where there are no POSIX threads."""
    return min(_MOST_THREADS, processors()) if os.name == "posix" else 1
