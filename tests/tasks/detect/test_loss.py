import math

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import ssd
from torchvision.ops import box_convert

from mobilenets.tasks.detect.architecture.geometry import anchors_of
from mobilenets.tasks.detect.learn.loss import DetectionLoss
from mobilenets.tasks.detect.learn.transforms import match
from mobilenets.tasks.detect.recipes.settings import DetectionObjective

CLASSES = 4
ANCHORS = torch.from_numpy(anchors_of("ssdlite_mobilenet_v2", (96, 96)))


def scene(seed: int, images: int = 3, objects: int = 5) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Random outputs, targets, and the labelled boxes behind them."""
    random = torch.Generator().manual_seed(seed)
    outputs = torch.randn(images, len(ANCHORS), 5 + CLASSES, generator=random)
    targets, labelled = [], []
    for _ in range(images):
        corners = torch.rand(objects, 2, 2, generator=random)
        boxes = torch.cat([corners.amin(1), corners.amax(1) + 0.02], 1)
        labels = torch.randint(0, CLASSES, (objects,), generator=random)
        targets.append(match(boxes, labels, ANCHORS, 0.5))
        labelled.append(torch.cat([labels[:, None] + 1.0, boxes], 1))
    return outputs, torch.stack(targets), labelled


def theirs(outputs: Tensor, targets: Tensor) -> Tensor:
    """torchvision's loss of the same outputs: softmax, smooth L1, hard negatives 3:1."""
    from torchvision.models.detection._utils import BoxCoder

    class Bare:
        neg_to_pos_ratio = 3
        box_coder = BoxCoder((10.0, 10.0, 5.0, 5.0))

    gt, matched = [], []
    for target in targets:
        boxes, index = target[:, 1:].unique(dim=0, return_inverse=True)
        labels = torch.zeros(len(boxes), dtype=torch.long)
        labels[index] = target[:, 0].long()
        gt.append({"boxes": boxes, "labels": labels})
        matched.append(torch.where(target[:, 0] > 0, index, -1))
    heads = {"bbox_regression": outputs[..., :4], "cls_logits": outputs[..., 4:]}
    anchors = [box_convert(ANCHORS, "cxcywh", "xyxy")] * len(outputs)
    losses = ssd.SSD.compute_loss(Bare(), gt, heads, anchors, matched)
    return losses["bbox_regression"] + losses["classification"]


@pytest.mark.parametrize("seed", range(4))
def test_softmax_with_hard_negatives_is_torchvisions_loss(seed):
    outputs, targets, _ = scene(seed)
    found = DetectionLoss(ANCHORS, "softmax", DetectionObjective())(outputs, targets)
    torch.testing.assert_close(found, theirs(outputs, targets), rtol=1e-4, atol=1e-4)


def slow_boxes(output: Tensor, wanted: Tensor, anchor: Tensor) -> float:
    """Smooth L1 of one matched anchor's codes."""
    left, top, right, bottom = wanted[1:]
    code = [
        ((left + right) / 2 - anchor[0]) / anchor[2] * 10,
        ((top + bottom) / 2 - anchor[1]) / anchor[3] * 10,
        torch.log((right - left) / anchor[2]) * 5,
        torch.log((bottom - top) / anchor[3]) * 5,
    ]
    offs = [abs(float(a - b)) for a, b in zip(output[:4], code, strict=True)]
    return sum(off**2 / 2 if off < 1 else off - 0.5 for off in offs)


def slow_loss(outputs: Tensor, targets: Tensor, objective: DetectionObjective) -> float:
    """Sigmoid scores, one anchor at a time."""
    total, count = 0.0, 0
    for output, target in zip(outputs.double(), targets.double(), strict=True):
        negatives = []
        positives = 0
        for out, wanted, anchor in zip(output, target, ANCHORS.double(), strict=True):
            label = int(wanted[0])
            entropy = 0.0
            for index, logit in enumerate(out[4:]):
                share = torch.sigmoid(logit if index == label else -logit)
                entropy -= float(torch.log(share))
            if not label:
                negatives.append(entropy)
                continue
            positives += 1
            total += objective.box_weight * slow_boxes(out, wanted, anchor) + entropy
        keep = max(int(objective.negatives * positives), 3)
        total += sum(sorted(negatives, reverse=True)[:keep])
        count += positives
    return total / count


@pytest.mark.parametrize(
    "objective", [DetectionObjective(), DetectionObjective(negatives=1.5, box_weight=2.0)]
)
def test_sigmoid_scores_with_hard_negatives_are_the_slow_loss(objective):
    outputs, targets, _ = scene(7)
    found = DetectionLoss(ANCHORS, "sigmoid", objective)(outputs, targets)
    assert float(found) == pytest.approx(slow_loss(outputs, targets, objective), rel=1e-4)


def test_negatives_on_each_other_count_once():
    """All boxes at the same place: after suppression one negative in each image is left."""
    outputs, targets, _ = scene(1, images=1)
    loss = DetectionLoss(ANCHORS, "softmax", DetectionObjective(negative_nms=0.99))
    matched = targets[..., 0] > 0
    losses = loss.class_losses(outputs[..., 4:], targets[..., 0].long())
    box = torch.tensor([0.2, 0.2, 0.6, 0.6]).expand(1, len(ANCHORS), 4)
    from mobilenets.tasks.detect.architecture.ssd import encode_boxes

    codes = encode_boxes(box, ANCHORS)
    kept = loss.mine(losses, matched, codes, ANCHORS)
    hardest = int(losses.masked_fill(matched, 0).argmax())
    assert torch.nonzero((kept & ~matched)[0]).flatten().tolist() == [hardest]
    assert kept[matched].all()
    apart = loss.mine(losses, matched, torch.zeros_like(codes), ANCHORS)
    assert int((apart & ~matched).sum()) == 3 * int(matched.sum())


def slow_focal(outputs: Tensor, targets: Tensor, objective: DetectionObjective) -> float:
    """RetinaNet's loss (arXiv 1708.02002, equation 5), one logit of one anchor at a time."""
    total, count = 0.0, 0
    for output, target in zip(outputs.double(), targets.double(), strict=True):
        for out, wanted, anchor in zip(output, target, ANCHORS.double(), strict=True):
            label = int(wanted[0])
            for index, logit in enumerate(out[4:]):
                share = float(torch.sigmoid(logit))
                there = index == label and label > 0
                right = share if there else 1 - share
                weight = objective.focal_alpha if there else 1 - objective.focal_alpha
                total -= weight * (1 - right) ** objective.focal_gamma * math.log(right)
            if label:
                count += 1
                total += objective.box_weight * slow_boxes(out, wanted, anchor)
    return total / count


@pytest.mark.parametrize(
    "objective",
    [
        DetectionObjective(focal_gamma=2.0),
        DetectionObjective(focal_gamma=0.5, focal_alpha=0.6, box_weight=3.0, negatives=1.0),
    ],
)
def test_the_focal_loss_is_its_formula_over_all_anchors(objective):
    outputs, targets, _ = scene(5, images=2)
    found = DetectionLoss(ANCHORS, "sigmoid", objective)(outputs, targets)
    assert float(found) == pytest.approx(slow_focal(outputs, targets, objective), rel=1e-4)


def test_focal_loss_is_small_for_what_is_easy():
    outputs, targets, _ = scene(2)
    focal = DetectionLoss(ANCHORS, "sigmoid", DetectionObjective(focal_gamma=2.0, box_weight=0.0))
    shares = torch.nn.functional.one_hot(targets[..., 0].long(), CLASSES + 1)
    shares[..., 0] = 0
    right = torch.cat([outputs[..., :4], 8.0 * (2 * shares - 1)], -1)
    assert focal(right, targets) < 1e-4 < focal(-right, targets)
    with pytest.raises(ValueError, match="focal_gamma needs scores=sigmoid"):
        DetectionLoss(ANCHORS, "softmax", DetectionObjective(focal_gamma=2.0))


def test_an_image_without_objects_teaches_the_background():
    outputs, _, _ = scene(3, images=2)
    outputs.requires_grad_()
    nothing = torch.zeros(2, len(ANCHORS), 5)
    for scores in ("sigmoid", "softmax"):
        loss = DetectionLoss(ANCHORS, scores, DetectionObjective())(outputs, nothing)
        (gradient,) = torch.autograd.grad(loss, outputs)
        assert torch.isfinite(gradient).all()
        assert int((gradient.abs().sum(-1) > 0).sum()) == 2 * 3
