"""From whatever stands for a model to what it is."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mobilenets.about.info import Info, of_card, said
from mobilenets.arguments import nearest
from mobilenets.card import ModelCard, Output
from mobilenets.cost import profile, profile_card
from mobilenets.errors import InputError, TrainingError, WeightsError
from mobilenets.tasks.registry import networks, task_for, task_of
from mobilenets.training.runs import NAME as STATE
from mobilenets.training.runs.arguments import FILE as ARGUMENTS
from mobilenets.training.runs.arguments import kept_arguments
from mobilenets.weights import IN_FOLDER, SUFFIXES, Stored, look
from mobilenets.weights.fetch import is_fetched
from mobilenets.weights.others import begins_as_onnx, seems
from mobilenets.weights.published import PUBLISHED, Published

_FOR_ONE_IMAGE: dict[str, Any] = {"resolution": None, "bytes_per_element": 4}
"""At the card's own size."""


def describe(source: str | os.PathLike[str]) -> Info:
    """What a model is, without running it: of any file that the package reads, or of a name.

    `source` is a file, a folder with one (a training run, a model of the hubs, TensorFlow.js), the
    name of a published checkpoint, which is not fetched for this, or of a network. Torch is needed
    only for what torch.save wrote. WeightsError for a file that is damaged or none that is read,
    FileNotFoundError, ValueError for an unknown name.

    >>> describe("photos.onnx").engine
    True
    """
    name = os.fspath(source)
    path = Path(name)
    if not path.exists() and name in networks():
        return _network(name)
    if not path.exists() and name in PUBLISHED and not is_fetched(PUBLISHED[name]):
        return _listed(PUBLISHED[name])
    if path.is_file() and path.suffix.lower() == ".onnx":
        return _deployed(path)
    if path.is_dir() and _is_unfinished(path):
        raise WeightsError(f"{path}: a training run that has kept no checkpoint yet")
    if not path.exists() and name not in PUBLISHED and path.name == name:
        _check_name(name)
    found = look(name)
    return replace(_stored(name, found), run=_run(found.path.parent))


def _deployed(path: Path) -> Info:
    """An ONNX file; of what is none, the error says what it seems to be."""
    from mobilenets.about.deployed import describe_onnx

    try:
        return describe_onnx(path)
    except WeightsError as error:
        what = seems(path)
        if not what or begins_as_onnx(path):
            raise
        raise WeightsError(f"{error}; it seems to be {what}") from error


def _check_name(name: str) -> None:
    """ValueError for what is no file, and no name either, with the nearest of all names."""
    if Path(name).suffix not in SUFFIXES:
        known = [*networks(), *PUBLISHED]
        raise ValueError(
            f"FILE must be a file, a folder or a name, got {name!r}"
            f"{nearest(name, known) or ';'} `mobilenets models` lists the networks, "
            "`mobilenets models --pretrained` the others"
        )


def describe_open(source: str, card: ModelCard, task: str, note: str) -> Info:
    """What an open model is: its file, if it has one, and how it is run, which its card says."""
    try:
        found = describe(source)
    except (InputError, OSError, ValueError):
        found = Info(source, "a network in memory")
    known = {**of_card(card), "task": task}
    if found.engine is None and card.architecture in networks():
        cost = profile_card(card, **_FOR_ONE_IMAGE)
        known |= {"parameters": cost.parameters, "madds": cost.madds}
    notes = tuple(dict.fromkeys([*found.notes, *filter(None, [note])]))
    return replace(found, source=source, notes=notes, **known)


def _network(name: str) -> Info:
    """A network of the zoo."""
    task, network = networks()[name]
    cost = profile(name)
    metric = () if network.printed is None else (network.printed,)
    return Info(
        name,
        "a network, with no weights",
        architecture=name,
        arguments={k: v for k, v in cost.arguments.items() if v is not None},
        task=task.name,
        resolution=cost.resolution,
        parameters=cost.parameters,
        madds=cost.madds,
        results=dict(metric),
        origin=network.description,
        notes=_published_of(name),
    )


def _published_of(name: str) -> tuple[str, ...]:
    found = [one.name for one in PUBLISHED.values() if one.architecture == name]
    if not found:
        return ()
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (f"published with weights as {found[0]}{others}: `mobilenets models --pretrained`",)


def _listed(one: Published) -> Info:
    """A published checkpoint that is not on this disk, as the list has it."""
    cost = profile(one.name)
    return Info(
        one.name,
        "a published checkpoint, not fetched yet",
        architecture=one.architecture,
        arguments={"width": one.width, **one.arguments},
        task=task_for(one.architecture).name,
        resolution=(one.resolution, one.resolution),
        parameters=cost.parameters,
        madds=cost.madds,
        results={} if one.top1 is None else {"top1": one.top1},
        origin=f"{one.source}: {one.url}",
        notes=("predict, eval and other commands fetch it; then its file says the rest",),
    )


def _stored(name: str, found: Stored) -> Info:
    """Weights on this disk."""
    card, content, path = found.card, found.content, found.path
    notes = list(content.notes)
    known = of_card(card)
    if content.unread:
        notes.insert(
            0,
            f"{content.unread}: the backbone alone is read, and `mobilenets train "
            f"{card.architecture} --from {name}` takes it",
        )
        known |= {"task": "", "outputs": (), "labels": ()}
    else:
        cost = profile_card(card, **_FOR_ONE_IMAGE)
        known |= {"parameters": cost.parameters, "madds": cost.madds}
        known["outputs"] = _run_outputs(card)
    kind = found.container
    if found.published is not None:
        kind = f"a published checkpoint, {kind}"
    return Info(
        name,
        kind,
        str(path),
        _bytes(path),
        reason="" if content.unread else f"mobilenets export {name} -o model.onnx",
        notes=tuple(notes),
        **known,
    )


def _run_outputs(card: ModelCard) -> tuple[Output, ...]:
    """What comes out of weights when they are run: some uses make their answers in the network."""
    task = task_of(card)
    made = getattr(task.outputs, "DEPLOYED", None) if task.has("outputs") else None
    return made or card.outputs


def _bytes(path: Path) -> int:
    """Of the file; of a model of TensorFlow.js with the files that it names."""
    files = {path}
    if path.suffix == ".json":
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            groups = json.loads(path.read_bytes())["weightsManifest"]
            files |= {path.parent / name for group in groups for name in group["paths"]}
    return sum(one.stat().st_size for one in files if one.is_file())


def _is_unfinished(folder: Path) -> bool:
    there = any((folder / name).exists() for name in (ARGUMENTS, STATE))
    return there and not any((folder / name).is_file() for name in IN_FOLDER)


def _run(folder: Path) -> dict[str, Any]:
    """What the run in a folder was started with; {} where there is none, or nobody can tell."""
    try:
        return said(asdict(kept_arguments(folder)))
    except TrainingError:
        return {}
