"""A classifier that tells what it does not know, and learns a class from a few images at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mobilenets.card import card_of, set_card
from mobilenets.data.listing import count
from mobilenets.errors import DataError
from mobilenets.tasks.classify.architecture.classifier import Classifier, Likeness
from mobilenets.tasks.classify.familiar import (
    FEW,
    Familiar,
    fit,
    grown,
    imprinted,
    likeness,
    measured_floor,
)
from mobilenets.tasks.classify.probe import last_layer
from mobilenets.tasks.classify.read import LIKENESS, UNKNOWN, are_independent

Rows = tuple[Tensor, ...]


def check(model: nn.Module) -> None:
    """ValueError for a classifier whose scores are each by itself: there is no best of them."""
    if are_independent(card_of(model)) or not isinstance(model, Classifier):
        raise ValueError("this is for a classifier whose scores are shares of one, by a softmax")


def tell_unknown(model: nn.Module, seen: Rows, held: Rows) -> str:
    """Make `model` say how alike images are to its classes, and set the floor; in words, how.

    `seen` are rows of training images, `held` of validation images. DataError without `held`.
    """
    assert isinstance(model, Classifier)
    if not held or not len(held[0]):
        raise DataError("a floor for unknown images needs validation images, there are none")
    features, classes = (part.numpy() for part in seen)
    found = fit(features, classes, len(model.classifier.weight))
    kept = measured_floor(likeness(held[0].numpy(), found.middle, found.centroids).max(1))
    _put(model, found, kept)
    return _in_words(kept)


def _put(model: Classifier, found: Familiar, kept: dict[str, Any]) -> None:
    """Give the network what `found` says, and its card the floor."""
    model.known = _module(found).train(model.training)
    card = card_of(model)
    set_card(
        model,
        card.replace(
            arguments={**card.arguments, "known": True},
            outputs=(card.output, LIKENESS),
            kept={**card.kept, UNKNOWN: kept},
        ),
    )


def _module(found: Familiar) -> Likeness:
    module = Likeness(found.centroids.shape[1], found.centroids.shape[0])
    with torch.no_grad():
        module.mean.copy_(torch.from_numpy(found.mean))
        module.middle.copy_(torch.from_numpy(found.middle))
        module.centroids.weight.copy_(torch.from_numpy(found.centroids))
    return module


def _in_words(kept: dict[str, Any]) -> str:
    images = count(kept["images"], "validation image", "validation images")
    text = f"unknown below a likeness of {kept['floor']:.3f}, which {kept['recall']:.0%} of "
    text += f"{images} reach"
    few = "; so few images set a floor badly" if kept["images"] < FEW else ""
    return text + few


def add_classes(model: nn.Module, rows: Rows, names: Sequence[str]) -> str:
    """Give `model` a class for each of `names`, from rows of their images; in words, how.

    Its other classes stay as they are. ValueError for a name that is there already.
    """
    assert isinstance(model, Classifier)
    features, classes = (part.numpy() for part in rows)
    card = card_of(model)
    labels = card.labels or tuple(str(i) for i in range(len(model.classifier.weight)))
    there = {name.casefold(): name for name in labels}
    for name in names:
        if name.casefold() in there:
            raise ValueError(f"{name!r} is a class already: new classes need names of their own")
    own = [features[classes == k] for k in range(len(names))]
    weight, bias = head_of(model)
    mean = common_of(model)
    made = [imprinted(one, weight, bias, mean) for one in own]
    known, kept = model.known, card.kept.get(UNKNOWN)
    _replace_head(
        model,
        np.concatenate([weight, np.stack([row for row, _ in made])]),
        np.concatenate([bias, np.array([shift for _, shift in made])]),
    )
    arguments = {**card_of(model).arguments, "classes": len(labels) + len(names)}
    set_card(
        model,
        card_of(model).replace(labels=(*labels, *names), arguments=arguments, results={}, kept={}),
    )
    text = "from their mean features, less the mean of known images"
    if mean is None:
        text = (
            "from their mean features; what the old classes have in common is not known, "
            "and where they are all alike the new ones take from them: --unknown DATA measures it"
        )
    if known is not None and kept is not None:
        found = Familiar(*(part.double().numpy() for part in (
            known.mean, known.middle, known.centroids.weight)))  # fmt: skip
        new = [grown(one, found, kept["typical"]) for one in own]
        centroids = np.concatenate([found.centroids, np.stack(new)])
        _put(model, found._replace(centroids=centroids), kept)
        text += "; they are known from now on, the floor is as it was"
    return text


def left_out(model: nn.Module, rows: Rows, names: Sequence[str]) -> tuple[int, int]:
    """(right, all) of the new classes' images, each seen by rows made without it.

    Of classes with more than one image; before they are added.
    """
    assert isinstance(model, Classifier)
    features, classes = (part.numpy() for part in rows)
    weight, bias = head_of(model)
    mean = common_of(model)
    own = {k: features[classes == k] for k in range(len(names))}
    whole = {k: imprinted(one, weight, bias, mean) for k, one in own.items()}
    right = tried = 0
    for k, images in own.items():
        for i, image in enumerate(images if len(images) > 1 else ()):
            made = {**whole, k: imprinted(np.delete(images, i, 0), weight, bias, mean)}
            scores = [float(row @ image + shift) for row, shift in made.values()]
            best = max(scores)
            right += scores[k] == best and best > float((weight @ image + bias).max())
            tried += 1
    return right, tried


def head_of(model: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(classes, features) and (classes,) of the last layer."""
    last = last_layer(model)
    return last.weight.detach().double().numpy(), last.bias.detach().double().numpy()


def common_of(model: Classifier) -> NDArray[np.float64] | None:
    """(features,) the mean over known images; None for a network that does not know it."""
    if model.known is None:
        return None
    found: NDArray[np.float64] = model.known.mean.double().numpy()
    return found


def _replace_head(model: Classifier, weight: NDArray[Any], bias: NDArray[Any]) -> None:
    last = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(weight))
        last.bias.copy_(torch.from_numpy(bias))
    model.classifier = last.train(model.training)
