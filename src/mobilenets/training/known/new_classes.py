"""Classes learned from a few photographs at once, without training."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from mobilenets.arguments import explained
from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.data.contents import Contents
from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import open_new_classes
from mobilenets.data.listing import count, few
from mobilenets.devices import AUTO
from mobilenets.errors import DataError
from mobilenets.evaluation import evaluate
from mobilenets.inference import TorchSession
from mobilenets.labelled import open_data
from mobilenets.tasks.registry import task_of
from mobilenets.tasks.task import Task
from mobilenets.training.known import KnownRows, Say, check_knows, know
from mobilenets.training.probe import features
from mobilenets.training.runs.voice import Speak, speaking
from mobilenets.training.together import choose_device
from mobilenets.weights import load
from mobilenets.weights.sources.own import save


@dataclass(frozen=True)
class Learned:
    """What `learn` made: a file, and how good it is.

    >>> made = mobilenets.learn("birds.safetensors", "new", output="more.safetensors")
    >>> made.classes, made.results["new"]
    (('KAGU',), 0.8)
    >>> made.open().predict("kagu.jpg").label
    'KAGU'
    """

    path: Path
    """The checkpoint."""
    classes: tuple[str, ...]
    """The new classes."""
    images: int
    """How many they were learned from."""
    results: dict[str, float]
    """Shares from 0 to 1: `new` of images of the new classes that are right, `new_images` of them;
    with data of the old classes `old` and `old_before`, theirs, now and before."""

    def open(self) -> Any:
        """The model, ready to answer: what `mobilenets.open` gives, a `Model`."""
        # By its public name: what opens models knows of runs, so runs cannot import it.
        return import_module("mobilenets").open(self.path)


@explained
def learn(
    weights: str | os.PathLike[str] | nn.Module,
    images: str | os.PathLike[str] | None = None,
    *,
    output: str | os.PathLike[str],
    unknown: str | os.PathLike[str] | None = None,
    device: str = AUTO,
    say: Speak | Literal["print"] | None = "print",
) -> Learned:
    """Give a classifier new classes from a few photographs of each, without training.

    `weights` are any classifier's that `mobilenets.load` reads, or such a module, which is changed;
    `images` a folder with a folder of photographs for each new class, or with the photographs of
    one, called as the folder. Where it has a val or test part, that is measured on; else each
    photograph in turn, as if it had not been learned. The old classes' weights stay as they are.

    `unknown` are images of the old classes, as `train` takes them: from then on the model tells
    what is none of its classes, and the old classes are measured before and after. Without it, a
    model that tells unknown images goes on to do so, with the floor that it had. One of the two
    must be given. `output` is the new checkpoint. What happens is printed; `say=None` is silent,
    and a function gets every line.

    Raises ValueError for arguments, a class that is there already among them, DataError and
    WeightsError for files.

    >>> mobilenets.learn("best.safetensors", "photos/kagu", output="more.safetensors").classes
    ('kagu',)
    """
    if images is None and unknown is None:
        raise ValueError("learn needs images of new classes, or unknown, images of the old ones")
    if Path(output).suffix != ".safetensors":
        raise ValueError(f"output must end in .safetensors, got {os.fspath(output)!r}")
    cpu = choose_device(device)
    with speaking(say) as line:
        model = weights if isinstance(weights, nn.Module) else load(Path(weights), say=line)
        task = task_of(card_of(model))
        check_knows(task, card_of(model).architecture or "this network")
        task.know.check(model)
        results: dict[str, float] = {}
        parts = known = None
        if unknown is not None:
            data = os.fspath(unknown)
            parts = open_data(task, data, "train"), open_data(task, data, "val")
            known = know(model, task, parts, line, cpu=cpu)
        classes: tuple[str, ...] = ()
        learned = 0
        if images is not None:
            before = None if parts is None else top1(model, parts[1], task)
            new, held = open_new_classes(Path(images))
            classes, learned = new.classes, len(new)
            results |= add(model, task, new, held, known, line, cpu=cpu)
            if parts is not None and before is not None:
                after = top1(model, parts[1], task)
                results |= {"old": after, "old_before": before}
                of = count(len(parts[1]), "validation image", "validation images")
                line(f"the old classes: {before:.3f} of {of} were right, now {after:.3f}")
        save(model, Path(output))
    return Learned(Path(output), classes, learned, results)


def add(
    model: nn.Module,
    task: Task,
    new: Dataset,
    held: Dataset | None,
    known: KnownRows | None,
    say: Say,
    *,
    cpu: bool,
) -> dict[str, float]:
    """Add the classes of a data set, and measure them: `new`, `new_images`; {} where none can be.

    With what is `known` of the old classes the floor for unknown images is set anew, for all. Each
    class needs an image that can be read: DataError.
    """
    for note in new.notes:
        say(f"note: {note}")
    rows = features(model, card_of(model), task, new, list(range(len(new))), cpu=cpu)
    model.to("cpu")
    seen = set(rows[1].tolist()) if rows else set()
    without = [name for k, name in enumerate(new.classes) if k not in seen]
    if without:
        raise DataError(f"no image of {few(without)} can be read: a new class needs one at least")
    if len(rows[0]) < len(new):
        say(f"left out: {count(len(new) - len(rows[0]), 'image', 'images')} that cannot be read")
    right, tried = (0, 0) if held is not None else task.know.left_out(model, rows, new.classes)
    before = card_of(model)
    told = task.know.add_classes(model, rows, new.classes)
    remember(model, before, new)
    if known is not None:
        numbers = rows[1] + len(before.labels)
        seen_by = (torch.cat([known.seen[0], rows[0]]), torch.cat([known.seen[1], numbers]))
        told = f"{told}; {task.know.tell_unknown(model, seen_by, known.held)}"
    what = count(len(new.classes), "new class", "new classes")
    of = count(len(rows[0]), "image", "images")
    say(f"{what} from {of}: {few(list(new.classes))}; {told}")
    if held is not None:
        found = evaluate(TorchSession(model, card_of(model)), held, task).results
        right, tried = round(found["top1"] * found["images"]), int(found["images"])
    if not tried:
        say("there is one image of each new class: how good they are is not known")
        return {}
    which = "held out" if held is not None else "each left out in turn"
    say(f"{right} of {count(tried, 'image', 'images')} of new classes are right, {which}")
    return {"new": right / tried, "new_images": tried}


def remember(model: nn.Module, before: ModelCard, new: Dataset) -> None:
    """The card knows the new images as learned from."""
    learned = Contents(new).trained_on
    joined = learned and learned.joined(before.trained_on)
    set_card(model, card_of(model).replace(trained_on=joined))


def top1(model: nn.Module, dataset: Dataset, task: Task) -> float:
    """The share of a data set that is right."""
    found = evaluate(TorchSession(model, card_of(model)), dataset, task).results
    return found["top1"]
