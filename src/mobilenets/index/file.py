"""The file of vectors: safetensors, with the images' names, sizes and times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mobilenets.errors import DataError
from mobilenets.files import replace_file

KEY = "mobilenets_index"
VERSION = 1
TENSORS = ("vectors", "names", "ends", "sizes", "times", "probes")
CHECKED = 4096
"""Vectors whose lengths are looked at, at a time."""


@dataclass(frozen=True)
class Index:
    """Vectors of images, and how they were made."""

    root: str
    """The folder that names begin at."""
    weights: str
    """What made them, as it was called."""
    made: dict[str, Any]
    """`Embedder.fingerprint` of what made them."""
    names: tuple[str, ...]
    """Of the images, from the root."""
    vectors: NDArray[Any]
    """(N, dimensions) float32 or float16, of unit length."""
    sizes: NDArray[np.int64]
    """(N,) bytes of the files."""
    times: NDArray[np.int64]
    """(N,) when the files were changed, in nanoseconds."""
    probes: NDArray[np.float32]
    """(3, dimensions): of the pictures in `probes`."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What the model's card keeps: thresholds."""

    def path(self, i: int) -> Path:
        """The file of image i, where the folder lies now."""
        return Path(self.root) / self.names[i]


def write_index(index: Index, path: Path) -> None:
    """Write it whole, or leave what was there."""
    encoded = [name.encode(errors="surrogateescape") for name in index.names]
    arrays = {
        "vectors": index.vectors,
        "names": np.frombuffer(b"".join(encoded), np.uint8),
        "ends": np.cumsum([len(one) for one in encoded], dtype=np.int64),
        "sizes": index.sizes,
        "times": index.times,
        "probes": index.probes,
    }
    said = {
        "version": VERSION,
        "root": index.root,
        "weights": index.weights,
        "made": index.made,
        "kept": index.kept,
    }
    metadata = {KEY: json.dumps(said, sort_keys=True)}

    def save(temporary: Path) -> None:
        temporary.touch()
        mode = temporary.stat().st_mode  # the library makes files for their owner alone
        save_file(arrays, str(temporary), metadata)
        temporary.chmod(mode)

    replace_file(path, save)


def read_index(path: Path) -> Index:
    """The vectors in a file; DataError for one that is none, is damaged, or is cut short."""
    if not path.is_file():
        raise DataError(f"{path}: no such file of vectors; `mobilenets embed` makes one")
    try:
        with safe_open(str(path), "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise DataError(f"{path}: no file of vectors: weights, perhaps")
            arrays = {name: file.get_tensor(name) for name in TENSORS}
        said = json.loads(text)
        if said["version"] != VERSION:
            raise DataError(f"{path}: of a version that this program does not read")
        names = _names(arrays["names"].tobytes(), arrays["ends"].tolist())
        index = Index(
            said["root"], said["weights"], said["made"], names, arrays["vectors"],
            arrays["sizes"], arrays["times"], arrays["probes"], said["kept"],
        )  # fmt: skip
    except SafetensorError as error:
        raise DataError(f"{path}: damaged or cut short ({error})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: its metadata is damaged ({error})") from error
    _check(index, path)
    return index


def _names(text: bytes, ends: Sequence[int]) -> tuple[str, ...]:
    starts = [0, *ends[:-1]]
    if ends and (ends[-1] != len(text) or any(a > b for a, b in zip(starts, ends, strict=True))):
        raise ValueError("names end elsewhere")
    parts = (text[a:b] for a, b in zip(starts, ends, strict=bool(ends)))
    return tuple(part.decode(errors="surrogateescape") for part in parts)


def _check(index: Index, path: Path) -> None:
    count = len(index.names)
    shapes = [index.sizes.shape, index.times.shape, index.vectors.shape[:1]]
    if index.vectors.ndim != 2 or any(shape != (count,) for shape in shapes):
        raise DataError(f"{path}: damaged: {count} names, and vectors {index.vectors.shape}")
    bad = 0
    for first in range(0, count, CHECKED):
        part = index.vectors[first : first + CHECKED].astype(np.float32)
        lengths = np.sqrt(np.einsum("nd,nd->n", part, part))
        bad += int((~(np.abs(lengths - 1) < 0.01)).sum())  # NaN too
    if bad:
        raise DataError(f"{path}: {bad} of its {count} vectors are not of length 1, or not finite")
