"""From a file, a name or a torch module to a model that is ready to answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenets.arguments import nearest
from mobilenets.card import card_of
from mobilenets.devices import AUTO
from mobilenets.inference import open_model
from mobilenets.opened.model import Model
from mobilenets.runtime import Runtime
from mobilenets.tasks.registry import network_of, networks

if TYPE_CHECKING:
    from torch import nn


def open(  # noqa: A001
    source: str | os.PathLike[str] | nn.Module,
    *,
    threads: int | None = None,
    runtime: Runtime = "auto",
    many: bool = False,
    device: str = AUTO,
    **options: Any,
) -> Model:
    """Open a model: it predicts, is measured, says what it costs and what is in it, and exports.

    `source` is a file (`.onnx`, `.safetensors`, `.tflite`, anyone's weights that the package
    reads), a folder with one, the name of a published checkpoint, which is fetched once, or a
    torch module with a card. An `.onnx` file runs on the package's engine and needs no torch;
    `runtime` is "auto", "mobilenets" (the engine) or "onnxruntime". All else runs on torch. The
    name of a network, such as "mobilenet_v2", opens it with random weights and takes its knobs
    (`width=0.5`): it says what it costs and exports, but does not predict.

    `device` is "auto", "cpu", "cuda", "cuda:1" or "mps", for what runs on torch.
    `threads` None: all processors that this process may use. `many`: many images will come, so
    each thread has images of its own. `options` are the task's: to segment, `output_stride` and
    `multi_scale`.

    WeightsError for a file that is damaged or not recognised, InputError where a library or the
    network is missing, FileNotFoundError, ValueError for a wrong argument.

    >>> model = mobilenets.open("photos.onnx")
    >>> model.predict("cat.jpg").label
    'cat'
    """
    name = (
        type(source).__name__ if not isinstance(source, (str, os.PathLike)) else os.fspath(source)
    )
    trained = True
    if not isinstance(source, (str, os.PathLike)):
        card_of(source)  # ValueError for what is no model
    elif name in networks() and not Path(name).exists():
        from mobilenets.export.source import open_source

        known = network_of(name).knobs
        for key in options.keys() - known.keys():
            if near := nearest(key, known):
                raise ValueError(f"{name} has no argument {key!r}{near}")
        knobs = {key: options.pop(key) for key in list(options) if key in known}
        source, trained = open_source(name, knobs=knobs), False
    session = open_model(
        source, threads=threads, runtime=runtime, many=many, device=device, **options
    )
    return Model(session, name, trained=trained)
