"""A network as a list of layers, and the sums over it.

One multiply-add is one multiplication and one addition. Those of convolutions, of fully connected
layers and of matrix products count; norms, activations, sums, pools and biases do not. That is
how both papers count.

Bytes of activations are for one image. A layer is a convolution with its norm, its activation and
the shortcut added to it: one tensor, written once; padding is part of the convolution.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

IMAGE = "image"
"""The name of the network's input among the tensors that layers read."""

Shape = tuple[int, ...]
"""Of one image's tensor: (channels, height, width), or (channels,) once it is pooled."""


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs, and which tensors it reads."""

    name: str
    """The module's path in the network, or the output's name in an ONNX file."""
    kind: str
    """`conv1x1`, `conv3x3`, `depthwise`, `fc`, `pool`, `norm`, `concat`, `resize`, `flip`, or an
    ONNX operator's name."""
    input: Shape
    """The shape of what it reads, of one image: (channels, height, width) or (channels,)."""
    output: Shape
    """The shape of what it writes."""
    kernel: int = 1
    """The kernel's side in pixels; 1 where it has none."""
    stride: int = 1
    """Steps of the kernel, in pixels of the input."""
    dilation: int = 1
    """The atrous rate: pixels between neighbours of the kernel; 1 for none between."""
    parameters: int = 0
    """Weights and biases of the convolution or the fully connected layer."""
    norm: int = 0
    """Gamma and beta of the batch normalisation; the scale of an L2 norm."""
    madds: int = 0
    """Multiply-adds for one image."""
    reads: tuple[str, ...] = (IMAGE,)
    """The layers whose outputs must be alive while this one runs; a shortcut is among them."""
    block: str = ""
    """The inverted residual or separable pair that it is part of."""
    tensors: Mapping[str, Shape] = field(default_factory=dict)
    """The names and shapes that it has in our state dict; empty for an ONNX file's layer."""

    @property
    def weights(self) -> int:
        """Of the parameters those that are multiplied with something: no biases."""
        if not self.madds:
            return self.parameters
        pixels = elements(self.input[1:] if self.kind == "fc" else self.output[1:])
        return min(self.madds // max(pixels, 1), self.parameters)

    @property
    def biases(self) -> int:
        """One for each channel, once its norm is folded into its weights."""
        own = self.parameters - self.weights
        return max(own, self.norm // 2) if self.madds else own + self.norm

    def to_dict(self) -> dict[str, Any]:
        """Every field but `tensors`, as JSON values; shapes become lists there."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "tensors"}


class Map(NamedTuple):
    """The largest feature map that leaves a block at one resolution."""

    height: int
    """In places of the map."""
    width: int
    """In places of the map."""
    channels: int
    """Values at each place."""
    bytes: int
    """All of it, at the cost's `bytes_per_element`."""


def elements(shape: Iterable[int]) -> int:
    """The number of values in a tensor of this shape."""
    total = 1
    for size in shape:
        total *= size
    return total


@dataclass(frozen=True)
class Cost:
    """The layers of a network in the order they run, and what they add up to."""

    name: str
    """The network's name, or the file's."""
    layers: tuple[LayerCost, ...]
    """In the order they run."""
    inputs: dict[str, Shape]
    """The network's inputs by the names that `LayerCost.reads` calls them."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Every argument of the constructor with its value; of a file what its card says."""
    bytes_per_element: int = 4
    """Of an activation: 4 for float32, 1 for int8."""

    @property
    def parameters(self) -> int:
        """Every trained number: `conv_fc` and `norm`; running statistics are not among them."""
        return self.conv_fc + self.norm

    @property
    def conv_fc(self) -> int:
        """Weights and biases of convolutions and fully connected layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def norm(self) -> int:
        """Gammas and betas of batch normalisation, scales of L2 norms."""
        return sum(layer.norm for layer in self.layers)

    @property
    def head(self) -> int:
        """Of the parameters those of layers behind the body; 0 of a file, which names no body."""
        behind = [x for x in self.layers if not x.name.startswith("backbone.")]
        found = sum(x.parameters + x.norm for x in behind)
        return found if len(behind) < len(self.layers) else 0

    @property
    def file_bytes(self) -> dict[str, int]:
        """About what a deployed file's numbers take, by the form that they are stored in.

        Norms are folded into the convolutions: a norm's two numbers for a channel become one bias.
        As `int8`, weights take a byte, biases four, and the scale of each channel four. The graph
        and the labels come on top.
        """
        biases = sum(layer.biases for layer in self.layers)
        weights = sum(layer.weights for layer in self.layers)
        numbers = weights + biases
        return {"float32": 4 * numbers, "float16": 2 * numbers, "int8": weights + 8 * biases}

    @property
    def madds(self) -> int:
        """Multiply-adds for one image."""
        return sum(layer.madds for layer in self.layers)

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of the first input, in pixels; (1, 1) where it is no image."""
        shape = next(iter(self.inputs.values()))
        return (shape[1], shape[2]) if len(shape) == 3 else (1, 1)

    @property
    def output_bytes(self) -> int:
        """Every layer's output, each written once; the image is not among them."""
        return sum(self.bytes_of(layer.output) for layer in self.layers)

    @property
    def peak_bytes(self) -> int:
        """The most that is alive at once, layer by layer: inputs, output, shortcuts held."""
        return self._peak([layer.name for layer in self.layers])

    @property
    def peak_fused_bytes(self) -> int:
        """The same where a block is one operation whose inner tensors are never in memory.

        Paper 2, section 5.1: the most over all blocks of input and output together. The image,
        the stem's output and the last convolution's are tensors in memory here too.
        """
        return self._peak([layer.block or layer.name for layer in self.layers])

    @property
    def largest_maps(self) -> tuple[Map, ...]:
        """For each resolution the largest map that leaves a block or a pool, largest size first.

        Paper 2, Table 3, which leaves out the stem's and the last convolution's outputs: the one
        can be computed row by row as the first block asks for it, the other summed by the pool.
        """
        ends = {layer.block: layer.output for layer in self.layers if layer.block}
        shapes = [*ends.values(), *(x.output for x in self.layers if x.kind == "pool")]
        best: dict[tuple[int, int], Map] = {}
        for shape in shapes:
            channels, height, width = (*shape, 1, 1)[:3]
            found = Map(height, width, channels, self.bytes_of(shape))
            best[height, width] = max(found, best.get((height, width), found))
        return tuple(sorted(best.values(), reverse=True))

    def bytes_of(self, shape: Iterable[int]) -> int:
        """The bytes of a tensor of this shape."""
        return elements(shape) * self.bytes_per_element

    def shares(self) -> dict[str, tuple[float, float]]:
        """Kind of layer -> its parts of all multiply-adds and of `conv_fc`, each 0..1.

        Paper 1, Table 2.
        """
        kinds = list(dict.fromkeys(x.kind for x in self.layers if x.madds))
        return {
            kind: (
                sum(x.madds for x in self.layers if x.kind == kind) / self.madds,
                sum(x.parameters for x in self.layers if x.kind == kind) / max(self.conv_fc, 1),
            )
            for kind in kinds
        }

    def to_dict(self, *, layers: bool = False) -> dict[str, Any]:
        """JSON values; the layers too where `layers` is true."""
        answer: dict[str, Any] = {
            "name": self.name,
            "arguments": self.arguments,
            "resolution": list(self.resolution),
            "parameters": {
                "total": self.parameters,
                "conv_fc": self.conv_fc,
                "norm": self.norm,
                "head": self.head,
            },
            "madds": self.madds,
            "file_bytes": self.file_bytes,
            "activation_bytes": {
                "bytes_per_element": self.bytes_per_element,
                "outputs": self.output_bytes,
                "peak": self.peak_bytes,
                "peak_fused": self.peak_fused_bytes,
                "largest_maps": [found._asdict() for found in self.largest_maps],
            },
        }
        if layers:
            answer["layers"] = [
                {**layer.to_dict(), "output_bytes": self.bytes_of(layer.output)}
                for layer in self.layers
            ]
        return answer

    def _peak(self, operations: Sequence[str]) -> int:
        """Bytes alive at once at most; `operations` says which operation each layer is part of.

        A tensor lives from the operation that writes it to the last that reads it; one that
        nobody reads is the network's answer and lives to the end. A tensor that is written and
        read within one operation is never in memory.
        """
        # An operation runs when its last layer is due.
        due = {operation: index for index, operation in enumerate(operations)}
        end = len(operations) - 1
        born = dict.fromkeys(self.inputs, -1)
        read_last: dict[str, int] = {}
        for layer, operation in zip(self.layers, operations, strict=True):
            born[layer.name] = due[operation]
            for name in layer.reads:
                read_last[name] = max(read_last.get(name, 0), due[operation])
        sizes = {layer.name: self.bytes_of(layer.output) for layer in self.layers}
        sizes.update((name, self.bytes_of(shape)) for name, shape in self.inputs.items())
        change = [0] * (end + 2)
        for name, start in born.items():
            if read_last.get(name) != start:
                change[max(start, 0)] += sizes[name]
                change[read_last.get(name, end) + 1] -= sizes[name]
        alive = peak = 0
        for difference in change:
            alive += difference
            peak = max(peak, alive)
        return peak
