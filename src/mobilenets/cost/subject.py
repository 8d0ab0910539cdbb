"""What can be costed: a network by name, a file, a torch module, a model that is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mobilenets.card import ModelCard
from mobilenets.cost.profiling import profile_network
from mobilenets.models.costs import Cost
from mobilenets.models.geometry import unknown_name
from mobilenets.tasks.registry import networks

Size = int | tuple[int, int] | None


def profile(
    model: str | os.PathLike[str] | Any,
    *,
    resolution: Size = None,
    bytes_per_element: int = 4,
    **knobs: Any,
) -> Cost:
    """What a model costs for one RGB image: parameters, multiply-adds, bytes; layer by layer.

    `model` is the name of a network or of a published checkpoint, which is not fetched; a file:
    `.onnx`, or weights that the package reads; a folder of a run; a torch module of ours, with a
    card or just built, also with a head put in by hand; or what `mobilenets.open` gave. A name
    takes the `knobs` of its constructor, and a network to segment `multi_scale=True`: the image
    seen at six scales, each also mirrored.

    `resolution` is in pixels, one side or (height, width): unless given what the file, the card
    or the network's paper says, 224 to classify, 320 to detect, 513 to segment.
    `bytes_per_element` is of activations.

    Raises ValueError for an unknown name or argument, with the nearest, and for a module that is
    none of ours; WeightsError for a file that is damaged or not recognised; FileNotFoundError.

    >>> mobilenets.profile("mobilenet_v2", width=0.35, resolution=96).madds
    10776192
    >>> mobilenets.profile("runs/photos").parameters
    3509540
    """
    how: dict[str, Any] = {"resolution": resolution, "bytes_per_element": bytes_per_element}
    if isinstance(model, (str, os.PathLike)):
        return _of_name_or_file(os.fspath(model), how, knobs)
    _no_knobs(f"this is a {type(model).__name__}", knobs)
    own = getattr(model, "profile", None)
    if callable(own):  # what `mobilenets.open` gave
        found: Cost = own(**how)
        return found
    from mobilenets.weights.fitted import card_as_built, unwrapped

    if not hasattr(model, "state_dict"):
        raise ValueError(
            "model must be a network's name, a file, a run's folder, a torch module of ours or an "
            f"open model, got {model!r:.80}"
        )
    card = card_as_built(model)
    carded = getattr(unwrapped(model), "card", None) is not None
    return profile_card(card, carded=carded, **how)


def profile_card(card: ModelCard, *, carded: bool = True, **how: Any) -> Cost:
    """The cost of the network that a card describes, at its size; else at its paper's."""
    if how["resolution"] is None and carded:
        how["resolution"] = card.preprocessing.size
    return profile_network(card.architecture, **how, **card.arguments)


def _of_name_or_file(target: str, how: dict[str, Any], knobs: dict[str, Any]) -> Cost:
    if target in networks():
        return profile_network(target, **how, **knobs)
    path = Path(target)
    if path.exists():
        _no_knobs(f"{target} is a {'folder' if path.is_dir() else 'file'}", knobs)
        return _of_file(path, how)
    from mobilenets.weights.published import PUBLISHED

    if target in PUBLISHED:
        found = PUBLISHED[target]
        size = how["resolution"] or found.resolution
        knobs = {"width": found.width, **found.arguments, **knobs}
        return profile_network(found.architecture, **{**how, "resolution": size}, **knobs)
    from mobilenets.weights import SUFFIXES

    if path.suffix in SUFFIXES or path.name != target:
        raise FileNotFoundError(2, "no such file", target)
    raise ValueError(
        unknown_name(target, [*networks(), *PUBLISHED] if "." in target else networks())
    )


def _of_file(path: Path, how: dict[str, Any]) -> Cost:
    if path.suffix.lower() == ".onnx":
        from mobilenets.cost.graph import profile_onnx

        return profile_onnx(path, **how)
    from mobilenets.weights import identify

    return profile_card(identify(path), **how)


def _no_knobs(what: str, knobs: dict[str, Any]) -> None:
    if knobs:
        raise ValueError(
            f"{next(iter(knobs))} is for a network's name; {what}, which takes resolution and "
            "bytes_per_element alone"
        )
