"""Search in very many vectors, by usearch's graph; and which search is used, in words.

Up to a million vectors the exact search takes a tenth of a second and needs nothing. Above that a
graph (HNSW, Malkov and Yashunin 2016, arXiv 1603.09320) finds nearly always the same images in a
thousandth of it. It is built once and lies beside the file of vectors; how often it is right is
measured then, against the exact search. Cosines are those of the exact search in any case.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mobilenets.errors import InputError
from mobilenets.evaluation import spread
from mobilenets.extras import command, missing
from mobilenets.files import replace_file
from mobilenets.index.embedder import Vectors
from mobilenets.index.file import Index
from mobilenets.index.search import NearImage, exact_of, search
from mobilenets.processors import processors

By = Literal["numpy", "usearch"]
MANY = 1_000_000
"""Vectors up to which the search is exact."""
SAMPLED, DEEP = 64, 10
"""Images whose so many nearest are looked for in both ways."""
ADDED = 1 << 16
"""Vectors that are put into the graph at a time."""
EXPANSION = 128
"""Vectors that are looked at closely in a search, at least."""


@dataclass(frozen=True)
class Search:
    """What looks for the nearest images of an index."""

    nearest: Callable[[Vectors, int], list[NearImage]]
    """A vector and how many are wanted -> these, the nearest first."""
    how: str
    """By what, and how exact it is."""


def open_search(
    index: Index,
    file: Path,
    by: By | None,
    progress: Callable[[int], None] = lambda vectors: None,
) -> Search:
    """The exact search up to `MANY` vectors; above that usearch's, if it is installed.

    `by` says which. The graph is read from beside `file`, or built there. InputError where usearch
    is asked for and not installed.
    """
    there = find_spec("usearch") is not None
    if by == "usearch" and not there:
        raise InputError(missing("usearch"))
    number = len(index.names)
    if by == "usearch" or (by is None and number > MANY and there):
        return _by_graph(index, file, progress)
    how = f"numpy, exact, {number:,} vectors"
    if number > MANY and not there:
        how += f"; {command('usearch')} brings a faster search in so many"
    return Search(lambda query, top: search(index, query, top), how)


def graph_files(file: Path) -> tuple[Path, Path]:
    """The graph of a file of vectors, and what is known of it as JSON."""
    return file.with_name(f"{file.name}.usearch"), file.with_name(f"{file.name}.usearch.json")


def _by_graph(index: Index, file: Path, progress: Callable[[int], None]) -> Search:
    path, beside = graph_files(file)
    digest = _digest(index)
    graph, said = _read(path, beside, digest, index)
    if graph is None:
        graph = _build(index, progress)
        replace_file(path, lambda one: graph.save(str(one)))
        said = {"of": digest, "right": _right(index, graph), "sampled": SAMPLED, "deep": DEEP}
        text = json.dumps(said)
        replace_file(beside, lambda one: one.write_text(text, "utf-8"))
    how = (
        f"usearch, {len(index.names):,} vectors; of the nearest {said['deep']} of "
        f"{said['sampled']} of its images it finds {said['right']:.1%}"
    )
    return Search(lambda query, top: _nearest(index, graph, query, top), how)


def _nearest(index: Index, graph: Any, query: Vectors, top: int) -> list[NearImage]:
    """What the graph finds, by exact cosines."""
    wanted = min(2 * top, len(index.names))
    graph.expansion_search = max(EXPANSION, 2 * wanted)
    keys = np.sort(graph.search(query, wanted, threads=1).keys.astype(np.int64))
    return exact_of(index, query, keys, top)


def _build(index: Index, progress: Callable[[int], None]) -> Any:
    from usearch.index import Index as Graph

    graph = Graph(ndim=index.vectors.shape[1], metric="ip", dtype="f16")
    for first in range(0, len(index.names), ADDED):
        part = index.vectors[first : first + ADDED].astype(np.float32)
        graph.add(np.arange(first, first + len(part)), part, threads=processors())
        progress(len(part))
    return graph


def _read(path: Path, beside: Path, digest: str, index: Index) -> tuple[Any, dict[str, Any]]:
    """The graph and what is known of it; (None, {}) where it is not there, or not of this index."""
    from usearch.index import Index as Graph

    try:
        said = json.loads(beside.read_text("utf-8"))
        graph = Graph.restore(str(path)) if said["of"] == digest else None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None, {}
    shape = (len(index.names), index.vectors.shape[1])
    same = graph is not None and (len(graph), graph.ndim) == shape
    return (graph, said) if same else (None, {})


def _right(index: Index, graph: Any) -> float:
    """The share of the exact search's nearest images that the graph finds, over some images."""
    found = 0
    chosen = spread(len(index.names), SAMPLED)
    deep = min(DEEP, len(index.names))
    for i in chosen:
        query = index.vectors[i].astype(np.float32)
        exact = {one.image for one in search(index, query, deep)}
        found += len(exact & {one.image for one in _nearest(index, graph, query, deep)})
    return found / max(len(chosen) * deep, 1)


def _digest(index: Index) -> str:
    """Of which images, in which state, by which model."""
    found = hashlib.sha256(json.dumps(index.made, sort_keys=True).encode())
    for name in index.names:
        found.update(name.encode(errors="surrogateescape") + b"\0")
    for array in (index.sizes, index.times):
        found.update(np.ascontiguousarray(array).tobytes())
    found.update(str(index.vectors.dtype).encode())
    return found.hexdigest()
