"""SSD on VGG-16 against torchvision's, with the same weights."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd300_vgg16

from mobilenets.tasks.detect.architecture.vgg import VGG16, L2Norm
from mobilenets.tasks.registry import build

pytestmark = pytest.mark.every


def convolutions(*parts: nn.Module) -> list[nn.Conv2d]:
    return [m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)]


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    torch.manual_seed(0)
    model = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=91)
    for module in convolutions(model):  # as they start, the new layers' biases are all zero
        nn.init.normal_(module.bias, std=0.1)
    nn.init.uniform_(model.backbone.scale_weight, 10, 30)
    return model.eval()


@pytest.fixture(scope="module")
def ours(theirs) -> nn.Module:
    """SSD300 with the peer's weights."""
    with torch.device("meta"):
        model = build("ssd300_vgg16", classes=90)
    sources = convolutions(
        theirs.backbone.features,
        theirs.backbone.extra,
        theirs.head.regression_head,
        theirs.head.classification_head,
    )
    targets = convolutions(model)
    assert len(sources) == len(targets) == 15 + 8 + 12
    for source, target in zip(sources, targets, strict=True):
        assert source.kernel_size == target.kernel_size
        assert (source.stride, source.padding) == (target.stride, target.padding)
        assert source.dilation == target.dilation
        target.load_state_dict(source.state_dict(), assign=True)
    model.backbone.norm.weight = theirs.backbone.scale_weight
    return model.eval()


def test_it_has_as_many_parameters(ours, theirs):
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    assert counts[0] == counts[1] == 35_641_826


def test_raw_outputs_are_equal(ours, theirs):
    x = torch.rand(1, 3, 276, 300, generator=torch.Generator().manual_seed(1)) * 255 - 120
    with torch.inference_mode():
        found = ours(x)
        expected = theirs.head(list(theirs.backbone(x).values()))
    whole = torch.cat([expected["bbox_regression"], expected["cls_logits"]], 2)
    assert found.std() > 1
    torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


def test_the_norm_sets_every_pixels_length():
    x = torch.rand(2, 512, 3, 4) + 0.1
    lengths: Tensor = L2Norm(512)(x).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((2, 3, 4), 20.0))


def test_a_tap_that_is_not_there_is_named():
    with torch.device("meta"):
        backbone = VGG16()
    with pytest.raises(ValueError, match=r"tap must be one of \['norm', 'conv1_1'.*got 'conv6'"):
        backbone.taps(torch.zeros(1, 3, 32, 32), ["norm", "conv6"])


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"classes": 0}, "classes must be a positive integer, got 0"),
        ({"scores": "linear"}, "scores must be 'sigmoid' or 'softmax', got 'linear'"),
        ({"width": 0.5}, "argument must be one of classes, scores, got 'width'"),
    ],
)
def test_bad_arguments_are_named(knobs, message):
    with pytest.raises(ValueError, match=message):
        build("ssd512_vgg16", **knobs)
