"""What DeepLabv3 costs: its tensors by hand, ResNet-101 beside torchvision's parts, MF."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import Bottleneck
from torchvision.models.segmentation.deeplabv3 import ASPP

from mobilenets.cost import Cost, profile
from mobilenets.tasks.registry import build
from mobilenets.tasks.segment.architecture.deeplab import MultiScale
from mobilenets.weights.containers.tflite.graph import parse


def resnet_twin(output_stride: int) -> nn.Module:
    """DeepLabv3 on the authors' ResNet-101, from torchvision's units and ASPP."""

    def unit(c_in: int, c_out: int, stride: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        return [conv, nn.BatchNorm2d(c_out), nn.ReLU()]

    modules = [*unit(3, 64, 2), *unit(64, 64), *unit(64, 128), nn.MaxPool2d(3, 2, 1)]
    channels, so_far, rate = 128, 4, 1
    for planes, units, last in ((64, 3, 2), (128, 4, 2), (256, 23, 2), (512, 3, 1)):
        for index in range(units):
            wanted = last if index == units - 1 else 1
            stride = wanted if so_far < output_stride else 1
            shortcut: nn.Module | None = nn.MaxPool2d(1, stride) if stride > 1 else None
            if channels != 4 * planes:
                conv = nn.Conv2d(channels, 4 * planes, 1, stride, bias=False)
                shortcut = nn.Sequential(conv, nn.BatchNorm2d(4 * planes))
            modules.append(Bottleneck(channels, planes, stride, shortcut, dilation=rate))
            channels = 4 * planes
            so_far *= stride
            rate *= wanted // stride
    rates = [96 // output_stride * n for n in (1, 2, 3)]
    return nn.Sequential(*modules, ASPP(channels, rates), nn.Conv2d(256, 21, 1)).eval()


@pytest.mark.parametrize(("output_stride", "size"), [(16, (161, 97)), (8, (65, 130))])
def test_resnet_101_costs_what_torchvisions_parts_cost(output_stride, size):
    cost = profile("deeplabv3_resnet101", output_stride=output_stride, resolution=size)
    with torch.device("meta"):
        twin = resnet_twin(output_stride)
        with FlopCounterMode(display=False) as counter:
            twin(torch.empty(1, 3, *size))
    assert cost.madds * 2 == counter.get_total_flops()
    assert cost.parameters == sum(p.numel() for p in twin.parameters())
    assert cost.layers[-1].output == (21, *size)


def test_resnet_101s_atrous_rates():
    def rates(output_stride):
        layers = profile("deeplabv3_resnet101", output_stride=output_stride).layers
        return [x.dilation for x in layers if x.dilation > 1]

    assert rates(16) == [2, 4, 8, 6, 12, 18]  # the last stage by multi-grid, then ASPP
    assert rates(8) == [2] * 23 + [4, 8, 16, 12, 24, 36]


def test_resnet_101_is_for_its_cost_alone():
    with pytest.raises(ValueError, match="deeplabv3_resnet101 is here for its cost alone"):
        build("deeplabv3_resnet101")


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "output_stride"),
    [("deeplabv3_mobilenet_v2_0.5_257", 8), ("deeplabv3_mobilenet_v2_0.5_pascal_quant", 16)],
)
def test_released_networks_hold_as_many_numbers_and_maps(assets, file, output_stride):
    """Their norms are folded: gamma is in the weights, beta is a bias."""
    graph = parse(assets / "weights" / f"{file}.tflite")
    convolutions = [x for x in graph.operators if "CONV" in x.kind]
    shapes = [graph.tensors[i].shape for x in convolutions for i in x.inputs[1:]]
    side = graph.tensors[graph.inputs[0]].shape[1]
    knobs = {"width": 0.5, "divisor": 1, "output_stride": output_stride, "resolution": side}
    cost = profile("deeplabv3_mobilenet_v2", **knobs)
    assert sum(math.prod(shape) for shape in shapes) == cost.conv_fc + cost.norm // 2
    written = sorted(math.prod(graph.tensors[x.outputs[0]].shape) for x in convolutions)
    assert written == sorted(math.prod(x.output) for x in cost.layers if x.madds)


def test_the_heads_tensors_are_all_there():
    found = profile("deeplabv3_mobilenet_v2", resolution=(65, 97), classes=5, aspp=True).layers
    start = [x.name for x in found].index("mean")
    assert [(x.name, x.kind, x.output) for x in found[start:]] == [
        ("mean", "pool", (320, 1, 1)),
        ("pool", "conv1x1", (256, 1, 1)),
        ("branches.0", "conv1x1", (256, 5, 7)),
        *((f"branches.{i}", "conv3x3", (256, 5, 7)) for i in (1, 2, 3)),
        ("concat", "concat", (1280, 5, 7)),
        ("project", "conv1x1", (256, 5, 7)),
        ("classifier", "conv1x1", (5, 5, 7)),
        ("resize", "resize", (5, 65, 97)),
    ]
    assert sum(x.madds for x in found if x.kind in ("pool", "concat", "resize")) == 0


@pytest.mark.parametrize(
    ("aspp", "most"),
    [
        # While the maps are put side by side: the branches and the result.
        (False, 256 + 2 * 256 * 9 * 9 - 256 * 9 * 9 + 512 * 9 * 9),
        (True, 256 + 4 * 256 * 9 * 9 + 1280 * 9 * 9),
    ],
)
def test_the_most_that_the_head_holds(aspp, most):
    cost = profile("deeplabv3_mobilenet_v2", resolution=65, classes=1, aspp=aspp, output_stride=8)
    names = [x.name for x in cost.layers]
    start = names.index("mean")
    head = Cost("head", cost.layers[start:-1], {cost.layers[start].reads[0]: (320, 9, 9)})
    assert head.peak_bytes == head.peak_fused_bytes == 4 * most


def test_large_logits_are_the_peak():
    cost = profile("deeplabv3_mobilenet_v2", resolution=257, classes=150)
    assert cost.peak_fused_bytes == 4 * 150 * (17 * 17 + 257 * 257)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_blocks_are_blocks(output_stride):
    layers = profile("deeplabv3_mobilenet_v2", output_stride=output_stride).layers
    dilated = [x for x in layers if x.kind == "depthwise" and x.dilation > 1]
    assert len(dilated) == {8: 10, 16: 3}[output_stride]
    for layer in dilated:
        parts = [x.name for x in layers if x.block == layer.block]
        assert parts == [f"{layer.block}.{part}" for part in ("expand", "depthwise", "project")]


@pytest.mark.parametrize("knobs", [{"output_stride": 8}, {"aspp": True, "width": 0.5}])
def test_multi_scale_is_the_sum_over_six_sizes_and_their_mirror_images(knobs):
    name = "deeplabv3_mobilenet_v2"
    cost = profile(name, multi_scale=True, **knobs)
    sizes = [257, 385, 513, 641, 769, 897]
    assert cost.madds == 2 * sum(profile(name, resolution=size, **knobs).madds for size in sizes)
    once = profile(name, **knobs)
    assert (cost.parameters, cost.norm) == (once.parameters, once.norm)
    assert cost.arguments == {**once.arguments, "multi_scale": True}


def test_multi_scale_writes_what_its_module_writes(monkeypatch):
    """Every tensor that is resized or mirrored, in the module's order; and the most alive."""
    size = (65, 33)
    cost = profile("deeplabv3_mobilenet_v2", resolution=size, multi_scale=True, classes=4)
    seen = []
    interpolate = F.interpolate

    def note(x, size, **how):
        seen.append((x.shape[1], *size))
        return interpolate(x, size, **how)

    monkeypatch.setattr(F, "interpolate", note)
    network = build("deeplabv3_mobilenet_v2", classes=4).eval()
    with torch.inference_mode():
        MultiScale(network)(torch.zeros(1, 3, *size))
    assert [x.output for x in cost.layers if x.kind == "resize"] == seen
    assert [x.output[0] for x in cost.layers if x.kind == "flip"] == [3, 4] * 6
    # One pass's answer is added to the one before; the last is the only one that nobody reads.
    read = {name for layer in cost.layers for name in layer.reads}
    assert [x.name for x in cost.layers if x.name not in read] == [cost.layers[-1].name]
    assert cost.layers[-1].output == (4, *size)
    # The largest pass is the last: its image, and the sum so far, held beside what it holds alone.
    alone = profile("deeplabv3_mobilenet_v2", resolution=(113, 57), classes=4)
    held = 4 * (3 * 65 * 33 + 4 * 65 * 33)
    assert alone.peak_bytes < cost.peak_bytes <= alone.peak_bytes + held + 4 * 3 * 113 * 57
