"""Layers one after another: what a network is described with.

A layer says what it costs and which tensors it has in our state dict, so costs, the shapes that
files of weights must have, and the test of the torch modules all come from one list.
"""

from collections.abc import Mapping

from mobilenets.models.costs import IMAGE, LayerCost, Shape, elements
from mobilenets.models.geometry import Padding, output_size

NORM = ("weight", "bias", "running_mean", "running_var")
"""The tensors of a batch normalisation, in torch's names; the first two are trained."""


class Layers:
    """Layers in the order they run; every method adds one and returns its name.

    `image` is (channels, height, width); `padding` is the rule of the convolutions to come.
    """

    def __init__(self, image: Shape, padding: Padding = "same") -> None:
        self.shapes = {IMAGE: image}
        self.padding = padding
        self.found: list[LayerCost] = []

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        depthwise: bool = False,
        block: str = "",
        adds: str = "",
        bias: bool = False,
        inner: str = "",
        size: Shape | None = None,
    ) -> str:
        """A convolution, a norm, ReLU6; then the output of the layer `adds`, added.

        With `bias` it has one, and no norm; the convolution is then the module `name` itself, or
        the one called `inner` in it. `size`, (height, width) that come out, is for a convolution
        with a padding of its own.
        """
        c_in, height, width = self.shapes[source]
        size = size or (
            output_size(height, stride, self.padding, depthwise=depthwise),
            output_size(width, stride, self.padding, depthwise=depthwise),
        )
        weight = (channels, 1 if depthwise else c_in, kernel, kernel)
        if bias:
            path = f"{name}.{inner}" if inner else name
            tensors: dict[str, Shape] = {f"{path}.weight": weight, f"{path}.bias": (channels,)}
        else:
            norm: dict[str, Shape] = {f"{name}.norm.{part}": (channels,) for part in NORM}
            tensors = {f"{name}.conv.weight": weight, **norm}
        return self.add(
            LayerCost(
                name,
                "depthwise" if depthwise else f"conv{kernel}x{kernel}",
                self.shapes[source],
                (channels, *size),
                kernel,
                stride,
                dilation,
                parameters=_trained(tensors, norm=False),
                norm=_trained(tensors, norm=True),
                madds=elements(weight) * elements(size),
                reads=(source, adds) if adds else (source,),
                block=block,
                tensors=tensors,
            )
        )

    def pool(self, name: str, source: str) -> str:
        """The mean of a whole map: (channels,) comes out."""
        shape = self.shapes[source]
        return self.add(LayerCost(name, "pool", shape, shape[:1], reads=(source,)))

    def linear(self, name: str, source: str, outputs: int) -> str:
        """A fully connected layer with a bias on a tensor of (features,)."""
        (features,) = self.shapes[source]
        tensors: dict[str, Shape] = {
            f"{name}.weight": (outputs, features),
            f"{name}.bias": (outputs,),
        }
        return self.add(
            LayerCost(
                name,
                "fc",
                (features,),
                (outputs,),
                parameters=_trained(tensors, norm=False),
                madds=features * outputs,
                reads=(source,),
                tensors=tensors,
            )
        )

    def add(self, layer: LayerCost) -> str:
        """Any other layer, its cost worked out by the caller."""
        self.found.append(layer)
        self.shapes[layer.name] = layer.output
        return layer.name


def _trained(tensors: Mapping[str, Shape], *, norm: bool) -> int:
    """How many numbers are trained, in norms or elsewhere; running statistics are not."""
    trained = (name for name in tensors if not name.endswith(("running_mean", "running_var")))
    return sum(elements(tensors[name]) for name in trained if (".norm." in name) == norm)
