"""Images as people hand them over: one, or several in whatever holds them."""

import os
from collections.abc import Iterable, Mapping
from glob import has_magic
from pathlib import Path
from typing import Any, cast

import numpy as np

from mobilenets.runtime.images import find_images
from mobilenets.runtime.inputs import is_image, to_image


def several(images: Any) -> Any:
    """One image, or what gives several: a folder and a pattern become their files."""
    if isinstance(images, (str, os.PathLike)):
        path = Path(images)
        if path.is_dir() or (has_magic(str(path)) and not path.exists()):
            return find_images([path])
        return images
    if hasattr(images, "read") or is_image(images):
        return plain(images)
    if isinstance(images, np.ndarray) and images.ndim == 1:
        return images.tolist()
    if not isinstance(images, Iterable) or isinstance(images, Mapping):
        to_image(cast(Any, images))  # ValueError that says what an image is
    return images


def plain(image: Any) -> Any:
    """An image in memory as bytes: an open file is read, other kinds of bytes are copied."""
    if hasattr(image, "read"):
        image = image.read()
    return bytes(image) if isinstance(image, (bytearray, memoryview)) else image
