"""Compiled integers against their slow twin, which is LiteRT's and ONNX Runtime's bits."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenets.engine.codegen.network import generate
from mobilenets.engine.codegen.objects import compile_object
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.ir.types import INT8, UINT8
from mobilenets.engine.plan.program import prepare
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.targets.arm import NEON
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


@settings(max_examples=15, **QUICK)
@given(layers())
def test_any_layers(drawn):
    agree(drawn)


@pytest.mark.every
@settings(max_examples=400, **QUICK)
@given(layers())
def test_many_layers(drawn):
    agree(drawn)


def test_arm_has_code_for_them():
    for graph, _ in networks():
        assert compile_object(generate(prepare(graph, NEON, 2, Schedule())), NEON)
