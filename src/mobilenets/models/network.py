"""A network of the zoo: everything that is known of it without torch, in one entry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from mobilenets.models.bodies import Body, MobileNet
from mobilenets.models.costs import LayerCost, Shape
from mobilenets.models.geometry import unknown_name
from mobilenets.models.listing import Layers

if TYPE_CHECKING:
    from torch import nn

Describe = Callable[..., None]
"""(layers, body, **knobs): add the body's layers and the network's own to `layers`.

Its keyword arguments with their defaults are the network's own knobs. ValueError for a value
that is out of range; that is the one check there is of them."""

Repeat = Callable[[Shape, Callable[[Shape], list[LayerCost]]], list[LayerCost]]
"""(image shape, a network's layers for an image shape) -> the layers of many runs of it."""


@dataclass(frozen=True)
class Network:
    """A network by its layers. Its torch module stands beside them and is held to them by a test.

    What a network of another package needs: a name, a body, `describe`, and a `constructor`, a
    function that calls `settle` and builds the module.
    """

    name: str
    """What people call it: `mobilenet_v2`."""
    body: type[Body]
    """What it stands on, with knobs of its own."""
    size: int
    """Pixels of the sides of its paper's input."""
    description: str
    """What it is, in a line."""
    describe: Describe
    """Adds its layers to a list."""
    constructor: str = ""
    """Where the torch module is made, `package.module:function`; '' for one that is here for its
    cost alone. It takes the knobs as keyword arguments."""
    takes: tuple[str, ...] | None = None
    """The body's knobs that are the network's as well; None for all of them."""
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of knobs, where they are not those of `describe` or of the body."""
    trainable: bool = True
    """False for a network that is here to be compared with."""
    free: frozenset[str] = frozenset()
    """Knobs of the body that trained weights serve whatever their value."""
    of_head: frozenset[str] = frozenset()
    """Knobs that the weights of its head depend on."""
    of_classes: frozenset[str] = frozenset()
    """The same, but of what a change of the classes makes anew."""
    printed: tuple[str, float] | None = None
    """The metric and its value, a share, that the paper prints for it at `size` and width 1.0."""
    repeated: Repeat | None = None
    """A way to run it many times on an image; None where there is none. `multi_scale` asks for
    it."""

    @property
    def backbone(self) -> str:
        """The name of the body that it stands on."""
        return self.body.name

    @cached_property
    def own_knobs(self) -> dict[str, Any]:
        """The keyword arguments that `describe` takes, with their defaults."""
        parameters = inspect.signature(self.describe).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @property
    def body_knobs(self) -> dict[str, Any]:
        """Every keyword argument of a MobileNet that it stands on, with its default; else {}."""
        return self.body.knobs() if issubclass(self.body, MobileNet) else {}

    @property
    def knobs(self) -> dict[str, Any]:
        """Every keyword argument, with its default: the network's own, then the body's.

        One that both have is given to both, and its default is the network's.
        """
        body = self.body.knobs()
        taken = body if self.takes is None else self.takes
        both = {**self.own_knobs, **{name: body[name] for name in taken}}
        return {**both, **self.own_knobs, **self.defaults}

    def settle(self, arguments: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The body with its knobs, and the network's own knobs, all of them with a value.

        For constructors of torch modules: ValueError for an argument that is none of `knobs`, and
        for a value out of range, as the list of layers has it.
        """
        self.layers(self._image, **arguments)
        return self._split(arguments)

    def layers(self, image: Shape, **arguments: Any) -> list[LayerCost]:
        """The layers for an image of (channels, height, width); ValueError as `settle`."""
        body, own = self._split(arguments)
        layers = Layers(image, body.image_padding)
        self.describe(layers, body, **own)
        return layers.found

    def shapes(self, **arguments: Any) -> dict[str, Shape]:
        """The state dict as name -> shape, without the norms' batch counters."""
        layers = self.layers(self._image, **arguments)
        return {name: shape for layer in layers for name, shape in layer.tensors.items()}

    def build(self, **arguments: Any) -> nn.Module:
        """The torch module with random weights; ValueError for a bad argument."""
        if not self.constructor:
            raise ValueError(
                f"{self.name} is here for its cost alone, which `mobilenets profile` says"
            )
        self.settle(arguments)
        module, _, function = self.constructor.partition(":")
        return cast("nn.Module", getattr(import_module(module), function)(**arguments))

    @property
    def _image(self) -> Shape:
        return 3, self.size, self.size

    def _split(self, arguments: Mapping[str, Any]) -> tuple[Body, dict[str, Any]]:
        known = self.knobs
        for name in arguments:
            if name not in known:
                raise ValueError(unknown_name(name, known, "argument"))
        given = {**known, **arguments}
        body = self.body(**{k: v for k, v in given.items() if k in self.body.knobs()})
        return body, {name: given[name] for name in self.own_knobs}


def by_name(found: Iterable[Network]) -> dict[str, Network]:
    """Networks by their names, in their order."""
    return {network.name: network for network in found}
