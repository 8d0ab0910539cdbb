from typing import Any

import pytest
from PIL import Image

from mobilenets.data.shapes import Shapes
from mobilenets.tasks.classify.architecture.classifier import Classifier
from mobilenets.tasks.recipe import Recipe
from mobilenets.training.recipes import recipe
from tests.small import of_shapes


class Repeated:
    """A data set so many times over: epochs of more steps, which end and are kept less often."""

    def __init__(self, data: Any, times: int) -> None:
        self.data, self.times = data, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def __len__(self) -> int:
        return self.times * len(self.data)

    def image(self, i: int) -> Image.Image:
        return self.data.image(i % len(self.data))

    def target(self, i: int) -> Any:
        return self.data.target(i % len(self.data))

    def name(self, i: int) -> str:
        return self.data.name(i % len(self.data))


@pytest.fixture
def data() -> tuple[Shapes, Shapes]:
    return Shapes(32, "train", length=48), Shapes(32, "val", length=16)


@pytest.fixture
def tiny() -> Classifier:
    return tiny_network()


def tiny_network(name: str = "mobilenet_v2", dropout: float = 0.2) -> Classifier:
    return of_shapes(32, name, dropout=dropout)


def short(**changes: object) -> Recipe:
    settings = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "warmup_epochs": 0.5}
    return recipe("modern", **{**settings, **changes})
