"""Compiled networks for tests, without the cache; and files of the published ones without torch."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import llvmlite.binding as llvm
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mobilenets.engine.codegen.build import build
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.run.session import Net
from mobilenets.engine.targets import x86
from mobilenets.engine.targets.host import host
from mobilenets.engine.targets.target import Target
from mobilenets.models.geometry import (
    Block,
    same_padding,
    v1_blocks,
    v1_stem,
    v2_blocks,
    v2_last,
    v2_stem,
)
from tests.engine.graphs import TOLERANCE, onnx_runtime


def targets() -> dict[str, Target]:
    """What this machine can run: its own target, and on an x86 those of older ones."""
    own = host()
    found = {own.name: own}
    has = dict(llvm.get_host_cpu_features())
    if has.get("avx2") and has.get("fma"):
        found["avx2"] = replace(x86.AVX2, triple=own.triple)
    if has.get("sse2"):
        found["sse"] = replace(x86.SSE, triple=own.triple)
    return found


def aligned(values: np.ndarray) -> np.ndarray:
    """A copy from a cache line's start on, as the cache's file gives weights."""
    held = np.zeros(values.size + 64, values.dtype)
    start = -(held.ctypes.data // held.itemsize) % (64 // held.itemsize)
    copy = held[start : start + values.size]
    copy[:] = values
    return copy


def net_of(
    source: bytes | onnx.ModelProto | Graph,
    threads: int = 1,
    schedule: Schedule | None = None,
    *,
    target: Target | None = None,
    shape: tuple[int, ...] | None = None,
) -> Net:
    """A network compiled here and now."""
    if isinstance(source, onnx.ModelProto):
        source = source.SerializeToString()
    graph = source if isinstance(source, Graph) else read_graph(source, shape=shape)
    target = target or host()
    code, weights, info = build(graph, target, threads, schedule or Schedule())
    return Net(code, aligned(weights), info, cached=False)


def outputs_of(net: Net, x: np.ndarray) -> list[np.ndarray]:
    """All outputs, as a list."""
    found = net(x)
    return list(found) if isinstance(found, tuple) else [found]


def same(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    """NaN and infinities in the same places, the rest equal up to `tolerance` of the largest."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if expected.dtype == np.int64:
        np.testing.assert_array_equal(found, expected)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    rest = ~finite & ~np.isnan(expected)
    np.testing.assert_array_equal(found[rest], expected[rest])
    scale = max(float(np.abs(expected[finite]).max(initial=0)), 1e-6)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=0, atol=tolerance * scale)


def agrees(net: Net, data: bytes, x: np.ndarray) -> None:
    """The network's outputs are ONNX Runtime's, which leaves the file as it is."""
    for found, expected in zip(outputs_of(net, x), onnx_runtime(data, x, False), strict=True):
        same(found, expected)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables set for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _File:
    """A network as our export writes it: norms folded, batch open, pads as TensorFlow's SAME."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.size, self.channels, self.last = size, 3, "x"
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {"low": np.float32(0), "high": np.float32(6)}

    def add(self, kind: str, *inputs: str, **fields) -> None:
        """A node that reads the last one."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *inputs], [name], name=name, **fields))
        self.last = name

    def drawn(self, shape: tuple[int, ...], scale: float) -> str:
        """Random weights; the name."""
        name = f"w{len(self.weights)}"
        values = self.random.standard_normal(shape, np.float32) * np.float32(scale)
        self.weights[name] = values
        return name

    def conv(
        self, outputs: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False,
        clip: bool = True,
    ) -> None:  # fmt: skip
        """A convolution with a bias, and ReLU6 unless it is a projection."""
        inputs = 1 if depthwise else self.channels
        scale = (2 / (inputs * kernel**2)) ** 0.5
        weight = self.drawn((outputs, inputs, kernel, kernel), scale)
        before, after = zip(*(same_padding(s, kernel, stride) for s in self.size), strict=True)
        groups = self.channels if depthwise else 1
        fields = {"pads": [*before, *after], "strides": [stride] * 2, "group": groups}
        self.add("Conv", weight, self.drawn((outputs,), 0.1), kernel_shape=[kernel] * 2, **fields)
        self.size = (-(-self.size[0] // stride), -(-self.size[1] // stride))
        self.channels = outputs
        if clip:
            self.add("Clip", "low", "high")

    def bottleneck(self, block: Block) -> None:
        """Paper 2's block."""
        start = self.last
        if block.expansion > 1:
            self.conv(block.c_in * block.expansion)
        self.conv(self.channels, 3, block.stride, depthwise=True)
        self.conv(block.c_out, clip=False)
        if block.stride == 1 and block.c_in == block.c_out:
            self.add("Add", start)

    def head(self, classes: int) -> bytes:
        """Mean, classifier, and the whole file."""
        self.add("GlobalAveragePool")
        self.add("Flatten")
        self.add("Gemm", self.drawn((classes, self.channels), 0.05), self.drawn((classes,), 0.1),
                 transB=1)  # fmt: skip
        return self.finish()

    def finish(self) -> bytes:
        """The whole file."""
        return written(self.nodes, self.weights, self.last)


def written(nodes: list[onnx.NodeProto], weights: Mapping[str, np.ndarray], output: str) -> bytes:
    """A file of nodes; sizes are left open."""
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, "height", "width")),
        helper.make_tensor_value_info(output, TensorProto.FLOAT, None),
    ]
    arrays = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], arrays)
    imports = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def mobilenet(
    name: str,
    width: float = 1.0,
    size: int | tuple[int, int] = 224,
    *,
    classes: int = 1000,
    blocks: int | None = None,
    seed: int = 0,
) -> bytes:
    """V1 or V2 by the papers' tables, random weights; only its first `blocks`, without a head."""
    file = _File((size, size) if isinstance(size, int) else size, seed)
    if name == "mobilenet_v1":
        file.conv(v1_stem(width), 3, 2)
        for block in v1_blocks(width)[:blocks]:
            file.conv(file.channels, 3, block.stride, depthwise=True)
            file.conv(block.c_out)
    else:
        file.conv(v2_stem(width), 3, 2)
        for block in v2_blocks(width)[:blocks]:
            file.bottleneck(block)
        if blocks is None:
            file.conv(v2_last(width))
    return file.finish() if blocks is not None else file.head(classes)
