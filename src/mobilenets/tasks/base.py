"""What a use of a network has to know: the one interface behind training and everything after.

Nothing here or in a task's file imports torch at the top, so that a device without torch can
evaluate and predict; the methods that need it import it themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.dataset import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from mobilenets.data.transforms import Augmentation


class Evaluator(Protocol):
    """Collects a model's outputs over a data set and says how good they are."""

    def update(self, outputs: NDArray[np.float32], targets: Sequence[Any]) -> None:
        """Count a batch: raw outputs (N, ...) and the data set's targets."""

    def merge(self, other: Any) -> None:
        """Add what an evaluator of the same kind has counted in another process."""

    def results(self) -> Iterator[tuple[str, float]]:
        """Pairs (name, value), `loss` and the task's `metric` among them; shares are 0..1."""

    def figure(self) -> Figure:
        """A picture of where the model is right and wrong."""


class Task(Protocol):
    """A use: which data, which head, which loss, how outputs are read, measured and drawn."""

    name: str
    """As it stands in a model's card."""
    metric: str
    """The result that picks the best epoch; larger is better."""
    picture: str
    """What the evaluator's figure shows, in a word; the name of its file."""

    def open_data(self, path: str | Path, split: str, *, seed: int = 0) -> Dataset:
        """A data set from disk or by name; DataError where it is not one."""

    def build(self, name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
        """A network with random weights and a head for `labels`, its card set."""

    def adapt(self, model: nn.Module, labels: Sequence[str]) -> bool:
        """Give a loaded network a head for `labels`; True where its own head did not fit."""

    def transform(
        self, preprocessing: Preprocessing, augmentation: Augmentation
    ) -> Callable[[Image.Image, Any], tuple[Tensor, Tensor]]:
        """(image, target) -> tensors for training, drawing from torch's random numbers.

        It must be possible to pickle it, for processes that read.
        """

    def mixer(self, augmentation: Augmentation, classes: int) -> Callable[..., Any] | None:
        """Mixes whole batches of (images, targets), or None."""

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float) -> Tensor:
        """The mean loss over a batch."""

    def evaluator(self, card: ModelCard, dataset: Dataset) -> Evaluator:
        """A fresh evaluator; DataError where the data's classes are not the model's."""

    def decode(self, outputs: NDArray[np.float32], card: ModelCard, top: int) -> list[Any]:
        """What is seen in each image of a batch of raw outputs."""

    def describe(self, decoded: Any) -> list[tuple[str, float]]:
        """Rows (label, score) for a table."""

    def to_json(self, decoded: Any) -> Any:
        """What is seen in one image, as JSON values."""

    def draw(self, image: Image.Image, decoded: Any) -> Image.Image:
        """The image with what is seen in it drawn on it."""
