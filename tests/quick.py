"""Exports for tests in which a file is only the means: by torch's older exporter, in a second."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import onnx
import pytest
import torch

from mobilenets.card import ModelCard
from mobilenets.export import onnx as module


@contextmanager
def quick_export() -> Iterator[None]:
    """Meanwhile `export_onnx` traces so; the file is still compared with its source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "trace", traced)
        yield


def traced(network: torch.nn.Module, card: ModelCard, batch: int | None) -> onnx.ModelProto:
    """The graph of `network`, named as `export.onnx.trace` names it."""
    names = [one.name for one in card.outputs]
    image = torch.zeros(batch or 2, 3, *card.preprocessing.size)
    return onnx.load_from_string(scripted(network, image, "image", names, free=not batch))


def scripted(
    network: torch.nn.Module, image: torch.Tensor, given: str, found: list[str], *, free: bool
) -> bytes:
    """What torch's older exporter writes; `free` leaves the batch open."""
    file = io.BytesIO()
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's, of its own future
        torch.onnx.export(
            network.eval(),
            (image,),
            file,
            dynamo=False,
            dynamic_axes={name: {0: "batch"} for name in (given, *found)} if free else None,
            opset_version=17,
            input_names=[given],
            output_names=found,
        )
    return file.getvalue()


def exported(network: torch.nn.Module, shape: Sequence[int], *, dynamo: bool, free: bool) -> bytes:
    """What one of torch's exporters writes; `free` leaves the batch open."""
    image = torch.zeros(*shape)
    if not dynamo:
        return scripted(network, image, "x", ["y"], free=free)
    sizes = [{0: torch.export.Dim("n")}] if free else None
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's, of its own future
        program = torch.onnx.export(
            network.eval(), (image,), dynamo=True, dynamic_shapes=sizes, verbose=False
        )
    return program.model_proto.SerializeToString()


def shake_norms(
    network: torch.nn.Module, variances: tuple[float, float] = (0.3, 1.0)
) -> torch.nn.Module:
    """Statistics and weights as after training, so that folding them wrongly shows."""
    for child in network.modules():
        if isinstance(child, torch.nn.BatchNorm2d):
            child.running_mean.normal_(0, 0.2)
            child.running_var.uniform_(*variances)
            child.weight.data.uniform_(0.5, 1.5)
            child.bias.data.normal_(0, 0.2)
    return network
