"""What a recipe can say of an embedding network's training images and loss."""

from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Crops = Literal["none", "flip"]
OWN_LOSSES = ("cosface", "arcface")
FOREIGN = "pml:"
"""What the name of a loss of pytorch-metric-learning begins with."""


@dataclass(frozen=True)
class EmbeddingAugmentation:
    """What happens to a training image: `none`, or `flip`, a random crop and flip."""

    policy: Crops = "flip"
    """`none` or `flip`."""
    crop_scale: float = 0.35
    """The smallest share of the image's area that a random crop may keep, above 0 to 1."""
    erasing: float = 0.0
    """Chance that a rectangle of the image is wiped out, 0 to 1."""

    def __post_init__(self) -> None:
        check_choice("policy", self.policy, get_args(Crops))
        check_number("crop_scale", self.crop_scale, above=0, most=1)
        check_number("erasing", self.erasing, most=1)


@dataclass(frozen=True)
class EmbeddingObjective:
    """The loss: a cosine margin of our own, or one of pytorch-metric-learning by its name."""

    loss: str = "cosface"
    """`cosface` takes the margin from the cosine of the true class (arXiv 1801.09414), `arcface`
    adds it to the angle (arXiv 1801.07698); `pml:MultiSimilarityLoss` and the like are
    pytorch-metric-learning's, with its own settings."""
    scale: float = 16.0
    """What cosines are multiplied with before the softmax, above 0; of our own losses."""
    margin: float = 0.2
    """The margin, a cosine or an angle in radians, 0 to 1; of our own losses."""
    per_class: int = 0
    """Images of a class in a batch, which then has as many classes as there is room for; 0 shuffles
    all images, but for a loss of pairs takes 4."""

    def __post_init__(self) -> None:
        own = isinstance(self.loss, str) and self.loss in OWN_LOSSES
        if not own and not (isinstance(self.loss, str) and self.loss.startswith(FOREIGN)):
            raise ValueError(
                f"loss must be {', '.join(OWN_LOSSES)} or {FOREIGN}NAME, got {self.loss!r}"
            )
        check_number("scale", self.scale, above=0)
        check_number("margin", self.margin, most=1)
        if type(self.per_class) is not int or self.per_class < 0:
            raise ValueError(f"per_class must be an integer from 0, got {self.per_class!r}")
