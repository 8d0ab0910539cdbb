import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mobilenets.models.geometry import Block
from mobilenets.models.modules.layers import (
    ConvNormAct,
    InvertedResidual,
    Norm,
    initialise,
    initialise_he,
)
from mobilenets.tasks.registry import build
from tests import triton_first  # noqa: F401
from tests.models.common import scramble

SIZES = [(32, 32), (33, 31), (7, 8), (1, 2), (3, 3)]
CONVOLUTIONS = [(1, 1, False), (2, 1, False), (1, 2, True), (2, 1, True), (1, 4, True)]
KERAS_SIZES = [(8, 8), (9, 7)]


def layer_and_image(kind, stride, dilation, size):
    torch.manual_seed(0)
    groups = 1 if kind == "full" else 4
    padding = "keras" if kind == "keras" else "same"
    layer = ConvNormAct(4, 4, 3, stride=stride, dilation=dilation, groups=groups, padding=padding)
    return layer, torch.randn(2, 4, *size)


def assert_as_tensorflow(kind, stride, dilation, size):
    import tensorflow as tf

    layer, image = layer_and_image(kind, stride, dilation, size)
    ours = layer.conv(layer.pad(image)).detach().numpy().transpose(0, 2, 3, 1)
    order = (2, 3, 1, 0) if kind == "full" else (2, 3, 0, 1)
    x = tf.constant(image.numpy().transpose(0, 2, 3, 1))
    kernel = tf.constant(layer.conv.weight.detach().numpy().transpose(order))
    strides = [1, stride, stride, 1]
    if kind == "full":
        theirs = tf.nn.conv2d(x, kernel, stride, "SAME", dilations=dilation)
    elif kind == "depthwise":
        theirs = tf.nn.depthwise_conv2d(x, kernel, strides, "SAME", dilations=[dilation] * 2)
    else:
        x = tf.keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        theirs = tf.nn.depthwise_conv2d(x, kernel, strides, "VALID")
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("stride", "dilation", "depthwise"), CONVOLUTIONS)
def test_same_is_tensorflows(size, stride, dilation, depthwise):
    kind = "depthwise" if depthwise else "full"
    assert_as_tensorflow(kind, stride, dilation, size)


@pytest.mark.parametrize("size", KERAS_SIZES)
def test_keras_pads_strided_depthwise_below_and_right(size):
    assert_as_tensorflow("keras", 2, 1, size)


def slow_conv(x, weight, stride, dilation, before):
    """One image and one output value at a time; what is outside the image is zero."""
    count, height, width = x.shape[0], *(-(-side // stride) for side in x.shape[2:])
    out = np.zeros((count, weight.shape[0], height, width))
    for row, column in np.ndindex(height, width):
        for i, j in np.ndindex(weight.shape[2:]):
            r = row * stride - before + i * dilation
            c = column * stride - before + j * dilation
            if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                out[:, :, row, column] += x[:, :, r, c] @ weight[:, :, i, j].T
    return out


@pytest.mark.parametrize("size", [(9, 8), (5, 5)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3)])
def test_symmetric_pads_every_side_alike(size, stride, dilation):
    torch.manual_seed(0)
    layer = ConvNormAct(3, 5, 3, stride=stride, dilation=dilation, padding="symmetric").double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    ours = layer.conv(layer.pad(x)).detach().numpy()
    weight = layer.conv.weight.detach().numpy()
    np.testing.assert_allclose(ours, slow_conv(x.numpy(), weight, stride, dilation, dilation))


def test_norm_settings_arrive():
    norm = ConvNormAct(3, 4, norm=Norm(eps=1e-5, momentum=0.1)).norm
    assert (norm.eps, norm.momentum) == (1e-5, 0.1)


BLOCKS = [
    Block(8, 8, 1, 1, 6),
    Block(8, 12, 2, 1, 6),
    Block(7, 7, 1, 2, 5),
    Block(8, 16, 1, 1, 1),
    Block(8, 8, 1, 1, 1),
]


def pair(block, groups, **options):
    """The same block twice: plain, and in groups."""
    blocks = []
    for count in (1, groups):
        torch.manual_seed(3)
        made = scramble(InvertedResidual(block, **options)).double()
        made.channel_groups = count
        blocks.append(made)
    return blocks


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("linear", [True, False])
def test_channel_groups_change_nothing(block, groups, linear):
    plain, grouped = pair(block, groups, linear=linear)
    x = torch.randn(2, block.c_in, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(grouped.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("groups", [2, 3, 1000])
@pytest.mark.parametrize("block", BLOCKS)
def test_channel_groups_train_the_same(block, groups):
    plain, grouped = pair(block, groups)
    for step in range(2):
        torch.manual_seed(step)
        x = torch.randn(3, block.c_in, 9, 8, dtype=torch.float64)
        outputs = [module.train()(x) for module in (plain, grouped)]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            output.square().sum().backward()
    for (name, one), (_, other) in zip(
        plain.named_parameters(), grouped.named_parameters(), strict=True
    ):
        torch.testing.assert_close(one.grad, other.grad, msg=lambda text, n=name: f"{n}: {text}")
    torch.testing.assert_close(plain.state_dict(), grouped.state_dict())


class LiveTensors(TorchDispatchMode):
    """The most elements alive at once among the tensors that operators make."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[weakref.ref[torch.Tensor]] = []
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        outputs = result if isinstance(result, (tuple, list)) else [result]
        self.made += [weakref.ref(o) for o in outputs if isinstance(o, torch.Tensor)]
        alive = {}
        for tensor in (ref() for ref in self.made):
            if tensor is not None:
                storage = tensor.untyped_storage()
                alive[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
        self.peak = max(self.peak, sum(alive.values()))
        return result


@pytest.mark.parametrize("groups", [2, 3, 4, 5])
def test_channel_groups_need_the_memory_of_one_group(groups):
    block = Block(8, 8, 1, 1, 30)
    plain, grouped = pair(block, groups)
    x = torch.randn(1, 8, 32, 32, dtype=torch.float64)
    peaks = []
    for module in (plain.eval(), grouped.eval()):
        with torch.no_grad(), LiveTensors() as live:
            module(x)
        peaks.append(live.peak)
    # Plain: the expanded tensor, its padded copy and what the depthwise convolution makes of it.
    expanded = 8 * 30 * 32 * 32
    assert peaks[0] >= 3 * expanded
    # In groups a part of each, next to the block's input, the sum so far and one projection.
    assert peaks[1] <= peaks[0] / groups + 3 * x.numel()


def test_the_start_is_the_released_codes():
    torch.manual_seed(0)
    layer = nn.Sequential(ConvNormAct(64, 128, 3), nn.Flatten(), nn.Linear(200, 300))
    initialise(layer)
    for weight in (layer[0].conv.weight, layer[2].weight):
        # A normal distribution of .09 that is cut at two of them has a deviation of .0792.
        assert weight.abs().max() <= 0.18
        assert weight.abs().max() > 0.17
        assert weight.std().item() == pytest.approx(0.0792, rel=0.02)
        assert weight.mean().item() == pytest.approx(0, abs=0.002)
    assert layer[2].bias.count_nonzero() == 0
    assert (layer[0].norm.weight == 1).all()
    assert layer[0].norm.bias.count_nonzero() == 0


@pytest.mark.parametrize("name", ["mobilenet_v1", "deeplabv3_mobilenet_v2", "ssdlite_mobilenet_v2"])
def test_the_other_start_is_hes_with_the_shortcuts_first(name):
    torch.manual_seed(0)
    network = build(name)
    initialise_he(network)
    inner = set(network.backbone.modules())
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module not in inner:
            bound = module.weight[0].numel() ** -0.5  # torch's own, by the fan-in
            assert 0.9 * bound < module.weight.abs().max() <= bound
    blocks = [b for b in network.modules() if isinstance(b, InvertedResidual)]
    closed = {b.project.norm for b in blocks if b.shortcut}
    assert len(closed) == (0 if name == "mobilenet_v1" else 10)
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000:
            fan = module.weight.shape[0] * module.weight[0, 0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == (0 if module in closed else 1)).all()
