"""DeepLabv3 against a twin of plain functions; atrous maps against strided ones; many scales."""

import itertools
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.tasks.registry import build
from mobilenets.tasks.segment.architecture.deeplab import DeepLab, Labelled, MultiScale, resize
from mobilenets.tasks.segment.architecture.geometry import scaled_side
from tests.models.common import images, network
from tests.some import some

NAMES = ("deeplabv3_mobilenet_v1", "deeplabv3_mobilenet_v2")
# Stride and rate of every block's depthwise convolution, written out.
V1_STRIDES = {
    8: [1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    16: [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1],
    32: [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1],
}
V1_RATES = {8: [1] * 6 + [2] * 6 + [4], 16: [1] * 12 + [2], 32: [1] * 13}
V2_STRIDES = {
    8: [1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    16: [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    32: [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1],
}
V2_RATES = {8: [1] * 7 + [2] * 7 + [4] * 3, 16: [1] * 14 + [2] * 3, 32: [1] * 17}
ASPP_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}


class Twin:
    """The network from its state dict, as functions called one after another."""

    def __init__(self, state: dict[str, Tensor], output_stride: int) -> None:
        self.state = state
        self.output_stride = output_stride

    def unit(self, name, x, *, stride=1, rate=1, eps=1e-3, act=F.relu6):
        weight = self.state[f"{name}.conv.weight"]
        kernel = weight.shape[2]
        edges = []
        for side in (x.shape[3], x.shape[2]):
            missing = (-(-side // stride) - 1) * stride + (kernel - 1) * rate + 1 - side
            edges += [max(missing, 0) // 2, max(missing, 0) - max(missing, 0) // 2]
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(F.pad(x, edges), weight, None, stride, 0, rate, groups)
        mean, var, gamma, beta = (
            self.state[f"{name}.norm.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return act(F.batch_norm(x, mean, var, gamma, beta, eps=eps))

    def features(self, x):
        v1 = "backbone.blocks.0.pointwise.conv.weight" in self.state
        strides = (V1_STRIDES if v1 else V2_STRIDES)[self.output_stride]
        rates = (V1_RATES if v1 else V2_RATES)[self.output_stride]
        x = self.unit("backbone.stem", x, stride=2)
        for index, (stride, rate) in enumerate(zip(strides, rates, strict=True)):
            name, before = f"backbone.blocks.{index}", x
            if not v1 and index:
                x = self.unit(f"{name}.expand", x)
            x = self.unit(f"{name}.depthwise", x, stride=stride, rate=rate)
            if v1:
                x = self.unit(f"{name}.pointwise", x)
                continue
            x = self.unit(f"{name}.project", x, act=lambda y: y)
            x = x + before if x.shape == before.shape else x
        return x

    def head(self, name, x, rate=1):
        return self.unit(name, x, rate=rate, eps=1e-5, act=F.relu)

    def __call__(self, images):
        x = self.features(images)
        pooled = self.head("pool", x.mean((2, 3), keepdim=True))
        parts = [pooled.repeat(1, 1, *x.shape[2:]), self.head("branches.0", x)]
        if "branches.1.conv.weight" in self.state:
            for index, rate in enumerate(ASPP_RATES[self.output_stride], 1):
                parts.append(self.head(f"branches.{index}", x, rate))
        x = self.head("project", torch.cat(parts, 1))
        x = F.conv2d(x, self.state["classifier.weight"], self.state["classifier.bias"])
        return corners(x, *images.shape[2:])


def corners(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with corners on corners, by numpy's interpolation of each row of weights."""

    def weights(after: int, before: int) -> Tensor:
        places = np.linspace(0, before - 1, after)
        return torch.tensor(
            np.array([np.interp(places, range(before), row) for row in np.eye(before)]).T
        )

    return weights(height, x.shape[2]) @ x @ weights(width, x.shape[3]).T


@pytest.mark.parametrize(
    ("name", "output_stride", "aspp", "size"),
    [
        *((n, 16, aspp, (65, 47)) for n, aspp in itertools.product(NAMES, (False, True))),
        ("deeplabv3_mobilenet_v2", 8, True, (50, 33)),
        ("deeplabv3_mobilenet_v1", 8, False, (33, 50)),
        ("deeplabv3_mobilenet_v2", 32, True, (97, 64)),
        ("deeplabv3_mobilenet_v1", 32, False, (64, 97)),
        ("deeplabv3_mobilenet_v2", 16, True, (2, 3)),
    ],
)
def test_equals_plain_functions(name, output_stride, aspp, size):
    model = network(name, width=0.35, classes=5, aspp=aspp, output_stride=output_stride)
    nn.init.normal_(model.classifier.bias)
    x = images(*size)
    with torch.inference_mode():
        found, expected = model(x), Twin(model.state_dict(), output_stride)(x)
    assert found.shape == (2, 5, *size)
    assert found.std() > 1e-2
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_output_stride_changes_no_weight(name):
    states = []
    for output_stride in (8, 16, 32):
        with torch.device("meta"):
            model = build(name, width=0.35, aspp=True, output_stride=output_stride).eval()
            map_size = model.coarse(torch.empty(1, 3, 65, 97)).shape[2:]
        assert map_size == {8: (9, 13), 16: (5, 7), 32: (3, 4)}[output_stride]
        states.append({key: value.shape for key, value in model.state_dict().items()})
    assert states[0] == states[1] == states[2]


def strided(name: str, output_stride: int, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The backbone's map, and ASPP's three dilated branches on it."""
    model = network(name, width=0.35, classes=2, aspp=True, output_stride=output_stride)
    with torch.inference_mode():
        features = model.backbone(x)
        return features, [branch(features) for branch in model.branches[1:]]


@pytest.mark.parametrize("name", some(NAMES, (1,)))
@pytest.mark.parametrize(("size", "first"), [((97, 65), 0), ((96, 64), 1)])
def test_every_second_place_of_a_dense_map_is_the_strided_map(name, size, first):
    """To the edges: zeros stand beyond them in both.

    On odd sides SAME's strided windows are centred on places 0, 2, 4; on even ones, where the
    one pixel of padding is behind, on 1, 3, 5.
    """
    x = images(*size, count=1)
    maps = {output_stride: strided(name, output_stride, x) for output_stride in (8, 16, 32)}
    for dense, sparse in ((8, 16), (16, 32)):
        (features, branches), (expected, expected_branches) = maps[dense], maps[sparse]
        for found, wanted in zip(
            [features, *branches], [expected, *expected_branches], strict=True
        ):
            torch.testing.assert_close(found[..., first::2, first::2], wanted)


def test_the_parts_are_as_released():
    model = build("deeplabv3_mobilenet_v2", aspp=True)
    assert isinstance(model, DeepLab)
    for unit in (model.pool, *model.branches, model.project):
        assert isinstance(unit.act, nn.ReLU)
        assert (unit.norm.eps, unit.norm.momentum) == (1e-5, 0.0003)
    assert [branch.conv.dilation[0] for branch in model.branches] == [1, 6, 12, 18]
    assert model.dropout.p == 0.1
    assert isinstance(model.backbone.last, nn.Identity)
    assert model.backbone.channels == 320


@pytest.mark.parametrize(
    ("name", "knobs", "parameters"),
    [
        ("deeplabv3_mobilenet_v2", {}, 2_113_557),
        ("deeplabv3_mobilenet_v2", {"aspp": True}, 4_523_541),
        ("deeplabv3_mobilenet_v1", {"aspp": True}, 11_145_301),
    ],
)
def test_parameters_of_table_7(name, knobs, parameters):
    with torch.device("meta"):
        model = build(name, **knobs)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_released_half_width_rounds_to_one():
    """Its second and third block have 12 channels, where classifiers of that width have 16."""
    with torch.device("meta"):
        half, one = (build("deeplabv3_mobilenet_v2", width=0.5, divisor=d) for d in (8, 1))
    found = [[b.project.conv.out_channels for b in m.backbone.blocks] for m in (half, one)]
    assert found[0][:4] == [8, 16, 16, 16]
    assert found[1][:4] == [8, 12, 12, 16]
    assert found[0][3:] == found[1][3:]


def test_dropout_is_before_the_classifier_alone():
    model = network("deeplabv3_mobilenet_v2", width=0.35, classes=2, dropout=0.5)
    x = images(33, count=1)
    with torch.inference_mode():
        still = model(x)
        model.dropout.train()
        assert not torch.allclose(model(x), still)
        model.dropout.p = 0.0
        torch.testing.assert_close(model(x), still)


@pytest.mark.parametrize("size", [(17, 9), (5, 40), (1, 1), (2, 30)])
def test_resizing_puts_corners_on_corners(size):
    x = images(9, 13)
    found = resize(x, *size)
    torch.testing.assert_close(found, corners(x, *size))
    torch.testing.assert_close(found[..., 0, 0], x[..., 0, 0])
    assert resize(x, 9, 13) is x


def test_labelled_is_the_first_best_class():
    x = torch.tensor([[1.0, 3.0, 0.0], [1.0, 3.0, 5.0], [0.0, 2.0, 5.0]]).view(1, 3, 1, 3)
    found = Labelled(nn.Identity())(x)
    assert found.dtype == torch.int64
    assert found.tolist() == [[[0, 0, 1]]]


class Lopsided(nn.Module):
    """A network that sees left from right and one size from another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1).double()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(tuple(x.shape[2:]))
        return self.conv(x) * 9 + torch.linspace(0, 1, x.shape[3], dtype=x.dtype)


def test_multi_scale_equals_a_loop_by_hand():
    torch.manual_seed(0)
    net = Lopsided()
    x = images(65, 33)
    sides = [(33, 17), (49, 25), (65, 33), (81, 41), (97, 49), (113, 57)]
    with torch.inference_mode():
        found = MultiScale(net)(x)
        assert net.sizes == [size for size in sides for _ in range(2)]
        shares = []
        for size in sides:
            seen = corners(x, *size)
            shares.append(corners(net(seen), 65, 33).softmax(1))
            back = torch.flip(net(torch.flip(seen, [3])), [3])
            shares.append(corners(back, 65, 33).softmax(1))
    torch.testing.assert_close(found, torch.stack(shares).mean(0))
    torch.testing.assert_close(found.sum(1), torch.ones(2, 65, 33, dtype=torch.float64))


def test_one_scale_without_mirroring_is_the_network():
    net = network("deeplabv3_mobilenet_v2", width=0.35, classes=3)
    x = images(33, 47, count=1)
    with torch.inference_mode():
        found = MultiScale(net, scales=(1.0,), flip=False)(x)
        torch.testing.assert_close(found, net(x).softmax(1))


@pytest.mark.parametrize(
    ("side", "scale", "expected"),
    [(513, 0.5, 257), (513, 1.75, 897), (257, 0.75, 193), (224, 0.5, 112), (2, 0.5, 2), (1, 1, 2)],
)
def test_scaled_sides(side, scale, expected):
    """Parts of a pixel are cut off, as in the released code."""
    assert scaled_side(side, scale) == expected


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        (NAMES[0], {"output_stride": 4}, "output_stride must be 8, 16 or 32, got 4"),
        (NAMES[1], {"classes": 0}, "classes must be a positive integer, got 0"),
        (NAMES[1], {"aspp": "yes"}, "aspp must be true or false, got 'yes'"),
        (NAMES[1], {"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        (NAMES[1], {"width": 0}, "width must be a number above 0 and at most 16, got 0"),
        (NAMES[1], {"divisor": 0}, "divisor must be a positive integer, got 0"),
        (NAMES[0], {"divisor": 1}, "'divisor'"),
        (NAMES[1], {"expansion": 3}, "'expansion'"),
        ("deeplabv3_resnet101", {}, "deeplabv3_resnet101 is here for its cost alone"),
    ],
)
def test_bad_arguments_are_named(name, knobs, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        build(name, **knobs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (5.0,)])
def test_scales_out_of_range_are_named(scales):
    message = f"scales must be numbers above 0 and at most 4, got {scales!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        MultiScale(nn.Identity(), scales=scales)
