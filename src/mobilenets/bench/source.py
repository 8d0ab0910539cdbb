"""What is measured: a network's name, weights or a deployed file, laid out for every side."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from mobilenets.bench.convert import IMAGE, NOTHING, ONNX, OPTIONS, TFLITE, WEIGHTS
from mobilenets.card import KEY, ModelCard
from mobilenets.errors import InputError

_CHANNELS = 3
_SIDE = 224


def lay_out(
    source: str,
    folder: Path,
    *,
    resolution: int | None = None,
    knobs: dict[str, Any] | None = None,
    options: Mapping[str, bool] = NOTHING,
) -> bool:
    """Write the ONNX file, the checkpoint and a random image; whether there is a checkpoint.

    A bare ONNX file has none, and of a bare TFLite file nothing but itself is written. `resolution`
    (pixels) replaces the file's own; `knobs` are for a network's name; `options` are those of an
    export.
    Raises ValueError for an argument, InputError for a file that will not do.
    """
    if resolution is not None and resolution < 1:
        raise ValueError(f"resolution must be a positive integer, got {resolution}")
    suffix = Path(source).suffix.lower()
    bare = suffix in (".onnx", ".tflite")
    if bare:
        if knobs:
            raise ValueError(
                f"{next(iter(knobs))} is for a network's name, {source} is a file of its own"
            )
        if options:
            raise ValueError(
                f"{min(options)} is for a name or weights, {source} is a file of its own"
            )
        if not Path(source).is_file():
            raise FileNotFoundError(2, "no such file", source)
        if suffix == ".tflite":
            _from_tflite(source, folder, resolution)
            return False
        _copy(source, folder / ONNX)
    else:
        _from_network(source, folder, resolution, knobs, options)
    shape = input_shape(folder / ONNX, source, resolution)
    image = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    np.save(folder / IMAGE, image)
    return not bare


def _from_tflite(source: str, folder: Path, resolution: int | None) -> None:
    """The file as it is, and an image of the type and the size that it takes."""
    from mobilenets.engine.front.read import read_graph

    graph = read_graph(source)
    tensor = graph.tensors[graph.input]
    if resolution is not None and resolution not in tensor.shape:
        raise ValueError(f"resolution must be {tensor.shape[1]}, which {source} fixes")
    random = np.random.default_rng(0)
    if tensor.dtype.numpy.kind == "f":
        image = random.uniform(-1, 1, tensor.shape).astype(np.float32)
    else:
        info = np.iinfo(tensor.dtype.name)
        image = random.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype.numpy)
    copyfile(source, folder / TFLITE)
    np.save(folder / IMAGE, image)


def _copy(source: str, target: Path) -> None:
    """The file in one piece: weights that lie beside it come along."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        onnx.save(onnx.load(source), os.fspath(target))
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(f"{source}: not an ONNX file, or damaged") from error


def _from_network(
    source: str,
    folder: Path,
    resolution: int | None,
    knobs: dict[str, Any] | None,
    options: Mapping[str, bool],
) -> None:
    from mobilenets.export import export_onnx
    from mobilenets.export.source import open_source
    from mobilenets.weights.sources.own import save

    model = open_source(source, resolution=resolution, knobs=knobs)
    export_onnx(model, folder / ONNX, None, 1, **options)
    (folder / OPTIONS).write_text(json.dumps(dict(options)), encoding="utf-8")
    save(model, folder / WEIGHTS)


def input_shape(path: Path, name: str, resolution: int | None = None) -> tuple[int, ...]:
    """Of the file's one image input: one image, its free sides as `resolution` or the card says.

    Raises InputError, calling the file `name`, where it has no such input, ValueError where it
    fixes sides that `resolution` contradicts.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise InputError(f"{name}: needs one input, it has {len(inputs)}")
    kind = inputs[0].type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim]
    if len(sizes) != 4 or kind.elem_type != onnx.TensorProto.FLOAT:
        raise InputError(f"{name}: needs a float32 input of four dimensions, it has {sizes}")
    last = sizes[3] == _CHANNELS and sizes[1] != _CHANNELS
    sides = (1, 2) if last else (2, 3)
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    default = ModelCard.from_json(text, name).preprocessing.size if text else (_SIDE, _SIDE)
    wanted = (resolution, resolution) if resolution else default
    for side, size in zip(sides, wanted, strict=True):
        if resolution and sizes[side] not in (0, size):
            raise ValueError(f"resolution must be {sizes[side]}, which {name} fixes, got {size}")
        sizes[side] = sizes[side] or size
    sizes[3 if last else 1] = sizes[3 if last else 1] or _CHANNELS
    return (sizes[0] or 1, *sizes[1:])
