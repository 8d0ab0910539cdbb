"""What `profile` takes: names, files, folders, modules, open models; and what it refuses."""

import re

import pytest
import torch
from torch import nn

import mobilenets
from mobilenets.cost import profile
from mobilenets.tasks.registry import build, networks
from tests.cost.test_graph import conv_only


@pytest.mark.parametrize("name", [name for name, (_, one) in networks().items() if one.constructor])
def test_a_module_just_built_remembers_its_arguments(name):
    knobs = {"classes": 7}
    if networks()[name][1].trainable:
        knobs |= {"width": 0.5, "padding": "symmetric"}
    with torch.device("meta"):
        module = build(name, **knobs)
    assert profile(module).to_dict(layers=True) == profile(name, **knobs).to_dict(layers=True)
    size = networks()[name][1].size
    assert profile(module).resolution == (size, size)


def test_a_head_put_in_by_hand_is_counted_as_it_is():
    module = mobilenets.mobilenet_v2(width=0.35)
    before = profile(module).parameters
    module.classifier = nn.Linear(1280, 5)
    cost = profile(module)
    assert before - cost.parameters == (1000 - 5) * 1281
    assert sum(p.numel() for p in module.parameters()) == cost.parameters
    assert profile(nn.DataParallel(module)).parameters == cost.parameters
    module.backbone.stem.conv = nn.Conv2d(1, 16, 3, stride=2, bias=False)
    with pytest.raises(ValueError, match=r"not the mobilenet_v2 that it was: .*stem.conv.weight"):
        profile(module)


def test_a_file_a_folder_a_module_with_a_card_and_an_open_model_agree(tmp_path):
    module = mobilenets.open("mobilenet_v2", width=0.35, classes=5).module
    mobilenets.save(module, tmp_path / "best.safetensors")
    expected = profile("mobilenet_v2", width=0.35, classes=5, resolution=(96, 64))
    for one in (
        tmp_path,
        tmp_path / "best.safetensors",
        str(tmp_path / "best.safetensors"),
        module,
        mobilenets.open(module),
    ):
        found = profile(one, resolution=(96, 64), bytes_per_element=1)
        assert found.madds == expected.madds
        assert found.output_bytes * 4 == expected.output_bytes
    path = conv_only(tmp_path / "a.onnx", shape=("n", 3, 8, 8))
    assert profile(path, resolution=16).madds == 4 * profile(path).madds


@pytest.mark.parametrize(
    ("model", "knobs", "said"),
    [
        ("mobilenet_v2", {"widht": 0.5}, "got 'widht'; did you mean 'width'?"),
        ("mobilenet_v2", {"resolutoin": 96}, "got 'resolutoin'; did you mean 'resolution'?"),
        ("mobilnet_v2", {}, "got 'mobilnet_v2'; did you mean 'mobilenet_v2'?"),
        ("mobilenet_v2_1.0_224.gogle", {}, "did you mean 'mobilenet_v2_1.0_224.google'?"),
        (nn.Linear(2, 2), {}, "model must be a network of ours, or a file of one, got a Linear"),
        (nn.Linear(2, 2), {"width": 1}, "width is for a network's name; this is a Linear"),
        (7, {}, "model must be a network's name, a file"),
        (".", {"width": 1}, "width is for a network's name; . is a folder"),
    ],
)
def test_what_it_refuses_is_named(model, knobs, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        profile(model, **knobs)
