"""New heads of a detector: they learn on the maps of a backbone that stays as it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mobilenets.card import card_of
from mobilenets.data.listing import count
from mobilenets.tasks.detect.architecture.geometry import Scores, card_anchors
from mobilenets.tasks.detect.architecture.ssd import SSD, Head
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.learn import criterion
from mobilenets.tasks.detect.learn.transforms import targets_of
from mobilenets.tasks.detect.recipes.settings import DetectionObjective
from mobilenets.tasks.probe import learn_on
from mobilenets.tasks.values import Size

STEPS, BATCH, RATE = 100, 16, 0.004
RARE = 0.01
"""How likely each anchor has an object, at the start: the prior of RetinaNet, section 4.1."""


def most(classes: int) -> int:
    """Maps are large: those of so many images at 320 pixels take 730 MB."""
    return 256


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[Objects], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """The maps of the backbone, (2N, C, h, w) each, and (2N, anchors, 5) as `match` has it.

    Of the images as they are, then mirrored.
    """
    assert isinstance(model, SSD)
    anchors = torch.from_numpy(card_anchors(card_of(model)))
    found, wanted = [], []
    for mirrored in (False, True):
        found.append(model.tapped(images.flip(3) if mirrored else images))
        for objects, size in zip(targets, sizes, strict=True):
            wanted.append(targets_of(objects, size, anchors, mirrored=mirrored))
    return *(torch.cat(parts) for parts in zip(*found, strict=True)), torch.stack(wanted)


def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Train extras and heads."""
    assert isinstance(model, SSD)
    *maps, targets = rows
    if not bool((targets[..., 0] > 0).any()):  # no object: there is nothing to learn
        return ""
    for head in model.scores:
        assert isinstance(head, Head)
        expect_little(head, model.score_function)
    measured = criterion(card_of(model), DetectionObjective())

    def loss(places: Tensor) -> Tensor:
        every = model.with_extras([one[places] for one in maps])
        return measured(torch.cat(model.predicted(every), 2), targets[places])

    learn_on(
        [model.extras, model.boxes, model.scores],
        loss,
        len(targets),
        steps=STEPS,
        batch=BATCH,
        rate=RATE,
    )
    images = count(len(targets) // 2, "image", "images")
    return f"{STEPS} steps on the features of {images}"


@torch.no_grad()
def expect_little(head: Head, scores: Scores) -> None:
    """Make a head of scores that was just built say what is most likely: that nothing is there."""
    bias = head.predict.bias
    assert bias is not None
    if bias.any():
        return
    nothing, objects = torch.split(bias.view(-1, head.values), [1, head.values - 1], 1)
    nothing.fill_(math.log((1 - RARE) / RARE))
    if scores == "sigmoid":
        objects.fill_(-math.log((1 - RARE) / RARE))
    else:
        nothing.add_(math.log(head.values - 1))
