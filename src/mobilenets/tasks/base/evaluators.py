"""What measures a network: collects its outputs over a data set, and says how good they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mobilenets.tasks.values import Arrays, Confused, Size, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mobilenets.tasks.intervals import Intervals


class Evaluator(Protocol):
    """Collects a model's outputs over a data set and says how good they are.

    It may have `kept()`: what validation found out for `ModelCard.kept`, such as a threshold. And
    `strangers(outputs)`, which counts images of none of the classes, where `tells_unknown` is true.
    """

    notes: list[str]
    """What a person should know of how the data's classes became the model's."""

    def update(self, outputs: Arrays, targets: Sequence[Any], sizes: Sequence[Size]) -> None:
        """Count a batch: outputs by name, the data set's targets, and the images' sizes."""
        ...

    def merge(self, other: Any) -> None:
        """Add what an evaluator of the same kind has counted in another process."""
        ...

    def results(self) -> Iterator[tuple[str, float]]:
        """Pairs (name, value), the task's metric among them; shares are 0..1.

        `loss` too where the outputs are what is trained on, if it needs no augmentation.
        """
        ...

    def by_class(self) -> dict[str, dict[str, float]]:
        """The figures of each class of the data that has any; {} where there are no classes."""
        ...

    def figure(self) -> Figure:
        """A picture of where the model is right and wrong."""
        ...


@runtime_checkable
class Examining(Protocol):
    """What an evaluator may also have: what it knows of each image, and how sure its figures are.

    Images are numbered from 0 as they were counted, those of a merged evaluator behind. Of an image
    a few numbers are kept, never its outputs.
    """

    UNIT: str
    """What `confusions` counts: images, objects or pixels."""

    def intervals(self) -> Intervals:
        """How sure each of the figures is; none of `intervals.MOST` images or more."""
        ...

    def judge(self, image: int, threshold: float) -> Verdict:
        """What is there in an image, what is seen from the score `threshold` on, how good it is."""
        ...

    def confusions(self, threshold: float) -> list[Confused]:
        """What is taken for what, the most frequent first; [] where there are no classes."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """What an `Examining` evaluator has whose answers are drawn on the image itself."""

    def truth(self, target: Any) -> Any:
        """A target of the data as `decode` would give it if the model were right, to draw it."""
        ...


@runtime_checkable
class Searching(Protocol):
    """What an `Examining` evaluator has whose answers are other images of the data."""

    def found(self, image: int) -> int | None:
        """The image that is the answer to one, numbered as it is; None for one without answer."""
        ...


@runtime_checkable
class Gathering(Protocol):
    """What an `Examining` evaluator has that shows all images at once."""

    def gathered(self, names: Sequence[str], writer: str) -> Mapping[str, bytes]:
        """Files of all images by their own names, such as `map.png`.

        `names` are those of the images, in the order in which they were counted; `writer` is a
        word that data files say made them.
        """
        ...
