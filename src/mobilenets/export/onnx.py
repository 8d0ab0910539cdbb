"""One deployable file: ONNX with the model's card in its metadata."""

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mobilenets.card import KEY, ModelCard, card_of
from mobilenets.errors import WeightsError
from mobilenets.files import replace_file
from mobilenets.models.layers import fold_norms
from mobilenets.runtime.session import open_session

OPSET = 18
TOLERANCE = 1e-4
"""Largest difference from the source that is accepted, relative to the largest output."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far its outputs are from the source's, relatively."""

    path: Path
    bytes: int
    difference: float


class Probabilities(nn.Module):
    """A network with a softmax behind it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.network(x)
        return out.softmax(1)


def export_onnx(
    model: nn.Module,
    path: str | Path,
    *,
    card: ModelCard | None = None,
    softmax: bool = False,
    batch: int | None = None,
) -> Exported:
    """Write `model` as ONNX: input `image` (N, 3, H, W) float32, one output (N, classes).

    The size is the card's. `batch` fixes N; None leaves it free. Labels and preprocessing travel
    in the metadata. The file is run and compared with `model` before it gets its name: raises
    WeightsError where they differ, and leaves nothing.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"the file's name must end in .onnx, got {path.name!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "no such folder", str(path.parent))
    card = card or card_of(model)
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be a positive integer, got {batch!r}")
    network = fold_norms(model)
    if softmax:
        network = Probabilities(network)
    card = card.replace(outputs="probabilities" if softmax else "logits")
    proto = trace(network, card, batch)
    proto.metadata_props.add(key=KEY, value=card.to_json())
    differences = []

    def write(temporary: Path) -> None:
        onnx.save(proto, str(temporary))
        differences.append(compare(model, temporary, softmax=softmax, batch=batch))

    replace_file(path, write)
    (difference,) = differences
    return Exported(path, path.stat().st_size, difference)


def trace(network: nn.Module, card: ModelCard, batch: int | None) -> onnx.ModelProto:
    """The graph, without what torch notes of its own sources in it."""
    example = torch.zeros(batch or 2, 3, *card.preprocessing.size)
    free: Any = None if batch else [{0: torch.export.Dim("batch")}]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's, of its own future
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["probabilities" if card.outputs == "probabilities" else "logits"],
            dynamic_shapes=free,
            verbose=False,
        )
    assert program is not None
    program.optimize()
    proto: onnx.ModelProto = program.model_proto
    proto.producer_name = "mobilenets"
    graph = proto.graph
    parts: list[Any] = [*graph.node, *graph.value_info, *graph.initializer]
    for part in (*parts, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    del proto.metadata_props[:]
    return proto


def compare(model: nn.Module, path: Path, *, softmax: bool, batch: int | None) -> float:
    """The largest difference over the largest output, on random images; WeightsError if too far."""
    session = open_session(path, runtime="onnxruntime")
    height, width = session.card.preprocessing.size
    worst = 0.0
    generator = torch.Generator().manual_seed(0)
    for count in (batch,) if batch else (1, 3):
        images = torch.rand(count, 3, height, width, generator=generator) * 2 - 1
        with torch.inference_mode():
            expected = model.eval()(images)
            expected = (expected.softmax(1) if softmax else expected).numpy()
        found = session(images.numpy())
        scale = max(float(np.abs(expected).max()), 1e-12)
        worst = max(worst, float(np.abs(found - expected).max()) / scale)
    if not worst <= TOLERANCE:
        raise WeightsError(
            f"the exported network differs from its source by {worst:.1e} of the largest output, "
            f"more than {TOLERANCE:.0e}; nothing was kept"
        )
    return worst
