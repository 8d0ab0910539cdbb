"""Sides that need no library, and a file that any runtime takes."""

import os
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from mobilenets.bench.sides import Side

HERE = __name__


def name(side: str) -> str:
    return f"{HERE}:{side}"


def sleeping(seconds: float, factor: float = 1.0):
    def open_side(file: Path, threads: int, image: np.ndarray):
        assert file.is_file()
        os.write(1, b"a library that talks on standard output\n")

        def run():
            time.sleep(seconds / threads)
            return [factor * image.mean((2, 3))]

        return run

    return open_side


def dying(file: Path, threads: int, image: np.ndarray):
    left = [12]

    def run():
        left[0] -= 1
        if left[0] < 0:
            os.write(2, b"Illegal instruction\n")
            os._exit(3)
        time.sleep(0.1)  # fewer runs before the first turn
        return [image.mean((2, 3))]

    return run


def failing(file: Path, threads: int, image: np.ndarray):
    if threads > 1:
        raise RuntimeError("one thread\nis all it has")
    return lambda: [image.mean((2, 3))]


def silent(file: Path, threads: int, image: np.ndarray):
    time.sleep(60)


def converting(folder: Path, threads: list[int]) -> None:
    (folder / "model.converted").write_text(str(threads))


def refusing(folder: Path, threads: list[int]) -> None:
    raise ValueError("operator Foo is not supported")


OURS = Side(sleeping(0.001))
SLOW = Side(sleeping(0.004), ("model.converted",), convert=converting)
WRONG = Side(sleeping(0.001, 1.5))
DYING = Side(dying)
FAILING = Side(failing)
SILENT = Side(silent)
REFUSING = Side(sleeping(0.001), convert=refusing)
ABSENT = Side(sleeping(0.001), modules=("no_such_library",), install="such-library")
FROM_WEIGHTS = Side(sleeping(0.001), needs_weights=True)
NOT_A_SIDE = 3


def write_pool(path: Path, shape: tuple, element: int = TensorProto.FLOAT) -> Path:
    """The mean of each channel."""
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["means"])],
        "pool",
        [helper.make_tensor_value_info("image", element, shape)],
        [helper.make_tensor_value_info("means", element, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path
