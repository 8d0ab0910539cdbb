"""Steps made of kernels: every node against its twin on each target, blocks, chains, and NEON."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenets.engine.codegen.build import build
from mobilenets.engine.codegen.network import generate
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.graph import LINEAR, RELU6, Activation, Conv, Graph, Node, Tensor
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.ir.types import FLOAT32, INT64
from mobilenets.engine.kernels.rows import ImageShape
from mobilenets.engine.passes.fuse import FusedBlock, PooledConv, fuse
from mobilenets.engine.plan.program import prepare
from mobilenets.engine.plan.schedule import Choice, Schedule
from mobilenets.engine.stages.block import BlockStage
from mobilenets.engine.stages.convolution import ConvStage
from mobilenets.engine.stages.streaming import Streaming, merge
from mobilenets.engine.steps.step import share_rows
from mobilenets.engine.targets.arm import NEON
from mobilenets.engine.targets.host import host
from mobilenets.engine.targets.target import Target
from tests.engine.code import twins
from tests.engine.graphs import array
from tests.engine.nets import mobilenet, net_of, outputs_of, same, targets
from tests.some import some

TARGETS = targets()
QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def graph_of(nodes: list[tuple[Node, tuple[int, ...]]], shape: tuple[int, ...]) -> Graph:
    """Nodes with their outputs' shapes; what no node reads is an output."""
    tensors = {"x": Tensor("x", shape, FLOAT32)}
    for node, made in nodes:
        kind = INT64 if isinstance(node, g.ArgMax) else FLOAT32
        tensors[node.output] = Tensor(node.output, made, kind)
    read = {name for node, _ in nodes for name in node.inputs}
    ends = tuple(node.output for node, _ in nodes if node.output not in read)
    return Graph(tuple(node for node, _ in nodes), tensors, "x", ends)


def check(
    graph: Graph, threads: int, target: Target | None, schedule: Schedule | None = None
) -> None:
    """All outputs are the twin's."""
    x = array(*graph.tensors["x"].shape)
    values = run_graph(graph, x)
    with net_of(graph, threads, schedule, target=target) as net:
        for name, found in zip(graph.outputs, outputs_of(net, x), strict=True):
            same(found, values[name])


# Nodes that are steps by themselves


def conv(
    source: str, output: str, inputs: int, outputs: int, kernel=(1, 1), *, groups: int = 1, **fields
) -> Conv:
    """Random weights."""
    weight = array(outputs, inputs // groups, *kernel) / (inputs // groups * kernel[0]) ** 0.5
    return Conv(output, (source,), output, weight, array(outputs), groups=groups, **fields)


def simple_nodes(c: int, h: int, w: int) -> list[tuple[Node, tuple[int, ...]]]:
    """One of every kind, of an image (1, c, h, w), each an output."""
    full, same_pads = (1, c, h, w), (1, 1, 1, 1)
    pool = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1)}
    pooled = (1, c, (h - 1) // 2 + 1, w)
    made: list[tuple[Node, tuple[int, ...]]] = [
        (g.Activate("a0", ("x",), "a0", Activation("hardswish")), full),
        (g.Binary("b0", ("x", "x"), "b0", "mul"), full),
        (g.Binary("b1", ("x",), "b1", "add", array(c, 1, 1)), full),
        (g.Binary("b2", ("x",), "b2", "mul", array(1, 1, h, w)), full),
        (g.Binary("b3", ("x",), "b3", "add", array(1, c, h, 1)), full),
        (g.Pool("p0", ("x",), "p0", "average", **pool), pooled),
        (g.Pool("p1", ("x",), "p1", "average", **pool, count_pads=True), pooled),
        (g.Pool("p2", ("x",), "p2", "max", **pool), pooled),
        (g.Reduce("m0", ("x",), "m0", "mean", (2, 3), False), (1, c)),
        (g.Reduce("m1", ("x",), "m1", "mean", (1,), True), (1, 1, h, w)),
        (g.Reduce("m2", ("x",), "m2", "mean", (1, 3), False), (1, h)),
        (g.Reduce("m3", ("x",), "m3", "sum", (3,), True), (1, c, h, 1)),
        (g.Reduce("m4", ("x",), "m4", "l2", (1,), True), (1, 1, h, w)),
        (g.Reduce("m5", ("x",), "m5", "l2", (2, 3), False), (1, c)),
        (g.Expand("n0", ("m3",), "n0"), (1, c, h, 3)),
        (g.Expand("n1", ("m4",), "n1"), full),
        (g.Transpose("t0", ("x",), "t0", (0, 2, 3, 1)), (1, h, w, c)),
        (g.Transpose("t1", ("x",), "t1", (3, 2, 0, 1)), (w, h, 1, c)),
        (g.Reshape("r0", ("x",), "r0"), (1, c * h * w)),
        (g.Concat("c0", ("x", "a0", "x"), "c0", 1), (1, 3 * c, h, w)),
        (g.Concat("c1", ("x", "x"), "c1", 3), (1, c, h, 2 * w)),
        (g.Pad("d0", ("x",), "d0", (0, 1, 2, 0), (0, 0, 1, 3), -1.5), (1, c + 1, h + 3, w + 3)),
        (g.Softmax("s0", ("x",), "s0", 1), full),
        (g.Softmax("s1", ("x",), "s1", 3), full),
        (g.ArgMax("i0", ("x",), "i0", 1, False), (1, h, w)),
        (g.ArgMax("i1", ("x",), "i1", 2, True), (1, c, 1, w)),
        (g.Slice("l0", ("x",), "l0", (0, c // 2, 0, 0), (1, 1, 2, 1)),
         (1, c - c // 2, (h + 1) // 2, w)),
        (g.Dense("e0", ("x",), "e0", array(w, 5), array(5), RELU6), (1, c, h, 5)),
        (conv("x", "k0", c, 2 * c + 1, activation=RELU6), (1, 2 * c + 1, h, w)),
        (conv("x", "k1", c, c, (3, 3), groups=c, pads=same_pads), full),
        (conv("x", "k2", c, 5, (3, 3), pads=same_pads, activation=RELU6), (1, 5, h, w)),
        (conv("x", "k3", c, 2 * c, (2, 3), groups=c, pads=(1, 1, 0, 1)), (1, 2 * c, h, w)),
    ]  # fmt: skip
    for coordinates in ("half_pixel", "align_corners", "asymmetric"):
        name = f"z{coordinates}"
        made.append((g.Resize(name, ("x",), name, coordinates), (1, c, 2 * h + 1, max(1, w - 2))))
    made.append((g.Binary("u0", ("a0", "m1"), "u0", "mul"), full))
    return made


SIZES = [(-1, 3), (1, 1), (0, 1), (0, 3), (-1, 1), (1, 3)]
"""Channels beside a whole number of vectors, and threads."""


@pytest.mark.parametrize(("extra", "threads"), some(SIZES, (0, 1)))
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_kind_of_node_is_its_twin(target, extra, threads):
    c = target.lanes + extra
    check(graph_of(simple_nodes(c, 4 - extra, 5 + 2 * extra), (1, c, 4 - extra, 5 + 2 * extra)),
          threads, target)  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (5, 17, 1)])
def test_nodes_of_images_that_are_hardly_any(shape):
    check(graph_of(simple_nodes(*shape), (1, *shape)), 2, None)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_large_windows_are_loops_and_their_twins(target):
    c, h, w = target.lanes + 1, 13, 11
    large = {"kernel": (9, 8), "strides": (2, 3), "pads": (3, 2, 8, 5)}
    made = (1, c, (h + 11 - 9) // 2 + 1, (w + 7 - 8) // 3 + 1)
    whole = {"kernel": (h, w), "strides": (1, 1)}
    nodes = [
        (g.Pool(f"p{number}", ("x",), f"p{number}", kind, **size, count_pads=pads), shape)
        for number, (kind, pads, size, shape) in enumerate(
            (kind, pads, size, shape)
            for kind, pads in (("max", False), ("average", False), ("average", True))
            for size, shape in ((large, made), (whole, (1, c, 1, 1)))
        )
    ]
    check(graph_of(nodes, (1, c, h, w)), 3, target)


def test_a_maximum_over_a_whole_map_is_little_code():
    pool = g.Pool("y", ("x",), "y", "max", (112, 112), (1, 1))
    program = prepare(graph_of([(pool, (1, 8, 1, 1))], (1, 8, 112, 112)), host(), 1, Schedule())
    assert len(generate(program).splitlines()) < 300


def test_a_single_element_made_in_place_is_made_once():
    nodes = [
        (g.Reduce("m", ("x",), "m", "mean", (1,), False), (1,)),
        (g.Activate("a", ("m",), "a", Activation("sigmoid")), (1,)),
        (g.Binary("b", ("a",), "b", "add", np.float32([1])), (1,)),
        (g.Activate("y", ("b",), "y", Activation("sigmoid")), (1,)),
    ]
    graph = graph_of(nodes, (1, 8))
    x = array(1, 8)
    expected = run_graph(graph, x)["y"]
    with net_of(graph, 3) as net:
        assert all(np.allclose(net(x), expected) for _ in range(300))


def test_what_a_part_of_is_read_too_is_not_made_in_place():
    nodes = [
        (g.Activate("b", ("x",), "b", Activation("sigmoid")), (1, 3, 4, 5)),
        (g.Reduce("a", ("x",), "a", "mean", (1,), True), (1, 1, 4, 5)),
        (g.Concat("c", ("a", "b"), "c", 1), (1, 4, 4, 5)),
        (g.Binary("d", ("c", "a"), "d", "mul"), (1, 4, 4, 5)),
        (g.Activate("y", ("d",), "y", Activation("sigmoid")), (1, 4, 4, 5)),
    ]
    check(graph_of(nodes, (1, 3, 4, 5)), 1, None)


def test_what_is_read_in_another_order_too_is_not_made_in_place():
    nodes = [
        (g.Activate("a", ("x",), "a", Activation("sigmoid")), (1, 9, 9)),
        (g.Transpose("t", ("a",), "t", (0, 2, 1)), (1, 9, 9)),
        (g.Binary("b", ("a", "t"), "b", "add"), (1, 9, 9)),
        (g.Activate("y", ("b",), "y", Activation("hardswish")), (1, 9, 9)),
    ]
    check(graph_of(nodes, (1, 9, 9)), 1, None)


def test_indices_that_are_two_outputs_are_whole_in_both():
    nodes = [
        (g.ArgMax("i", ("x",), "i", 1, False), (1, 6, 5)),
        (g.Reshape("j", ("i",), "j"), (1, 6, 5)),
    ]
    graph = graph_of(nodes, (1, 4, 6, 5))
    tensors = {**graph.tensors, "j": Tensor("j", (1, 6, 5), INT64)}
    check(replace(graph, tensors=tensors, outputs=("i", "j")), 2, None)


# Blocks


def block_graph(
    size: tuple[int, int], channels: tuple[int, int, int], *, kernel: int = 3, stride: int = 1,
    dilation: int = 1, pads: tuple[int, int, int, int] | None = None, expands: bool = True,
    shortcut: bool = False, ends: Activation = LINEAR,
) -> Graph:  # fmt: skip
    """[Expansion,] depthwise, projection[, shortcut] as fusion finds it; `channels`: in, between,
    out. Another node comes before it, so that it may be made in place."""
    first, middle, last = channels
    span = (kernel - 1) * dilation
    top, left, bottom, right = pads = pads or (span // 2,) * 2 + (span - span // 2,) * 2
    high = (size[0] + top + bottom - span - 1) // stride + 1
    wide = (size[1] + left + right - span - 1) // stride + 1
    assert min(high, wide) > 0
    if not expands:
        middle = first
    how = {"strides": (stride, stride), "dilations": (dilation, dilation), "pads": pads}
    nodes: list[tuple[Node, tuple[int, ...]]] = [
        (g.Activate("a", ("x",), "a", Activation("sigmoid")), (1, first, *size))
    ]
    if expands:
        nodes.append((conv("a", "e", first, middle, activation=RELU6), (1, middle, *size)))
    inner = conv(
        nodes[-1][0].output, "d", middle, middle, (kernel, kernel), groups=middle,
        activation=RELU6, **how,
    )  # fmt: skip
    nodes.append((inner, (1, middle, high, wide)))
    nodes.append((conv("d", "p", middle, last, activation=ends), (1, last, high, wide)))
    if shortcut:
        nodes.append((g.Binary("s", ("a", "p"), "s", "add"), (1, last, high, wide)))
    end = nodes[-1][0].output
    nodes.append((g.Activate("y", (end,), "y", Activation("hardswish")), (1, last, high, wide)))
    return graph_of(nodes, (1, first, *size))


BLOCKS = {
    "as in paper 2": ((9, 7), (24, 96, 24), {"shortcut": True}),
    "odd channels": ((8, 9), (17, 33, 15), {}),
    "odd channels, shortcut": ((7, 5), (15, 47, 15), {"shortcut": True}),
    "stride 2": ((11, 10), (16, 64, 24), {"stride": 2}),
    "stride 2, even, symmetric": ((10, 12), (16, 48, 24), {"stride": 2, "pads": (1, 1, 1, 1)}),
    "rows that nobody reads": ((8, 9), (8, 32, 8), {"stride": 2, "pads": (0, 0, 0, 0)}),
    "a single row of outputs": ((4, 9), (8, 32, 8), {"stride": 2, "pads": (0, 0, 0, 0)}),
    "dilated": ((9, 9), (16, 32, 16), {"dilation": 2, "shortcut": True}),
    "5x5": ((12, 8), (8, 48, 12), {"kernel": 5, "stride": 2}),
    "no expansion": ((9, 8), (32, 32, 16), {"expands": False}),
    "no expansion, stride 2": ((9, 8), (48, 48, 33), {"expands": False, "stride": 2}),
    "ends in ReLU6": ((6, 6), (16, 32, 20), {"ends": RELU6}),
    "one pixel": ((1, 1), (16, 32, 16), {"shortcut": True}),
}


def choices(middle: int, high: int, target: Target) -> list[tuple[Choice, int]]:
    """Both kinds with the smallest and the largest group, strips of a row, some and all; each with
    threads. Of three threads some have no row, or no group."""
    divides = middle % target.lanes == 0
    small, large = (target.lanes, middle) if divides else (middle, middle)
    found = [
        (Choice("rows", small, 1), 3),
        (Choice("rows", small, high), 1),
        (Choice("groups", small, high), 3),
        (Choice("rows", large, 3), 1),
    ]
    if target != host():
        return found[:3]  # they differ in lanes and tiles alone
    return [*found, (Choice("rows", large, high), 1), (Choice("groups", large, high), 2)]


@pytest.mark.parametrize("case", some(BLOCKS, range(0, len(BLOCKS), 5)))
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_block_by_rows_and_by_groups_is_its_twin(target, case):
    size, channels, fields = BLOCKS[case]
    graph = block_graph(size, channels, **fields)
    (block,) = (unit for unit in fuse(graph) if isinstance(unit, FusedBlock))
    high, middle = graph.tensors[block.output].shape[2], len(block.depthwise.weight)
    for choice, threads in choices(middle, high, target):
        check(graph, threads, target, Schedule({block.name: choice}))


def test_a_projection_that_is_averaged_is_never_written():
    nodes = [
        (conv("x", "k", 12, 37, activation=RELU6), (1, 37, 5, 3)),
        (g.Reduce("m", ("k",), "m", "mean", (2, 3), False), (1, 37)),
    ]
    graph = graph_of(nodes, (1, 12, 5, 3))
    assert isinstance(fuse(graph)[0], PooledConv)
    for target in TARGETS.values():
        for threads in (1, 2, 4):
            check(graph, threads, target)


# Chains


@st.composite
def chain(draw):
    """Stages that follow each other, strips, and threads."""
    height = draw(st.integers(1, 24))
    stages = []
    for _ in range(draw(st.integers(1, 4))):
        kernel, stride, dilation = draw(st.tuples(*map(st.integers, (1, 1, 1), (5, 3, 2))))
        span = (kernel - 1) * dilation
        before, after = draw(st.integers(0, span)), draw(st.integers(0, span))
        after = max(after, span + 1 - before - height)  # at least one row of outputs
        rows = (height + before + after - span - 1) // stride + 1
        how = {"strides": (stride, 1), "dilations": (dilation, 1), "pads": (before, 0, after, 0)}
        source, target = (ImageShape(size, 4, 4, FLOAT32) for size in (height, rows))
        if draw(st.booleans()):
            prepared = {"pads": (before, draw(st.integers(0, 1)), after, 0)}
            stage = ConvStage(source, target, conv("", "", 4, 4, (kernel, 1), **how | prepared))
        else:
            expands = draw(st.booleans())
            stage = BlockStage(
                source, target, conv("", "", 4, 4) if expands else None,
                conv("", "", 4, 4, (kernel, 1), groups=4, **how), conv("", "", 4, 4),
                expands and rows == height and stride == 1 and draw(st.booleans()), 4
            )  # fmt: skip
        stages.append(stage)
        height = rows
    strips = [draw(st.integers(1, 4)) for _ in stages]
    return stages, strips, draw(st.integers(1, 4))


@settings(max_examples=200, **QUICK)
@given(chain())
def test_no_row_of_a_ring_is_overwritten_before_its_last_reader(drawn):
    stages, strips, threads = drawn
    height = stages[-1].target.height
    shares = [share for share in share_rows(height, threads) if share[0] < share[1]]
    parts = [Streaming(stages, strips).run(*share) for share in shares]
    prepared, between = merge(parts)
    made = [row for part in parts for row in twins.walk(part, prepared, between)]
    assert made == list(range(height))


def test_the_checker_sees_a_ring_that_is_too_small():
    shape = ImageShape(9, 4, 4, FLOAT32)
    first = ConvStage(shape, shape, conv("", "", 4, 4, (3, 1), pads=(1, 0, 1, 0)))
    part = Streaming([first, first], [1, 1]).run(0, 9)
    prepared, between = merge([part])
    assert between == [3]
    assert twins.walk(part, prepared, between) == list(range(9))
    with pytest.raises(AssertionError, match="is gone"):
        twins.walk(part, prepared, [2])


# NEON: made here, run nowhere


def text_of(code: bytes) -> bytes:
    """The machine code of an ELF file of 64 bits."""
    (start,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", code, start + size * i) for i in range(count)]
    executable = [(offset, length) for _, _, flags, _, offset, length, *_ in headers if flags & 4]
    return b"".join(code[offset : offset + length] for offset, length in executable)


@pytest.mark.parametrize("threads", some([1, 2], (1,)))
def test_code_for_neon_multiplies_four_lanes_at_once(threads):
    graph = read_graph(mobilenet("mobilenet_v2", 0.35, 96, classes=10), shape=(1, 3, 96, 96))
    code, _, info = build(graph, NEON, threads, Schedule())
    assert code[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", code, 18) == (183,)  # aarch64
    assert info["report"]["target"] == "neon"
    words = np.frombuffer(text_of(code), "<u4")
    by_vector = (words & 0xFFE0FC00) == 0x4E20CC00  # fmla v.4s, v.4s, v.4s
    by_element = (words & 0xFFC0F400) == 0x4F801000  # fmla v.4s, v.4s, v.s[i]
    assert by_vector.sum() + by_element.sum() > 1000
    singles = (words & 0xFF200000) == 0x1F000000  # fmadd and its like, of scalars
    assert singles.sum() < 0.02 * (by_vector.sum() + by_element.sum())
