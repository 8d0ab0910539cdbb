"""The runtimes that are compared: how each loads a network, and what one run of it is.

Every side gets the same image and is set up as its own documentation says for one stream of images
on the CPU, of float32 or, where the file stores integers, of those. What a run does, and is timed
for: an image that lies ready in the layout the side likes goes in, outputs that the caller may read
come out.

A runtime is imported by its name when it is asked for: none is a dependency of this package.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.bench import convert

Array = NDArray[np.float32]
Run = Callable[[], Sequence[Array]]
"""One inference on an image given before: its outputs, in the file's order."""


@dataclass(frozen=True)
class Side:
    """A runtime: what brings it, what it reads, how it runs."""

    open: Callable[[Path, int, Array], Run]
    """(file, threads, image as the ONNX file says) -> a run."""
    files: tuple[str, ...] = (convert.ONNX,)
    """What it reads in the folder of a comparison: the first of these that is there."""
    modules: tuple[str, ...] = ()
    """What is imported before memory is counted."""
    package: str = ""
    """The distribution whose version is reported."""
    install: str = ""
    """What pip is to install, conversion included."""
    convert: Callable[[Path, Sequence[int]], None] | None = None
    """(folder, numbers of threads) -> a file is there; None where it is there already."""
    needs_weights: bool = False
    """Whether it comes from the torch network: an ONNX file alone is not enough."""

    def reads(self, folder: Path) -> Path | None:
        """Its file in the folder of a comparison, if it is there."""
        return next((folder / name for name in self.files if (folder / name).exists()), None)

    @property
    def version(self) -> str:
        """The installed version; '' where that is not known."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return ""


def find(name: str) -> Side:
    """The side called `name`; one of your own is `module:ATTRIBUTE`. ValueError for any other."""
    if name in SIDES:
        return SIDES[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        known = ", ".join(SIDES)
        raise ValueError(f"a side must be one of {known}, or module:ATTRIBUTE, got {name!r}")
    try:
        side = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"side {name!r} cannot be imported ({error})") from error
    if not isinstance(side, Side):
        raise ValueError(f"side {name!r} must be a mobilenets.bench.sides.Side, got {side!r}")
    return side


def nhwc(image: Array) -> Array:
    """(N, C, H, W) -> (N, H, W, C), contiguous."""
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1))


def open_ours(file: Path, threads: int, image: Array) -> Run:
    """Our engine, as a user calls it."""
    net: Any = import_module("mobilenets").compile(file, threads=threads, shape=image.shape)

    def run() -> Sequence[Array]:
        found = net(image)
        return found if isinstance(found, tuple) else (found,)

    return run


def open_onnxruntime(file: Path, threads: int, image: Array) -> Run:
    """One session; `intra_op_num_threads` is its documented number of threads."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = runtime.InferenceSession(
        os.fspath(file), sess_options=options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, feed)


def open_litert(file: Path, threads: int, image: Array) -> Run:
    """The interpreter, which hands float32 networks to XNNPACK by default; channels come last."""
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter(
        model_path=os.fspath(file), num_threads=threads
    )
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    values = image if tuple(details["shape"]) == image.shape else nhwc(image)
    entry = details["index"]
    exits = [found["index"] for found in interpreter.get_output_details()]

    def run() -> Sequence[Array]:
        interpreter.set_tensor(entry, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in exits]

    return run


def open_openvino(file: Path, threads: int, image: Array) -> Run:
    """One stream for latency. Where a CPU has bfloat16 that would be the default: float32 here."""
    core = import_module("openvino").Core()
    model = core.read_model(os.fspath(file))
    model.reshape(list(image.shape))
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    request = compiled.create_infer_request()
    count = len(compiled.outputs)

    def run() -> Sequence[Array]:
        request.infer([image], share_inputs=True)
        return [request.get_output_tensor(index).data for index in range(count)]

    return run


def open_executorch(file: Path, threads: int, image: Array) -> Run:
    """The XNNPACK delegate; the only way to its number of threads is a private one of its own."""
    torch = import_module("torch")
    library = import_module("executorch.extension.pybindings.portable_lib")
    library._unsafe_reset_threadpool(threads)
    program = import_module("executorch.runtime").Runtime.get().load_program(file)
    method = program.load_method("forward")
    values = torch.from_numpy(image)
    return lambda: [tensor.numpy() for tensor in method.execute([values])]


def open_torch(file: Path, threads: int, image: Array) -> Run:
    """Eager, norms folded, channels last, in inference mode."""
    torch = import_module("torch")
    torch.set_num_threads(threads)
    model = convert.load_network(file).to(memory_format=torch.channels_last)
    values = torch.from_numpy(image).to(memory_format=torch.channels_last)

    def run() -> Sequence[Array]:
        with torch.inference_mode():
            return [model(values).numpy()]

    return run


def _of_onnx(name: str, open_file: Callable[[Path, int, Array], Run]) -> Side:
    """A side that reads the ONNX file itself; its module and its package have one name."""
    return Side(open_file, modules=(name,), package=name, install=name)


OURS = "mobilenets"

SIDES = {
    OURS: Side(
        open_ours,
        (convert.ONNX, convert.TFLITE),
        modules=("mobilenets.engine",),
        package="mobilenets",
        convert=convert.warm_cache,
    ),
    "onnxruntime": _of_onnx("onnxruntime", open_onnxruntime),
    "litert": Side(
        open_litert,
        (convert.TFLITE,),
        ("ai_edge_litert.interpreter",),
        "ai-edge-litert",
        "ai-edge-litert litert-torch",
        convert.to_litert,
        needs_weights=True,
    ),
    "openvino": _of_onnx("openvino", open_openvino),
    "executorch": Side(
        open_executorch,
        ("model.pte",),
        ("torch", "executorch.runtime"),
        "executorch",
        "executorch",
        convert.to_executorch,
        needs_weights=True,
    ),
    "torch": Side(
        open_torch,
        (convert.WEIGHTS,),
        ("torch", "mobilenets.export.onnx"),
        "torch",
        "torch",
        needs_weights=True,
    ),
}
"""By name, ours first."""

PEERS = tuple(name for name in SIDES if name != OURS)
