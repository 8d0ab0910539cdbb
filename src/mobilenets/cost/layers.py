"""Layers one after another: what the networks' costs are written down with."""

from mobilenets.cost.measure import IMAGE, LayerCost, Shape, elements
from mobilenets.models.geometry import Padding, output_size


class Layers:
    """Layers one after another; every method adds one and returns its name."""

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
        size: Shape | None = None,
    ) -> str:
        """A convolution, a norm, ReLU6; then the output of the layer `adds`, added.

        With `bias` it has one, and no norm. `size`, (height, width) that come out, is for a
        convolution with a padding of its own.
        """
        c_in, height, width = self.shapes[source]
        size = size or (
            output_size(height, stride, self.padding, depthwise=depthwise),
            output_size(width, stride, self.padding, depthwise=depthwise),
        )
        weights = channels * (1 if depthwise else c_in) * kernel**2
        return self.add(
            LayerCost(
                name,
                "depthwise" if depthwise else f"conv{kernel}x{kernel}",
                self.shapes[source],
                (channels, *size),
                kernel,
                stride,
                dilation,
                parameters=weights + (channels if bias else 0),
                norm=0 if bias else 2 * channels,
                madds=weights * elements(size),
                reads=(source, adds) if adds else (source,),
                block=block,
            )
        )

    def classifier(self, source: str, classes: int) -> str:
        """The average pool and the fully connected layer."""
        shape = self.shapes[source]
        channels = shape[0]
        pool = self.add(LayerCost("pool", "pool", shape, (channels,), reads=(source,)))
        weights = channels * classes
        return self.add(
            LayerCost(
                "classifier",
                "fc",
                (channels,),
                (classes,),
                parameters=weights + classes,
                madds=weights,
                reads=(pool,),
            )
        )

    def add(self, layer: LayerCost) -> str:
        """Any layer; its name."""
        self.found.append(layer)
        self.shapes[layer.name] = layer.output
        return layer.name
