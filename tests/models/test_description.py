"""One description of each network: the torch module, the constructor and the files follow it."""

import itertools
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

import mobilenets
from mobilenets.card import ModelCard, set_card
from mobilenets.cost import profile
from mobilenets.models.bodies import V1, V2, MobileNet
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers
from mobilenets.models.modules.bodies import module_of
from mobilenets.models.network import Network, by_name
from mobilenets.tasks import registry
from mobilenets.weights import load
from mobilenets.weights.sources.own import save
from tests.models.common import assert_is_its_list
from tests.some import some

VALUES: dict[str, tuple[object, ...]] = {
    "width": (0.35, 1.4),
    "classes": (7,),
    "output_stride": (8, 16, 32),
    "padding": ("keras", "symmetric"),
    "early_strides": ((1, 2), (2, 1)),
    "separable": (False,),
    "shallow": (True,),
    "expansion": (1, 3),
    "shortcut": ("expansion", "none"),
    "finegrained": (False,),
    "linear_bottleneck": (False,),
    "divisor": (1, 3),
    "head_kernel": (1, 3),
    "scores": ("softmax",),
    "aspp": (True, False),
    "activation": ("relu", "leaky_relu"),
    "negative_slope": (0.1,),
    "norm_eps": (1e-5,),
    "norm_momentum": (0.1,),
    "dropout": (0.5,),
    "hidden": (16,),
    "known": (True,),
    "dimensions": (64,),
    "pooling": ("average", "depthwise"),
    "kernel": (3,),
    "last": (False,),
}
"""Values of every knob there is, beside the default."""
INNER = {"norm_eps", "norm_momentum", "dropout", "scores", "linear_bottleneck"}
INNER |= {"activation", "negative_slope"}
"""Knobs that change no layer's size or weights."""
BUILDABLE = [name for name, (_, network) in registry.networks().items() if network.constructor]


def grid(network: Network, *, body: bool) -> list[dict[str, object]]:
    """The defaults, every value that changes layers by itself, and all knobs together.

    Without `body` the body's own knobs are not there by themselves.
    """
    known = {name: VALUES[name] for name in network.knobs}
    left = INNER if body else INNER | {field.name for field in fields(network.body)}
    alone = [{k: v} for k, values in known.items() if k not in left for v in values]
    longest = max(len(values) for values in known.values())
    together = [
        {name: values[index % len(values)] for name, values in known.items()}
        for index in range(longest)
    ]
    return [{}, *alone, *together]


@pytest.mark.parametrize("name", some(BUILDABLE, (0, 1)))
def test_a_module_is_what_its_list_says(name):
    hold_all(name, body=True)


@pytest.mark.parametrize("name", [BUILDABLE[i] for i in (2, 5, 6, 8)])
def test_on_a_body_that_is_its_list_a_network_is_what_its_own_list_says(name):
    hold_all(name, body=False)


def hold_all(name: str, *, body: bool) -> None:
    network = registry.network_of(name)
    sizes = itertools.cycle([(network.size, network.size), (network.size + 7, network.size + 33)])
    for knobs, sides in zip(grid(network, body=body), sizes, strict=False):
        assert_is_its_list(network, knobs, sides)


@pytest.mark.parametrize("name", BUILDABLE)
def test_help_says_every_knob_of_a_constructor(name):
    network = registry.network_of(name)
    module, _, function = network.constructor.partition(":")
    text = getattr(import_module(module), function).__doc__
    assert [knob for knob in network.knobs if f"`{knob}`" not in text] == []


@pytest.mark.parametrize("name", BUILDABLE)
def test_the_list_and_the_module_refuse_the_same(name):
    network = registry.network_of(name)
    wrong = {
        "classes": 0,
        "width": -1,
        "scores": "both",
        "aspp": "yes",
        "last": 1,
        "dimensions": 0,
        "pooling": "max",
        "kernel": 0,
    }
    for knob in [name for name in wrong if name in network.knobs]:
        errors = []
        for ask in (network.shapes, network.build):
            with pytest.raises(ValueError, match=f"^{knob} must be .*, got ") as caught:
                ask(**{knob: wrong[knob]})
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    for ask in (network.shapes, network.build):
        with pytest.raises(ValueError, match=r"^argument must be one of .*, got 'colour'"):
            ask(colour="red")


def test_the_bodies_of_networks_are_those_of_the_modules():
    for body in (V1, V2):
        assert module_of(body(width=0.1)).name == body.name


# A network of another package: a body and a layer of its own.


def counting(layers: Layers, body: MobileNet, *, classes: int = 1, bias: bool = True) -> None:
    """A number for each of `classes`, from the mean of the last map."""
    check(classes=classes, bias=bias)
    layers.linear("number", layers.pool("pool", body.add(layers)), classes)


COUNTING = Network(
    "counting_v2", V2, 96, "how many there are", counting, f"{__name__}:counting_v2", ("width",)
)


class Counting(nn.Module):
    def __init__(self, backbone, numbers):
        super().__init__()
        self.backbone = backbone
        self.number = nn.Linear(backbone.channels, numbers)

    def forward(self, x):
        return self.number(self.backbone(x).mean((2, 3)))


def counting_v2(**knobs: Any) -> Counting:
    body, own = COUNTING.settle(knobs)
    return Counting(module_of(body), own["classes"])


@pytest.fixture
def with_counting(monkeypatch) -> Mapping[str, Network]:
    """The registry as it is where another package adds that network to a use."""
    task = registry.task_for("mobilenet_v2")
    known = {**registry.networks(), COUNTING.name: (task, COUNTING)}
    monkeypatch.setattr(registry, "networks", lambda: known)
    for module in ("weights.sources.own", "cost.subject"):
        monkeypatch.setattr(f"mobilenets.{module}.networks", lambda: known)
    return by_name([COUNTING])


def test_a_network_of_another_package_needs_only_its_description(with_counting, tmp_path):
    assert_is_its_list(COUNTING, {"width": 0.35, "classes": 3}, (97, 64))
    cost = profile("counting_v2", width=0.35)
    body = profile("mobilenet_v2", width=0.35, resolution=96, classes=1)
    assert (cost.parameters, cost.madds) == (body.parameters, body.madds)
    assert cost.arguments == {"classes": 1, "bias": True, "width": 0.35}
    model = registry.build("counting_v2", width=0.35).eval()
    set_card(model, ModelCard("counting_v2", {"width": 0.35}))
    save(model, tmp_path / "counting.safetensors")
    loaded = load(tmp_path / "counting.safetensors")
    x = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), model(x))


def test_the_public_constructors_are_those_of_the_registry():
    for name in BUILDABLE:
        network = registry.network_of(name)
        if network.trainable:
            module, _, function = network.constructor.partition(":")
            assert getattr(mobilenets, name) is getattr(import_module(module), function)
