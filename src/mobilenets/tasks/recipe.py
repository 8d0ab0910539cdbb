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
    """What it is called; `--recipe`."""
    epochs: int
    """Passes over the training images, 1 or more."""
    batch_size: int
    """Images per optimizer step, 1 or more: over all processes and micro-batches together."""
    learning_rate: float
    """The highest, at `batch_size`, above 0; `fit` scales both together."""
    optimizer: Optimizer = "sgd"
    """`sgd`; `rmsprop_tf`, TensorFlow's RMSProp; `adamw`."""
    momentum: float = 0.9
    """Of SGD and of RMSProp, 0 to 1; AdamW has its own."""
    nesterov: bool = True
    """Whether SGD's momentum is Nesterov's."""
    weight_decay: float = 4e-5
    """Strength of the pull of weights to 0, from 0: L2 in SGD and RMSProp, decoupled in AdamW."""
    decay_depthwise: bool = False
    """Whether depthwise kernels are decayed; norms and biases never are."""
    schedule: RateSchedule = "cosine"
    """How the rate falls from step to step: `cosine` and `poly` to 0 at the last step, `staircase`
    by `decay_rate` every `decay_epochs`."""
    warmup_epochs: float = 0.0
    """Epochs, also parts of one, in which the rate rises from a hundredth; half of the run at
    most."""
    warmup_steps: int = 0
    """Steps in which it rises at least, from 0: of few images an epoch has hardly any."""
    decay_rate: float = 0.98
    """What the staircase multiplies the rate with, from 0."""
    decay_epochs: float = 1.0
    """Epochs between two steps of the staircase, from 0; a step of the optimizer at least."""
    poly_power: float = 0.9
    """Of `poly`: the rate is (1 - step / steps) to this power; from 0."""
    ema_decay: float = 0.0
    """Of the average of the weights at each step, 0 (no average) to 1. The average starts fast: at
    step s its decay is at most (1 + s) / (10 + s)."""
    augmentation: Any = None
    """What happens to training images: a frozen dataclass of the task's own."""
    objective: Any = None
    """Settings of the loss: a frozen dataclass of the task's own."""
    dropout: float | None = None
    """Share of the features that are dropped before the head, 0 to 1; None keeps the network's."""
    probe: bool = True
    """Whether a new head on other weights starts fitted to their features, where the use can."""
    least_steps: int = 0
    """Optimizer steps of a run at least, from 0: of few images it has more epochs. 0 where a
    person gives `epochs`."""
    freeze_epochs: int = 0
    """Epochs at the start in which only the head learns, from 0."""
    norm: NormPolicy = "train"
    """`frozen` keeps the running statistics as they came; scale and shift still learn. `auto`:
    `train` where more than 12 images are normalised together, as DeepLab's authors advise."""
    norm_momentum: float | None = None
    """Momentum of the running statistics, 0 to 1 (1 - TensorFlow's decay); None keeps the
    network's."""
    clip_norm: float = 0.0
    """Largest L2 norm of all gradients together; 0 for no limit."""
    accumulate: int = 1
    """Micro-batches per optimizer step, 1 or more: less memory."""
    precision: Precision = "no"
    """Of the computation: `no` for float32, or mixed with `bf16` or `fp16`."""
    teacher_weight: float = 0.5
    """Share of the distillation loss in all, 0 to 1, where a teacher is given."""
    teacher_temperature: float = 2.0
    """What both networks' logits are divided by in the distillation loss; above 0."""
    seed: int = 0
    """Of all that is random: weights, order, augmentation, dropout; an integer from 0."""
    initialization: Initialization = "released"
    """Of random weights: as the released code (normal, 0.09), or He's with shortcuts first
    (`models.modules.layers.initialise_he`)."""
    network: dict[str, Any] = field(default_factory=dict)
    """Arguments that a new network gets unless someone gives others."""
    enough_images: int = 0
    """Training images that it is made for. After a probe fewer change the settings in `gentle`; 0:
    none are changed."""
    gentle: dict[str, float | str] = field(default_factory=dict)
    """Settings by name: numbers that they come near, in proportion, where images are fewest, and
    words that they are where these fill no batch of `batch_size`."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        for name in ("freeze_epochs", "least_steps", "warmup_steps", "seed", "enough_images"):
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
        for name in ("nesterov", "decay_depthwise", "probe"):
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


def on_features(name: str, augmentation: object, objective: object, **settings: Any) -> Recipe:
    """A recipe that goes on from features which are good already: ten epochs of SGD.

    The rate leaves the features be, the weights are averaged, and norms that learn follow within
    few steps (momentum 0.1: the papers' 0.003 would take thousands). `settings` are any others.
    """
    made = Recipe(
        name,
        epochs=10,
        batch_size=32,
        learning_rate=0.002,
        weight_decay=1e-4,
        warmup_epochs=1.0,
        ema_decay=0.99,
        augmentation=augmentation,
        objective=objective,
        norm_momentum=0.1,
    )
    return replace(made, **settings)


def adamw_from_scratch(
    name: str,
    epochs: int,
    batch_size: int,
    augmentation: object,
    objective: object,
    **settings: Any,
) -> Recipe:
    """A recipe from random weights: AdamW with warm-up, short gradients, an average of the weights.

    `settings` are any others, or others than these.
    """
    made = Recipe(
        name,
        epochs,
        batch_size,
        learning_rate=0.002,
        optimizer="adamw",
        weight_decay=0.05,
        warmup_epochs=5.0,
        ema_decay=0.999,
        augmentation=augmentation,
        objective=objective,
        norm_momentum=0.03,
        clip_norm=10.0,
    )
    return replace(made, **settings)


def for_few_images(made: Recipe, name: str, epochs: int, steps: int) -> Recipe:
    """A recipe from scratch, made to start from good weights on a small set of images.

    Small batches, so that an epoch has some steps; an average and norms that follow within few.
    At least `steps` in all, however few images there are.
    """
    return replace(
        made,
        name=name,
        epochs=epochs,
        least_steps=steps,
        batch_size=16,
        learning_rate=0.002,
        warmup_epochs=1.0,
        warmup_steps=steps // 10,
        ema_decay=0.99,
        norm_momentum=0.1,
    )


def by_name(*makers: Callable[[], Recipe]) -> Mapping[str, Callable[[], Recipe]]:
    """The functions that make recipes, each under the recipe's name: its own."""
    return {make.__name__: make for make in makers}
