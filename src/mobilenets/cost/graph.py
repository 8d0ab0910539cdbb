"""The cost of any ONNX file, from its shapes: the weights are not needed, only their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenets.card import KEY, ModelCard
from mobilenets.cost.numbers import fold_numbers
from mobilenets.cost.profiling import image_size
from mobilenets.errors import WeightsError
from mobilenets.files import absent
from mobilenets.models.costs import Cost, LayerCost, Shape, elements

if TYPE_CHECKING:
    import onnx

VIEWS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Pad", "Cast"}
"""Operators that make no tensor of their own; the padding is part of the convolution after it."""

QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
"""Also views: they say how a tensor is stored."""

POINTWISE = {"Add", "BatchNormalization", "Clip", "Div", "HardSigmoid", "HardSwish", "LeakyRelu"}
POINTWISE |= {"Mul", "PRelu", "Relu", "Sigmoid", "Softmax", "Sub"}
"""Operators that can overwrite the tensor they read: part of the layer that wrote it."""

CONVOLUTIONS = {"Conv": (1, 2), "ConvInteger": (1,), "QLinearConv": (3, 8), "ConvTranspose": (1, 2)}
PRODUCTS = {"Gemm": (0, 1, 2), "MatMul": (0, 1), "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3)}
"""Operators with multiply-adds -> which of their inputs may be weights and biases."""

POOLS = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReduceMean"}


def profile_onnx(
    path: str | Path,
    *,
    resolution: int | tuple[int, int] | None = None,
    bytes_per_element: int = 4,
) -> Cost:
    """The cost of an ONNX file for one image: convolutions, Gemm and MatMul count.

    A batch dimension is 1 whatever the file says. `resolution` (pixels, one side or (height,
    width)) takes the place of the file's own; it is needed where the file leaves it open and its
    metadata does not say either. `norm` is what BatchNormalization nodes hold; an exporter
    usually folds them into the convolutions' weights and biases.

    Raises WeightsError for a file that is damaged or whose shapes cannot be known, ValueError for
    a resolution that is needed or not positive, OSError for a file that cannot be read.
    """
    import onnx

    path = Path(path)
    model = read_model(path)
    initial = {tensor.name for tensor in model.graph.initializer}
    card = read_card(model, path)
    if resolution is None and card:
        resolution = card.preprocessing.size
    inputs = {
        value.name: fix_input(value, None if resolution is None else image_size(resolution), path)
        for value in model.graph.input
        if value.name not in initial
    }
    if not inputs:
        raise WeightsError(f"{path}: the network has no input")
    try:
        shapes = infer_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        where = "" if resolution is None else f" at resolution {resolution}"
        raise WeightsError(f"{path}: its shapes do not fit{where} ({first_line(error)})") from error
    walk = Walk(inputs, shapes, path)
    for node in model.graph.node:
        walk.visit(node)
    layers = tuple(mark_blocks(walk.layers))
    name = card.architecture if card and card.architecture else path.name
    arguments = card.arguments if card else {}
    return Cost(name, layers, inputs, arguments, bytes_per_element)


def read_model(path: Path) -> onnx.ModelProto:
    """The file's graph, with the weights in it but not those in files beside it."""
    import onnx
    import onnx.inliner
    from google.protobuf.message import DecodeError

    with path.open("rb") as file:
        if why := absent(file.read(64)):
            raise WeightsError(f"{path}: {why}")
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise WeightsError(f"{path}: not an ONNX file, or a damaged one") from error
    if not model.graph.node or not model.ir_version:
        raise WeightsError(f"{path}: not an ONNX file, or an empty one")
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    return model


def read_card(model: onnx.ModelProto, path: Path) -> ModelCard | None:
    """What the file says of itself, if we wrote it."""
    for entry in model.metadata_props:
        if entry.key == KEY:
            return ModelCard.from_json(entry.value, path)
    return None


def fix_input(value: onnx.ValueInfoProto, size: tuple[int, int] | None, path: Path) -> Shape:
    """Write a batch of one and `size` into an input of the graph; its shape for one image."""
    dims = value.type.tensor_type.shape.dim
    if not dims:
        raise WeightsError(f"{path}: the shape of input {value.name!r} is not known")
    dims[0].dim_value = 1
    if size is not None and len(dims) == 4:
        channels_last = dims[3].dim_value in (1, 3) and dims[1].dim_value not in (1, 3)
        height = 1 if channels_last else 2
        dims[height].dim_value, dims[height + 1].dim_value = size
    if any(dim.dim_value <= 0 for dim in dims):
        raise ValueError(
            f"resolution must be given, as pixels or (height, width): {path} leaves it open"
        )
    return tuple(dim.dim_value for dim in dims[1:])


def infer_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """The shape of every tensor in the graph, batch first; those not known are left out.

    Where some are not, numbers that the graph works out about shapes become constants of it.
    """
    graph = model.graph
    # What the file says holds for its own batch and resolution.
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    shapes = _inferred(model)
    results = {name for node in graph.node for name in node.output if name}
    while results - shapes.keys() and fold_numbers(model, shapes):
        shapes = _inferred(model)
    return shapes


def _inferred(model: onnx.ModelProto) -> dict[str, Shape]:
    """What shape inference finds in one pass."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def first_line(error: Exception) -> str:
    """The part of a library's message that a person can use."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Walk:
    """Turns nodes, in the order they run, into layers."""

    def __init__(self, inputs: dict[str, Shape], shapes: dict[str, Shape], path: Path) -> None:
        self.layers: list[LayerCost] = []
        self.shapes = shapes
        self.path = path
        self.source = {name: name for name in inputs}
        """Tensor -> the layer or the input that holds it; weights have no entry."""
        self.index: dict[str, int] = {}
        """Layer -> its place in `layers`."""
        self.readers: dict[str, int] = {}
        """Layer -> how many nodes have read it so far."""

    def visit(self, node: onnx.NodeProto) -> None:
        """Add a layer, or add the node to the layer that it is part of."""
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise WeightsError(f"{self.path}: cannot count {node.op_type}, a branch or a loop")
        sources = [self.source[name] for name in node.input if name in self.source]
        if not sources or node.op_type == "Shape":
            return  # weights made from weights, or numbers about shapes
        if node.op_type in VIEWS | QUANTIZERS:
            self.source[node.output[0]] = sources[0]
            return
        if node.op_type in POINTWISE and self.merge(node, sources):
            return
        for name in sources:
            self.readers[name] = self.readers.get(name, 0) + 1
        layer = self.layer(node, tuple(dict.fromkeys(sources)))
        self.index[layer.name] = len(self.layers)
        self.layers.append(layer)
        for output in node.output:
            self.source[output] = layer.name

    def merge(self, node: onnx.NodeProto, sources: list[str]) -> bool:
        """Make a pointwise node part of the layer written last among those that it reads."""
        target = max(sources, key=lambda name: self.index.get(name, -1))
        if target not in self.index or self.readers.get(target):
            return False  # the network's input, or a tensor that somebody else read before
        layer = self.layers[self.index[target]]
        if elements(layer.output) != elements(self.shape(node.output[0])[1:]):
            return False  # a broadcast: larger than what it reads
        others = tuple(name for name in dict.fromkeys(sources) if name != target)
        for name in others:
            self.readers[name] = self.readers.get(name, 0) + 1
        parameters, norm = layer.parameters, layer.norm
        if node.op_type == "BatchNormalization":
            norm += self.weights(node, (1, 2))
        if node.op_type == "Add" and layer.parameters and not others:
            parameters += self.weights(node, (0, 1))  # a bias that is a node of its own
        self.layers[self.index[target]] = replace(
            layer,
            reads=tuple(dict.fromkeys(layer.reads + others)),
            parameters=parameters,
            norm=norm,
        )
        self.source[node.output[0]] = target
        return True

    def layer(self, node: onnx.NodeProto, reads: tuple[str, ...]) -> LayerCost:
        """The cost of a node that writes a tensor."""
        data = next(name for name in node.input if name in self.source)
        shape, output = self.shape(data), self.shape(node.output[0])
        number = {attribute.name: attribute.i for attribute in node.attribute}
        numbers = {attribute.name: list(attribute.ints) for attribute in node.attribute}
        pools = node.op_type in POOLS
        common: dict[str, Any] = {
            "input": shape[1:],
            "output": squeezed(output) if pools else output[1:],
            "reads": reads,
        }
        name = node.output[0]
        if node.op_type in CONVOLUTIONS:
            places = CONVOLUTIONS[node.op_type]
            weight = self.shape(node.input[places[0]])
            pixels = shape if node.op_type == "ConvTranspose" else output
            return LayerCost(
                name,
                conv_kind(weight, number.get("group", 1)),
                kernel=weight[-1],
                stride=numbers.get("strides", [1])[0],
                dilation=numbers.get("dilations", [1])[0],
                parameters=self.weights(node, places),
                madds=elements(pixels[1:]) * elements(weight[1:]),
                **common,
            )
        if node.op_type in PRODUCTS:
            inner = shape[-1] if not number.get("transA") else shape[0]
            return LayerCost(
                name,
                "fc",
                parameters=self.weights(node, PRODUCTS[node.op_type]),
                madds=elements(output[1:]) * inner,
                **common,
            )
        return LayerCost(name, "pool" if pools else node.op_type, **common)

    def weights(self, node: onnx.NodeProto, places: Sequence[int]) -> int:
        """How many numbers the weights at these places of a node's inputs hold."""
        names = [node.input[place] for place in places if place < len(node.input)]
        held = [name for name in names if name and name not in self.source]
        return sum(elements(self.shape(name)) for name in held)

    def shape(self, name: str) -> Shape:
        """A tensor's shape, batch first."""
        if name not in self.shapes:
            raise WeightsError(f"{self.path}: the shape of {name!r} cannot be known")
        return self.shapes[name]


def squeezed(output: Shape) -> Shape:
    """One image's shape; (channels,) for a map of one pixel that a pool left."""
    return output[1:2] if output[2:] == (1, 1) else output[1:]


def conv_kind(weight: Shape, group: int) -> str:
    """`depthwise`, or `conv` and the kernel's size."""
    if group > 1 and weight[1] == 1:
        return "depthwise"
    return "conv" + "x".join(str(side) for side in weight[2:])


def mark_blocks(layers: list[LayerCost]) -> list[LayerCost]:
    """Name the separable pairs (depthwise, 1x1) and inverted residuals (1x1, depthwise, 1x1).

    The first 1x1 is an expansion where it adds channels and the last takes channels away; that
    tells paper 2's block from two of paper 1's. An expansion that others read too, as SSD does,
    is written: no part of the block.
    """
    readers: dict[str, list[str]] = {}
    for layer in layers:
        for name in layer.reads:
            readers.setdefault(name, []).append(layer.name)
    place = {layer.name: index for index, layer in enumerate(layers)}
    block: dict[str, str] = {}
    for last in layers:
        middle = layers[place[last.reads[0]]] if last.reads[0] in place else None
        if last.kind != "conv1x1" or middle is None or middle.kind != "depthwise":
            continue
        if readers[middle.name] != [last.name]:
            continue
        block[middle.name] = block[last.name] = last.name
        first = layers[place[middle.reads[0]]] if middle.reads[0] in place else None
        if (
            first is not None
            and first.kind == "conv1x1"
            and readers[first.name] == [middle.name]
            and first.input[0] < first.output[0] > last.output[0]
        ):
            block[first.name] = last.name
    return [replace(layer, block=block.get(layer.name, "")) for layer in layers]
