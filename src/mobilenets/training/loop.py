"""The training loop, in plain sight: read it from top to bottom.

One process or many, the same code: Accelerate wraps the model, and each process takes its part of
every global batch. All that is random is drawn from (seed, step), so that a run killed at any
moment and resumed ends in the same weights, bit for bit on a CPU, as one that never stopped.
"""

import math
import os
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn

from mobilenets.allocator import keep_memory
from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.data.contents import Contents
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.devices import describe
from mobilenets.errors import DataError, TrainingError
from mobilenets.evaluation import Evaluation, evaluate
from mobilenets.inference import TorchSession
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.task import Task
from mobilenets.training.norms import freeze_statistics, set_momentum, share_statistics
from mobilenets.training.optimizer import Rates, make_average, make_optimizer
from mobilenets.training.report import Reporter, Row
from mobilenets.training.runs.extension import Extension
from mobilenets.training.runs.signals import InterruptedRunError, asked_to_stop
from mobilenets.training.samples import Batches, Samples, loader, mix, read, seed_only_cpu
from mobilenets.training.state import fingerprint, load_state, save_state, unknown_to
from mobilenets.weights.sources.own import save

SAVE_SECONDS = 300
"""Longest time between two saved states: what a run that is killed can lose."""


@dataclass(frozen=True)
class Result:
    """What a run leaves: its best epoch's metrics, and the files."""

    best: Row
    history: list[Row]
    metric: str
    """The name of the result that picked the best epoch."""
    checkpoint: Path
    """The best epoch's weights; `last.safetensors` beside it has the last one's."""
    device: str = ""
    """What it was trained on, in words."""


class Trainer:
    """A run: what it learns, from what, by which recipe, and where it is kept.

    `model` is any torch module whose outputs the task knows; `card` says how to feed it (a
    network of ours carries its own). Raises ValueError for a recipe that does not fit.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        data: tuple[Dataset, Dataset],
        recipe: Recipe,
        output: str | Path,
        *,
        card: ModelCard | None = None,
        teacher: nn.Module | None = None,
        workers: int = 1,
        cpu: bool = False,
    ) -> None:
        self.task, self.recipe, self.output = task, recipe, Path(output)
        self.metric = task.measure.METRIC
        self.train_set, self.val_set = data
        self.card = card or card_of(model)
        # An earlier run here may have had another precision or, alone, another device.
        AcceleratorState._reset_state("WORLD_SIZE" not in os.environ)
        # Told that there is no accelerator, it sees the other processes of `torchrun`; else not.
        cpu = cpu or not torch.accelerator.is_available()
        self.accelerator = Accelerator(mixed_precision=recipe.precision, cpu=cpu)
        world, images = self.accelerator.num_processes, len(self.train_set)
        parts = world * recipe.accumulate
        batch = recipe.batch_size
        if batch > images >= parts:
            batch = images - images % parts
        if batch % parts or batch > images:
            raise ValueError(
                f"batch_size must be a multiple of processes x accumulate "
                f"({world} x {recipe.accumulate}), got {batch}"
            )
        if recipe.norm == "train" and batch // recipe.accumulate < task.learn.SMALLEST_BATCH:
            raise ValueError(
                f"batch_size must be accumulate x {task.learn.SMALLEST_BATCH} at least "
                f"to {task.name}, got {recipe.accumulate} x {batch // recipe.accumulate}"
            )
        if recipe.freeze_epochs and not hasattr(model, "backbone"):
            raise ValueError("freeze_epochs needs a network with a `backbone`, this one has none")
        if recipe.dropout is not None:
            dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
            if not dropouts:
                raise ValueError("dropout is for a network that has any, this one has none")
            for module in dropouts:
                module.p = recipe.dropout
        set_momentum(model, recipe.norm_momentum)
        device = self.accelerator.device
        if device.type == "cpu":
            keep_memory()
        # Channels last: 1.3 to 1.8 times as fast on a CPU, and what tensor cores want.
        self.model = share_statistics(model, device).to(device)
        self.model.to(memory_format=torch.channels_last)
        self.teacher = None if teacher is None else teacher.to(device)
        self.batches = Batches(images, batch, recipe.seed, self.accelerator.process_index, world)
        augmentation = recipe.augmentation
        transform = task.learn.transform(self.card, augmentation)
        self.criterion = task.learn.criterion(self.card, recipe.objective)
        self.loader = loader(Samples(self.train_set, transform, recipe.seed), self.batches, workers)
        self.mixer = task.learn.mixer(augmentation, len(self.train_set.classes))
        self.optimizer = self.accelerator.prepare(make_optimizer(self.model, recipe))
        self.rates = Rates(self.optimizer, recipe, len(self.batches))
        self.extensions: list[Extension] = []
        self.average = make_average(self.model, recipe)
        contents = (Contents(data[0]), Contents(data[1]))
        self.fingerprint = fingerprint(recipe, self.card, data, contents, teacher=teacher)
        learned = contents[0].trained_on
        before = self.card.trained_on  # of the weights that it starts from
        self.card = self.card.replace(trained_on=learned and learned.joined(before))
        self.step = 0  # optimizer steps done
        self.loss_sum = 0.0  # of this epoch's steps
        self.history: list[Row] = []
        self.unreadable: set[str] = set()
        self.evaluation: Evaluation | None = None
        self.stop = False
        self.saved = time.monotonic()
        self.wrapped: nn.Module | None = None
        self.frozen = False

    @property
    def epochs(self) -> int:
        """The recipe's, and those that were added."""
        return self.recipe.epochs + sum(one.epochs for one in self.extensions)

    def run(self, *, resume: bool = False, extend: Extension | None = None) -> Result:
        """Train to the last epoch; a resumed run that had ended, for the epochs of `extend` more.

        Ctrl-C or SIGTERM saves the state after the step at hand and raises InterruptedRunError.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        older: list[str] = []
        if resume:
            state = load_state(self.output, self.fingerprint)
            older = unknown_to(state)
            self.restore(state)
        if extend is not None:
            self.extend(extend)
        steps = len(self.batches)
        total = self.epochs * steps
        main = self.accelerator.is_main_process
        report = Reporter(self.output, total, self.step, shown=main)
        with report, asked_to_stop(self):
            if older:
                what = ", ".join(older)
                report.say(f"a run of an older version: whether its {what} changed is not known")
            for epoch in range(len(self.history), self.epochs):
                self.train_epoch(epoch, report)
                self.finish_epoch(epoch, report)
            if self.evaluation is None:  # resumed after its last epoch
                report.say(f"the run in {self.output} was finished already")
                self.evaluation = self.evaluate(report)
            report.pictures(self.history, self.task, self.evaluation.evaluator)
            if self.unreadable:
                unread = count(len(self.unreadable), "image", "images")
                report.say(f"{unread} could not be read and left out")
        best = cast(Row, self.metric.best(self.history))
        device = describe(self.accelerator.device)
        path = self.output / "best.safetensors"
        return Result(best, self.history, self.metric.name, path, device)

    def train_epoch(self, epoch: int, report: Reporter) -> None:
        """One pass over the training images, from wherever a resumed run left off."""
        steps = len(self.batches)
        frozen = epoch < self.recipe.freeze_epochs
        wrapped = self.wrap(frozen)
        wrapped.train()
        if self.recipe.norm == "frozen":
            freeze_statistics(self.model)
        if frozen:
            cast(nn.Module, self.model.backbone).eval()
        self.batches.epoch, self.batches.start = epoch, self.step - epoch * steps
        for images, targets, notes in read(self.loader):
            self.warn(notes, report)
            rate = self.rates.set(self.step)
            loss = self.train_step(wrapped, images, targets)
            self.step += 1
            self.loss_sum += loss
            report.step(self.step, epoch, loss, rate)
            if time.monotonic() - self.saved > SAVE_SECONDS:
                self.save_state()
            if self.stop:
                self.save_state()
                why = f"stopped at step {self.step}; the run is kept in {self.output}"
                raise InterruptedRunError(why, self.output)

    def wrap(self, frozen: bool) -> nn.Module:
        """The network as Accelerate runs it: many processes, mixed precision.

        Wrapped anew when what learns changes, since gradients are exchanged for that alone; and
        inside a shell, so that `self.model` itself stays as it was.
        """
        if self.wrapped is None or frozen != self.frozen:
            if self.recipe.freeze_epochs:
                cast(nn.Module, self.model.backbone).requires_grad_(not frozen)
            self.wrapped = self.accelerator.prepare_model(nn.Sequential(self.model))
            self.frozen = frozen
        assert self.wrapped is not None
        return self.wrapped

    def train_step(self, wrapped: nn.Module, images: Tensor, targets: Tensor) -> float:
        """One optimizer step on this process's part of a batch; the loss over all of them."""
        accelerator, recipe = self.accelerator, self.recipe
        # Dropout and mixing: from the step alone, and different in each process.
        seed = seed_only_cpu if accelerator.device.type == "cpu" else torch.manual_seed
        seed(mix(recipe.seed, self.step, accelerator.process_index))
        if self.mixer is not None:
            images, targets = self.mixer(images, targets)
        images = images.to(accelerator.device, memory_format=torch.channels_last)
        targets = targets.to(accelerator.device)
        total = torch.zeros((), device=accelerator.device)
        parts = list(
            zip(images.chunk(recipe.accumulate), targets.chunk(recipe.accumulate), strict=True)
        )
        # Each part by what its mean is over, so that parts and processes learn as one batch.
        weights = torch.stack([self.task.learn.weight(y) for _, y in parts]).float()
        weights /= accelerator.reduce(weights.sum(), reduction="mean")
        for index, (x, y) in enumerate(parts):
            last = index == len(parts) - 1
            with nullcontext() if last else accelerator.no_sync(wrapped):
                loss = self.loss(wrapped, x, y) * weights[index]
                accelerator.backward(loss)
            total += loss.detach()
        # One number for all: the mean loss, and whether any process was told to stop.
        shared = torch.stack([total.float(), total.new_tensor(float(self.stop)).float()])
        shared = accelerator.reduce(shared, reduction="mean")
        value, self.stop = shared[0].item(), shared[1].item() > 0
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} at step {self.step + 1}; try a smaller learning rate, "
                f"clip_norm, or precision no"
            )
        if recipe.clip_norm:
            accelerator.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return float(value)

    def loss(self, wrapped: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """The task's loss, or a mix of it and the teacher's."""
        recipe = self.recipe
        outputs = wrapped(images)
        loss = self.criterion(outputs, targets)
        if self.teacher is None:
            return loss
        with self.accelerator.autocast():
            taught = self.teacher(images)
        distilled = self.task.teach.distillation_loss(
            outputs, taught.float(), recipe.teacher_temperature
        )
        return torch.lerp(loss, distilled, recipe.teacher_weight)

    def finish_epoch(self, epoch: int, report: Reporter) -> None:
        """Evaluate, log, and keep the weights."""
        self.evaluation = self.evaluate(report)
        self.warn([why for _, why in self.evaluation.failures], report)
        results = dict(self.evaluation.results)
        row: Row = {
            "epoch": epoch + 1,
            "step": self.step,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "loss": self.loss_sum / len(self.batches),
            **({"val_loss": results.pop("loss")} if "loss" in results else {}),
            **results,
        }
        self.loss_sum = 0.0
        name = self.metric.name
        best = self.metric.best(self.history)[name] if self.history else None
        self.history.append(row)
        report.epoch(self.history, name)
        if self.accelerator.is_main_process:
            if self.metric.better(row[name], best):
                self.save_weights("best.safetensors", results)
            self.save_weights("last.safetensors", results)
        self.save_state()

    def evaluated(self) -> nn.Module:
        """The network that counts: the average where there is one."""
        return self.model if self.average is None else self.average.module

    def evaluate(self, report: Reporter) -> Evaluation:
        """The validation images, each process its share; the whole result in each."""
        accelerator = self.accelerator
        mine = range(accelerator.process_index, len(self.val_set), accelerator.num_processes)
        session = TorchSession(self.evaluated(), self.card)
        alone = accelerator.num_processes == 1
        report.validating(len(mine))
        found = evaluate(
            session,
            self.val_set,
            self.task,
            indices=mine,
            progress=report.validated,
            strict=alone,
            objective=self.recipe.objective,
        )
        if alone:
            return found
        parts: list[Evaluation] = gather_object([found])
        whole = self.task.measure.evaluator(self.card, self.val_set, self.recipe.objective)
        for part in parts:
            whole.merge(part.evaluator)
        failures = [failure for part in parts for failure in part.failures]
        if len(failures) == len(self.val_set):
            raise DataError(f"no validation image could be read; the first: {failures[0][1]}")
        return Evaluation(dict(whole.results()), failures, whole)

    def save_weights(self, name: str, results: dict[str, float]) -> None:
        """A checkpoint that says of itself what it is and how good."""
        network = self.evaluated()
        recipe = asdict(self.recipe)
        added = [asdict(one) for one in self.extensions]
        recipe |= {"extensions": added} if added else {}
        card = self.card.replace(recipe=recipe, results=results)
        set_card(network, card.replace(task=card.task or self.task.name))
        save(network, self.output / name)

    def save_state(self) -> None:
        """All that a resumed run needs, in one file."""
        self.saved = time.monotonic()
        if not self.accelerator.is_local_main_process:  # one per machine: disks may not be shared
            return
        scaler = self.accelerator.scaler
        save_state(
            self.output,
            {
                "fingerprint": self.fingerprint,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "history": self.history,
                "extensions": [asdict(one) for one in self.extensions],
                "model": self.model.state_dict(),
                "average": self.average and self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": scaler and scaler.state_dict(),
            },
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `save_state` was called."""
        self.step, self.loss_sum = state["step"], state["loss_sum"]
        self.history = state["history"]
        for one in state.get("extensions", ()):
            self.add(Extension(**one))
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def extend(self, extension: Extension) -> None:
        """Go on after the last epoch; TrainingError where that has not been reached."""
        if len(self.history) < self.epochs:
            raise TrainingError(
                f"the run in {self.output} has not ended (epoch {len(self.history)} of "
                f"{self.epochs}): --resume alone goes on with it, and --extend after that"
            )
        self.add(extension)
        self.save_state()

    def add(self, extension: Extension) -> None:
        """More epochs, at the rates that they have."""
        self.rates.extend(self.epochs, extension)
        self.extensions.append(extension)

    def warn(self, notes: list[str], report: Reporter) -> None:
        """Name each unreadable image once."""
        for note in notes:
            if note not in self.unreadable:
                self.unreadable.add(note)
                report.say(f"left out: {note}")
