"""What decides a training run, as frozen data, whatever the use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Optimizer = Literal["rmsprop_tf", "sgd", "adamw"]
RateSchedule = Literal["cosine", "staircase", "poly"]
NormPolicy = Literal["train", "frozen", "auto"]
Precision = Literal["no", "bf16", "fp16"]
Initialization = Literal["released", "he"]
SHARES = (
    *("momentum", "ema_decay"),
    *("dropout", "norm_momentum", "teacher_weight"),
)
"""Settings from 0 to 1."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, but the network and the data."""

    name: str
    epochs: int
    batch_size: int
    """Images per optimizer step, over all processes and accumulated micro-batches together."""
    learning_rate: float
    """At `batch_size`; `fit` scales both together."""
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    """Of SGD's momentum."""
    weight_decay: float = 4e-5
    decay_depthwise: bool = False
    """Whether depthwise kernels are decayed; norms and biases never are."""
    schedule: RateSchedule = "cosine"
    warmup_epochs: float = 0.0
    decay_rate: float = 0.98
    decay_epochs: float = 1.0
    poly_power: float = 0.9
    ema_decay: float = 0.0
    """0 for none. The average starts fast: at step s its decay is at most (1 + s) / (10 + s)."""
    augmentation: Any = None
    """What happens to training images: a frozen dataclass of the task's own."""
    objective: Any = None
    """Settings of the loss: a frozen dataclass of the task's own."""
    dropout: float | None = None
    """None keeps the network's own."""
    freeze_epochs: int = 0
    """Epochs at the start in which only the head learns."""
    norm: NormPolicy = "train"
    """`frozen` keeps the running statistics as they came; scale and shift still learn. `auto`:
    `train` where more than 12 images are normalised together, as DeepLab's authors advise."""
    norm_momentum: float | None = None
    """Momentum of the running statistics (1 - TensorFlow's decay); None keeps the network's."""
    clip_norm: float = 0.0
    """Largest L2 norm of all gradients together; 0 for no limit."""
    accumulate: int = 1
    """Micro-batches per optimizer step."""
    precision: Precision = "no"
    teacher_weight: float = 0.5
    """Share of the distillation loss, where a teacher is given."""
    teacher_temperature: float = 2.0
    seed: int = 0
    initialization: Initialization = "released"
    """Of random weights: as the released code (normal, 0.09), or He's with shortcuts first
    (`models.modules.layers.initialise_he`)."""
    network: dict[str, Any] = field(default_factory=dict)
    """Arguments that a new network gets unless someone gives others."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        for name in ("freeze_epochs", "seed"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} must be an integer from 0, got {value!r}")
        for name in ("learning_rate", "teacher_temperature"):
            check_number(name, getattr(self, name), above=0)
        for name in ("weight_decay", "warmup_epochs", "decay_rate", "decay_epochs", "poly_power"):
            check_number(name, getattr(self, name))
        check_number("clip_norm", self.clip_norm)
        for name in SHARES:
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), most=1)
        for name in ("nesterov", "decay_depthwise"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        for name, allowed in (
            ("optimizer", Optimizer),
            ("schedule", RateSchedule),
            ("norm", NormPolicy),
            ("precision", Precision),
            ("initialization", Initialization),
        ):
            check_choice(name, getattr(self, name), get_args(allowed))


def for_few_images(made: Recipe, name: str, epochs: int) -> Recipe:
    """A recipe from scratch, made to start from good weights on a small set of images.

    Small batches, so that an epoch has some steps; an average and norms that follow within few.
    """
    return replace(
        made,
        name=name,
        epochs=epochs,
        batch_size=16,
        learning_rate=0.002,
        warmup_epochs=1.0,
        ema_decay=0.99,
        norm_momentum=0.1,
    )


def by_name(*makers: Callable[[], Recipe]) -> Mapping[str, Callable[[], Recipe]]:
    """The functions that make recipes, each under the recipe's name: its own."""
    return {make.__name__: make for make in makers}
