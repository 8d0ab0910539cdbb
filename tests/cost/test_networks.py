"""The analytic counts against torch's own: a flop counter on meta tensors, parameters by module."""

import ast
import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mobilenets.cost import Cost, profile
from mobilenets.models.modules.layers import InvertedResidual
from mobilenets.tasks.detect.architecture.vgg import L2Norm
from mobilenets.tasks.registry import build
from mobilenets.weights.containers.tflite.graph import parse
from tests.some import some

SIZES = (224, (97, 130), 33)
V1_KNOBS = [
    {"width": 0.25, "classes": 7},
    {"width": 0.75, "output_stride": 8, "padding": "symmetric"},
    {"width": 0.33, "separable": False, "classes": 11},
    {"width": 0.5, "shallow": True, "output_stride": 16, "padding": "keras"},
    {"width": 1.5, "early_strides": (1, 2), "norm_eps": 1e-5, "dropout": 0.5},
    {"separable": False, "shallow": True, "early_strides": (1, 1)},
]
V2_KNOBS = [
    {"width": 0.35, "classes": 7},
    {"width": 1.4, "output_stride": 16, "padding": "keras"},
    {"width": 0.5, "finegrained": False, "output_stride": 8, "padding": "symmetric"},
    {"width": 0.75, "expansion": 1, "early_strides": (1, 1)},
    {"width": 0.5, "expansion": 3, "shortcut": "none", "linear_bottleneck": False},
    {"width": 1.3, "shortcut": "expansion", "early_strides": (2, 1), "norm_momentum": 0.1},
    {"width": 0.35, "divisor": 3},
]
SSD_SIZES = (300, 320, (97, 130))
SSDLITE_KNOBS = [
    {"width": 0.5, "classes": 7},
    {"width": 0.75, "padding": "symmetric"},
    {"scores": "softmax", "norm_eps": 1e-5},
    {"width": 1.4, "padding": "keras", "norm_momentum": 0.1},
]
SSD_KNOBS = [{**knobs, "head_kernel": 3 - 2 * (i % 2)} for i, knobs in enumerate(SSDLITE_KNOBS)]
DEEPLAB_SIZES = (257, (97, 130))
DEEPLAB_KNOBS = [
    {"width": 0.5, "classes": 7, "padding": "keras"},
    {"aspp": True, "output_stride": 8, "norm_eps": 1e-5},
    {"width": 0.75, "aspp": True, "output_stride": 32, "padding": "symmetric", "dropout": 0.5},
]
GRID = [
    *itertools.product(["mobilenet_v1"], V1_KNOBS, SIZES),
    *itertools.product(["mobilenet_v2"], V2_KNOBS, SIZES),
    *itertools.product(["ssd_mobilenet_v1", "ssd_mobilenet_v2"], SSD_KNOBS, SSD_SIZES),
    *itertools.product(["ssdlite_mobilenet_v1", "ssdlite_mobilenet_v2"], SSDLITE_KNOBS, SSD_SIZES),
    *itertools.product(["ssd300_vgg16"], [{}, {"classes": 7}], (300, (320, 361))),
    *itertools.product(["ssd512_vgg16"], [{"scores": "sigmoid"}], (512,)),
    *itertools.product(
        ["deeplabv3_mobilenet_v1", "deeplabv3_mobilenet_v2"], DEEPLAB_KNOBS, DEEPLAB_SIZES
    ),
    ("deeplabv3_mobilenet_v2", {"width": 0.5, "divisor": 1}, 257),
]


def on_meta(name: str, knobs: dict[str, object]) -> nn.Module:
    with torch.device("meta"):
        return build(name, **knobs).eval()


def image(cost: Cost) -> Tensor:
    return torch.empty(1, 3, *cost.resolution, device="meta")


def numel(model: nn.Module, *kinds: type[nn.Module]) -> int:
    modules = (module for module in model.modules() if isinstance(module, kinds))
    return sum(p.numel() for module in modules for p in module.parameters(recurse=False))


@pytest.mark.parametrize(("name", "knobs", "resolution"), some(GRID, range(0, len(GRID), 12)))
def test_totals_equal_torchs_own_count(name, knobs, resolution):
    cost = profile(name, resolution=resolution, **knobs)
    model = on_meta(name, knobs)
    with FlopCounterMode(display=False) as counter:
        model(image(cost))
    assert cost.madds * 2 == counter.get_total_flops()
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert cost.conv_fc == numel(model, nn.Conv2d, nn.Linear)
    assert cost.norm == numel(model, nn.BatchNorm2d, L2Norm)


@pytest.mark.assets
def test_a_published_detector_holds_as_many_numbers(assets):
    """Its norms are folded: gamma is in the weights, beta is a bias."""
    graph = parse(assets / "weights" / "ssd_mobilenet_v1_coco_quant.tflite")
    held = {i for x in graph.operators if "CONV" in x.kind for i in x.inputs[1:]}
    cost = profile("ssd_mobilenet_v1", width=0.75, classes=90)
    assert sum(math.prod(graph.tensors[i].shape) for i in held) == cost.conv_fc + cost.norm // 2


@pytest.mark.parametrize("element", [1, 2, 4])
def test_bytes_scale_with_the_element(element):
    cost, reference = profile("mobilenet_v2", bytes_per_element=element), profile("mobilenet_v2")
    for name in ("output_bytes", "peak_bytes", "peak_fused_bytes"):
        assert getattr(cost, name) * 4 == getattr(reference, name) * element


@pytest.mark.parametrize(
    ("name", "knobs", "resolution"),
    [
        ("mobilenet_v2", {}, 224),
        ("mobilenet_v2", {"width": 0.35}, (97, 130)),
        ("mobilenet_v2", {"shortcut": "none"}, 64),
        ("mobilenet_v1", {}, 224),
    ],
)
def test_peaks_equal_a_walk_over_the_blocks(name, knobs, resolution):
    """The same by hand: what a block holds at each of its steps, the largest over all."""
    cost = profile(name, resolution=resolution, **knobs)
    model = on_meta(name, knobs)
    x = image(cost)
    plain, fused = [], []

    def step(module: nn.Module, value: Tensor, held: int = 0) -> Tensor:
        result = module(value)
        plain.append(held + value.numel() + result.numel())
        return result

    y = step(model.backbone.stem, x)
    fused.append(x.numel() + y.numel())
    for block in model.backbone.blocks:
        before = y
        held = before.numel() if getattr(block, "shortcut", False) else 0
        inner = before
        if isinstance(block, InvertedResidual) and not isinstance(block.expand, nn.Identity):
            inner = step(block.expand, before)
        inner = step(block.depthwise, inner, held if inner is not before else 0)
        last = block.project if isinstance(block, InvertedResidual) else block.pointwise
        y = step(last, inner, held)
        fused.append(before.numel() + y.numel())
    if name == "mobilenet_v2":
        z = step(model.backbone.last, y)
        fused.append(y.numel() + z.numel())
    assert cost.peak_bytes == 4 * max(plain)
    assert cost.peak_fused_bytes == 4 * max(fused)


def test_a_shortcut_holds_the_blocks_input():
    # Block 2 at 224x224: 144 channels into its depthwise convolution and out, 24 wait for the sum.
    for shortcut, held in (("bottleneck", 24), ("none", 0)):
        cost = profile("mobilenet_v2", shortcut=shortcut, early_strides=(1, 1))
        assert cost.peak_bytes == 4 * (144 + 144 + held) * 224 * 224


def test_a_carried_expansion_is_held_even_when_blocks_are_fused():
    with_it = profile("mobilenet_v2", shortcut="expansion", early_strides=(1, 1))
    without = profile("mobilenet_v2", shortcut="none", early_strides=(1, 1))
    # Block 2 hands 144 channels on at 224x224: while block 2 runs, its input, its output and
    # they are alive; while block 3 runs, they and its input and output.
    assert with_it.peak_fused_bytes == 4 * (144 + 24 + 24) * 224 * 224
    assert without.peak_fused_bytes == 4 * (24 + 24) * 224 * 224


def test_a_tapped_expansion_is_in_memory_even_when_blocks_are_fused():
    whole = profile("ssdlite_mobilenet_v2", width=0.5, classes=1)
    names = [layer.name for layer in whole.layers]
    tap, before = "backbone.blocks.13.expand", "backbone.blocks.12.project"
    readers = [x.name for x in whole.layers if tap in x.reads]
    assert readers == ["backbone.blocks.13.depthwise", "boxes.0.depthwise", "scores.0.depthwise"]
    blocks = [x.block for x in whole.layers if x.name.startswith("backbone.blocks.13.")]
    assert blocks == ["", "backbone.blocks.13", "backbone.blocks.13"]
    # From that block on. The most is alive while the first extra's pair runs: the expansion, the
    # last map, the extra's inner channels and its output.
    rest = Cost("rest", whole.layers[names.index(tap) :], {before: (48, 20, 20)})
    assert rest.peak_fused_bytes == 4 * (288 * 400 + 1280 * 100 + 128 * 100 + 256 * 25)


def test_output_bytes_are_every_layer_once():
    cost = profile("mobilenet_v1", width=0.25, resolution=32, classes=5)
    # Stem 8 at 16x16; pairs at 16, 8, 8, 4, 4, 2 (six times), 1 (twice); pool; classifier.
    maps = 8 * 256 + (8 + 16) * 256 + 16 * 64 + 32 * 64 + (32 + 32) * 64
    maps += 32 * 16 + 64 * 16 + (64 + 64) * 16 + 64 * 4 + 128 * 4 + 10 * 128 * 4
    maps += 128 + 256 + 256 + 256 + 256 + 5
    assert cost.output_bytes == 4 * maps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "mobilenet_v3"}, "model must be one of .* got 'mobilenet_v3'; did you mean"),
        ({"model": "mobilenet_v1", "expansion": 6}, "knob of mobilenet_v1 .* got 'expansion'"),
        ({"model": "mobilenet_v2", "shallow": True}, "knob of mobilenet_v2 .* got 'shallow'"),
        ({"model": "mobilenet_v2", "output_stride": 12}, "output_stride must be .* got 12"),
        ({"model": "mobilenet_v2", "width": 0}, "width must be .* got 0"),
        ({"model": "mobilenet_v2", "resolution": 0}, "resolution must be .* got 0"),
        ({"model": "mobilenet_v2", "resolution": (32, -1)}, r"resolution must be .* \(32, -1\)"),
        ({"model": "mobilenet_v2", "divisor": 0}, "divisor must be .* got 0"),
        ({"model": "deeplabv3_mobilenet_v1", "divisor": 1}, "knob of deeplab.* got 'divisor'"),
        ({"model": "deeplabv3_mobilenet_v2", "output_stride": 4}, "output_stride must .* got 4"),
        ({"model": "deeplabv3_mobilenet_v2", "aspp": 1}, "aspp must be true or false, got 1"),
        ({"model": "deeplabv3_resnet101", "classes": 0}, "classes must be .* got 0"),
        ({"model": "mobilenet_v2", "multi_scale": True}, "multi_scale is for networks to segment"),
        ({"model": "mobilenet_v2", "bytes_per_element": 0}, "bytes_per_element must be .* got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        profile(**arguments)


def test_answers_without_torch():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from mobilenets.cost import profile\n"
        "print(profile('mobilenet_v2').parameters)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "3504872"


def test_the_documentations_example_is_true():
    text = (Path(__file__).parents[2] / "docs" / "costs.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    scope: dict[str, object] = {}
    checked = 0
    for line in code.splitlines():
        expression, comment, expected = line.partition("  # ")
        if comment:
            assert eval(expression, scope) == ast.literal_eval(expected)
            checked += 1
        else:
            exec(line, scope)
    assert checked == 2
