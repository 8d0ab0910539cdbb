"""One label for an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import Split, has_validation, open_classification
from mobilenets.runtime.classify import Prediction, decode
from mobilenets.runtime.draw import annotate
from mobilenets.runtime.labels import match_classes
from mobilenets.tasks.base import PLAIN, Objective, Size

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from mobilenets.data.augmentation import Augmentation


class Accuracy:
    """Top-1 and top-5 accuracy and the confusion matrix of a classifier.

    `outputs_of` maps the data's classes to the model's outputs: they differ where a folder holds
    some of ImageNet's classes only, or the model has a background class in front.
    """

    def __init__(
        self, classes: Sequence[str], outputs_of: Sequence[int], *, probabilities: bool = False
    ) -> None:
        self.classes = tuple(classes)
        self.outputs_of = np.asarray(outputs_of)
        self.probabilities = probabilities
        self.confusion = np.zeros((len(classes), len(classes) + 1), np.int64)  # last: none of them
        self.notes: list[str] = []
        self.top5 = 0
        self.loss = 0.0

    def update(
        self, outputs: NDArray[np.float32], targets: Sequence[int], sizes: Sequence[Size] = ()
    ) -> None:
        """Count a batch: (N, outputs) logits or probabilities, and N class indices."""
        wanted = self.outputs_of[np.asarray(targets)]
        best = np.argsort(-outputs, axis=1, kind="stable")[:, :5]  # (N, 5)
        self.top5 += int((best == wanted[:, None]).any(1).sum())
        class_of = {output: index for index, output in enumerate(self.outputs_of.tolist())}
        for target, output in zip(targets, best[:, 0].tolist(), strict=True):
            self.confusion[target, class_of.get(output, -1)] += 1
        rows = np.arange(len(wanted))
        if self.probabilities:
            self.loss -= float(np.log(np.maximum(outputs[rows, wanted], 1e-12)).sum())
        else:
            top = outputs.max(1)
            total = np.log(np.exp(outputs - top[:, None]).sum(1)) + top
            self.loss += float((total - outputs[rows, wanted]).sum())

    def merge(self, other: Accuracy) -> None:
        """Add what another process has counted."""
        self.confusion += other.confusion
        self.top5 += other.top5
        self.loss += other.loss

    def results(self) -> Iterator[tuple[str, float]]:
        """`top1` and `top5` as shares, the mean cross entropy, and the number of images."""
        images = int(self.confusion.sum())
        yield "top1", float(np.trace(self.confusion)) / max(images, 1)
        yield "top5", self.top5 / max(images, 1)
        yield "loss", self.loss / max(images, 1)
        yield "images", images

    def by_class(self) -> dict[str, dict[str, float]]:
        """`top1`, the share that was recognised, and `images`, of each class that has any."""
        images = self.confusion.sum(1).tolist()
        right = self.confusion.diagonal().tolist()
        return {
            name: {"top1": right[k] / images[k], "images": images[k]}
            for k, name in enumerate(self.classes)
            if images[k]
        }

    def figure(self) -> Figure:
        """The confusion matrix, each row as shares of its true class."""
        from mobilenets.tasks.figures import confusion_figure

        return confusion_figure(self.confusion, self.classes)


class Classify:
    """Image classification."""

    name = "classify"
    metric = "top1"
    picture = "confusion"
    resolution = 224
    top = 5
    threshold = 0.0
    smallest_batch = 1
    batch = 32
    scratch = "modern"
    finetune = "finetune"

    def open_data(self, path: str | Path, split: str, *, seed: int = 0) -> Dataset:
        """Folders of classes, a CSV list, or `shapes`."""
        if split == "eval":
            split = "val" if has_validation(path) else "all"
        return open_classification(path, cast(Split, split), seed=seed)

    def build(self, name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
        """A classifier of random weights for `labels`."""
        from mobilenets.models.zoo import build

        model = build(name, **{**arguments, "classes": len(labels)})
        arguments = {**arguments, "classes": len(labels)}
        set_card(model, ModelCard(name, arguments, self.name, tuple(labels)))
        return model

    def adapt(
        self, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
    ) -> tuple[nn.Module, str]:
        """Keep the head where its labels are the data's, else put a new one in its place.

        A detector's backbone gets a head of its own.
        """
        from torch import nn

        from mobilenets.models.classifier import Classifier
        from mobilenets.models.layers import initialise
        from mobilenets.tasks.graft import on_backbone

        card = card_of(loaded)
        if isinstance(loaded, Classifier) and card.labels == tuple(labels):
            return loaded, ""
        if isinstance(loaded, Classifier):
            model = loaded
            model.classifier = nn.Linear(model.backbone.channels, len(labels))
        else:
            new = on_backbone(self, name, loaded, labels, arguments)
            assert isinstance(new, Classifier)
            model, card = new, card_of(new)
        initialise(model.classifier, sigma=0.01)  # small: the first steps leave the features be
        arguments = {**card.arguments, "classes": len(labels)}
        set_card(model, card.replace(labels=tuple(labels), arguments=arguments, results={}))
        return model, f"a new head for {len(labels)} classes"

    def input_size(self, dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
        """The network's own."""
        return size

    def settle(self, objective: Objective, dataset: Dataset) -> Objective:
        """As the recipe has it."""
        return objective

    def deploy(self, model: nn.Module) -> nn.Module:
        """The network with its norms folded."""
        from mobilenets.models.layers import fold_norms

        return fold_norms(model)

    def transform(
        self, card: ModelCard, augmentation: Augmentation
    ) -> Callable[[Image.Image, int], tuple[Tensor, Tensor]]:
        """(image, class) -> ((3, H, W) normalised, class)."""
        from mobilenets.data.transforms import ClassificationTransform

        return ClassificationTransform(card.preprocessing, augmentation)

    def mixer(self, augmentation: Augmentation, classes: int) -> Callable[..., Any] | None:
        """MixUp or CutMix, drawn anew for each batch, where the recipe has either."""
        from mobilenets.data.transforms import mixer

        return mixer(augmentation, classes)

    def criterion(self, card: ModelCard, objective: Objective) -> Callable[..., Tensor]:
        """Cross entropy of (N, classes) logits with classes (N,) or shares (N, classes)."""
        from torch.nn import CrossEntropyLoss

        return CrossEntropyLoss(label_smoothing=objective.label_smoothing)

    def weight(self, targets: Tensor) -> Tensor:
        """The number of images."""
        return targets.new_ones(len(targets)).sum()

    def evaluator(
        self, card: ModelCard, dataset: Dataset, objective: Objective = PLAIN
    ) -> Accuracy:
        """Accuracy over the data's classes."""
        return Accuracy(
            dataset.classes,
            match_classes(dataset.classes, card.labels),
            probabilities=card.outputs == "probabilities",
        )

    def decode(
        self,
        outputs: NDArray[np.float32],
        card: ModelCard,
        sizes: Sequence[Size],
        *,
        top: int,
        threshold: float,
    ) -> list[list[Prediction]]:
        """The `top` labels of each image, best first."""
        seen = decode(outputs, card, top)
        return [[one for one in image if one.score >= threshold] for image in seen]

    def describe(self, decoded: list[Prediction]) -> list[tuple[str, float]]:
        """Rows (label, probability)."""
        return [(p.label, p.score) for p in decoded]

    def to_json(self, decoded: list[Prediction]) -> list[dict[str, Any]]:
        """[{"label", "index", "score"}, ...]."""
        return [{"label": p.label, "index": p.index, "score": p.score} for p in decoded]

    def draw(self, image: Image.Image, decoded: list[Prediction]) -> Image.Image:
        """The image over a band with the labels and their probabilities."""
        return annotate(image, decoded)

    def mask(self, decoded: list[Prediction]) -> None:
        """JSON has all."""
