"""What a use tells readers of its own layers: how others call them, and what stands for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mobilenets.card import Preprocessing
from mobilenets.errors import WeightsError

NOTHING = {"Dropout", "Identity", "Flatten"}
"""Layers that change nothing when a network predicts, before or after a dense one."""
Row = Sequence[tuple[str, str]]
"""(path, kind) of layers in the order they run; a kind is the name of torch's class."""


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


def renamed(row: Row, allowed: Mapping[tuple[str, ...], tuple[str, ...]]) -> dict[str, str]:
    """The path of each layer with weights -> what we call it.

    `allowed` has the kinds of a row that is understood, and our names of those with weights.
    WeightsError for another row.
    """
    real = [(path, kind) for path, kind in row if kind not in NOTHING]
    kinds = tuple(kind for _, kind in real)
    if kinds not in allowed:
        shown = ", then ".join(kinds) or "nothing"
        known = " or ".join(" + ".join(one) for one in allowed)
        raise WeightsError(f"its head is {shown}; of other heads {known} is kept")
    paths = [path for path, kind in real if kind != "ReLU"]
    return dict(zip(paths, allowed[kinds], strict=True))
