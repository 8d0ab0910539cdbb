"""Several images at once: the same answers as one after another, from any process and thread."""

import os
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from mobilenets.engine import Lanes
from tests.engine.nets import net_of

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def net():
    """Two outputs, the second with an axis of places."""
    graph = helper.make_graph(
        [
            helper.make_node("Sigmoid", ["image"], ["map"]),
            helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["means"]),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 9, 7))],
        [
            helper.make_tensor_value_info("means", TensorProto.FLOAT, (1, 3)),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, (1, 3, 9, 7)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return net_of(model)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("images", [0, 1, 2, 7, 40])
def test_lanes_give_what_one_network_gives(net, count, images):
    x = RNG.normal(size=(images, 3, 9, 7)).astype(np.float32)
    for found, wanted in zip(Lanes(net, count)(x), net(x), strict=True):
        assert found.shape == wanted.shape
        assert np.array_equal(found, wanted)


def test_twins_run_at_the_same_time(net):
    """Each has an arena of its own: no result is of another's image."""
    inputs = RNG.normal(size=(2, 1, 3, 9, 7)).astype(np.float32)
    wanted = [net(x)[1] for x in inputs]
    wrong = []

    def work(one, x, right):
        wrong.extend(i for i in range(300) if not np.array_equal(one(x)[1], right))

    pairs = zip((net, net.twin()), inputs, wanted, strict=True)
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(net):
    lanes = Lanes(net, 2)
    x = RNG.normal(size=(6, 3, 9, 7)).astype(np.float32)
    wanted = lanes(x)[1]
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(lanes(x)[1], wanted) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_wrong_with_the_input_is_said(net):
    with pytest.raises(ValueError, match="x must have shape"):
        Lanes(net, 2)(np.zeros((3, 3, 9, 8), np.float32))
    with pytest.raises(ValueError, match="threads must be from 1 to 64, got 65"):
        Lanes(net, 65)
