"""What a use of a network has to know: the one interface behind training and everything after.

Nothing here or in a task's file imports torch at the top, so that a device without torch can
evaluate and predict; the methods that need it import it themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import ModelCard
from mobilenets.data.augmentation import Augmentation, check_number
from mobilenets.data.dataset import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn


Size = tuple[int, int]
"""(width, height) of an image in pixels, as Pillow has it."""


@dataclass(frozen=True)
class Objective:
    """What a recipe says of the loss; each task uses what concerns it."""

    label_smoothing: float = 0.0
    box_weight: float = 1.0
    """Of the boxes' smooth L1 against the classes' loss, for detectors."""
    negatives: float = 3.0
    """Hard negatives for each matched anchor (SSD, section 2.2)."""
    negative_nms: float = 0.0
    """Overlap from which negatives count once, as the authors do with 0.99; 0 for never."""
    focal_gamma: float = 0.0
    """Above 0: focal loss (arXiv 1708.02002) over all anchors instead of hard negatives."""
    focal_alpha: float = 0.25
    class_weights: tuple[float, ...] | Literal["none", "balanced", "root"] = "none"
    """Of each class's pixels in the loss: numbers, `none` for all the same, `balanced` for the
    median class's share of the training pixels over the class's own (as arXiv 1411.4734, section
    6.3.2), `root` for the square root of that."""

    def __post_init__(self) -> None:
        weights = self.class_weights
        if isinstance(weights, list):
            object.__setattr__(self, "class_weights", tuple(weights))
        elif weights not in ("none", "balanced", "root") and not isinstance(weights, tuple):
            raise ValueError(
                f"class_weights must be none, balanced, root or numbers, got {weights!r}"
            )
        for weight in () if isinstance(weights, str) else weights:
            check_number("class_weights", weight)
        for name, most in (
            ("label_smoothing", 1),
            ("negative_nms", 1),
            ("focal_alpha", 1),
            ("box_weight", math.inf),
            ("negatives", math.inf),
            ("focal_gamma", math.inf),
        ):
            check_number(name, getattr(self, name), most=most)


PLAIN = Objective()
"""Every setting as it is unless a recipe says otherwise."""


class Evaluator(Protocol):
    """Collects a model's outputs over a data set and says how good they are."""

    notes: list[str]
    """What a person should know of how the data's classes became the model's."""

    def update(
        self, outputs: NDArray[np.float32], targets: Sequence[Any], sizes: Sequence[Size]
    ) -> None:
        """Count a batch: outputs (N, ...), the data set's targets, and the images' sizes."""

    def merge(self, other: Any) -> None:
        """Add what an evaluator of the same kind has counted in another process."""

    def results(self) -> Iterator[tuple[str, float]]:
        """Pairs (name, value), the task's `metric` among them; shares are 0..1.

        `loss` too where the outputs are those that a network is trained on.
        """

    def by_class(self) -> dict[str, dict[str, float]]:
        """The figures of each class of the data that has any."""

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
    resolution: int
    """Pixels of the input's sides where neither weights nor data have their own."""
    top: int
    """How many things are reported in an image unless someone says otherwise."""
    threshold: float
    """The score from which they are."""
    smallest_batch: int
    """Images that are normalised together at least, where norms learn."""
    batch: int
    """Images that are run at once unless someone says otherwise."""
    scratch: str
    """The recipe without weights to start from."""
    finetune: str
    """The recipe with them."""

    def open_data(self, path: str | Path, split: str, *, seed: int = 0) -> Dataset:
        """A data set from disk or by name; DataError where it is not one.

        `split` is train, val, test or all; `eval` is val where the data says which that is, else
        test, else all.
        """

    def build(self, name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
        """A network with random weights and a head for `labels`, its card set."""

    def adapt(
        self, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
    ) -> tuple[nn.Module, str]:
        """The network called `name` for `labels`, with all of `loaded` that fits.

        And what is new in it, in words; empty where nothing is.
        """

    def input_size(self, dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the input to train on this data, where nobody asked for one.

        `size` is the network's own.
        """

    def settle(self, objective: Objective, dataset: Dataset) -> Objective:
        """What the training data decides of the loss."""

    def deploy(self, model: nn.Module) -> nn.Module:
        """The network as it predicts, its norms folded, its decoding inside, its card set."""

    def transform(
        self, card: ModelCard, augmentation: Augmentation
    ) -> Callable[[Image.Image, Any], tuple[Tensor, Tensor]]:
        """(image, target) -> tensors for training, drawing from torch's random numbers.

        It must be possible to pickle it, for processes that read.
        """

    def mixer(self, augmentation: Augmentation, classes: int) -> Callable[..., Any] | None:
        """Mixes whole batches of (images, targets), or None."""

    def criterion(self, card: ModelCard, objective: Objective) -> Callable[[Any, Tensor], Tensor]:
        """(outputs, targets) -> the mean loss over a batch."""

    def weight(self, targets: Tensor) -> Tensor:
        """What a batch's mean loss is a mean over: parts of a batch count in proportion to it."""

    def evaluator(
        self, card: ModelCard, dataset: Dataset, objective: Objective = PLAIN
    ) -> Evaluator:
        """A fresh evaluator; DataError where the data's classes are not the model's."""

    def decode(
        self,
        outputs: NDArray[np.float32],
        card: ModelCard,
        sizes: Sequence[Size],
        *,
        top: int,
        threshold: float,
    ) -> list[Any]:
        """What is seen in each image of a batch: at most `top` things, from a score on."""

    def describe(self, decoded: Any) -> list[tuple[str, float]]:
        """Rows (label, score) for a table."""

    def to_json(self, decoded: Any) -> Any:
        """What is seen in one image, as JSON values."""

    def draw(self, image: Image.Image, decoded: Any) -> Image.Image:
        """The image with what is seen in it drawn on it."""

    def mask(self, decoded: Any) -> Image.Image | None:
        """What is seen in each pixel, for programs to read; None where JSON has all."""
