import math
import re

import pytest
import torch
import torchvision
from torch import nn

from mobilenets.models.geometry import v2_blocks
from mobilenets.models.modules.layers import InvertedResidual
from mobilenets.models.modules.v2 import MobileNetV2
from mobilenets.tasks.registry import build
from tests.models.common import images, network
from tests.some import some

NAMES = ("mobilenet_v1", "mobilenet_v2")
KNOBS = [
    ("mobilenet_v1", {}),
    ("mobilenet_v1", {"shallow": True, "padding": "symmetric"}),
    ("mobilenet_v1", {"separable": False, "padding": "keras"}),
    ("mobilenet_v2", {"padding": "symmetric", "finegrained": False}),
    ("mobilenet_v2", {"shortcut": "expansion", "expansion": 3}),
    ("mobilenet_v2", {"shortcut": "none", "linear_bottleneck": False, "expansion": 1}),
]


@pytest.mark.parametrize(
    "size", [(32, 32), (33, 47), pytest.param((96, 65), marks=pytest.mark.every)]
)
@pytest.mark.parametrize(("name", "knobs"), KNOBS)
def test_every_knob_runs_at_any_size(name, knobs, size):
    model = network(name, width=0.25, classes=5, **knobs)
    x = images(*size)
    with torch.inference_mode():
        features, logits = model.backbone(x), model(x)
        assert features.shape[2:] == tuple(math.ceil(side / 32) for side in size)
        torch.testing.assert_close(model.embed(x), features.mean((2, 3)))
        torch.testing.assert_close(logits, model.classifier(model.embed(x)))
    assert logits.shape == (2, 5)
    assert logits.std(0).max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_stride_gives_the_maps_size(name, output_stride):
    backbone = network(name, width=0.25, output_stride=output_stride).backbone
    for size in ((64, 96), (65, 47)):
        with torch.inference_mode():
            shape = backbone(images(*size)).shape
        assert shape[1] == backbone.channels
        assert shape[2:] == tuple(math.ceil(side / output_stride) for side in size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("output_stride", some([8, 16]))
@pytest.mark.parametrize(
    ("padding", "size"),
    [("symmetric", (64, 75)), ("same", (65, 65)), ("same", (64, 128))],
)
def test_a_dilated_network_holds_the_strided_one(name, output_stride, padding, size):
    """Atrous convolution: between the strided network's pixels it only computes more of them.

    Symmetric padding, and SAME on the odd sizes 2^n + 1, put a strided kernel's centre on pixels
    0, 2, 4; SAME on powers of two puts it on 1, 3, 5.
    """
    plain = network(name, width=0.25, padding=padding)
    dilated = network(name, width=0.25, padding=padding, output_stride=output_stride)
    dilated.load_state_dict(plain.state_dict())
    x = images(*size)
    with torch.inference_mode():
        expected, dense = plain.backbone(x), dilated.backbone(x)
    step = 32 // output_stride
    first = step - 1 if padding == "same" and size[0] % 2 == 0 else 0
    torch.testing.assert_close(dense[:, :, first::step, first::step], expected)
    assert dense[0, 0].numel() > expected[0, 0].numel()


@pytest.mark.parametrize(
    ("name", "early_strides", "side"),
    [
        ("mobilenet_v1", (2, 2), 2),
        ("mobilenet_v1", (1, 2), 4),
        ("mobilenet_v2", (1, 2), 4),
        ("mobilenet_v2", (2, 1), 4),
        ("mobilenet_v2", (1, 1), 8),
    ],
)
def test_early_strides_keep_small_images_large(name, early_strides, side):
    backbone = network(name, width=0.25, early_strides=early_strides).backbone
    with torch.inference_mode():
        assert backbone(images(64)).shape[2:] == (side, side)


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("mobilenet_v1", {}),
        ("mobilenet_v2", {}),
        ("mobilenet_v2", {"shortcut": "expansion"}),
        ("mobilenet_v2", {"shortcut": "none", "expansion": 1}),
    ],
)
def test_taps_are_what_hooks_see(name, knobs):
    backbone = network(name, width=0.35, **knobs).backbone
    names = backbone.tap_names()
    x = images(48, count=1)
    seen = {}
    carries = knobs.get("shortcut") == "expansion"
    for path, module in backbone.named_modules():
        if path in names:
            module.register_forward_hook(lambda _, __, out, path=path: seen.update({path: out}))
    with torch.inference_mode():
        found = backbone.taps(x, names)
        assert list(found) == names
        one = {tap: backbone.taps(x, [tap])[tap] for tap in names[::5]}
        plain = backbone(x)
    for tap, value in found.items():
        # A block that runs in parts has no call to hook, and a carried expansion is a sum.
        if tap in seen and not (carries and tap.endswith("expand")):
            torch.testing.assert_close(value, seen[tap])
    for tap, value in one.items():
        torch.testing.assert_close(value, found[tap])
    torch.testing.assert_close(plain, found["last"])


def test_tapping_an_expansion_leaves_the_blocks_outputs_as_they_are():
    backbone = network("mobilenet_v2", width=0.35).backbone
    outputs = [f"blocks.{index}" for index in range(17)]
    x = images(48, count=1)
    with torch.inference_mode():
        apart = backbone.taps(x, backbone.tap_names())
        whole = backbone.taps(x, outputs)
    for name in outputs:
        torch.testing.assert_close(apart[name], whole[name])


def test_ssds_taps_have_the_papers_channels_and_strides():
    """FACTS of the authors' detector: 576 channels at stride 16, 1280 at 32."""
    backbone = network("mobilenet_v2").backbone
    with torch.inference_mode():
        found = backbone.taps(images(96, count=1), ["blocks.13.expand"])
    assert found["blocks.13.expand"].shape == (1, 576, 6, 6)
    assert found["last"].shape == (1, 1280, 3, 3)
    backbone = network("mobilenet_v1").backbone
    with torch.inference_mode():
        found = backbone.taps(images(96, count=1), ["blocks.10"])
    assert found["blocks.10"].shape == (1, 512, 6, 6)
    assert found["last"].shape == (1, 1024, 3, 3)


@pytest.mark.parametrize("tap", ["blocks.17", "blocks.0.expand", "head", "blocks.3.depthwise"])
def test_a_tap_that_is_not_there_is_named(tap):
    backbone = build("mobilenet_v2", width=0.1).backbone
    with pytest.raises(ValueError, match=rf"tap must be one of \['stem', .*got '{tap}'"):
        backbone.taps(torch.zeros(1, 3, 32, 32), ["stem", tap])


def test_shortcuts_are_the_papers_ten():
    with torch.device("meta"):
        blocks = MobileNetV2().blocks
        without = MobileNetV2(shortcut="none").blocks
        thin = MobileNetV2(width=0.25).blocks
    # Table 2: within a stage of n blocks, all but the first: 0 + 1 + 2 + 3 + 2 + 2 + 0.
    found = [index for index, block in enumerate(blocks) if block.shortcut]
    assert found == [2, 4, 5, 7, 8, 9, 11, 12, 14, 15]
    assert not any(block.shortcut for block in without)
    # The rule is about shapes: where the stem is as thin as the first block, that has one too.
    assert [thin[0].shortcut, blocks[0].shortcut] == [True, False]


def test_first_block_has_no_expansion_convolution():
    block = MobileNetV2().blocks[0]
    assert isinstance(block.expand, nn.Identity)
    assert block.depthwise.conv.in_channels == 32


def figure_6(backbone, x, shortcut):
    """The ablations as a plain loop over convolutions, sums written out."""
    carried = 0
    x = backbone.stem(x)
    for block, shape in zip(backbone.blocks, v2_blocks(0.35), strict=True):
        joins = shape.stride == 1 and shape.c_in == shape.c_out
        expanded = block.expand(x) + carried
        y = block.project(block.depthwise(expanded))
        carried = expanded if joins and shortcut == "expansion" else 0
        x = x + y if joins and shortcut == "bottleneck" else y
    return backbone.last(x)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("shortcut", ["bottleneck", "expansion", "none"])
def test_figure_6_ablations_equal_a_plain_loop(shortcut, linear):
    model = network("mobilenet_v2", width=0.35, shortcut=shortcut, linear_bottleneck=linear)
    x = images(48, count=1)
    with torch.inference_mode():
        found = model.backbone.taps(x, ["blocks.0", "blocks.6"])
        torch.testing.assert_close(found["last"], figure_6(model.backbone, x, shortcut))
    # Without a shortcut added, a bottleneck is signed only where it is linear.
    assert (found["blocks.6"].min() < 0) == linear
    assert (found["blocks.0"].max() <= 6) or linear


def test_the_ablations_differ():
    x = images(48, count=1)
    with torch.inference_mode():
        outputs = [
            network("mobilenet_v2", width=0.35, shortcut=shortcut)(x)
            for shortcut in ("bottleneck", "expansion", "none")
        ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(outputs[one], outputs[other], rtol=1e-2)


def test_relu6_is_everywhere_but_after_the_projection():
    for name in NAMES:
        for path, module in build(name, width=0.25).named_modules():
            if hasattr(module, "act"):
                expected = nn.Identity if path.endswith("project") else nn.ReLU6
                assert type(module.act) is expected, path


@pytest.mark.parametrize("groups", [2, 5])
@pytest.mark.parametrize("shortcut", ["bottleneck", "expansion", "none"])
def test_channel_groups_of_a_whole_network_change_nothing(groups, shortcut):
    model = network("mobilenet_v2", width=0.35, shortcut=shortcut)
    x = images(48)
    with torch.inference_mode():
        expected = model.backbone.taps(x, ["blocks.13.expand", "blocks.9"])
        model.backbone.set_channel_groups(groups)
        found = model.backbone.taps(x, ["blocks.13.expand", "blocks.9"])
    for tap, value in expected.items():
        torch.testing.assert_close(found[tap], value)
    blocks = [x for x in model.modules() if isinstance(x, InvertedResidual)]
    assert {block.channel_groups for block in blocks} == {groups}


@pytest.mark.parametrize("groups", [0, -1, 1.5, "2"])
def test_channel_groups_must_be_a_positive_integer(groups):
    with pytest.raises(ValueError, match="groups must be a positive integer, got"):
        build("mobilenet_v2", width=0.25).backbone.set_channel_groups(groups)


@pytest.mark.parametrize("width", [0.35, 1.0, 1.4])
def test_v2_has_torchvisions_weights_in_torchvisions_order(width):
    with torch.device("meta"):
        ours = build("mobilenet_v2", width=width, padding="symmetric")
        theirs = torchvision.models.mobilenet_v2(width_mult=width)
    shapes = [[tuple(p.shape) for p in model.parameters()] for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    if width == 1.0:
        assert sum(p.numel() for p in ours.parameters()) == 3_504_872


@pytest.mark.parametrize(
    ("name", "dropout", "momentum"), [("mobilenet_v1", 0.001, 0.0003), ("mobilenet_v2", 0.2, 0.003)]
)
def test_defaults_are_the_released_codes(name, dropout, momentum):
    model = build(name, width=0.25)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, momentum)}
    assert model.dropout.p == pytest.approx(dropout)
    assert model.card is None
    weights = [m.weight for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert max(weight.abs().max() for weight in weights) <= 0.18


def test_norm_and_dropout_knobs_arrive():
    model = build("mobilenet_v2", width=0.25, norm_eps=1e-5, norm_momentum=0.1, dropout=0.5)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}
    assert model.dropout.p == 0.5


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("mobilenet_v2", {"width": -1}, "width must be a number above 0 and at most 16, got -1"),
        ("mobilenet_v1", {"output_stride": 12}, "output_stride must be 8, 16 or 32, got 12"),
        ("mobilenet_v2", {"classes": 0}, "classes must be a positive integer, got 0"),
        ("mobilenet_v2", {"padding": "full"}, "padding must be 'same', 'symmetric' or 'keras'"),
        ("mobilenet_v1", {"dropout": 1}, "dropout must be at least 0 and below 1, got 1"),
        ("mobilenet_v1", {"early_strides": (0, 2)}, "early_strides must be two of 1 or 2"),
        ("mobilenet_v2", {"shortcut": "both"}, "shortcut must be 'bottleneck', 'expansion' or"),
        ("mobilenet_v1", {"expansion": 3}, "'expansion'"),
        ("mobilenet_v2", {"shallow": True}, "'shallow'"),
        ("mobilenet_v4", {}, "model must be one of attributes_mobilenet_v1, "),
    ],
)
def test_bad_arguments_are_one_line_that_names_them(name, knobs, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        build(name, **knobs)
    assert "\n" not in str(caught.value)
