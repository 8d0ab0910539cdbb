"""The tensors inside a model, by the names of its layers: of a torch module, or of an ONNX file.

A layer's name is its module's path in our network, `blocks.13.expand`, with or without the
`backbone.` in front, and means what comes out of it: of a convolution after its norm and its
activation, of a block after its shortcut. In a file of another program it is the tensor's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.engine import Source
from mobilenets.models.costs import LayerCost
from mobilenets.runtime.session import OnnxSession
from mobilenets.tasks.registry import networks

if TYPE_CHECKING:
    import onnx
    from torch import nn

Array = NDArray[np.float32]
BODY = "backbone."
"""What layers of the body begin with in a state dict; people may leave it out."""
INNER = ".conv"
"""The convolution in a layer that has a norm and an activation too."""
TRAILING = {"BatchNormalization", "Clip", "HardSwish", "LeakyRelu", "Relu"}
"""ONNX operators that are part of such a layer."""
WEIGHTED = {"Conv", "Gemm"}


class TorchInside:
    """A torch module seen from inside; `layers` are those of its list that are modules."""

    def __init__(self, module: nn.Module, card: ModelCard) -> None:
        self._modules = dict(module.named_modules())
        self._module = module
        names = (name for name, _ in ends(described(card)))
        self.layers = [short(name) for name in names if name in self._modules]

    def known(self) -> list[str]:
        """Every name that there is."""
        return [*self.layers, *(short(name) for name in self._modules if name)]

    def __call__(self, batch: Array, names: Sequence[str]) -> dict[str, Array]:
        """(N, 3, height, width) -> what comes out of each of these layers, by name.

        ValueError for a layer that runs several times for an image, or gives no tensor.
        """
        import torch

        found: dict[str, list[Any]] = {name: [] for name in names}
        hooks = []
        for name in names:
            module = self._modules.get(name) or self._modules[BODY + name]

            def keep(module: Any, given: Any, out: Any, seen: list[Any] = found[name]) -> None:
                seen.append(out)

            hooks.append(module.register_forward_hook(keep))
        device = next(self._module.parameters()).device
        was = self._module.training
        try:
            with torch.inference_mode():
                self._module.eval()(torch.from_numpy(batch).to(device))
        finally:
            self._module.train(was)
            for hook in hooks:
                hook.remove()
        for name, seen in found.items():
            if len(seen) != 1 or not isinstance(seen[0], torch.Tensor):
                how = f"runs {len(seen)} times" if len(seen) != 1 else "gives several tensors"
                raise ValueError(f"layer {name!r} {how} for an image: it has no one value")
        return {name: seen[0].float().cpu().numpy() for name, seen in found.items()}


class OnnxInside:
    """An ONNX file seen from inside.

    Layers are found by the names of their weights, which our exports keep; where a file has none of
    these, `layers` are the tensors that depend on the image, in the file's order.
    """

    def __init__(self, session: OnnxSession) -> None:
        import onnx

        self._session = session
        self._model = onnx.load_model_from_string(session.source.data)
        if not session.source.whole and session.source.folder is not None:
            onnx.load_external_data_for_model(self._model, str(session.source.folder))
        self._tensors = computed(self._model.graph)
        self._names = named(self._model.graph, session.card)
        self.layers = list(self._names) or list(self._tensors)

    def known(self) -> list[str]:
        """Every name that there is."""
        return [*self.layers, *self._tensors]

    def __call__(self, batch: Array, names: Sequence[str]) -> dict[str, Array]:
        """(N, 3, height, width) -> what comes out of each of these layers, by name."""
        layers = [name.removeprefix(BODY) for name in names]
        tensors = [self._names.get(layer, name) for layer, name in zip(layers, names, strict=True)]
        wanted = list(dict.fromkeys(tensors))
        cut = Source(self._session.source.name, self._cut(wanted), self._session.source.folder)
        arrays = dict(zip(wanted, self._session.on(cut)(batch, len(wanted)), strict=True))
        return {name: arrays[tensor] for name, tensor in zip(names, tensors, strict=True)}

    def runner(self, name: str) -> Callable[[Array], Array]:
        """What gives a layer of many batches, opened once: (N, 3, height, width) -> its values."""
        tensor = self._names.get(name, name)
        cut = Source(self._session.source.name, self._cut([tensor]), self._session.source.folder)
        run = self._session.on(cut)
        return lambda batch: run(batch, 1)[0]

    def _cut(self, tensors: Sequence[str]) -> bytes:
        """The file with these tensors as its outputs, and nothing that they do not need."""
        from onnx import ValueInfoProto, helper

        graph, needed, kept = self._model.graph, set(tensors), []
        for node in reversed(graph.node):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        left = helper.make_graph(
            kept[::-1],
            graph.name or "part",
            [value for value in graph.input if value.name in needed],
            [ValueInfoProto(name=name) for name in tensors],
            [tensor for tensor in graph.initializer if tensor.name in needed],
        )
        model = helper.make_model(
            left,
            opset_imports=self._model.opset_import,
            functions=self._model.functions,
            ir_version=self._model.ir_version,
        )
        data: bytes = model.SerializeToString()
        return data


Inside = TorchInside | OnnxInside


def described(card: ModelCard) -> list[LayerCost]:
    """The list of layers of the card's network; [] for a network that we have not."""
    if card.architecture not in networks():
        return []
    network = networks()[card.architecture][1]
    given = {name: value for name, value in card.arguments.items() if name in network.knobs}
    return network.layers((3, *card.preprocessing.size), **given)


def ends(layers: Sequence[LayerCost]) -> Iterator[tuple[str, LayerCost]]:
    """Every layer by its name, and behind the last one of a block the block by its own."""
    last = {layer.block: layer.name for layer in layers if layer.block}
    for layer in layers:
        yield layer.name, layer
        if last.get(layer.block) == layer.name:
            yield layer.block, layer


def short(name: str) -> str:
    """A layer's name as people write it."""
    return name.removeprefix(BODY)


def computed(graph: onnx.GraphProto) -> list[str]:
    """The tensors that depend on the graph's input, in the order in which they are made."""
    weights = {tensor.name for tensor in graph.initializer}
    known = {value.name for value in graph.input if value.name not in weights}
    found = []
    for node in graph.node:
        if known.intersection(node.input):
            found += [name for name in node.output if name]
            known.update(found)
    return found


def named(graph: onnx.GraphProto, card: ModelCard) -> dict[str, str]:
    """Layer -> the tensor that it gives, for the layers whose weights have our names."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weighted = {
        node.input[1].removesuffix(".weight"): node
        for node in graph.node
        if node.op_type in WEIGHTED and node.input[1].endswith(".weight")
    }
    found: dict[str, str] = {}
    for name, layer in ends(described(card)):
        found_node = weighted.get(layer.name) or weighted.get(layer.name + INNER)
        if found_node is None:
            continue
        out = found_node.output[0]
        if layer.name not in weighted:
            out = _behind(out, readers)
        if name == layer.block and len(layer.reads) > 1:
            sums = [one for one in readers.get(out, ()) if one.op_type == "Add"]
            if len(sums) != 1:
                continue
            out = sums[0].output[0]
        found[short(name)] = out
    return found


def _behind(tensor: str, readers: Mapping[str, Iterable[onnx.NodeProto]]) -> str:
    """What is left of a tensor behind the norm and the activation that follow it."""
    while True:
        nodes = list(readers.get(tensor, ()))
        if len(nodes) != 1 or nodes[0].op_type not in TRAILING:
            return tensor
        tensor = nodes[0].output[0]
