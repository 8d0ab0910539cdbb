"""One way to run any model file: torch weights or ONNX behind the same call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.allocator import keep_memory
from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.files import replace_file
from mobilenets.models.geometry import OutputStride
from mobilenets.runtime.batches import read_batches
from mobilenets.runtime.images import read_image
from mobilenets.runtime.preprocess import preprocess
from mobilenets.runtime.session import Runtime, Session, open_session
from mobilenets.tasks import Task, task_of

if TYPE_CHECKING:
    from torch import nn


CPU_PART = 4
"""Images that a CPU computes at once: the maps of more of them do not fit its caches."""


class TorchSession:
    """A torch module as a runtime session: numpy in, numpy out, on the module's device."""

    note = ""

    def __init__(self, module: nn.Module, card: ModelCard) -> None:
        import torch

        # Channels last is the faster order on CPUs and accelerators alike.
        self.module = module.eval().to(memory_format=torch.channels_last)
        self.card = card

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) -> the module's raw outputs."""
        import torch

        device = next(self.module.parameters()).device
        with torch.inference_mode():
            images = torch.from_numpy(batch)
            parts = torch.split(images, CPU_PART) if device.type == "cpu" else (images,)
            outputs = torch.cat(
                [self.module(part.to(device, memory_format=torch.channels_last)) for part in parts]
            )
        array: NDArray[np.float32] = outputs.float().cpu().numpy()
        return array


def open_model(
    weights: str | Path,
    *,
    threads: int | None = None,
    runtime: Runtime = "auto",
    output_stride: OutputStride | None = None,
    multi_scale: bool = False,
) -> Session:
    """Anything the package can run: our files, a published name, anyone's weights, ONNX.

    An `.onnx` file needs no torch and runs on the engine, or as `runtime` says (`open_session`);
    other files run on torch. To segment, the same weights serve any `output_stride`, and
    `multi_scale` is the mean over six sizes and flips (the papers' MF). Raises WeightsError for
    what is not recognised, ValueError for an argument that is not for these weights.
    """
    if str(weights).lower().endswith(".onnx"):
        if output_stride is not None or multi_scale:
            name = "multi_scale" if output_stride is None else "output_stride"
            raise ValueError(f"{name} is for weights: {weights} is a finished program")
        return open_session(weights, threads=threads, runtime=runtime)
    if runtime != "auto":
        raise ValueError(f"runtime is for .onnx files, and {weights} is none: export it first")
    import torch

    from mobilenets.weights import load

    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads must be a positive integer, got {threads}")
        torch.set_num_threads(threads)
    model: nn.Module = load(weights)
    if output_stride is not None or multi_scale:
        model = segmenter_at(model, output_stride, multi_scale=multi_scale)
    network = task_of(card_of(model)).deploy(model)
    if torch.cuda.is_available():
        network.to("cuda")
    else:
        keep_memory()
    return TorchSession(network, card_of(network))


def segmenter_at(
    model: nn.Module, output_stride: OutputStride | None, *, multi_scale: bool
) -> nn.Module:
    """A segmentation network with the same weights, as its arguments say; ValueError for others."""
    from mobilenets.models.deeplab import DeepLab, MultiScale
    from mobilenets.models.zoo import build

    card = card_of(model)
    if not isinstance(model, DeepLab):
        raise ValueError(
            f"output_stride and multi_scale are to segment, {card.architecture} is to {card.task}"
        )
    network: nn.Module = model
    if output_stride is not None:
        arguments = {**card.arguments, "output_stride": output_stride}
        network = build(card.architecture, **arguments)
        network.load_state_dict(model.state_dict())
        card = card.replace(arguments=arguments)
    if multi_scale:
        network, card = MultiScale(network), card.replace(outputs="probabilities")
    set_card(network, card)
    return network


@dataclass(frozen=True)
class Seen:
    """What a model sees in one file: `decoded` as its task says, or the `error` of reading it."""

    path: Path
    decoded: Any = None
    error: str = ""
    saved: tuple[Path, ...] = ()
    """The pictures that were written of it."""


def predict(
    session: Session,
    files: Sequence[Path],
    task: Task,
    *,
    top: int | None = None,
    threshold: float | None = None,
    batch_size: int | None = None,
    save_dir: Path | None = None,
    progress: Callable[[int], None] = lambda images: None,
) -> Iterator[Seen]:
    """What `session` sees in each file, in order; a broken file does not end it.

    At most `top` things in each, from the score `threshold` on; None: as the task has it.
    With `save_dir`, each image is written there too, with what is seen drawn on it, and of a
    segmentation the mask; ValueError where that folder holds one of the images.
    """
    if save_dir is not None:
        check_apart(files, save_dir)
    card = session.card
    used: set[str] = set()
    place = {path: index for index, path in enumerate(files)}
    sizes: dict[Path, tuple[int, int]] = {}

    def read(path: Path) -> NDArray[np.float32]:
        image = read_image(path)
        sizes[path] = image.size
        return preprocess(image, card.preprocessing)

    for batch in read_batches(files, read, batch_size or task.batch):
        seen = {path: Seen(path, error=why) for path, why in batch.failures}
        if len(batch.items):
            decoded = task.decode(
                session(batch.inputs),
                card,
                [sizes[path] for path in batch.items],
                top=task.top if top is None else top,
                threshold=task.threshold if threshold is None else threshold,
            )
            for path, one in zip(batch.items, decoded, strict=True):
                saved: tuple[Path, ...] = ()
                if save_dir is not None:
                    drawn = task.draw(read_image(path), one)
                    saved = save_picture(drawn, path, save_dir, used, task.mask(one))
                seen[path] = Seen(path, one, saved=saved)
        progress(len(seen))
        yield from (seen[path] for path in sorted(seen, key=place.__getitem__))


def check_apart(files: Sequence[Path], folder: Path) -> None:
    """Raise ValueError where a picture written to `folder` could replace one of `files`.

    Or a link to it: both the folder where a file is named and the one where it lies are meant.
    """
    target = folder.resolve()
    for path in files:
        if target in (path.parent.resolve(), path.resolve().parent):
            raise ValueError(f"save_dir must be another folder than the images', {path} is in it")


def save_picture(
    picture: Image.Image,
    path: Path,
    folder: Path,
    used: set[str],
    mask: Image.Image | None = None,
) -> tuple[Path, ...]:
    """Write `picture` as JPEG under the name of `path`, numbered where that is `used` already.

    And `mask` as PNG under the same; the files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, number = f"{path.stem}.jpg", 2
    while name in used:
        name, number = f"{path.stem}-{number}.jpg", number + 1
    used.add(name)
    target = folder / name
    replace_file(target, partial(picture.save, format="JPEG", quality=92))
    if mask is None:
        return (target,)
    replace_file(target.with_suffix(".png"), partial(mask.save, format="PNG"))
    return target, target.with_suffix(".png")
