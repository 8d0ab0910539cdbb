"""The plain program: what a careful engineer writes with Pillow, numpy and ONNX Runtime.

Each image is opened, turned as its EXIF says, made RGB, resized, cropped, brought to floats and
put through one session; its best output is its answer. Nothing of this package is used. Images go
through the network one by one or some at a time, whichever was faster on the first of them.

`python plain.py MODEL.onnx THREADS IMAGE...` runs it by itself, for a network that takes images as
torchvision's do.
"""

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

BATCHES = (1, 4, 16)
"""Images at a time that are tried."""
TRIED, TRIED_SECONDS = 32, 4.0
"""How many images are to be tried at most for each, and for how long about."""
WAYS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class PlainProgram:
    """Loaded once; `run` answers files. `batch` is how many go through the network at a time."""

    def __init__(self, model: Path, threads: int, recipe: dict[str, Any]) -> None:
        """`recipe`: the fields of a card's `Preprocessing`."""
        runtime = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(
            str(model), sess_options=options, providers=["CPUExecutionProvider"]
        )
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        self._fixed = isinstance(entry.shape[0], int)
        self._last = entry.shape[1] != 3 and entry.shape[3] == 3
        self._recipe = recipe
        std = np.asarray(recipe["std"], np.float32)
        self._scale = 1 / (255 * std)
        self._shift = np.asarray(recipe["mean"], np.float32) / std
        self.batch = 1

    def choose_batch(self, files: Sequence[Path]) -> None:
        """Keep the fastest number of images at a time, measured on the first of `files`."""
        if self._fixed:
            return
        some, taken = files[:TRIED], {}
        for batch in BATCHES:
            self.batch = batch
            start, count = time.perf_counter(), 0
            while count < len(some) and time.perf_counter() - start < TRIED_SECONDS:
                count += len(self.run(some[count : count + batch]))
            taken[batch] = (time.perf_counter() - start) / max(1, count)
        self.batch = min(taken, key=taken.__getitem__)

    def run(self, files: Sequence[Path]) -> list[int]:
        """The best output of each file; -1 for one that cannot be read."""
        found = [-1] * len(files)
        for start in range(0, len(files), self.batch):
            inputs, places = [], []
            for place in range(start, min(start + self.batch, len(files))):
                try:
                    inputs.append(self.prepare(files[place]))
                    places.append(place)
                except (OSError, ValueError):
                    continue
            if inputs:
                scores = self._session.run(None, {self._input: np.stack(inputs)})[0]
                best = np.argmax(scores.reshape(len(inputs), -1), axis=1).tolist()
                for place, index in zip(places, best, strict=True):
                    found[place] = index
        return found

    def prepare(self, file: Path) -> NDArray[np.float32]:
        """(3, H, W) as the network takes it, or (H, W, 3)."""
        with Image.open(file) as opened:
            ImageOps.exif_transpose(opened, in_place=True)
            image = opened if opened.mode == "RGB" else opened.convert("RGB")
            image = self._resized(image)
        values = np.asarray(image, np.float32)
        if self._recipe["order"] == "BGR":
            values = values[:, :, ::-1]
        values = values * self._scale - self._shift
        return values if self._last else np.ascontiguousarray(values.transpose(2, 0, 1))

    def _resized(self, image: Image.Image) -> Image.Image:
        height, width = self._recipe["size"]
        way = WAYS[self._recipe["interpolation"]]
        if self._recipe["resize"] == "squash":
            return image.resize((width, height), way)
        least = [round(side / self._recipe["crop_fraction"]) for side in (width, height)]
        scale = max(least[0] / image.width, least[1] / image.height)
        theirs = self._recipe["resize"] == "torchvision"
        cut = int if theirs else round
        w, h = (
            max(small, cut(side * scale + 1e-9))
            for side, small in zip((image.width, image.height), least, strict=True)
        )
        left, top = (w - width) / 2, (h - height) / 2
        left, top = (round(left), round(top)) if theirs else (int(left), int(top))
        return image.resize((w, h), way).crop((left, top, left + width, top + height))


if __name__ == "__main__":
    TORCHVISION = {
        "size": (224, 224),
        "resize": "torchvision",
        "crop_fraction": 0.875,
        "interpolation": "bilinear",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "order": "RGB",
    }
    answer: Callable[[Sequence[Path]], list[int]] = PlainProgram(
        Path(sys.argv[1]), int(sys.argv[2]), TORCHVISION
    ).run
    paths = [Path(name) for name in sys.argv[3:]]
    for path, index in zip(paths, answer(paths), strict=True):
        sys.stdout.write(f"{path}\t{index}\n")
