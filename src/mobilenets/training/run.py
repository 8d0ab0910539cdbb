"""From names and paths to a finished run: what `mobilenets train` calls."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.data.listing import count
from mobilenets.devices import AUTO, describe
from mobilenets.models.geometry import SMALLEST_SIDE
from mobilenets.models.modules.layers import initialise_he
from mobilenets.models.modules.norms import folded_norms
from mobilenets.tasks.recipe import Initialization, Recipe
from mobilenets.tasks.registry import network_of, task_for, with_part
from mobilenets.tasks.task import Task
from mobilenets.training.fitting import (
    epochs_of,
    fit,
    rate_of,
    settle_gently,
    settle_norm,
    split,
)
from mobilenets.training.known import check_knows, know_checkpoint
from mobilenets.training.loop import Trainer
from mobilenets.training.probe import begin, measure_norms
from mobilenets.training.recipes import recipe
from mobilenets.training.runs import NAME
from mobilenets.training.runs.arguments import RunArguments, keep_arguments
from mobilenets.training.runs.extension import Extension
from mobilenets.training.runs.images import RunImages, open_images
from mobilenets.training.runs.limits import Clock, Limits
from mobilenets.training.runs.naming import choose_folder
from mobilenets.training.runs.own import OwnParts, own_name
from mobilenets.training.runs.result import Result
from mobilenets.training.runs.voice import quiet
from mobilenets.training.samples import Samples
from mobilenets.training.state import as_begun, read_state
from mobilenets.training.taught.teacher import open_teacher
from mobilenets.training.together import choose_device, together
from mobilenets.weights import load
from mobilenets.weights.heads import onto


@dataclass(frozen=True)
class Plan:
    """What to train: a network by name, and where its weights start."""

    model: str
    """A name of the zoo."""
    weights: str | Path | None = None
    """Any WEIGHTS to start from; None for random ones."""
    resolution: int | None = None
    """Pixels of the input's sides; None for those of the weights, else the data's own where it
    has one (the built-in shapes), else the task's: 224, 320 of a detector, 513 to segment. A
    detector takes the size from a detector's weights alone, and a segmentation network from such
    a one's; where all images have one shape, that is the input's to segment."""
    knobs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the constructor, such as width."""
    teacher: str | None = None
    """Any WEIGHTS or a timm name to learn from."""
    unlabelled: str | Path | None = None
    """A folder of images from which the teacher's outputs alone are learned."""
    unknown: bool = False
    """Whether it also learns to tell images of none of its classes."""


def train(
    plan: Plan,
    data: str | Path | OwnParts | None,
    *,
    recipe_name: str | None = None,
    changes: dict[str, Any] | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    extend: Extension | None = None,
    workers: int = 1,
    device: str = AUTO,
    minutes: float | None = None,
    patience: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Result:
    """Train `plan` on `data` by a recipe, and leave the run in a folder.

    `data` may be None where the plan has images without labels and a teacher.

    Without a recipe's name it is the task's own for starting from weights, or at random; `changes`
    are settings of it by name.
    `output` is a new folder under `runs/` unless given; with `resume`, the run in it (or the
    newest of that name) goes on, and one that had ended for the epochs of `extend` more. `device`
    is one of `devices.find_device`; of several processes each has its own. In `minutes` of
    wall-clock time as many epochs are made as fit (with `changes["epochs"]` no more than those);
    after `patience` epochs without a better result the run ends. `say` gets lines for a
    person. Raises ValueError for arguments, DataError, WeightsError and TrainingError for the
    rest; Ctrl-C ends in InterruptedRunError.
    """
    if extend is not None and not resume:
        raise ValueError("extend is for a run that had ended: resume it")
    if kind := own_name(str(data)) if isinstance(data, str) else "":
        raise ValueError(
            f"the run was started from Python with a data set of one's own ({kind}): "
            "mobilenets.train(..., data, val=..., output=..., resume=True) goes on with it"
        )
    clock = Clock(Limits(minutes, patience, (changes or {}).get("epochs")))
    kept = RunArguments(
        plan.model,
        "" if data is None else str(data),
        weights=None if plan.weights is None else str(plan.weights),
        recipe=recipe_name,
        resolution=plan.resolution,
        teacher=plan.teacher,
        unlabelled=None if plan.unlabelled is None else str(plan.unlabelled),
        unknown=plan.unknown or None,
        workers=workers,
        device=device,
        minutes=minutes,
        patience=patience,
        knobs=plan.knobs,
        changes=dict(changes or {}),
    )
    folder = Path(output) if output else None
    cpu = choose_device(device)
    with together():
        return _train(plan, data, kept, folder, resume, extend, cpu=cpu, clock=clock, say=say)


def _train(
    plan: Plan,
    given: str | Path | OwnParts | None,
    kept: RunArguments,
    output: Path | None,
    resume: bool,
    extend: Extension | None,
    *,
    cpu: bool,
    clock: Clock,
    say: Callable[[str], None],
) -> Result:
    """`train` in one process, perhaps of several, on the CPU or not."""
    task = task_for(plan.model)
    _check(plan, task, given)
    made, own = _asked_recipe(plan, task, kept)
    teacher = open_teacher(plan.teacher) if plan.teacher else None
    if int(os.environ.get("RANK", "0")):  # one process speaks for all
        say = quiet
    images = open_images(task, given, plan.unlabelled, teacher, made.objective, say)
    folder = choose_folder(output, plan.model, kept.data or str(plan.unlabelled), resume=resume)
    if resume and not (folder / NAME).exists():
        say(f"nothing was kept of the run in {folder} yet: it starts anew")
        resume = False
    made = _fitted(plan, made, own, images, kept.changes, folder if resume else None, say)
    torch.manual_seed(made.seed)  # the weights that a run starts from are its recipe's too
    keeper = teacher.card if teacher and images.labelled is None else images.train
    model, new = _network(plan, task, images, made, quiet if resume else say)
    card = card_of(model).replace(kept=getattr(keeper, "kept", {}))
    set_card(model, card)
    made = _settled(plan, task, made, images, card, kept.changes, cpu=cpu, say=say)
    lecturer = teacher.of(task, card, shrink=bool(images.taught)) if teacher else None
    use = task
    if images.taught and teacher:
        use = images.taught.task(task, teacher, card.preprocessing)
    began = ""
    if not resume:
        began = _begun(plan, task, model, made, images, say, fresh=bool(new), cpu=cpu)
    trainer = Trainer(
        model,
        use,
        (images.train, images.val),
        made,
        folder,
        teacher=lecturer,
        workers=kept.workers or 0,
        cpu=cpu,
        began=began,
        clock=clock,
    )
    _announce(trainer, images, card, own, extend, say)
    if not resume and trainer.accelerator.is_main_process:
        keep_arguments(folder, kept)
    result = trainer.run(resume=resume, extend=extend)
    if plan.unknown and images.labelled and trainer.accelerator.is_main_process:
        know_checkpoint(result.checkpoint, task, (images.labelled, images.val), say, cpu=cpu)
    trainer.accelerator.end_training()  # a process that leaves its group open may abort at its end
    return result


def _check(plan: Plan, task: Task, given: str | Path | OwnParts | None) -> None:
    """ValueError for a plan that contradicts itself, or with nothing to learn from."""
    if not network_of(plan.model).trainable:
        raise ValueError(f"{plan.model} is here to be compared with; train a MobileNet's")
    if plan.teacher and not task.has("teach"):
        able = " or ".join(one.name for one in with_part("teach"))
        raise ValueError(f"teacher is to {able}, {plan.model} is to {task.name}")
    check_knows(task, plan.model, asked=plan.unknown, labelled=given is not None)
    if plan.unlabelled is not None and not plan.teacher:
        raise ValueError("unlabelled needs a teacher, whose outputs are learned: --teacher WEIGHTS")
    if given is None and plan.unlabelled is None:
        raise ValueError("data must be labelled images, got none; or unlabelled ones and a teacher")


def _asked_recipe(plan: Plan, task: Task, kept: RunArguments) -> tuple[Recipe, Recipe]:
    """The recipe with the settings that were asked for, and as it is written.

    ValueError for one of another use, or with settings that the network does not have.
    """
    name = kept.recipe or (task.recipes.FINETUNE if plan.weights else task.recipes.SCRATCH)
    made = recipe(name, **kept.changes)
    if name not in task.recipes.RECIPES:
        known = ", ".join(task.recipes.RECIPES)
        raise ValueError(f"recipe must be one of {known} to {task.name}, got {name!r}")
    if made.dropout is not None and "dropout" not in network_of(plan.model).knobs:
        raise ValueError(f"dropout is for a network that has any, {plan.model} has none")
    return made, task.recipes.RECIPES[name]()


def _fitted(
    plan: Plan,
    made: Recipe,
    own: Recipe,
    images: RunImages,
    changes: Mapping[str, Any],
    begun: Path | None,
    say: Callable[[str], None],
) -> Recipe:
    """The recipe for the images at hand; of a run that goes on in `begun`, as it was begun."""
    made = fit(
        made,
        len(images.train),
        keep_batch="batch_size" in changes,
        keep_rate="learning_rate" in changes,
    )
    if begun is not None:
        made = as_begun(begun, made)
    if images.labelled is None:  # nothing but the teacher says what is right
        made = replace(made, teacher_weight=1.0, probe=False)
    if plan.weights and made.probe and not images.taught:
        fingerprint = None if begun is None else read_state(begun)["fingerprint"]
        made, why = settle_gently(made, own, len(images.train), changes, fingerprint)
        if why:
            say(why)
    return made


def _network(
    plan: Plan, task: Task, images: RunImages, made: Recipe, say: Callable[[str], None]
) -> tuple[nn.Module, str]:
    """The network at step 0, for inputs of the size that the plan or else the data asks for.

    And what is new in it, in words. ValueError for an input too small to learn anything from.
    """
    if plan.resolution is None and plan.weights is None:
        plan = replace(plan, resolution=getattr(images.train, "size", None))
    model, new = start(plan, task, images.train.classes, say, made.network, made.initialization)
    if plan.resolution is None:
        card = card_of(model)
        shown = images.labelled or images.train
        size = task.learn.input_size(shown, card.preprocessing.size)
        set_card(model, card.replace(preprocessing=replace(card.preprocessing, size=size)))
        check_side(min(size))
    return model, new


def _settled(
    plan: Plan,
    task: Task,
    made: Recipe,
    images: RunImages,
    card: ModelCard,
    changes: Mapping[str, Any],
    *,
    cpu: bool,
    say: Callable[[str], None],
) -> Recipe:
    """The recipe with what follows from the input's size, the machine and the labels."""
    alone = "WORLD_SIZE" not in os.environ
    if "accumulate" not in changes and alone and (cpu or not torch.cuda.is_available()):
        made = split(made, math.prod(card.preprocessing.size))
    made, why = settle_norm(made, len(images.train), scratch=plan.weights is None)
    if why:
        say(why)
    if images.labelled is not None:
        made = replace(made, objective=task.learn.settle(made.objective, images.labelled))
    return made


def _begun(
    plan: Plan,
    task: Task,
    model: nn.Module,
    made: Recipe,
    images: RunImages,
    say: Callable[[str], None],
    *,
    fresh: bool,
    cpu: bool,
) -> str:
    """Measure norms that were folded, fit a head that is `fresh`; what began, in words."""
    card = card_of(model)
    if folded_norms(model):
        say("batch normalisation was folded into these weights: its statistics are measured anew")
        measure_norms(
            model,
            Samples(images.train, task.learn.transform(card, made.augmentation), made.seed),
            math.prod(card.preprocessing.size),
        )
    if not plan.weights:
        return ""
    shown = images.labelled or images.train
    return begin(model, task, shown, say, fresh=fresh, probe=made.probe, cpu=cpu)


def _announce(
    trainer: Trainer,
    images: RunImages,
    card: ModelCard,
    own: Recipe,
    extend: Extension | None,
    say: Callable[[str], None],
) -> None:
    """Say what is about to be done, in two lines; `own` is the recipe as it is written."""
    classes = f" in {count(len(card.labels), 'class', 'classes')}" if card.labels else ""
    more = f" and {extend.epochs} more" if extend is not None else ""
    say(
        f"{trainer.recipe.name}: {epochs_of(trainer.epochs, trainer.clock.limits)}{more} of "
        f"{count(len(images.train), 'image', 'images')}{classes} "
        f"at {pixels_of(card)} pixels, batch {trainer.batches.batch_size}, "
        f"learning rate {rate_of(trainer.recipe, own)}; "
        f"{count(len(images.val), 'validation image', 'validation images')}; "
        f"on {describe(trainer.accelerator.device)}; in {trainer.output}"
    )
    origin = getattr(images.val, "origin", "") or "its validation images"
    held = count(len(images.val), "image", "images")
    say(f"the best epoch is picked by {trainer.metric.name} on {held}: {origin}")


def check_side(pixels: int) -> None:
    """Raise ValueError for an input that is too small to learn anything from."""
    if pixels < SMALLEST_SIDE:
        raise ValueError(
            f"resolution must be {SMALLEST_SIDE} pixels at least to train, got {pixels}"
        )


def pixels_of(card: ModelCard) -> str:
    """The input's sides: one number where they are equal."""
    height, width = card.preprocessing.size
    return f"{height}" if height == width else f"{height} x {width}"


def start(
    plan: Plan,
    task: Task,
    labels: tuple[str, ...],
    say: Callable[[str], None] = quiet,
    defaults: Mapping[str, Any] = MappingProxyType({}),
    initialization: Initialization = "released",
) -> tuple[nn.Module, str]:
    """The network at step 0, random or from weights with a head for `labels`; and what is new.

    In words: empty where all of it is the weights'. `defaults` are arguments of what is new in it,
    where the plan does not say.
    """
    if plan.resolution is not None:
        check_side(plan.resolution)
    classes = plan.knobs.get("classes", len(labels))
    if classes != len(labels) and labels:
        raise ValueError(f"classes must be the data's, {len(labels)}, got {classes!r}")
    knobs = {**defaults, **plan.knobs}
    size = (plan.resolution, plan.resolution) if plan.resolution is not None else None
    model: nn.Module
    new = "all"
    if plan.weights is None:
        model = task.network.build(plan.model, labels, knobs)
        if initialization == "he":
            initialise_he(model)
        size = size or (network_of(plan.model).size,) * 2
    else:
        backbone = network_of(plan.model).backbone
        loaded = load(
            plan.weights,
            backbone=backbone,
            width=plan.knobs.get("width"),
            partial=True,
            say=say,
        )
        own = defaults, plan.knobs
        model, new = onto(plan.model, loaded, labels, *own, weights=plan.weights)
        if new:
            say(f"{new}; the rest as in {plan.weights}")
    if size is not None:
        card = card_of(model)
        set_card(model, card.replace(preprocessing=replace(card.preprocessing, size=size)))
    return model, new
