"""The recipe's optimizer, schedule and average, from timm and torch."""

from dataclasses import replace
from typing import Any

import torch
from timm.optim.rmsprop_tf import RMSpropTF
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.poly_lr import PolyLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.scheduler.step_lr import StepLRScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mobilenets.tasks.recipe import Recipe
from mobilenets.training.runs.extension import Extension

Tensors = tuple[Tensor, ...] | list[Tensor]


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Two groups: what is decayed, and what is not (norms, biases, and depthwise if so said)."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for module in model.modules():
        depthwise = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        for parameter in module.parameters(recurse=False):
            spare = parameter.ndim < 2 or (depthwise and not recipe.decay_depthwise)
            (spared if spare else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """`rmsprop_tf` is TensorFlow's: epsilon 1 inside the root, mean square starting at 1."""
    groups = parameter_groups(model, recipe)
    if recipe.optimizer == "rmsprop_tf":
        return RMSpropTF(
            groups, lr=recipe.learning_rate, alpha=0.9, eps=1.0, momentum=recipe.momentum
        )
    if recipe.optimizer == "adamw":
        # One pass over each tensor: on a CPU a dozen of them are a tenth of a small network's step.
        fused = all(parameter.device.type == "cpu" for parameter in model.parameters()) or None
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int
) -> Scheduler:
    """A schedule that sets the rate from the step's number alone, so that a resumed run agrees."""
    warmup = max(round(recipe.warmup_epochs * steps_per_epoch), recipe.warmup_steps)
    total = recipe.epochs * steps_per_epoch
    common: dict[str, Any] = {
        "warmup_t": min(warmup, total // 2),
        "warmup_lr_init": recipe.learning_rate * 0.01,
        "t_in_epochs": False,
    }
    if recipe.schedule == "cosine":
        return CosineLRScheduler(
            optimizer,
            t_initial=max(total - common["warmup_t"], 2),  # timm warns of a cosine of one step
            warmup_prefix=True,
            **common,
        )
    if recipe.schedule == "poly":
        return PolyLRScheduler(
            optimizer,
            t_initial=max(total - common["warmup_t"], 2),
            power=recipe.poly_power,
            warmup_prefix=True,
            **common,
        )
    return StepLRScheduler(
        optimizer,
        decay_t=max(round(recipe.decay_epochs * steps_per_epoch), 1),
        decay_rate=recipe.decay_rate,
        **common,
    )


class Rates:
    """The learning rate of each step, of a run and of the epochs that it is extended by.

    It depends on the step's number alone, so that a resumed run agrees.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int
    ) -> None:
        self.optimizer, self.recipe, self.steps = optimizer, recipe, steps_per_epoch
        self.parts = [(0, make_schedule(optimizer, recipe, steps_per_epoch))]
        """The first step that each is for."""

    def extend(self, epoch: int, extension: Extension) -> None:
        """From this epoch on the rate is the extension's: again from `learning_rate` down.

        Where the schedule has no end and no rate was asked for, it goes on as it is.
        """
        endless = self.recipe.schedule == "staircase"
        if endless and extension.learning_rate is None:
            return
        rate = extension.learning_rate or self.recipe.learning_rate / 2
        made = replace(self.recipe, epochs=extension.epochs, warmup_epochs=0.0)
        part = make_schedule(self.optimizer, made, self.steps)
        part.base_values = [v * rate / self.recipe.learning_rate for v in part.base_values]
        self.parts.append((epoch * self.steps, part))

    def set(self, step: int) -> float:
        """Give the optimizer the rate of this step, which is returned: the first group's."""
        first, part = [one for one in self.parts if one[0] <= step][-1]
        part.step_update(step - first)
        return float(self.optimizer.param_groups[0]["lr"])


def make_average(model: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """The exponential moving average of weights and norm statistics, or None."""
    if not recipe.ema_decay:
        return None

    def average(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        step = int(count)
        decay = min(recipe.ema_decay, (1 + step) / (10 + step))
        if averaged[0].is_floating_point():  # torch hands over tensors of one type at a time
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)
