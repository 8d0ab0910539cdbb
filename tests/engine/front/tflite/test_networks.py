"""Small networks of integers as Keras' converter writes them, made smaller, against LiteRT."""

import numpy as np
import pytest

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.reference import run_graph
from tests.engine.front.tflite.files import NONE, RELU, RELU6, Draft, litert
from tests.engine.front.tflite.single import INT8, SAME, UINT8, VALID
from tests.engine.graphs import kinds
from tests.some import some


class Net:
    """A network that grows from its last value; scales and weights are drawn at random."""

    def __init__(self, dtype, seed, shape):
        self.draft, self.dtype = Draft(), dtype
        self.random = np.random.default_rng(seed)
        self.scales = {}
        self.shape = shape
        self.input = self.last = self.value(shape)

    def value(self, shape, like=None):
        """A new value, of a scale of its own or of another's."""
        info = np.iinfo(self.dtype)
        scale = float(np.float32(self.random.uniform(0.02, 0.1)))
        found = (scale, int(self.random.integers(info.min, info.max)))
        found = self.scales[like] if like is not None else found
        index = self.draft.tensor(shape, self.dtype, *found)
        self.scales[index], self.shape = found, shape
        return index

    def then(self, kind, shape, *others, same=False, **options):
        """An operator on the last value and `others`."""
        source = self.last
        self.last = self.value(shape, source if same else None)
        self.draft.add(kind, [source, *others], [self.last], **options)
        return self.last

    def ints(self, *values):
        return self.draft.constant(np.int32(values[0] if len(values) == 1 else values))

    def weights(self, shape, axis):
        count = shape[axis]
        per_channel = self.dtype == INT8
        scales = self.random.uniform(1e-3, 1e-2, count if per_channel else 1).astype(np.float32)
        low, high, zero = (-127, 128, 0) if per_channel else (0, 256, 131)
        stored = self.random.integers(low, high, shape).astype(self.dtype)
        made = self.draft.constant(stored, scales, zero, axis if per_channel else 0)
        bias = self.random.integers(-2000, 2000, count).astype(np.int32)
        scale = np.float32(self.scales[self.last][0]) * scales
        return made, self.draft.constant(bias, scale, 0, 0)

    def conv(self, outputs, activation, kernel=1, stride=1, padding=SAME, depthwise=False):
        high, wide, channels = self.shape[1:]
        size = [
            -(-side // stride) if padding == SAME else (side - kernel) // stride + 1
            for side in (high, wide)
        ]
        shape = (1, kernel, kernel, channels) if depthwise else (outputs, kernel, kernel, channels)
        options = {"depthMultiplier": 1} if depthwise else {}
        self.then(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            (1, *size, channels if depthwise else outputs),
            *self.weights(shape, 3 if depthwise else 0),
            padding=padding, strideH=stride, strideW=stride, dilationHFactor=1, dilationWFactor=1,
            fusedActivationFunction=activation, **options,
        )  # fmt: skip

    def pad(self):
        _, high, wide, channels = self.shape
        pads = self.ints([[0, 0], [0, 1], [1, 1], [0, 0]])
        self.then("PAD", (1, high + 1, wide + 2, channels), pads, same=True)

    def finish(self):
        return self.draft.finish([self.input], [self.last])


def inverted_residuals(dtype, seed):
    """A padded stem, a padded block, one with a shortcut, a mean and a classifier."""
    net = Net(dtype, seed, (1, 17, 14, 3))
    net.pad()
    net.conv(8, RELU6, 3, 2, VALID)
    net.pad()
    net.conv(8, RELU6, 3, 2, VALID, depthwise=True)
    net.conv(6, NONE)
    start = net.last
    net.conv(24, RELU6)
    net.conv(24, RELU6, 3, depthwise=True)
    net.conv(6, NONE)
    net.then("ADD", net.shape, start, fusedActivationFunction=NONE)
    net.then("MEAN", (1, 6), net.ints([1, 2]), keepDims=False)
    net.then("FULLY_CONNECTED", (1, 5), *net.weights((5, 6), 0), fusedActivationFunction=NONE)
    return net


def gated(dtype, seed):
    """A block as in V3: hard swish, and channels weighed by what a small network says of them."""
    net = Net(dtype, seed, (1, 9, 8, 4))
    net.conv(8, NONE, 3)
    whole = net.then("HARD_SWISH", net.shape)
    net.then("MEAN", (1, 1, 1, 8), net.ints([1, 2]), keepDims=True)
    net.conv(4, RELU)
    net.conv(8, NONE)
    net.then("RELU6", net.shape)
    net.then("MUL", (1, 9, 8, 8), whole, fusedActivationFunction=NONE)
    net.then("LEAKY_RELU", net.shape, alpha=0.1)
    net.then("QUANTIZE", net.shape)
    return net


def joined(dtype, seed):
    """As DeepLab ends: the mean repeated beside the map, resized, and the best of each pixel."""
    net = Net(dtype, seed, (1, 6, 7, 4))
    whole = net.last
    net.then(
        "AVERAGE_POOL_2D", (1, 1, 1, 4), same=True, padding=VALID, strideH=1, strideW=1,
        filterHeight=6, filterWidth=7,
    )  # fmt: skip
    net.then("RESIZE_BILINEAR", (1, 6, 7, 4), net.ints([6, 7]), same=True, alignCorners=True)
    net.then("CONCATENATION", (1, 6, 7, 8), whole, same=True, axis=3, fusedActivationFunction=NONE)
    net.conv(5, NONE)
    net.then(
        "RESIZE_BILINEAR", (1, 11, 13, 5), net.ints([11, 13]), same=True, halfPixelCenters=True
    )
    source = net.last
    net.last = net.draft.tensor((1, 11, 13), np.int64)
    net.draft.add("ARG_MAX", [source, net.ints(3)], [net.last], outputType=4)
    return net


NETS = {"inverted residuals": inverted_residuals, "gated": gated, "joined": joined}


@pytest.mark.parametrize("seeds", some([range(6), range(6, 200)]))
@pytest.mark.parametrize("dtype", [INT8, UINT8])
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_a_network_made_smaller_is_litert_s(make, dtype, seeds):
    for seed in seeds:
        net = make(dtype, seed)
        data, info = net.finish(), np.iinfo(dtype)
        graph = read_graph(data)
        shape = graph.tensors[graph.input].shape
        x = net.random.integers(info.min, info.max + 1, shape).astype(dtype)
        np.testing.assert_array_equal(run_graph(graph, x)[graph.outputs[0]], litert(data, x)[0])


@pytest.mark.parametrize("dtype", [INT8, UINT8])
def test_pads_and_transposes_are_gone(dtype):
    graph = read_graph(inverted_residuals(dtype, 0).finish())
    assert kinds(graph) == ["Transpose", *["Conv"] * 6, "Binary", "Reduce", "Dense"]
    assert graph.nodes[1].pads == (0, 1, 1, 1)
    last = read_graph(joined(dtype, 0).finish()).nodes[-1]
    assert isinstance(last, g.ArgMax)
    assert last.axis == 1
