"""What a use tells the reader of transformers' weights of its own layers there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mobilenets.card import Preprocessing


def _as_it_is(preprocessing: Preprocessing) -> Preprocessing:
    return preprocessing


@dataclass(frozen=True)
class TransformersHead:
    """The layers behind a body, by their names, and what the card says of such a network."""

    classifier: str
    """The last layer."""
    labels: Callable[[int], tuple[str, ...]]
    """Names for as many classes, where config.json has none."""
    units: tuple[tuple[str, str, str], ...] = ()
    """(ours, their convolution, their norm) of the layers before the last."""
    last: bool = True
    """Whether the body's last convolution is used; it may be stored all the same."""
    kernel: bool = False
    """Whether our last layer is a 1x1 convolution, not a matrix."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the network, where config.json does not say."""
    feed: Callable[[Preprocessing], Preprocessing] = _as_it_is
    """How an image is prepared, from what preprocessor_config.json says."""
