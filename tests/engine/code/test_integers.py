"""Compiled integers against their slow twin, which is LiteRT's and ONNX Runtime's bits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenets.engine.codegen.network import generate
from mobilenets.engine.codegen.objects import compile_object
from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.graph import Graph, Tensor
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.ir.types import INT8, UINT8
from mobilenets.engine.passes.fuse import FusedBlock, fuse
from mobilenets.engine.plan.program import prepare
from mobilenets.engine.plan.schedule import Choice, Schedule
from mobilenets.engine.targets.arm import NEON
from mobilenets.errors import InputError
from tests.engine.nets import net_of, targets
from tests.engine.stored import Drawn, networks

TARGETS = targets()
QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def check(graph, x, threads, target, stream=None):
    """The output is the twin's, to the last bit."""
    wanted = run_graph(graph, x)[graph.outputs[0]]
    with net_of(graph, threads, Schedule(stream=stream), target=target) as net:
        found = net(x)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(wanted)) > 1  # an output that is all one number would show nothing


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_networks_of_odd_sizes(target):
    for graph, x in networks():
        for threads, stream in ((1, 0), (3, -1)):
            check(graph, x, threads, target, stream)


@st.composite
def layers(draw):
    """Some layers that fit each other, and how they are run."""
    dtype, size = draw(st.sampled_from([INT8, UINT8])), draw(st.tuples(*[st.integers(1, 12)] * 2))
    drawn = Drawn(draw(st.integers(0, 10**6)), dtype, draw(st.integers(1, 40)), size)
    for _ in range(draw(st.integers(1, 4))):
        channels = drawn.shape[1]
        kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 5), (2, 3)]))
        step = draw(st.integers(1, 2))
        apart = draw(st.integers(1, 2))
        sides = [(taps - 1) * apart for taps in kernel]
        pads = tuple(draw(st.integers(0, side)) for side in (*sides, *sides))
        after = [max(pads[2 + i], 1 + sides[i] - drawn.shape[2 + i] - pads[i]) for i in range(2)]
        how = {"strides": (step, step), "dilations": (apart, apart), "pads": (*pads[:2], *after)}
        kind = draw(st.sampled_from(["pointwise", "depthwise", "dense"]))
        if kind == "pointwise":
            drawn.conv(draw(st.integers(1, 40)))
        elif kind == "depthwise":
            drawn.conv(channels, kernel, groups=channels, **how)
        else:
            drawn.conv(draw(st.integers(1, 20)), kernel, **how)
    return drawn.graph(), drawn.image(), draw(st.integers(1, 3)), draw(st.sampled_from([-1, 0]))


def agree(drawn):
    graph, x, threads, stream = drawn
    wanted = run_graph(graph, x)[graph.outputs[0]]
    for target in TARGETS.values():
        with net_of(graph, threads, Schedule(stream=stream), target=target) as net:
            np.testing.assert_array_equal(net(x), wanted)


@settings(max_examples=10, **QUICK)
@given(layers())
def test_any_layers(drawn):
    agree(drawn)


@pytest.mark.every
@settings(max_examples=120, **QUICK)
@given(layers())
def test_many_layers(drawn):
    agree(drawn)


def test_a_schedule_that_would_round_twice_is_refused():
    drawn = Drawn(7, INT8, 4, (5, 5)).conv(32).conv(32, (3, 3), groups=32, pads=(1, 1, 1, 1))
    graph, target = drawn.conv(6).graph(), next(iter(TARGETS.values()))
    name = next(unit.name for unit in fuse(graph) if isinstance(unit, FusedBlock))
    for choice, why in (
        (Choice("groups", 32, 5), "computes with integers: its kind must be rows, got groups"),
        (Choice("rows", 16, 1), r"group must be one of \[32\], got 16"),
    ):
        with pytest.raises(InputError, match=why):
            prepare(graph, target, 1, Schedule({name: choice}))


def test_a_layer_that_reads_integers_as_others_is_none_of_the_block():
    """A file may take another number from them than stood for 0 when they were made."""
    drawn = Drawn(3, UINT8, 6, (5, 6)).conv(16)
    drawn.zero += 1 if drawn.zero < 255 else -1
    graph = drawn.conv(16, (3, 3), groups=16, pads=(1, 1, 1, 1)).conv(5).graph()
    assert not any(isinstance(unit, FusedBlock) and unit.expand for unit in fuse(graph))
    check(graph, drawn.image(), 2, None)


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_resizing_has_the_twins_shares(coordinates):
    """Far from the start a coordinate in float32 is another than one in float64."""
    for old, new in ((129, 513), (80, 321), (65, 224), (100, 257), (28, 300)):
        drawn = Drawn(5, INT8, 3, (old, 2))
        node = g.Resize("r", ("x",), "r", coordinates, 11)
        tensors = {**drawn.tensors, "r": Tensor("r", (1, 3, new, 3), INT8)}
        check(Graph((node,), tensors, "x", ("r",)), drawn.image(), 2, None)


def test_sums_of_more_than_32_bits_wrap():
    drawn = Drawn(6, UINT8, 40_000, (1, 1)).conv(3)
    conv = drawn.nodes[0]
    ends = replace(
        conv, weight=np.full_like(conv.weight, 255), weight_zero=0, zero_point=0,
        requantize=replace(conv.requantize, multiplier=np.float32([1e-7, 3e-8, 5e-8])),
    )  # fmt: skip
    graph = Graph((ends,), drawn.tensors, "x", (drawn.last,))
    x = np.full((1, 40_000, 1, 1), 255, np.uint8)
    with net_of(graph) as net:
        np.testing.assert_array_equal(net(x), run_graph(graph, x)[drawn.last])


def test_pads_of_any_byte():
    for value, dtype in ((200, UINT8), (-128, INT8), (127, INT8)):
        drawn = Drawn(4, dtype, 3, (4, 5))
        pad = g.Pad("p", ("x",), "p", (0, 0, 1, 0), (0, 0, 0, 2), value)
        tensors = {**drawn.tensors, "p": Tensor("p", (1, 3, 5, 7), dtype)}
        check(Graph((pad,), tensors, "x", ("p",)), drawn.image(), 1, None)


def test_arm_has_code_for_them():
    for graph, _ in networks():
        assert compile_object(generate(prepare(graph, NEON, 2, Schedule())), NEON)
