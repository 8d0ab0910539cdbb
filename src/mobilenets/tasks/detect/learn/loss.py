"""SSD's loss in torch (Liu et al. 2016, section 2.2; the authors' configuration for MobileNets)."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms, sigmoid_focal_loss

from mobilenets.tasks.detect.architecture.geometry import Scores
from mobilenets.tasks.detect.architecture.ssd import decode_boxes, encode_boxes
from mobilenets.tasks.detect.recipes.settings import DetectionObjective

LEAST_NEGATIVES = 3
"""For an image without objects, so that it teaches something too."""


def matched(targets: Tensor) -> Tensor:
    """The number of anchors with an object in targets (N, anchors, 5), 1 at least."""
    return (targets[..., 0] > 0).sum().clamp_min(1)


class DetectionLoss:
    """((N, anchors, 4 + 1 + classes), (N, anchors, 5)) -> smooth L1 of boxes + loss of classes.

    Targets are `learn.transforms.match`'s. Both losses are sums over anchors, divided by the
    number of anchors with an object in the batch. Classes: cross entropy (`softmax`) or binary
    cross entropy over background and classes (`sigmoid`), of the matched anchors and the hardest
    others, `negatives` for each; or the focal loss, of all anchors.
    """

    def __init__(self, anchors: Tensor, scores: Scores, objective: DetectionObjective) -> None:
        if objective.focal_gamma and scores != "sigmoid":
            raise ValueError(f"focal_gamma needs scores=sigmoid (--knob), the network has {scores}")
        self.anchors, self.scores, self.objective = anchors, scores, objective

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        outputs = outputs.float()  # mixed precision ends here
        anchors = self.anchors.to(outputs.device)
        codes, logits = outputs[..., :4], outputs[..., 4:]
        classes = targets[..., 0].long()  # (N, anchors)
        matched = classes > 0
        count = matched.sum().clamp_min(1)
        wanted = encode_boxes(targets[..., 1:][matched], anchors.expand_as(codes)[matched])
        boxes = F.smooth_l1_loss(codes[matched], wanted, reduction="sum")
        losses = self.class_losses(logits, classes)  # (N, anchors)
        if not self.objective.focal_gamma:
            losses = losses[self.mine(losses.detach(), matched, codes.detach(), anchors)]
        return (self.objective.box_weight * boxes + losses.sum()) / count

    def class_losses(self, logits: Tensor, classes: Tensor) -> Tensor:
        """The loss of each anchor's classes; (N, anchors)."""
        smoothing = self.objective.label_smoothing
        if self.scores == "softmax":
            flat = F.cross_entropy(
                logits.flatten(0, 1), classes.flatten(), reduction="none", label_smoothing=smoothing
            )
            return flat.view(classes.shape)
        shares = F.one_hot(classes, logits.shape[-1]).float()
        if self.objective.focal_gamma:
            shares[..., 0] = 0.0  # all background is all zeros: there is no class to balance it
            focal: Tensor = sigmoid_focal_loss(
                logits, shares, self.objective.focal_alpha, self.objective.focal_gamma
            )
            return focal.sum(-1)
        shares = shares * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, shares, reduction="none").sum(-1)

    def mine(self, losses: Tensor, matched: Tensor, codes: Tensor, anchors: Tensor) -> Tensor:
        """Which anchors count: those with an object, and each image's hardest others.

        With `negative_nms`, of others that lie on each other only the hardest counts.
        """
        hardness = losses.masked_fill(matched, -torch.inf)
        if self.objective.negative_nms:
            images = torch.arange(len(losses), device=losses.device)
            kept = batched_nms(
                decode_boxes(codes, anchors).flatten(0, 1),
                losses.flatten(),
                images[:, None].expand_as(losses).flatten(),
                self.objective.negative_nms,
            )
            spare = torch.ones_like(matched).flatten()
            spare[kept] = False
            hardness = hardness.masked_fill(spare.view_as(matched), -torch.inf)
        rank = hardness.argsort(1, descending=True).argsort(1)
        wanted = (matched.sum(1, keepdim=True) * self.objective.negatives).long()
        wanted = wanted.clamp_min(LEAST_NEGATIVES)
        return matched | ((rank < wanted) & (hardness > -torch.inf))
