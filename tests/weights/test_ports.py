"""Small twins of the ports' networks, written from their published structure."""

from itertools import pairwise

import pytest
import safetensors.torch
import torch
from torch import nn

from mobilenets.errors import WeightsError
from mobilenets.weights import load, read
from tests.some import some

from .peers import assert_same, randomise


def unit(c_in, c_out, k, stride=1, groups=1, act=nn.ReLU6):
    layers = [
        nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
    ]
    return layers + ([act()] if act else [])


V2_ROWS = [(1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1)]
V2_ROWS += [(6, 56, 3, 2), (6, 112, 1, 1)]  # width .35


class Residual(nn.Module):
    """One flat `conv`: 0 1 3 4 6 7 with parameters, as tonylins and d-li14 number them."""

    def __init__(self, c_in, c_out, stride, t):
        super().__init__()
        hidden = c_in * t
        expand = unit(c_in, hidden, 1) if t > 1 else []
        self.add = stride == 1 and c_in == c_out
        self.conv = nn.Sequential(
            *expand, *unit(hidden, hidden, 3, stride, hidden), *unit(hidden, c_out, 1, act=None)
        )

    def forward(self, x):
        return x + self.conv(x) if self.add else self.conv(x)


class FlatV2(nn.Module):
    def __init__(self, style, classes=7):
        super().__init__()
        layers, c = [nn.Sequential(*unit(3, 16, 3, 2))], 16
        for t, c_out, n, s in V2_ROWS:
            for i in range(n):
                layers.append(Residual(c, c_out, s if i == 0 else 1, t))
                c = c_out
        last = nn.Sequential(*unit(c, 1280, 1))
        self.style = style
        if style == "tonylins":
            self.features = nn.Sequential(*layers, last)
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))
        else:
            self.features = nn.Sequential(*layers)
            self.conv = last
            self.classifier = nn.Linear(1280, classes)

    def forward(self, x):
        x = self.features(x)
        return self.classifier((x if self.style == "tonylins" else self.conv(x)).mean((2, 3)))


V1_ROWS = [
    (16, 1),
    (32, 2),
    (32, 1),
    (64, 2),
    (64, 1),
    (128, 2),
    *[(128, 1)] * 5,
    (256, 2),
    (256, 1),
]


class FlatV1(nn.Module):
    """`model.N.K` and `fc`, as marvis numbers them; or the same called `features`."""

    def __init__(self, body="model", act=nn.ReLU, classes=5):
        super().__init__()
        layers, c = [nn.Sequential(*unit(3, 8, 3, 2, act=act))], 8
        for c_out, s in V1_ROWS:
            layers.append(nn.Sequential(*unit(c, c, 3, s, c, act), *unit(c, c_out, 1, act=act)))
            c = c_out
        self.body = body
        setattr(self, body, nn.Sequential(*layers))
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        return self.fc(getattr(self, self.body)(x).mean((2, 3)))


class Cifar(nn.Module):
    """kuangliu's V1: named units, ReLU, a stem of stride 1."""

    class Block(nn.Module):
        def __init__(self, c_in, c_out, stride):
            super().__init__()
            self.conv1, self.bn1, _ = unit(c_in, c_in, 3, stride, c_in)
            self.conv2, self.bn2, _ = unit(c_in, c_out, 1)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(x)))

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, _ = unit(3, 8, 3)
        rows = [(8, 1), *V1_ROWS]
        blocks = [self.Block(a[0], b[0], b[1]) for a, b in pairwise(rows)]
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(256, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layers(x).mean((2, 3)))


def leaky():
    return nn.LeakyReLU(0.1)


class Staged(nn.Module):
    """Three stages of units, as RetinaFace's backbone and bubbliiiing's ports call them."""

    def __init__(self, act, width=1, cuts=(6, 12, 14)):
        super().__init__()
        layers, c = [nn.Sequential(*unit(3, 8 * width, 3, 2, act=act))], 8 * width
        for c_out, s in V1_ROWS:
            c_out *= width
            layers.append(nn.Sequential(*unit(c, c, 3, s, c, act), *unit(c, c_out, 1, act=act)))
            c = c_out
        for number, (start, end) in enumerate(pairwise([0, *cuts]), 1):
            setattr(self, f"stage{number}", nn.Sequential(*layers[start:end]))
        self.fc = nn.Linear(c, 5)

    def forward(self, x):
        return self.fc(self.stage3(self.stage2(self.stage1(x))).mean((2, 3)))


class Openmmlab(nn.Module):
    """mmpretrain's names: conv1, layer1 .. layer7, conv2 in `backbone`, and `head.fc`."""

    class Unit(nn.Module):
        def __init__(self, *arguments, act=nn.ReLU6):
            super().__init__()
            self.conv, self.bn, *rest = unit(*arguments, act=act)
            self.activate = rest[0] if rest else nn.Identity()

        def forward(self, x):
            return self.activate(self.bn(self.conv(x)))

    class Block(nn.Module):
        def __init__(self, c_in, c_out, stride, t):
            super().__init__()
            make, hidden = Openmmlab.Unit, c_in * t
            expand = [make(c_in, hidden, 1)] if t > 1 else []
            last = make(hidden, c_out, 1, act=None)
            self.conv = nn.Sequential(*expand, make(hidden, hidden, 3, stride, hidden), last)
            self.add = stride == 1 and c_in == c_out

        def forward(self, x):
            return x + self.conv(x) if self.add else self.conv(x)

    def __init__(self):
        super().__init__()
        self.backbone, c = nn.Module(), 16
        self.backbone.conv1 = self.Unit(3, 16, 3, 2)
        for number, (t, c_out, n, s) in enumerate(V2_ROWS, 1):
            blocks = [
                self.Block(c if i == 0 else c_out, c_out, s if i == 0 else 1, t) for i in range(n)
            ]
            setattr(self.backbone, f"layer{number}", nn.Sequential(*blocks))
            c = c_out
        self.backbone.conv2 = self.Unit(c, 1280, 1)
        self.head = nn.Module()
        self.head.fc = nn.Linear(1280, 7)

    def forward(self, x):
        for part in self.backbone.children():
            x = part(x)
        return self.head.fc(x.mean((2, 3)))


WRAPPINGS = {
    "bare": lambda state: state,
    "module": lambda state: {f"module.{k}": v for k, v in state.items()},
    "state_dict": lambda state: {"epoch": 3, "arch": "x", "state_dict": state, "best_acc1": 1.5},
    "model": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}, "optimizer": {}},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": torch.tensor(1.0)},
    "net": lambda state: {"net": {f"_orig_mod.module.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize(
    ("style", "wrapping"),
    some([(s, w) for s in ("tonylins", "d-li14") for w in WRAPPINGS], (*range(len(WRAPPINGS)), -1)),
)
def test_v2_with_flat_blocks_in_any_wrapping(tmp_path, style, wrapping):
    peer = randomise(FlatV2(style))
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(WRAPPINGS[wrapping](peer.state_dict()), path)
    card = assert_same(path, peer, (65, 97)).card
    assert card.arguments["width"] == 0.35
    assert card.arguments["padding"] == "symmetric"
    assert "tonylins" in card.source


@pytest.mark.parametrize(
    "peer", [FlatV2("tonylins"), FlatV2("d-li14"), FlatV1(), Cifar(), Openmmlab(), Staged(leaky)]
)
def test_safetensors_that_lost_the_order(tmp_path, peer):
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(randomise(peer).state_dict(), path)
    assert_same(path, peer, (65, 97))


def test_the_names_of_a_head_do_not_say_which_port_it_is(tmp_path):
    """fastai keeps a body as 0 and a head as 1; `1.3.weight` is a dense layer's there."""
    peer = nn.Sequential(
        nn.Sequential(FlatV2("tonylins").features),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(1280, 3)),
    )
    torch.save({"model": randomise(peer).state_dict(), "opt": {}}, tmp_path / "w.pth")
    card = assert_same(tmp_path / "w.pth", peer).card
    assert "activation" not in card.arguments


def test_a_tensor_called_like_a_stem_alone_is_no_place_to_fall(tmp_path):
    state = {**randomise(Cifar()).state_dict(), "conv1": torch.ones(3), "bn1": torch.ones(3)}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"the tensor (conv1|bn1) has no place"):
        load(tmp_path / "w.safetensors")


def test_buffers_of_mmcvs_average_are_left_out(tmp_path):
    """Its hook leaves the weights after the last step in buffers named without dots."""
    peer = randomise(Openmmlab())
    state = peer.state_dict()
    buffers = {f"ema_{k.replace('.', '_')}": torch.zeros_like(v) for k, v in state.items()}
    torch.save({"state_dict": state | buffers, "meta": {}}, tmp_path / "w.pth")
    assert_same(tmp_path / "w.pth", peer)
    assert "left out of the file are ema_backbone_conv1" in read(tmp_path / "w.pth").notes[0]


def loud(peer):
    """Norms that fit their inputs, as training leaves them, and send activations far beyond 6."""
    randomise(peer)
    norms = [module for module in peer.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.mul_(8)
            norm.momentum = None  # the average of what is seen
        peer.train()
        peer(torch.randn(8, 3, 96, 96))
    return peer.eval()


@pytest.mark.parametrize(
    ("peer", "name", "activation"),
    [
        (Staged(leaky), "Retinaface", "leaky_relu"),
        (Staged(nn.ReLU6, width=2), "bubbliiiing", "relu6"),
    ],
)
def test_stages_are_read_as_the_port_whose_stem_they_have(tmp_path, peer, name, activation):
    loud(peer)
    torch.save(peer.state_dict(), tmp_path / "w.pth")
    model = assert_same(tmp_path / "w.pth", peer, (97, 65))
    assert name in model.card.source
    assert model.card.arguments.get("activation", "relu6") == activation
    assert "its stem" in read(tmp_path / "w.pth").notes[0]


@pytest.mark.parametrize("peer", [FlatV1(), FlatV1("features"), Cifar()])
def test_v1_ports_with_relu_keep_their_relu(tmp_path, peer):
    loud(peer)
    torch.save({"state_dict": peer.state_dict()}, tmp_path / "w.tar")
    model = assert_same(tmp_path / "w.tar", peer, (97, 65))
    assert model.card.arguments["width"] == 0.25


def test_the_loud_network_does_tell_relu_from_relu6():
    peer, clipped = loud(FlatV1()), FlatV1(act=nn.ReLU6)
    clipped.load_state_dict(peer.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert (peer(x) - clipped.eval()(x)).abs().max() > 0.1 * peer(x).abs().max()


def test_kuangliu_v1_is_read_for_32_pixels(tmp_path):
    torch.save({"net": Cifar().state_dict(), "acc": 92.0, "epoch": 1}, tmp_path / "ckpt.pth")
    card = load(tmp_path / "ckpt.pth").card
    assert card.preprocessing.size == (32, 32)
    assert card.arguments["early_strides"] == [1, 2]


def test_a_first_block_that_expands_is_refused(tmp_path):
    layers = [(3, 32, 3, 1), (32, 32, 1, 1), (32, 32, 3, 32), (32, 16, 1, 1), (16, 96, 1, 1)]
    state = {}
    for i, (c_in, c_out, k, groups) in enumerate(layers):
        state[f"conv{i}.weight"] = torch.zeros(c_out, c_in // groups, k, k)
        state |= {f"bn{i}.{k}": v for k, v in nn.BatchNorm2d(c_out).state_dict().items()}
    state |= {"linear.weight": torch.zeros(10, 96), "linear.bias": torch.zeros(10)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="expands in the first block"):
        load(tmp_path / "w.pth")


def test_a_port_of_other_channels_is_refused_with_its_channels(tmp_path):
    peer = FlatV1()
    state = peer.state_dict()
    state["model.0.0.weight"] = torch.zeros(9, 3, 3, 3)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no width of mobilenet_v1 has these channels: stem 9"):
        load(tmp_path / "w.pth")
