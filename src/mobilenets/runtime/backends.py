"""What runs a graph of one image input: this package's engine, or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine import Lanes, Net, Source, available, compile  # noqa: A004
from mobilenets.errors import InputError, WeightsError
from mobilenets.processors import cgroup_quota, processors

Array = NDArray[np.float32]
Dims = Sequence[int | None]


class Backend(Protocol):
    """A graph's outputs for a batch laid out as the file says."""

    name: str

    def __call__(self, batch: Array, count: int = 1) -> list[NDArray[Any]]:
        """The first `count` outputs in the file's order, for any number of images."""
        ...


MANY = 4
"""From so many images for each thread on, a call has its images side by side."""


class Engine:
    """The compiler of this package; where a file leaves sides open, each size is compiled once.

    One image has all threads. Of many images each thread has its own (`Lanes`); with `many`, of two
    and more, and nothing else is compiled.
    """

    name = "mobilenets"

    def __init__(
        self, source: Source, dims: Dims, threads: int | None, *, many: bool = False
    ) -> None:
        self._source, self._threads, self._many = source, threads or available(), many
        self._nets: dict[tuple[int, ...], Net] = {}
        self._lanes: dict[tuple[int, ...], Lanes] = {}
        if None not in dims[1:]:
            self._at(tuple(size or 1 for size in dims[1:]), many)

    def __call__(self, batch: Array, count: int = 1) -> list[NDArray[Any]]:
        """The first outputs, of all that are computed."""
        many = self._many or len(batch) >= MANY * self._threads
        outputs = self._at(batch.shape[1:], many)(batch)
        return list(outputs)[:count] if isinstance(outputs, tuple) else [outputs]

    def _at(self, shape: tuple[int, ...], many: bool) -> Net | Lanes:
        """What runs images of this shape."""
        if many and self._threads > 1:
            if shape not in self._lanes:
                self._lanes[shape] = Lanes(self._compile(shape, 1), self._threads)
            return self._lanes[shape]
        if shape not in self._nets:
            self._nets[shape] = self._compile(shape, self._threads)
        return self._nets[shape]

    def _compile(self, shape: tuple[int, ...], threads: int) -> Net:
        return compile(self._source, threads=threads, shape=(1, *shape))


class OnnxRuntime:
    """ONNX Runtime on the CPU; a graph of a fixed batch gets parts of that size."""

    name = "onnxruntime"

    def __init__(self, source: Source, dims: Dims, threads: int | None) -> None:
        self._session = _start(source, threads)
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._size = dims[0]

    def __call__(self, batch: Array, count: int = 1) -> list[NDArray[Any]]:
        """The first outputs; what only others depend on is not computed."""
        if self._size is None:
            return self._run(batch, count)
        missing = -len(batch) % self._size
        filler = np.zeros((missing, *batch.shape[1:]), batch.dtype)
        full = np.concatenate([batch, filler]) if missing else batch
        starts = range(0, len(full), self._size)
        parts = [self._run(full[i : i + self._size], count) for i in starts]
        return [np.concatenate(pieces)[: len(batch)] for pieces in zip(*parts, strict=True)]

    def _run(self, batch: Array, count: int) -> list[NDArray[Any]]:
        names = self._outputs[:count]
        return [np.asarray(found) for found in self._session.run(names, {self._input: batch})]


def _start(source: Source, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(
            "running this .onnx file needs ONNX Runtime: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; they reach us as exceptions
    # Else products of uint8 and int8 overflow on an x86 processor without VNNI, unsaid.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if threads is not None or cgroup_quota() is not None:  # of which it knows nothing itself
        options.intra_op_num_threads = threads or processors()
    try:
        # What was read already, so that nobody changes it meanwhile; only by its path does it
        # find files beside it.
        session = onnxruntime.InferenceSession(
            source.data if source.whole else source.name,
            sess_options=options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:  # its errors share no base class
        raise WeightsError(f"{source.name}: ONNX Runtime refuses it ({one_line(error)})") from error
    if not source.whole and Source.open(source.name).data != source.data:
        raise WeightsError(f"{source.name} was changed while it was opened")
    return session


def reason_of(refusal: Exception, name: str) -> str:
    """Why the engine does not take the file called `name`, without the list of what it takes."""
    return str(refusal).partition("; supported are")[0].removeprefix(f"{name}: ")


def one_line(error: Exception) -> str:
    """The message of somebody else's error, cut short."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]} ..."
