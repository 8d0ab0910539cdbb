"""The training loop, in plain sight: read it from top to bottom.

One process or many, the same code: Accelerate wraps the model, and each process takes its part of
every global batch. All that is random is drawn from (seed, step), so that a run killed at any
moment and resumed ends in the same weights, bit for bit on a CPU, as one that never stopped.
"""

import copy
import math
import os
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from mobilenets.allocator import keep_memory
from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.data.contents import Contents
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.devices import describe
from mobilenets.errors import TrainingError
from mobilenets.evaluation import Evaluation
from mobilenets.inference import TorchSession
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.task import Task
from mobilenets.training.fitting import global_batch, planned_epochs, set_dropout
from mobilenets.training.mode import Mode
from mobilenets.training.norms import set_momentum, share_statistics
from mobilenets.training.optimizer import Rates, make_average, make_optimizer
from mobilenets.training.runs.extension import Extension
from mobilenets.training.runs.limits import Clock, seconds_each
from mobilenets.training.runs.report import Reporter, Row
from mobilenets.training.runs.result import Result
from mobilenets.training.runs.signals import InterruptedRunError, asked_to_stop
from mobilenets.training.samples import Samples, batches_of, loader, mix, read, seed_only_cpu
from mobilenets.training.state import fingerprint, limits_of, load_state, save_state, unknown_to
from mobilenets.training.taught.lesson import Lesson
from mobilenets.training.validation import Validation
from mobilenets.weights.sources.own import save

SAVE_SECONDS = 300
"""Longest time between two saved states: what a killed run can lose."""


class Trainer:
    """A run: what it learns, from what, by which recipe, and where it is kept.

    `model` is any torch module whose outputs the task knows; `card` says how to feed it (a
    network of ours carries its own). `began` says in words what it starts from, if that is to be
    measured as epoch 0; `clock` has the limits. Raises ValueError for a recipe that does not fit.
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
        began: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.began, self.clock = began, clock or Clock()
        self.task, self.recipe, self.output = task, recipe, Path(output)
        self.metric = task.measure.METRIC
        self.card = card or card_of(model)
        # An earlier run here may have had another precision or, alone, another device.
        AcceleratorState._reset_state("WORLD_SIZE" not in os.environ)
        # Told that there is no accelerator, it sees the other processes of `torchrun`; else not.
        cpu = cpu or not torch.accelerator.is_available()
        self.accelerator = Accelerator(mixed_precision=recipe.precision, cpu=cpu)
        world, images = self.accelerator.num_processes, len(data[0])
        batch = global_batch(recipe, images, world, task)
        if recipe.freeze_epochs and not hasattr(model, "backbone"):
            raise ValueError("freeze_epochs needs a network with a `backbone`, this one has none")
        set_dropout(model, recipe.dropout)
        set_momentum(model, recipe.norm_momentum)
        device = self.accelerator.device
        if device.type == "cpu":
            keep_memory()
        # Channels last: 1.3 to 1.8 times as fast on a CPU, and what tensor cores want.
        self.model = share_statistics(model, device).to(device)
        self.model.to(memory_format=torch.channels_last)
        self.teacher = None if teacher is None else teacher.to(device)
        self.mode = Mode(self.model, recipe, self.accelerator)
        self.validation = Validation(task, data[1], recipe, self.accelerator)
        self.batches = batches_of(task, data[0], batch, recipe, self.accelerator)
        transform = task.learn.transform(self.card, recipe.augmentation)
        criterion = task.learn.criterion(self.card, recipe.objective)
        self.lesson = Lesson(task, recipe, criterion, self.teacher, self.accelerator.autocast)
        self.loader = loader(Samples(data[0], transform, recipe.seed), self.batches, workers)
        self.mixer = task.learn.mixer(recipe.augmentation, len(data[0].classes))
        self.optimizer = self.accelerator.prepare(make_optimizer(self.model, recipe))
        self.plan(planned_epochs(recipe, len(self.batches)))
        self.average = make_average(self.model, recipe)
        contents = (Contents(data[0]), Contents(data[1]))
        self.fingerprint = fingerprint(recipe, self.card, data, contents, teacher=teacher)
        self.fingerprint |= limits_of(self.clock.limits)
        learned = contents[0].trained_on
        before = self.card.trained_on  # of the weights that it starts from
        self.card = self.card.replace(trained_on=learned and learned.joined(before))
        self.step = 0  # optimizer steps done
        self.loss_sum = 0.0  # of this epoch's steps
        self.history: list[Row] = []
        self.unreadable: set[str] = set()
        self.evaluation: Evaluation | None = None
        self.stop = False  # someone asked for it
        self.late = False  # its minutes are over
        self.saved = time.monotonic()

    @property
    def epochs(self) -> int:
        """The recipe's, and those that were added."""
        return self.planned + sum(one.epochs for one in self.extensions)

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
        report = Reporter(self.output, self.step, shown=self.accelerator.is_main_process)
        with report, asked_to_stop(self):
            if older:
                what = ", ".join(older)
                report.say(f"a run of an older version: whether its {what} changed is not known")
            if not resume:
                self.begin(report)
            report.plan(self.epochs * len(self.batches))
            while not self.ended(report):
                self.train_epoch(self.done, report)
                self.finish_epoch(self.done + 1, report)
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
        return Result(best, self.history, self.metric.name, path, device, self.began)

    @property
    def done(self) -> int:
        """Whole epochs until now."""
        return int(self.history[-1]["epoch"]) if self.history else 0

    def plan(self, epochs: int) -> None:
        """Set the number of epochs, and with it how the rate goes."""
        self.planned = epochs
        self.extensions: list[Extension] = []
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("initial_lr", group["lr"])
        self.rates = Rates(self.optimizer, replace(self.recipe, epochs=epochs), len(self.batches))

    def begin(self, report: Reporter) -> None:
        """Measure what the run starts from, as epoch 0; and how many epochs its minutes allow."""
        if self.began:
            self.finish_epoch(0, report)
        minutes = self.clock.limits.minutes
        if minutes is None:
            return
        kept = copy.deepcopy(self.state())
        step = self.seconds_per_step()
        self.restore(kept)
        epoch = step * len(self.batches) + self.validation.estimate(self.session())
        [epochs] = broadcast_object_list([self.clock.limits.fitting(self.clock.left, epoch)])
        self.plan(epochs)
        report.say(f"{epochs} epochs of about {epoch:.3g} s fit into {minutes:g} minutes")

    def seconds_per_step(self) -> float:
        """How long an optimizer step takes, by a few that change the network."""
        wrapped = self.mode(0)
        self.batches.epoch = self.batches.start = 0
        return seconds_each(self.train_step(wrapped, x, y) for x, y, _ in read(self.loader))

    def ended(self, report: Reporter) -> bool:
        """Whether this was the last epoch: by the recipe, the time, or for want of progress."""
        if self.done >= self.epochs:
            return True
        since = self.epochs - self.extensions[-1].epochs if self.extensions else 0
        why = self.clock.limits.reason(self.history, self.metric, since) if self.history else ""
        if self.late:
            why = f"the {self.clock.limits.minutes:g} minutes are over"
        if why:
            report.say(why)
        return bool(why)

    def train_epoch(self, epoch: int, report: Reporter) -> None:
        """One pass over the training images, from wherever a resumed run left off."""
        steps = len(self.batches)
        wrapped = self.mode(epoch)
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
            if self.late:
                return

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
                loss = self.lesson(wrapped, x, y) * weights[index]
                accelerator.backward(loss)
            total += loss.detach()
        # One word for all: the mean loss, and whether any process was told to stop, or is late.
        late = self.clock.left < self.validation.seconds
        told = total.new_tensor([float(self.stop), float(late)]).float()
        shared = torch.cat([total.float()[None], told])
        value, stop, late = accelerator.reduce(shared, reduction="mean").tolist()
        self.stop, self.late = stop > 0, late > 0
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

    def finish_epoch(self, number: int, report: Reporter) -> None:
        """Evaluate, log, and keep the weights; epoch 0 is what the run starts from."""
        self.evaluation = self.evaluate(report)
        self.warn([why for _, why in self.evaluation.failures], report)
        results = dict(self.evaluation.results)
        row: Row = {"epoch": number, "step": self.step}
        if number:
            steps = self.step - (number - 1) * len(self.batches)  # fewer where time ran out
            row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
            row["loss"] = self.loss_sum / steps
            self.step = number * len(self.batches)
        row |= {"val_loss": results.pop("loss")} if "loss" in results else {}
        row |= results
        self.loss_sum = 0.0
        name = self.metric.name
        best = self.metric.best(self.history)[name] if self.history else None
        self.history.append(row)
        report.epoch(self.history, name, self.began)
        for each in ("best", "last") if self.metric.better(row[name], best) else ("last",):
            if self.accelerator.is_main_process:
                self.save_weights(f"{each}.safetensors", results)
        self.save_state()

    def evaluated(self) -> nn.Module:
        """The network that counts: the average where there is one."""
        return self.model if self.average is None else self.average.module

    def evaluate(self, report: Reporter) -> Evaluation:
        """The validation images, by the network that counts."""
        report.validating(len(self.validation.mine))
        return self.validation(self.session(), report.validated)

    def session(self) -> TorchSession:
        """The network that counts, to be run as it will be."""
        return TorchSession(self.evaluated(), self.card)

    def save_weights(self, name: str, results: dict[str, float]) -> None:
        """A checkpoint that says of itself what it is and how good."""
        network = self.evaluated()
        recipe = asdict(replace(self.recipe, epochs=self.planned))
        added = [asdict(one) for one in self.extensions]
        recipe |= {"extensions": added} if added else {}
        kept = {**self.card.kept, **(self.evaluation.kept if self.evaluation else {})}
        card = self.card.replace(recipe=recipe, results=results, kept=kept)
        set_card(network, card.replace(task=card.task or self.task.name))
        save(network, self.output / name)

    def save_state(self) -> None:
        """All that a resumed run needs, in one file."""
        self.saved = time.monotonic()
        if not self.accelerator.is_local_main_process:  # one per machine: disks may not be shared
            return
        save_state(self.output, self.state())

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on from here, in this process or another."""
        scaler = self.accelerator.scaler
        return {
            "fingerprint": self.fingerprint,
            "began": self.began,
            "planned": self.planned,
            "seconds": self.clock.seconds,
            "late": self.late,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "history": self.history,
            "extensions": [asdict(one) for one in self.extensions],
            "model": self.model.state_dict(),
            "average": self.average and self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler and scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called, perhaps in another process."""
        self.plan(state.get("planned", self.recipe.epochs))
        self.began, self.late = state.get("began", ""), state.get("late", False)
        self.clock.before = state.get("seconds", 0.0)
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
        early = self.late or self.clock.limits.reason(self.history, self.metric)
        if self.done < self.epochs and not early:
            raise TrainingError(
                f"the run in {self.output} has not ended (epoch {self.done} of "
                f"{self.epochs}): --resume alone goes on with it, and --extend after that"
            )
        if self.done < self.epochs:  # it ended before all that were planned
            self.plan(self.done)
        self.late = False
        self.clock.restart()
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
