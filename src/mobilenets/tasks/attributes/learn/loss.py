"""Binary cross entropy of marks, of which some are unknown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mobilenets.tasks.attributes.recipes.settings import AttributesObjective


class AttributesLoss:
    """(N, attributes) logits and marks -> the mean loss over the marks that are 1 or 0.

    `groups` are places of attributes that exclude each other: cross entropy of a softmax, for each
    image that has exactly one of them and of which no other is unknown; each counts once for every
    attribute of the group, so that a group weighs as much as so many attributes.
    """

    def __init__(self, objective: AttributesObjective, groups: Sequence[Sequence[int]]) -> None:
        self.objective = objective
        self.groups = [list(group) for group in groups]

    def __call__(self, logits: Tensor, marks: Tensor) -> Tensor:
        """The mean; 0, with gradients of 0, where nothing is known."""
        marks = marks.to(logits.dtype)
        known = marks >= 0
        losses = self.each(logits, marks.clamp_min(0)) * known
        grouped = [i for group in self.groups for i in group]
        if grouped:
            alone = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
            alone[grouped] = False
            losses, known = losses * alone, known & alone
        total, count = losses.sum(), known.sum()
        for group in self.groups:
            part, rows = self.group(logits[:, group], marks[:, group])
            total, count = total + part * len(group), count + rows * len(group)
        return total / count.clamp_min(1)

    def group(self, logits: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of cross entropies in a group, and over how many images."""
        clear = ((marks == 1).sum(1) == 1) & (marks >= 0).all(1)
        losses = F.cross_entropy(
            logits,
            marks.argmax(1),
            reduction="none",
            label_smoothing=self.objective.label_smoothing,
        )
        return (losses * clear).sum(), clear.sum()

    def each(self, logits: Tensor, marks: Tensor) -> Tensor:
        """The loss of each entry, (N, attributes), as if all were known."""
        objective = self.objective
        smooth = objective.label_smoothing
        wanted = marks * (1 - smooth) + smooth / 2
        if objective.loss == "asymmetric":
            return self.asymmetric(logits, wanted)
        losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        if objective.loss == "balanced":
            shares = logits.new_tensor(objective.shares)
            losses = losses * torch.where(marks > 0.5, (1 - shares).exp(), shares.exp())
        return losses

    def asymmetric(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Ridnik et al.'s loss: the smaller the error, the less it counts, above all of a no."""
        objective = self.objective
        score = logits.sigmoid()
        no = (1 - score + objective.clip).clamp(max=1)
        least = torch.finfo(logits.dtype).tiny
        yes = F.logsigmoid(logits) * (1 - score) ** objective.focus_yes
        other = no.clamp_min(least).log() * (1 - no) ** objective.focus_no
        return -(wanted * yes + (1 - wanted) * other)
