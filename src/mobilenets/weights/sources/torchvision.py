"""torchvision's `mobilenet_v2`: its names, symmetric padding, and ImageNet's mean."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mobilenets.card import TORCHVISION
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.arrays import Arrays
from mobilenets.weights.containers.ends import classified
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.infer import infer

NORM_EPS = 1e-5
RESIZE = 232
"""Short side before the crop of 224: of IMAGENET1K_V2, torchvision's default."""
FIRST_RESIZE = 256
"""The same of IMAGENET1K_V1, which no tensor tells from V2, only the hash in the file's name."""
FIRST_HASH = "b0353104"


def matches(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the names are torchvision's."""
    return {"features.0.0.weight", "features.1.conv.0.0.weight"} <= tensors.keys()


def convert(tensors: Arrays, path: Path, aside: Arrays) -> Foreign:
    """Our names and a card; WeightsError for what `mobilenet_v2` cannot be."""
    resize = FIRST_RESIZE if FIRST_HASH in path.name else RESIZE
    return classified(
        tensors,
        list(_units(tensors)),
        aside,
        infer,
        arguments={"padding": "symmetric", "norm_eps": NORM_EPS},
        preprocessing=replace(TORCHVISION, crop_fraction=TORCHVISION.size[0] / resize),
        source=f"torchvision: {path.name}",
        labels=imagenet_labels,
    )


def _units(tensors: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, str, str]]:
    yield "backbone.stem", "features.0.0", "features.0.1"
    index = 1
    while f"features.{index}.conv.0.0.weight" in tensors:
        theirs, ours = f"features.{index}.conv", f"backbone.blocks.{index - 1}"
        parts = ["expand", "depthwise"] if f"{theirs}.1.0.weight" in tensors else ["depthwise"]
        for k, part in enumerate(parts):
            yield f"{ours}.{part}", f"{theirs}.{k}.0", f"{theirs}.{k}.1"
        k = len(parts)
        yield f"{ours}.project", f"{theirs}.{k}", f"{theirs}.{k + 1}"
        index += 1
    if f"features.{index}.0.weight" in tensors:
        yield "backbone.last", f"features.{index}.0", f"features.{index}.1"
