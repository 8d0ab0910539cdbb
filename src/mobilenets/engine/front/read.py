"""A deployed file as the typed graph, simplified, or one line that says what is wrong with it."""

import os

from mobilenets.engine.front.source import Source
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.passes.simplify import simplify
from mobilenets.errors import WeightsError

IDENTIFIER = b"TFL3"
"""What a TFLite file has from its fifth byte on."""


def read_graph(
    source: str | os.PathLike[str] | bytes | Source, *, shape: tuple[int, ...] | None = None
) -> Graph:
    """The network in an ONNX or TFLite file (a path, its bytes, or what was read), for one image.

    By its content it is known which. `shape` is the input's as the file lays it out, (N, C, H, W)
    say; it takes the place of the
    file's own, and is needed where that leaves more than N open. N is 1 in the graph whatever
    either says. Weights in other files are read from the model's folder and from nowhere else.

    Raises WeightsError, in one line that names the file, for one that is damaged, not supported or
    not of this shape, or whose answer to one image depends on the others of its batch; ValueError
    for a shape that is none.
    """
    if shape is not None and not (shape and all(type(n) is int and n > 0 for n in shape)):
        raise ValueError(f"shape must be positive integers, got {shape!r}")
    if isinstance(source, bytes):
        source = Source("the model", source)
    elif not isinstance(source, Source):
        source = Source.open(source)
    try:
        return simplify(_translated(source, shape))
    except WeightsError as error:
        raise WeightsError(f"{source.name}: {error}") from error.__cause__


def _is_tflite(source: Source) -> bool:
    return source.data[4:8] == IDENTIFIER


def _translated(source: Source, shape: tuple[int, ...] | None) -> Graph:
    """The graph as its file has it; the library for the other kind of file is not loaded."""
    if _is_tflite(source):
        from mobilenets.engine.front.tflite.graph import tflite_graph

        return tflite_graph(source, shape)
    from mobilenets.engine.front.onnx.graph import onnx_graph

    return onnx_graph(source, shape)
