"""One deployable file: ONNX with the model's card in its metadata."""

import contextlib
import copy
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenets.card import KEY, ModelCard, Outputs, card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.export.detector import add_suppression, suppressed, without_background
from mobilenets.files import replace_file
from mobilenets.models.deeplab import Labelled
from mobilenets.models.ssd import SSD, Decoded
from mobilenets.runtime.session import open_session
from mobilenets.tasks import task_of

OPSET = 18
TOLERANCE = 1e-4
"""Largest difference from the source that is accepted, relative to the largest output."""
ALIKE = 1e-3
"""Share of pixels whose best two classes may be so near that rounding decides."""
_PARTS = {"boxes": (4,), "detections": (4, 5)}
"""Where a detector's values are cut: boxes, scores and classes are each compared by themselves."""

Array = NDArray[np.float32]


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
    nms: bool = False,
    argmax: bool = False,
    batch: int | None = None,
) -> Exported:
    """Write `model` as ONNX: input `image` (N, 3, H, W) float32, one output.

    A classifier's is `logits` (N, classes), or `probabilities` with `softmax`; a detector's is
    `boxes` (N, anchors, 4 + classes), decoded, or with `nms` `detections` (N, 100, 6), what
    non-maximum suppression leaves; a segmentation network's is `logits` (N, classes, H, W), or
    with `argmax` `classes` (N, H, W) int64. `ModelCard.outputs` has the words. The size is the
    card's.
    `batch` fixes N; None leaves it free. Labels and preprocessing travel in the metadata. The
    file is run and compared with `model` before it gets its name: raises WeightsError where they
    differ, and leaves nothing. ValueError for an argument that is wrong, or not for this task.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"the file's name must end in .onnx, got {path.name!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "no such folder", str(path.parent))
    card = card or card_of(model)
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be a positive integer, got {batch!r}")
    network = deployable(model, card)
    detects = isinstance(network, Decoded)
    if softmax and card.task != "classify":
        raise ValueError(f"softmax is for classifiers, this model's task is {card.task}")
    if argmax and card.task != "segment":
        raise ValueError(f"argmax is to segment, this model's task is {card.task}")
    if nms and not detects:
        raise ValueError(f"nms is for detectors, this model's task is {card.task}")
    source = _source(model, network)
    if softmax:
        network, source = Probabilities(network), Probabilities(source)
    if argmax:
        network, source = Labelled(network), Labelled(source)
    card = card.replace(outputs=_outputs(detects=detects, softmax=softmax, argmax=argmax))
    proto = trace(network, card, batch)
    images = samples(card, batch)
    with torch.inference_mode():
        expected = [source.eval()(torch.from_numpy(some)).numpy() for some in images]
    differences = []

    def write(temporary: Path) -> None:
        found = run(proto, card, temporary, images)
        differences.append(check(found, expected, card))
        if nms:
            last = card.replace(outputs="detections")
            left = run(add_suppression(proto), last, temporary, images)
            differences.append(check(left, [suppressed(boxes) for boxes in found], last))

    replace_file(path, write)
    return Exported(path, path.stat().st_size, max(differences))


def deployable(model: nn.Module, card: ModelCard) -> nn.Module:
    """The network that a file holds: norms folded, and a detector's boxes and scores decoded."""
    model = copy.copy(model)
    set_card(model, card)
    network = task_of(card).deploy(model)
    return without_background(network) if isinstance(network, Decoded) else network


def _outputs(*, detects: bool, softmax: bool, argmax: bool) -> Outputs:
    """What the file's numbers are."""
    if detects:
        return "boxes"
    return "probabilities" if softmax else "classes" if argmax else "logits"


def _source(model: nn.Module, network: nn.Module) -> nn.Module:
    """What the file is compared with: the model as it is, its outputs those of the file."""
    if not isinstance(network, Decoded):
        return model
    assert isinstance(model, SSD)
    return Decoded(model, network.anchors)


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
            output_names=[card.outputs],
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


def samples(card: ModelCard, batch: int | None) -> list[Array]:
    """Random images that a file is tried with, at two batch sizes unless `batch` fixes it."""
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.rand(count, 3, *card.preprocessing.size, generator=generator) * 2 - 1).numpy()
        for count in ((batch,) if batch else (1, 3))
    ]


def run(
    proto: onnx.ModelProto, card: ModelCard, path: Path, images: Sequence[Array]
) -> list[Array]:
    """Write the file with its card; what ONNX Runtime makes of each batch with it."""
    del proto.metadata_props[:]
    proto.metadata_props.add(key=KEY, value=card.to_json())
    onnx.save(proto, str(path))
    session = open_session(path, runtime="onnxruntime")
    return [session(some) for some in images]


def check(found: Sequence[Array], expected: Sequence[Array], card: ModelCard) -> float:
    """The largest difference over the largest value; WeightsError where that is too far."""
    if card.outputs == "classes":
        return _check_classes(found, expected)
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        parts = [np.split(values, _PARTS.get(card.outputs, ()), axis=-1) for values in (one, other)]
        for a, b in zip(*parts, strict=True):
            scale = max(float(np.abs(b).max(initial=0)), 1e-12)
            worst = max(worst, float(np.abs(a - b).max(initial=0)) / scale)
    if not worst <= TOLERANCE:
        raise WeightsError(
            f"the exported network differs from its source by {worst:.1e} of the largest output, "
            f"more than {TOLERANCE:.0e}; nothing was kept"
        )
    return worst


def _check_classes(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """The share of pixels with another class; WeightsError where that is too large."""
    worst = max(float((a != b).mean()) for a, b in zip(found, expected, strict=True))
    if worst > ALIKE:
        raise WeightsError(
            f"the exported network gives {worst:.1%} of the pixels another class than its source, "
            f"more than {ALIKE:.1%}; nothing was kept"
        )
    return worst
