"""One way to run any model file: torch weights or ONNX behind the same call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from mobilenets.allocator import keep_memory
from mobilenets.arguments import nearest
from mobilenets.card import ModelCard, card_of
from mobilenets.devices import AUTO, describe, find_device
from mobilenets.errors import InputError, WeightsError
from mobilenets.processors import processors
from mobilenets.runtime import Runtime
from mobilenets.runtime import session as onnx_files
from mobilenets.runtime.batches import read_batches
from mobilenets.runtime.inputs import Given, read_input
from mobilenets.runtime.session import Session
from mobilenets.tasks.answer import Answer
from mobilenets.tasks.registry import task_of, with_part
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Arrays, Option, Size

if TYPE_CHECKING:
    from torch import nn


ANY_SCORE = 1e-9
"""A threshold that hides nothing; 0 may stand for thresholds of a use's own."""
CPU_PART = 4
"""Images that a CPU computes at once: the maps of more of them do not fit its caches."""


class TorchSession:
    """A torch module as a runtime session: numpy in, numpy out, on the module's device."""

    def __init__(
        self, module: nn.Module, card: ModelCard, note: str = "", loaded: nn.Module | None = None
    ) -> None:
        import torch

        self.note = note
        self.loaded = module if loaded is None else loaded
        """The network that `module` was made of, to run as it is deployed."""

        # Channels last is the faster order on CPUs and accelerators alike.
        self.module = module.eval().to(memory_format=torch.channels_last)
        self.card = card

    @property
    def where(self) -> str:
        """What it computes on, in words."""
        return describe(next(self.module.parameters()).device)

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(N, 3, H, W) -> the module's outputs, by the names that the card gives them."""
        import torch

        device = next(self.module.parameters()).device
        with torch.inference_mode():
            images = torch.from_numpy(batch)
            parts = torch.split(images, CPU_PART) if device.type == "cpu" else (images,)
            found = [
                self.module(part.to(device, memory_format=torch.channels_last)) for part in parts
            ]
        return named_arrays(found, self.card)


def named_arrays(parts: Sequence[Any], card: ModelCard) -> dict[str, NDArray[np.float32]]:
    """A module's outputs for parts of a batch, joined, by the names that the card gives them.

    Each part is a tensor, or a tuple of one for each of the card's outputs.
    """
    import torch

    tuples = [part if isinstance(part, tuple) else (part,) for part in parts]
    joined = [torch.cat(pieces).float().cpu().numpy() for pieces in zip(*tuples, strict=True)]
    if len(joined) != len(card.outputs):
        raise WeightsError(
            f"the network gives {len(joined)} outputs, its card names {len(card.outputs)}"
        )
    return {one.name: array for one, array in zip(card.outputs, joined, strict=True)}


def open_model(
    weights: str | os.PathLike[str] | nn.Module,
    *,
    threads: int | None = None,
    runtime: Runtime = "auto",
    many: bool = False,
    device: str = AUTO,
    **options: Any,
) -> Session:
    """Anything the package can run: our files, a published name, anyone's weights, ONNX.

    An `.onnx` file needs no torch and runs on the engine, or as `runtime` says (`open_session`);
    other files run on torch, on `device` (`devices.find_device`). `options` are those of the
    task. Some are for weights: to segment, they serve any `output_stride`, and `multi_scale` is the
    mean over six sizes and flips (the papers' MF). Others are for reading what comes out of any
    file: to detect, `iou`. A torch module with a card does as well.
    Raises WeightsError for what is not recognised, ValueError for an argument that is not for
    these weights.
    """
    for name in options:
        if not _takers(name):
            known = ["threads", "runtime", "many", "device", *_all_declared()]
            raise ValueError(f"no use of a network has an option {name}{nearest(name, known)}")
    given = {k: v for k, v in options.items() if v is not None and v is not False}
    reading = {k: given.pop(k) for k in list(given) if _is_reading(k)}
    if str(weights).lower().endswith(".onnx"):
        if given:
            raise ValueError(f"{min(given)} is for weights: {weights} is a finished program")
        if device not in (AUTO, "cpu"):
            raise ValueError(f"device is for weights, which torch runs: {weights} runs on the CPU")
        path = os.fspath(cast(str, weights))
        found = open_session(path, threads=threads, runtime=runtime, many=many)
    else:
        found = _open_weights(weights, given, threads=threads, runtime=runtime, device=device)
    return _read_with(found, reading) if reading else found


def _open_weights(
    weights: str | os.PathLike[str] | nn.Module,
    options: dict[str, Any],
    *,
    threads: int | None,
    runtime: Runtime,
    device: str,
) -> Session:
    """Anything but an `.onnx` file, on torch."""
    if runtime != "auto":
        raise ValueError(f"runtime is for .onnx files, and {weights} is none: export it first")
    try:
        import torch
    except ModuleNotFoundError as error:
        from mobilenets.extras import missing

        raise InputError(f"{weights} runs on torch: {missing(error.name or 'torch')}") from error

    from mobilenets.weights import load

    where = find_device(device)
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads must be a positive integer, got {threads}")
        torch.set_num_threads(threads)
    elif processors() < torch.get_num_threads():  # torch knows nothing of a container's quota
        torch.set_num_threads(processors())
    notes: list[str] = []
    model: nn.Module
    if isinstance(weights, torch.nn.Module):
        model = weights
    else:
        model = load(Path(weights), say=notes.append)
    if options:
        model = variant(model, options)
    network = task_of(card_of(model)).network.deploy(model)
    network.to(where)
    if where.type == "cpu":
        keep_memory()
    return TorchSession(network, card_of(network), "; ".join(notes), model)


def _read_with(session: Session, options: dict[str, Any]) -> Session:
    """The session with a card that says how its outputs are read, as its task's `read` has it."""
    task = _check_taken(session.card, options)
    changed: Any = session
    changed.card = cast(Any, task.read).read_with(session.card, **options)
    return session


def variant(model: nn.Module, options: dict[str, Any]) -> nn.Module:
    """The same weights run in another way, as their task's `vary` has it.

    ValueError for an option that is not for this task.
    """
    task = _check_taken(card_of(model), options)
    return cast("nn.Module", cast(Any, task.network).vary(model, **options))


def _check_taken(card: ModelCard, options: dict[str, Any]) -> Task:
    """The task of a card; ValueError where it does not have one of the options."""
    task = task_of(card)
    for name in options:
        if name not in _declared(task):
            able = " or ".join(_takers(name))
            what = card.architecture or "this file"
            raise ValueError(f"{name} is to {able}, {what} is to {task.name}")
    return task


def _takers(option: str) -> list[str]:
    """The uses whose files can be run or read in a way called `option`."""
    return [task.name for task in with_part("network") if option in _declared(task)]


def _all_declared() -> list[str]:
    """The options of the files of every use."""
    return sorted({name for task in with_part("network") for name in _declared(task)})


def _is_reading(option: str) -> bool:
    """Whether an option is how outputs are read."""
    found = (_declared(task).get(option) for task in with_part("network"))
    return any(one is not None and one.reading for one in found)


def _declared(task: Task) -> dict[str, Option]:
    """The options of a use's files, as its commands declare them: nothing is imported."""
    if not task.has("commands"):
        return {}
    added = task.commands.ADDITIONS
    commands = [added[name] for name in ("predict", "eval") if name in added]
    return {option.name: option for one in commands for option in one.options}


def open_session(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    runtime: Runtime = "auto",
    many: bool = False,
) -> Session:
    """Open an .onnx file on the CPU; `threads` None: all processors that this process may use.

    `many`: many images will come, so each thread of the engine has images of its own. Otherwise
    all threads work on one, except in calls with at least four images for each thread.

    `runtime`: "mobilenets" is this package's engine, "onnxruntime" the other; "auto" takes the
    engine, and ONNX Runtime (where it is installed) for files with operators the engine lacks, or
    that mix the images of a batch, and on systems that let nobody make code; `note` says so.
    A file that another program wrote has no card: one is made from what comes out of it, from the
    arithmetic that its graph begins with, and from its metadata; `card.source` and `note` say how
    its input was taken. WeightsError for a file that is damaged, or whose
    outputs no use recognises and that has no card; InputError where ONNX Runtime is needed and
    not installed.
    """
    return onnx_files.open_file(path, guess_card, threads=threads, runtime=runtime, many=many)


def guess_card(shapes: Sequence[tuple[int | None, ...]], last: str) -> ModelCard | None:
    """The card of a file that says nothing of itself: the first use that knows such outputs."""
    guesses = (task.outputs.guess(shapes, last) for task in with_part("outputs"))
    return next((card for card in guesses if card is not None), None)


def predict(
    session: Session,
    images: Iterable[Given],
    task: Task,
    *,
    top: int | None = None,
    threshold: float | None = None,
    batch_size: int | None = None,
    exact: bool = False,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda images: None,
) -> Iterator[Answer]:
    """What `session` sees in each image, in order; a broken file does not end it.

    At most `top` things in each, from the score `threshold` on; None: as the task has it. An image
    that cannot be read gives an answer with its `error`. `exact` decodes large photographs at full
    size (`read_input`). Images are taken as they are needed, in `workers` threads (`read_batches`),
    and answers are not kept.
    """
    card = session.card
    top = task.defaults.top if top is None else top
    threshold = task.defaults.threshold if threshold is None else threshold
    sizes: dict[int, Size] = {}

    def read(item: tuple[int, Given]) -> NDArray[np.float32]:
        index, image = item
        values, sizes[index] = read_input(image, card.preprocessing, exact=exact)
        return values

    size = batch_size or task.defaults.batch
    for batch in read_batches(enumerate(images), read, size, workers):
        seen = {index: task.answer_of(None, image, why) for (index, image), why in batch.failures}
        if len(batch.items):
            outputs = session(batch.inputs)
            shown = [sizes.pop(index) for index, _ in batch.items]
            decoded = task.read.decode(outputs, card, shown, top=top, threshold=threshold)
            while decoded:  # none is kept here: masks of large images take much memory
                i = len(decoded) - 1
                index, image = batch.items[i]
                seen[index] = task.answer_of(decoded.pop(), image)
                if threshold > 0 and not seen[index].rows:
                    mine = {name: values[i : i + 1] for name, values in outputs.items()}
                    seen[index].hidden = best_score(task, mine, card, shown[i])
        progress(len(seen))
        for index in sorted(seen):
            yield seen.pop(index)


def best_score(task: Task, outputs: Arrays, card: ModelCard, size: Size) -> float:
    """The best score of one image's outputs, whatever the threshold; 0 where there is none."""
    (best,) = task.read.decode(outputs, card, [size], top=1, threshold=ANY_SCORE)
    return max((score for _, score in task.show.describe(best)), default=0.0)
