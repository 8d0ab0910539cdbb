"""SSD and SSDLite: the right maps, in the order of the anchors; boxes against torchvision's."""

import itertools
import math
import re

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder

from mobilenets.models.modules.layers import ConvNormAct
from mobilenets.tasks.detect.architecture import NETWORKS
from mobilenets.tasks.detect.architecture.geometry import anchor_shapes, anchors_of, map_sizes
from mobilenets.tasks.detect.architecture.ssd import (
    SSD,
    Decoded,
    decode_boxes,
    encode_boxes,
    ssd_mobilenet_v2,
    ssdlite_mobilenet_v2,
)
from mobilenets.tasks.registry import build, network_of
from tests.models.common import images, network
from tests.some import some

NAMES = [name for name, network in NETWORKS.items() if network.trainable]


def hooked(model: SSD, paths: dict[str, str], x: Tensor) -> dict[str, Tensor]:
    """What goes into, or comes out of, the modules at these paths while the network runs."""
    seen = {}
    for path, side in paths.items():
        module = model.get_submodule(path)
        module.register_forward_hook(
            lambda _, inputs, out, path=path, side=side: seen.update(
                {path: inputs[0] if side == "in" else out}
            )
        )
    with torch.inference_mode():
        model(x)
    return seen


# V2's first map is not the bottleneck of 96 channels, the best-known mistake of ports.
MAPS = {
    "mobilenet_v2": ({"backbone.blocks.13.depthwise": "in", "backbone.last": "out"}, (576, 1280)),
    "mobilenet_v1": ({"backbone.blocks.10": "out", "backbone.blocks.12": "out"}, (512, 1024)),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_are_the_papers(name):
    """Of V2 what block 13's depthwise reads and the last map, of V1 the 11th and 13th pair."""
    paths, channels = MAPS[NETWORKS[name].backbone]
    model = network(name, classes=2)
    x = images(96, count=1)
    seen = hooked(model, paths, x)
    with torch.inference_mode():
        maps = model.maps(x)
    assert [m.shape[1] for m in maps] == [*channels, 512, 256, 256, 128]
    assert [tuple(m.shape[2:]) for m in maps] == map_sizes((96, 96))
    for found, expected in zip(maps, seen.values(), strict=False):
        torch.testing.assert_close(found, expected)
    assert maps[0].min() == 0  # after ReLU6
    assert maps[0].max() <= 6


@pytest.mark.parametrize("lite", [False, True])
def test_an_extra_is_a_plain_chain_of_layers(lite):
    """1x1 to half, 3x3 with stride 2; SSDLite: depthwise, then 1x1. A norm and ReLU6 on each."""
    model = network("ssdlite_mobilenet_v1" if lite else "ssd_mobilenet_v1", width=0.25, classes=2)
    found = model.extras[0]
    layers = [m for m in found.modules() if isinstance(m, ConvNormAct)]
    kernels = [(m.conv.kernel_size[0], m.conv.stride[0], m.conv.groups) for m in layers]
    assert kernels == ([(1, 1, 1), (3, 2, 64), (1, 1, 1)] if lite else [(1, 1, 1), (3, 2, 1)])
    assert [m.conv.out_channels for m in layers] == ([64, 64, 128] if lite else [64, 128])
    x = torch.rand(1, 256, 5, 4, dtype=torch.float64)
    y = x
    for layer in layers:
        padded = nn.functional.pad(y, (0, 1, 1, 1)) if layer.conv.stride[0] == 2 else y
        # SAME: 5 rows need one on both sides, 4 columns one at the right.
        y = nn.functional.relu6(layer.norm(layer.conv(padded)))
    with torch.inference_mode():
        torch.testing.assert_close(found(x), y)


@pytest.mark.parametrize(("name", "kernel"), [("ssd_mobilenet_v1", 1), ("ssd_mobilenet_v2", 3)])
def test_heads_are_the_authors(name, kernel):
    assert network_of(name).knobs["head_kernel"] == kernel
    model = build(name, width=0.25, classes=3)
    for heads, values in ((model.boxes, 4), (model.scores, 4)):
        for head, shapes in zip(heads, anchor_shapes(), strict=True):
            assert head.predict.kernel_size == (kernel, kernel)
            assert head.predict.out_channels == len(shapes) * values
            assert isinstance(head.depthwise, nn.Identity)
    lite = build(name.replace("ssd_", "ssdlite_"), width=0.25, classes=3)
    for head in [*lite.boxes, *lite.scores]:
        assert head.predict.kernel_size == (1, 1)
        assert head.depthwise.conv.groups == head.depthwise.conv.in_channels
        assert isinstance(head.depthwise.act, nn.ReLU6)


@pytest.mark.parametrize("size", [(300, 300), (97, 130)])
def test_outputs_stand_in_the_order_of_the_anchors(monkeypatch, size):
    """Heads that repeat where they are and which of their shapes it is make the anchors."""
    model = network("ssd_mobilenet_v1", width=0.25, classes=2)
    maps = []
    for (height, width), head, shapes in zip(
        map_sizes(size), model.boxes, anchor_shapes(), strict=True
    ):
        found = torch.zeros(1, head.predict.in_channels, height, width, dtype=torch.float64)
        found[0, 0] = ((torch.arange(width) + 0.5) / width)[None]
        found[0, 1] = ((torch.arange(height) + 0.5) / height)[:, None]
        maps.append(found)
        nn.init.zeros_(head.predict.weight)
        nn.init.zeros_(head.predict.bias)
        with torch.no_grad():
            for index, (w, h) in enumerate(shapes):
                head.predict.weight[4 * index, 0] = head.predict.weight[4 * index + 1, 1] = 1
                head.predict.bias[4 * index + 2] = w
                head.predict.bias[4 * index + 3] = h
    monkeypatch.setattr(model, "maps", lambda x: maps)
    with torch.inference_mode():
        found = model(images(*size, count=1))[0, :, :4]
    expected = torch.from_numpy(anchors_of("ssd_mobilenet_v1", size)).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_scores_stand_in_the_order_of_the_anchors_too():
    model = network("ssdlite_mobilenet_v2", width=0.25, classes=2)
    for number, head in enumerate(model.scores):
        nn.init.zeros_(head.predict.weight)
        with torch.no_grad():
            head.predict.bias.copy_(100 * number + torch.arange(len(head.predict.bias)))
    with torch.inference_mode():
        found = model(images(65, 40, count=1))[0, :, 4:]
    expected = [
        [100 * number + 3 * shape + value for value in range(3)]
        for number, ((height, width), shapes) in enumerate(
            zip(map_sizes((65, 40)), anchor_shapes(), strict=True)
        )
        for _ in range(height * width)
        for shape in range(len(shapes))
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


SIZES = [(64, 64), (97, 130), (33, 65), (1, 1), (32, 300)]


@pytest.mark.parametrize(
    ("padding", "size"),
    some(
        [
            *itertools.product(["same", "symmetric"], SIZES),
            # That rule leaves no pixel of an image below 32.
            *itertools.product(["keras"], [size for size in SIZES if min(size) >= 32]),
        ],
        (1, 3, 7, 9, 11),
    ),
)
@pytest.mark.parametrize("name", NAMES)
def test_any_image_gives_one_row_for_every_anchor(name, size, padding):
    model = network(name, width=0.25, classes=3, padding=padding)
    with torch.inference_mode():
        out = model(images(*size, count=1))
    assert out.shape == (1, len(anchors_of(name, size, padding)), 4 + 1 + 3)
    assert out.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_answered_alone_as_in_a_batch(name):
    model = network(name, width=0.25, classes=3)
    x = images(97, 64, count=3)
    with torch.inference_mode():
        together = model(x)
        for index in range(3):
            torch.testing.assert_close(model(x[index : index + 1])[0], together[index])
    assert not torch.allclose(together[0], together[1])


def boxes_and_anchors(count: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (left, top, right, bottom), anchors (centre, sides), the anchors as boxes."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, count, 2, generator=generator, dtype=torch.float64)
    sides = torch.rand(2, count, 2, generator=generator, dtype=torch.float64) * 0.6 + 0.02
    boxes, places = torch.cat([corners, corners + sides], -1)
    anchors = torch.cat([(places[:, :2] + places[:, 2:]) / 2, places[:, 2:] - places[:, :2]], -1)
    return boxes, anchors, places


def test_codes_equal_torchvisions():
    boxes, anchors, places = boxes_and_anchors()
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    codes = encode_boxes(boxes, anchors)
    torch.testing.assert_close(codes, coder.encode_single(boxes, places))
    codes = codes.clamp(-15, 15) + 0.3  # within what torchvision does not cut off
    torch.testing.assert_close(decode_boxes(codes, anchors), coder.decode_single(codes, places))


def test_decoding_undoes_encoding():
    boxes, anchors, _ = boxes_and_anchors()
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes)
    torch.testing.assert_close(encode_boxes(decode_boxes(boxes, anchors), anchors), boxes)
    batch = torch.stack([boxes, boxes.flip(0)])
    torch.testing.assert_close(decode_boxes(encode_boxes(batch, anchors), anchors), batch)


def test_a_code_by_hand():
    """An object twice as wide as its anchor, a fifth of the anchor's height below it."""
    anchor = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    box = torch.tensor([[0.3, 0.38, 0.7, 0.78]])
    expected = torch.tensor([[0.0, 10 * 0.08 / 0.4, 5 * math.log(2), 0.0]])
    torch.testing.assert_close(encode_boxes(box, anchor), expected)


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_decoded_is_boxes_and_the_objects_scores(scores):
    model = network("ssdlite_mobilenet_v1", width=0.25, classes=3, scores=scores)
    anchors = torch.from_numpy(anchors_of("ssdlite_mobilenet_v1", (64, 96))).double()
    x = images(64, 96)
    with torch.inference_mode():
        raw, found = model(x), Decoded(model, anchors)(x)
    assert found.shape == (2, len(anchors), 4 + 3)
    torch.testing.assert_close(found[..., :4], decode_boxes(raw[..., :4], anchors))
    exponents = raw[..., 4:].exp()
    if scores == "sigmoid":
        expected = exponents / (1 + exponents)
    else:
        expected = exponents / exponents.sum(2, keepdim=True)
    torch.testing.assert_close(found[..., 4:], expected[..., 1:])


def test_knobs_reach_extras_and_heads():
    model = build(
        "ssdlite_mobilenet_v2", width=0.5, padding="symmetric", norm_eps=1e-5, norm_momentum=0.1
    )
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}
    spatial = [
        m for m in model.modules() if isinstance(m, ConvNormAct) and m.conv.kernel_size[0] > 1
    ]
    assert not any(m.same for m in spatial)
    assert [extra.expand.conv.out_channels for extra in model.extras] == [256, 128, 128, 64]


def test_new_layers_start_as_the_authors_do():
    model = build("ssd_mobilenet_v2", width=0.5, classes=3)
    for part in (model.extras, model.boxes, model.scores):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                assert 0.02 < module.weight.std() < 0.03  # normal with .03, cut at two of them
                assert module.weight.abs().max() <= 0.06
                assert module.bias is None or not module.bias.any()


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("ssd_mobilenet_v1", {"classes": 0}, "classes must be a positive integer, got 0"),
        ("ssd_mobilenet_v1", {"head_kernel": 2}, "head_kernel must be 1 or 3, got 2"),
        (
            "ssdlite_mobilenet_v1",
            {"head_kernel": 3},
            "argument must be one of activation, classes, negative",
        ),
        ("ssd_mobilenet_v2", {"scores": "both"}, "scores must be 'sigmoid' or 'softmax', got"),
        ("ssd_mobilenet_v2", {"width": -1}, "width must be a number above 0 and at most 16"),
        ("ssdlite_mobilenet_v2", {"padding": "full"}, "padding must be 'same', 'symmetric' or"),
        ("ssdlite_mobilenet_v2", {"output_stride": 16}, "got 'output_stride'"),
    ],
)
def test_bad_arguments_are_one_line_that_names_them(name, knobs, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        build(name, **knobs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("constructor", [ssd_mobilenet_v2, ssdlite_mobilenet_v2])
def test_knobs_that_would_move_the_taps_are_refused(constructor):
    for knobs in ({"output_stride": 16}, {"expansion": 3}, {"shortcut": "none"}):
        with pytest.raises(
            ValueError, match=r"argument must be one of activation, classes, .*norm_eps"
        ):
            constructor(**knobs)
