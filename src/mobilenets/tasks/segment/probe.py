"""How a new head of a segmentation network starts: it learns from features kept in memory.

The backbone's maps of each training image, and of its mirror image, with the class of each of their
places. A new head learns on them for some steps: logistic regression on what random layers make of
them gave a third less of the mean overlap. Of a head that came with the weights the classifier
alone is new, and that is fitted by logistic regression.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenets.card import card_of
from mobilenets.data.listing import count
from mobilenets.runtime.preprocess import nearest
from mobilenets.tasks.probe import Linear, fit_classes, learn_on, put
from mobilenets.tasks.segment.architecture.deeplab import DeepLab
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.learn import class_weights, criterion
from mobilenets.tasks.segment.recipes.settings import SegmentationObjective
from mobilenets.tasks.values import Size

STEPS, BATCH, RATE = 40, 16, 0.005
"""Of a new head; more of them where these would not see each map `PASSES` times."""
PASSES = 4
PLACES = 16_384
"""Places that a classifier is fitted to at most: as many of each class, as far as it has any."""


def most(classes: int) -> int:
    """Maps are large: those of so many images at 385 x 513 pixels take 540 MB."""
    return 256


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[NDArray[np.uint8]], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """The backbone's maps, (2N, C, h, w), and the classes of their places, (2N, h, w) uint8.

    Each image's mirror image comes behind it.
    """
    assert isinstance(model, DeepLab)
    before = card_of(model).preprocessing
    masks = torch.from_numpy(np.stack([nearest(mask, before, VOID) for mask in targets]))
    found = []
    for x, y in ((images, masks), (images.flip(3), masks.flip(2))):
        maps = model.backbone(x)
        # The places of the map lie corners on corners in the image, as its logits do.
        down, right = (
            torch.linspace(0, full - 1, small).round().long()
            for full, small in zip(y.shape[1:], maps.shape[2:], strict=True)
        )
        found.append((maps, y[:, down][:, :, right]))
    maps, places = (torch.stack(parts, 1).flatten(0, 1) for parts in zip(*found, strict=True))
    return maps, places


def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Fit what is new of the head."""
    assert isinstance(model, DeepLab)
    maps, targets = rows
    known = targets[targets != VOID]
    pixels = torch.bincount(known.long(), minlength=model.classifier.out_channels)
    if (pixels > 0).sum() < 2:  # there is nothing to tell apart
        return ""
    shares = pixels / len(known)
    weights = class_weights(shares.numpy(), root=True)
    norm = model.project.norm
    assert norm.running_mean is not None
    images = count(len(maps) // 2, "image", "images")
    if norm.running_mean.any():  # the head has learned before: its classifier alone is new
        places = fit_classifier(model, maps, targets, shares, torch.tensor(weights))
        return f"logistic regression on {places} places of {images}"
    steps = learn(model, maps, targets, SegmentationObjective(class_weights=weights))
    return f"{steps} steps on the features of {images}"


def learn(model: DeepLab, maps: Tensor, targets: Tensor, objective: SegmentationObjective) -> int:
    """Train the whole head on features; for so many steps."""
    measured = criterion(card_of(model), objective)
    steps = max(STEPS, PASSES * len(maps) // BATCH)
    learn_on(
        [model.pool, model.branches, model.project, model.classifier],
        lambda chosen: measured(model.classifier(model.hidden(maps[chosen])), targets[chosen]),
        len(maps),
        steps=steps,
        batch=BATCH,
        rate=RATE,
    )
    return steps


@torch.no_grad()
def fit_classifier(
    model: DeepLab, maps: Tensor, targets: Tensor, shares: Tensor, weights: Tensor
) -> int:
    """Fit the last layer to a sample of places; how many these are.

    `shares` are the classes' of all places; `weights` what each class's are to count for.
    """
    hidden = torch.cat([model.hidden(part) for part in torch.split(maps, BATCH)])
    chosen = sample(targets.flatten(), len(shares))
    x = hidden.permute(0, 2, 3, 1).flatten(0, 2)[chosen]
    y = targets.flatten()[chosen].long()
    image = chosen // targets[0].numel() // 2  # with its mirror image
    layer = fit_classes(x, y, len(shares), together=image).layer
    # Rare classes are more frequent in the sample: undone, but for the weights.
    seen = torch.bincount(y, minlength=len(shares)).double() / len(y)
    shift = torch.where(seen > 0, (shares * weights / seen).log(), 0.0)
    put(Linear(layer.weight, layer.bias + shift), model.classifier)
    return len(y)


def sample(targets: Tensor, classes: int) -> Tensor:
    """Which of the places to look at, in order: none that are void, of each class as many.

    A class with fewer has all of its own there. The same targets give the same places.
    """
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    each = PLACES // classes
    parts = [order[targets[order] == index][:each] for index in range(classes)]
    return torch.cat(parts).sort().values
