"""What a model says of one image: an answer that a person can read, draw and pass on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from PIL import Image

from mobilenets.arguments import nearest
from mobilenets.errors import DataError
from mobilenets.runtime.inputs import Given, name_of, path_of, to_image

_ROWS = 3
"""Of what is seen, in a line."""


class Answer:
    """What a model sees in one image; its use gives it more fields (`label`, `boxes`, `mask`).

    `given` is the image as the caller gave it, and is kept, so that it can be drawn on. `decoded`
    is what the use's `read` makes of the outputs, None where there is an `error`. `show` is the
    use's part of that name.

    >>> answer = mobilenets.open("photos.onnx").predict("cat.jpg")
    >>> answer.to_json()
    >>> answer.draw().save("seen.jpg")
    """

    def __init__(self, decoded: Any, given: Given, show: Any, error: str = "") -> None:
        self.decoded, self.error = decoded, error
        self.hidden: float | None = None
        """Where nothing reached the threshold: the best score that did not."""
        self._given, self._show = given, show

    @property
    def path(self) -> Path | None:
        """The image's file; None where it was given as bytes, a Pillow image or an array."""
        return path_of(self._given)

    @property
    def image(self) -> Image.Image:
        """The image, upright, RGB: read again where it is a file; DataError where that fails."""
        return to_image(self._given)

    @property
    def rows(self) -> Sequence[tuple[str, float]]:
        """What is seen in words, each with its score: rows of a table."""
        found: list[tuple[str, float]] = self._show.describe(self.checked())
        return found

    def checked(self) -> Any:
        """`decoded`; DataError, with the reason, where the image could not be read."""
        if self.error:
            raise DataError(self.error)
        return self.decoded

    def to_json(self) -> Any:
        """What is seen, as values that `json.dumps` takes."""
        return self._show.to_json(self.checked())

    def draw(self) -> Image.Image:
        """The image with what is seen drawn on it; its longer side is 360 to 1280 pixels."""
        drawn: Image.Image = self._show.draw(self.image, self.checked())
        return drawn

    def mask_image(self) -> Image.Image | None:
        """What each pixel shows, as a picture for programs; None where `to_json` has all."""
        found: Image.Image | None = self._show.mask(self.checked())
        return found

    def __getattr__(self, name: str) -> Any:
        """AttributeError that says which fields there are: the task's own are in its class."""
        fields = [one for one in dir(type(self)) if not one.startswith("_")]
        kind = type(self).__name__
        near = nearest(name, fields)
        raise AttributeError(f"{kind} has no {name!r}{near}; it has {', '.join(fields)}")

    def _repr_png_(self) -> bytes | None:
        """The drawn picture, in a notebook; None where the image is not there any more."""
        try:
            picture = self.draw()
        except DataError:
            return None
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    def __repr__(self) -> str:
        name = type(self).__name__
        what = Path(name_of(self._given)).name
        if self.error:
            return f"<{name} {what}: {self.error}>"
        rows = [f"{label} {score:.3g}" for label, score in self.rows]
        if not rows and self.hidden is not None:
            return f"<{name} {what}: nothing reaches the threshold, the best is {self.hidden:.3g}>"
        more = [f"and {len(rows) - _ROWS} more"] if len(rows) > _ROWS else []
        return f"<{name} {what}: {'; '.join([*rows[:_ROWS], *more]) or 'nothing'}>"


class SeenThing(Protocol):
    """One of several things that a model sees in an image."""

    @property
    def label(self) -> str:
        """The class in words; its number where the model has no labels."""
        ...

    @property
    def index(self) -> int:
        """The class's place in the model's labels."""
        ...

    @property
    def score(self) -> float:
        """From 0 to 1."""
        ...


Seen = TypeVar("Seen", bound=SeenThing)


class ThingsAnswer(Answer, Generic[Seen]):
    """An answer that is a list of things, the first the surest or the largest.

    >>> for one in answer:
    ...     print(one.label, one.score)
    """

    @property
    def things(self) -> list[Seen]:
        """What is seen; each has `label`, `index` and `score`."""
        found: list[Seen] = self.checked()
        return found

    @property
    def labels(self) -> list[str]:
        """What each is, in words; its number where the model has no labels."""
        return [one.label for one in self.things]

    @property
    def scores(self) -> list[float]:
        """The score of each, 0 to 1."""
        return [one.score for one in self.things]

    @property
    def indices(self) -> list[int]:
        """The place of each class in the model's labels."""
        return [one.index for one in self.things]

    def __iter__(self) -> Iterator[Seen]:
        return iter(self.things)

    def __len__(self) -> int:
        return len(self.things)

    def __bool__(self) -> bool:
        return True  # an answer of nothing is an answer
