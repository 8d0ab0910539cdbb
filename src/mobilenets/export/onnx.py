"""One deployable file: ONNX with the model's card in its metadata."""

import contextlib
import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from mobilenets.card import KEY, ModelCard, card_of, set_card
from mobilenets.files import made_folder, replace_file
from mobilenets.inference import named_arrays, open_session
from mobilenets.models.geometry import unknown_name
from mobilenets.tasks.forms import Form
from mobilenets.tasks.registry import task_of, with_part
from mobilenets.tasks.values import Arrays
from mobilenets.weights.fitted import as_built

OPSET = 18
NOTHING: Mapping[str, bool] = MappingProxyType({})

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far its outputs are from the source's, relatively."""

    path: Path
    """The file."""
    bytes: int
    """Its size."""
    difference: float
    """The largest difference between its outputs and the source's, over the largest value."""


def export_onnx(
    model: nn.Module,
    path: str | Path,
    card: ModelCard | None = None,
    batch: int | None = None,
    **options: bool,
) -> Exported:
    """Write `model` as ONNX: input `image` (N, 3, H, W) float32, the outputs its task's.

    A classifier's is `logits` (N, classes), or `probabilities` with `softmax`; a detector's is
    `boxes` (N, anchors, 4 + classes), decoded, or with `nms` `detections` (N, 100, 6), what
    non-maximum suppression leaves; a segmentation network's is `logits` (N, classes, H, W), or
    with `argmax` `classes` (N, H, W) int64. `ModelCard.outputs` has the words. The size is the
    card's.
    `batch` fixes N; None leaves it free. Labels and preprocessing travel in the metadata. The
    folder is made where it is not there. The file is run and compared with `model` before it gets
    its name: raises WeightsError where they differ, and leaves nothing. ValueError for an argument
    that is wrong, or not for this task.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"the file's name must end in .onnx, got {path.name!r}")
    if card is None:
        model = as_built(model, strict=False)
        card = card_of(model)
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be a positive integer, got {batch!r}")
    form = form_of(model, card, options)
    proto = trace(form.network, form.card, batch)
    images = samples(card, batch)
    form.source.eval()
    with torch.inference_mode():
        outputs = [form.source(torch.from_numpy(some)) for some in images]
    expected = [named_arrays([one], form.card) for one in outputs]
    differences = []

    def write(temporary: Path) -> None:
        found = run(proto, form.card, temporary, images)
        differences.append(form.compare(found, expected))
        if form.finish is not None:
            last = form.finish
            left = run(last.change(proto), last.card, temporary, images)
            differences.append(last.compare(left, [last.expected(one) for one in found]))

    with made_folder(path.parent):
        replace_file(path, write)
    return Exported(path, path.stat().st_size, max(differences))


def form_of(model: nn.Module, card: ModelCard, options: Mapping[str, bool] = NOTHING) -> Form:
    """What of `model` goes into a file, by its task; ValueError for an option that it has not."""
    task = task_of(card)
    chosen = {name: value for name, value in options.items() if value}
    known = {
        key: words for one in with_part("outputs") for key, words in one.outputs.OPTIONS.items()
    }
    for name in options:
        if name not in known:
            raise ValueError(unknown_name(name, known, "option"))
        if name in chosen and name not in task.outputs.OPTIONS:
            raise ValueError(f"{name} is {known[name]}, this model's task is {task.name}")
    card = card.replace(task=task.name)
    model = copy.copy(model)
    set_card(model, card)
    return task.outputs.form(model, card, **chosen)


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
            output_names=[one.name for one in card.outputs],
            dynamic_shapes=free,
            verbose=False,
        )
    assert program is not None
    program.optimize()
    proto: onnx.ModelProto = program.model_proto
    proto.producer_name, proto.producer_version = "mobilenets", ""  # it is torch's
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
) -> list[Arrays]:
    """Write the file with its card; what ONNX Runtime makes of each batch with it."""
    del proto.metadata_props[:]
    proto.metadata_props.add(key=KEY, value=card.to_json())
    onnx.save(proto, str(path))
    session = open_session(path, runtime="onnxruntime")
    return [session(some) for some in images]
