"""The loss of segmentation in torch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.recipes.settings import SegmentationObjective


class SegmentationLoss:
    """((N, classes, H, W) logits, (N, H, W) classes) -> mean cross entropy over all but void.

    With class weights, the mean of the weighted losses: a batch of rare classes counts more.
    ValueError where there are not as many weights as classes.
    """

    def __init__(self, classes: int, objective: SegmentationObjective) -> None:
        weights = objective.class_weights
        self.weights = None
        if weights != "none":
            if isinstance(weights, str):
                raise ValueError(
                    f"class_weights must be numbers here (learn.settle), got {weights}"
                )
            if len(weights) != classes:
                raise ValueError(
                    f"class_weights must be as many as classes, {classes}, got {len(weights)}"
                )
            self.weights = torch.tensor(weights)
        self.smoothing = objective.label_smoothing

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        weights = None if self.weights is None else self.weights.to(outputs.device)
        total = F.cross_entropy(
            outputs.float(),  # mixed precision ends here
            targets.long(),
            weight=weights,
            ignore_index=VOID,
            reduction="sum",
            label_smoothing=self.smoothing,
        )
        return total / (targets != VOID).sum().clamp_min(1)
