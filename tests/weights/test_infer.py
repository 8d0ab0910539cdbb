import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build
from mobilenets.weights.infer import expected_shapes, infer


class Shape:
    def __init__(self, *shape):
        self.shape = shape


def shapes(name, **arguments):
    return {k: Shape(*v) for k, v in expected_shapes(name, arguments).items()}


CASES = [
    ("mobilenet_v1", {"width": 0.25, "classes": 3}),
    ("mobilenet_v1", {"width": 0.3, "classes": 1000, "shallow": True}),
    ("mobilenet_v1", {"width": 0.25, "classes": 1001, "separable": False}),
    ("mobilenet_v2", {"width": 0.35, "classes": 1001}),
    ("mobilenet_v2", {"width": 0.5, "classes": 2, "finegrained": False}),
    ("mobilenet_v2", {"width": 1.3, "classes": 2, "expansion": 3}),
    ("mobilenet_v2", {"width": 0.1, "classes": 2, "expansion": 1}),
    ("ssd_mobilenet_v1", {"width": 0.75, "classes": 90, "head_kernel": 1}),
    ("ssd_mobilenet_v1", {"width": 0.25, "classes": 1, "head_kernel": 3}),
    ("ssd_mobilenet_v2", {"width": 1.0, "classes": 80, "head_kernel": 3}),
    ("ssd_mobilenet_v2", {"width": 1.4, "classes": 3, "head_kernel": 1}),
    ("ssdlite_mobilenet_v1", {"width": 0.3, "classes": 2}),
    ("ssdlite_mobilenet_v2", {"width": 0.35, "classes": 20}),
    ("ssdlite_mobilenet_v2", {"width": 1.0, "classes": 80}),
    ("deeplabv3_mobilenet_v1", {"width": 0.3, "classes": 4, "aspp": True}),
    ("deeplabv3_mobilenet_v2", {"width": 0.35, "classes": 2, "aspp": False}),
    ("deeplabv3_mobilenet_v2", {"width": 1.0, "classes": 21, "aspp": True}),
    ("deeplabv3_mobilenet_v2", {"width": 0.5, "classes": 21, "aspp": False, "divisor": 1}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_built_network_is_recognised_from_its_state_dict(name, arguments):
    with torch.device("meta"):
        state = build(name, **arguments).state_dict()
    assert infer(state) == (name, arguments)


@pytest.mark.parametrize(
    "name",
    [
        "ssd_mobilenet_v1",
        "ssd_mobilenet_v2",
        "ssdlite_mobilenet_v2",
        "deeplabv3_mobilenet_v1",
        "deeplabv3_mobilenet_v2",
    ],
)
def test_the_defaults_of_a_network_are_its_constructors(name):
    with torch.device("meta"):
        state = build(name).state_dict()
    found = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert found == expected_shapes(name, {})


def test_a_detector_on_an_unusual_backbone_is_refused():
    detector = shapes("ssdlite_mobilenet_v1", width=0.5)
    tensors = {k: v for k, v in detector.items() if not k.startswith("backbone")}
    tensors |= shapes("mobilenet_v1", width=0.5, shallow=True)
    with pytest.raises(WeightsError, match="a detector on a mobilenet_v1 with another shallow"):
        infer(tensors)


def test_segmentation_on_an_unusual_backbone_is_refused():
    network = shapes("deeplabv3_mobilenet_v1", width=0.5)
    tensors = {k: v for k, v in network.items() if not k.startswith("backbone")}
    tensors |= shapes("mobilenet_v1", width=0.5, shallow=True)
    with pytest.raises(WeightsError, match="segmentation on a mobilenet_v1 with another shallow"):
        infer(tensors | {k: v for k, v in network.items() if k.startswith("classifier")})


def test_a_branch_too_few_is_named():
    tensors = shapes("deeplabv3_mobilenet_v2", width=0.35, aspp=True)
    tensors = {k: v for k, v in tensors.items() if not k.startswith("branches.3")}
    with pytest.raises(WeightsError, match=r"needs a tensor branches\.3\.conv\.weight"):
        infer(tensors)


def test_ssd_on_vgg_has_no_weights_to_read():
    with pytest.raises(WeightsError, match="no weights are read for ssd300_vgg16"):
        expected_shapes("ssd300_vgg16", {})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["mobilenet_v1", "mobilenet_v2"]), st.floats(0.05, 8))
def test_any_width_is_found_again_up_to_its_channels(name, width):
    found, arguments = infer(shapes(name, width=width))
    assert found == name
    assert expected_shapes(name, arguments) == expected_shapes(name, {"width": width})


@pytest.mark.parametrize("width", [0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4, 0.6, 1.1, 2.0])
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_a_round_width_comes_back_as_itself(name, width):
    assert infer(shapes(name, width=width))[1] == {"width": width, "classes": 1000}


def test_channels_of_no_width_are_named():
    tensors = shapes("mobilenet_v2", width=1.0)
    tensors["backbone.stem.conv.weight"] = Shape(40, 3, 3, 3)
    with pytest.raises(WeightsError, match="no width of mobilenet_v2 has these channels: stem 40"):
        infer(tensors)


def test_an_inner_shape_that_does_not_fit_is_named():
    tensors = shapes("mobilenet_v2", width=1.0)
    tensors["backbone.blocks.3.depthwise.conv.weight"] = Shape(144, 1, 5, 5)
    with pytest.raises(WeightsError, match=r"blocks\.3\.depthwise\.conv\.weight must be .* got"):
        infer(tensors)


def test_a_missing_and_a_strange_tensor_are_named():
    tensors = shapes("mobilenet_v1", width=0.25)
    strange = {**tensors, "backbone.blocks.0.se.weight": Shape(1)}
    with pytest.raises(WeightsError, match=r"no place for the tensor backbone\.blocks\.0\.se"):
        infer(strange)
    del tensors["backbone.blocks.2.depthwise.norm.bias"]
    with pytest.raises(WeightsError, match=r"needs a tensor backbone\.blocks\.2\.depthwise\.norm"):
        infer(tensors)


def test_other_networks_are_no_mobilenet():
    with pytest.raises(WeightsError, match="not a MobileNet"):
        infer({"conv1.weight": np.zeros((64, 3, 7, 7))})
