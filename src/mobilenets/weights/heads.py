"""Weights with another head, or with knobs that the weights do not decide."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.models.geometry import unknown_name
from mobilenets.tasks.registry import network_of, task_for

if TYPE_CHECKING:
    from torch import nn

LOG = logging.getLogger("mobilenets")
"""Says what a person should know, on standard error unless somebody sets it otherwise."""
FOLDED = (
    "batch normalisation was folded into these weights: in training mode it measures its "
    "statistics on the first images that it sees; mobilenets.unfold(model, images) does it at once"
)
OF_TRAINING = {"dropout", "norm_momentum"}
"""Knobs that change nothing but how a network is trained on."""


def note(line: str) -> None:
    """Log what a person should know: no warning, so it ends no test where these are errors."""
    LOG.warning(line)


def numbered(classes: int) -> tuple[str, ...]:
    """Names for the outputs of a new head: it knows nothing of the classes that the old one had."""
    return tuple(f"class {i}" for i in range(classes))


def labels_of(classes: object, labels: object) -> tuple[str, ...] | None:
    """Names of the outputs that were asked for, ValueError for bad ones; None for none."""
    if labels is None and classes is None:
        return None
    if classes is not None and (type(classes) is not int or classes < 1):
        also = "; labels takes names" if isinstance(classes, (list, tuple)) else ""
        raise ValueError(f"classes must be a positive integer, got {classes!r}{also}")
    if labels is None:
        assert isinstance(classes, int)
        return numbered(classes)
    found: tuple[Any, ...] = ()
    if isinstance(labels, Sequence) and not isinstance(labels, str):
        found = tuple(labels)
    if not found or not all(isinstance(name, str) for name in found):
        raise ValueError(f"labels must be a list of one or more texts, got {labels!r:.80}")
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise ValueError(f"labels must differ from each other, got {twice!r} twice")
    if classes not in (None, len(found)):
        raise ValueError(f"classes must be the number of labels, {len(found)}, got {classes!r}")
    return found


def with_head(
    name: str, loaded: "nn.Module", labels: tuple[str, ...], knobs: Mapping[str, Any], *, new: bool
) -> tuple["nn.Module", str]:
    """The network called `name` for `labels` on what fits of `loaded`; and what is new, in words.

    With `new` the head is always new; else one that has these very labels stays. ValueError for a
    network without classes, and for knobs that the weights have otherwise.
    """
    network = network_of(name)
    if "classes" not in network.knobs:
        raise ValueError(f"classes and labels are for a network that has any, {name} has none")
    card = card_of(loaded)
    if new:  # names that are none of the new ones, whatever these are
        card = card.replace(labels=())
        set_card(loaded, card)
    return onto(name, loaded, labels, {}, knobs)


def onto(
    name: str,
    loaded: "nn.Module",
    labels: tuple[str, ...],
    defaults: Mapping[str, Any],
    knobs: Mapping[str, Any],
    *,
    weights: object = "the weights",
) -> tuple["nn.Module", str]:
    """The network called `name` for `labels` on what fits of `loaded`; and what is new, in words.

    `knobs` are its arguments, `defaults` those of what is new in it where `knobs` do not say.
    ValueError for a knob that the `weights`, as a person calls them, have otherwise.
    """
    card = card_of(loaded)
    check_knobs(name, knobs, card, labels, weights)
    arguments = {**defaults, **knobs}
    made, words = task_for(name).network.adapt(name, with_knobs(loaded, knobs), labels, arguments)
    set_card(made, card_of(made).replace(trained_on=card.trained_on))  # it may still know them
    return made, words


def with_knobs(model: "nn.Module", knobs: Mapping[str, Any]) -> "nn.Module":
    """The same weights with other knobs, of those that weights serve whatever their value."""
    card = card_of(model)
    network = network_of(card.architecture)
    free = {k: v for k, v in knobs.items() if k in network.knobs}
    free = {k: v for k, v in free.items() if k in OF_TRAINING | network.free}
    free = {k: v for k, v in free.items() if card.arguments.get(k, network.knobs[k]) != v}
    if not free or set(_parts(model)) == {"backbone"}:
        return model
    made = network.build(**{**card.arguments, **free})
    made.load_state_dict(model.state_dict(), assign=True)
    set_card(made, card.replace(arguments={**card.arguments, **free}))
    return made.train(model.training)


def check_knobs(
    name: str,
    knobs: Mapping[str, Any],
    card: ModelCard,
    labels: tuple[str, ...] | None,
    weights: object,
) -> None:
    """Raise ValueError for a knob of `name` that there is not, or not as the weights have it.

    `labels` are those of the head, None for that of the weights.
    """
    network = network_of(name)
    defaults = network.knobs
    kept = set(network.body_knobs) - network.free
    if card.architecture == name:
        same = labels is None or card.labels == labels
        kept |= set(network.own_knobs) - {"classes"}
        kept -= set() if same else network.of_classes
    for knob, value in knobs.items():
        if knob not in defaults:
            raise ValueError(unknown_name(knob, defaults, "argument"))
        found = card.arguments.get(knob, defaults[knob])
        found, value = (tuple(v) if isinstance(v, (list, tuple)) else v for v in (found, value))
        if knob in kept - OF_TRAINING - network.free and found != value:
            raise ValueError(f"{knob} must be {found!r} as in {weights}, got {value!r}")


def _parts(model: "nn.Module") -> list[str]:
    return [name for name, _ in model.named_children()]
