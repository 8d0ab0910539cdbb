"""Exports for tests in which a file is only the means: by torch's older exporter, in a second."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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
    image, file = torch.zeros(batch or 2, 3, *card.preprocessing.size), io.BytesIO()
    free = {} if batch else {name: {0: "batch"} for name in ("image", *names)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, of its own future
        torch.onnx.export(
            network.eval(),
            (image,),
            file,
            dynamo=False,
            dynamic_axes=free,
            opset_version=17,
            input_names=["image"],
            output_names=names,
        )
    return onnx.load_from_string(file.getvalue())
