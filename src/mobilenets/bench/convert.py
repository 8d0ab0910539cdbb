"""From the torch network to each runtime's own file, as its documentation advises.

Each runs in a process of its own, under the interpreter that has the converter: converters pin
versions of torch that differ from ours.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

ONNX, WEIGHTS, IMAGE = "model.onnx", "model.safetensors", "image.npy"
"""What lies in a comparison's folder at first; there are no weights where the source is ONNX."""
TFLITE = "model.tflite"
"""The source where that is a TFLite file, with nothing else; or what is made for LiteRT."""
OPTIONS = "options.json"
"""Those of the export, which the converters' network has too."""
NOTHING: Mapping[str, bool] = MappingProxyType({})


def to_litert(folder: Path, threads: Sequence[int]) -> None:
    """`model.tflite` by litert-torch, float32, channels last in the image and in maps of logits."""
    torch, network, image = _network(folder)
    converter = import_module("litert_torch")
    with torch.inference_mode():
        maps = network(image).dim() == 4
    last = converter.to_channel_last_io(network, args=[0], outputs=[0] if maps else None).eval()
    with _repetition_by_resizing(torch):
        made = converter.convert(last, (image.permute(0, 2, 3, 1).contiguous(),))
    made.export(os.fspath(folder / TFLITE))


@contextmanager
def _repetition_by_resizing(torch: Any) -> Iterator[None]:
    """A pixel is repeated by resizing it, as in TensorFlow's DeepLab.

    What litert-torch makes of `expand` on maps whose channels come to lie last does not run.
    """
    expand = torch.Tensor.expand

    def resized(x: Any, *sizes: int) -> Any:
        if len(sizes) == x.dim() == 4 and tuple(x.shape[2:]) == (1, 1) and min(sizes[2:]) > 1:
            how = {"mode": "bilinear", "align_corners": True}
            return torch.nn.functional.interpolate(x, sizes[2:], **how)
        return expand(x, *sizes)

    torch.Tensor.expand = resized
    try:
        yield
    finally:
        torch.Tensor.expand = expand


def to_executorch(folder: Path, threads: Sequence[int]) -> None:
    """`model.pte` for the XNNPACK delegate, from an image as its own example has it.

    One whose channels lie last in memory makes the file slower: 4.5 against 4.0 ms for V2 at 224.
    """
    torch, network, image = _network(folder)
    partition = import_module("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    lower = import_module("executorch.exir").to_edge_transform_and_lower
    program = lower(
        torch.export.export(network, (image,)), partitioner=[partition.XnnpackPartitioner()]
    ).to_executorch()
    (folder / "model.pte").write_bytes(program.buffer)


def warm_cache(folder: Path, threads: Sequence[int]) -> None:
    """Compiles once for every number of threads, so that what is measured loads from the cache."""
    numpy = import_module("numpy")
    shape = numpy.load(folder / IMAGE).shape
    for count in threads:
        found = next(folder / name for name in (ONNX, TFLITE) if (folder / name).exists())
        import_module("mobilenets").compile(found, threads=count, shape=shape)


def load_network(weights: Path) -> Any:
    """The torch network that the ONNX file was made of: norms folded, its answers read as there.

    Converters' own passes may leave some norms behind.
    """
    model = import_module("mobilenets.weights").load(weights)
    options = json.loads((weights.parent / OPTIONS).read_text(encoding="utf-8"))
    form = import_module("mobilenets.export.onnx").form_of(model, model.card, options)
    return form.network.eval()


def _network(folder: Path) -> tuple[Any, Any, Any]:
    """torch, the network, and an image for it."""
    torch = import_module("torch")
    numpy = import_module("numpy")
    network = load_network(folder / WEIGHTS)
    return torch, network, torch.from_numpy(numpy.load(folder / IMAGE))
