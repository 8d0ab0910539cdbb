"""Recipes: functions that return frozen data, each saying what it is known to give."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from mobilenets.data.augmentation import Augmentation, check_number
from mobilenets.models.geometry import unknown_name
from mobilenets.tasks import Objective

Optimizer = Literal["rmsprop_tf", "sgd", "adamw"]
Schedule = Literal["cosine", "staircase"]
NormPolicy = Literal["train", "frozen"]
Precision = Literal["no", "bf16", "fp16"]
SHARES = (
    *("momentum", "ema_decay"),
    *("dropout", "norm_momentum", "teacher_weight"),
)
"""Settings from 0 to 1."""
ALONE = {
    "classify": {
        *("crop_scale", "erasing", "mixup", "cutmix", "train_scale"),
        *("dropout", "teacher_weight", "teacher_temperature"),
    },
    "detect": {
        *("zoom_out", "box_weight", "negatives", "negative_nms"),
        *("focal_gamma", "focal_alpha"),
    },
}
"""Settings that do something in recipes of one task alone."""


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
    weight_decay: float = 4e-5
    decay_depthwise: bool = False
    """Whether depthwise kernels are decayed; norms and biases never are."""
    schedule: Schedule = "cosine"
    warmup_epochs: float = 0.0
    decay_rate: float = 0.98
    decay_epochs: float = 1.0
    ema_decay: float = 0.0
    """0 for none. The average starts fast: at step s its decay is at most (1 + s) / (10 + s)."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    objective: Objective = field(default_factory=Objective)
    dropout: float | None = None
    """None keeps the network's own."""
    freeze_epochs: int = 0
    """Epochs at the start in which only the head learns."""
    norm: NormPolicy = "train"
    """`frozen` keeps the running statistics as they came; scale and shift still learn."""
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
    task: str = "classify"
    """What it trains."""
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
        for name in ("weight_decay", "warmup_epochs", "decay_rate", "decay_epochs", "clip_norm"):
            check_number(name, getattr(self, name))
        for name in SHARES:
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), most=1)
        if not isinstance(self.decay_depthwise, bool):
            raise ValueError(f"decay_depthwise must be true or false, got {self.decay_depthwise!r}")
        for name, allowed in (
            ("optimizer", Optimizer),
            ("schedule", Schedule),
            ("norm", NormPolicy),
            ("precision", Precision),
        ):
            value = getattr(self, name)
            if value not in get_args(allowed):
                choices = ", ".join(get_args(allowed))
                raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def paper_v1() -> Recipe:
    """Paper 1, section 3.2, with the numbers of the released code.

    TensorFlow's RMSProp, 0.045 x 0.94 every 2.5 epochs at batch 64, little augmentation, no label
    smoothing, no decay on depthwise kernels. Known to give 70.6 % (paper 1, Table 4; 70.9 released)
    for V1 1.0 at 224, with asynchronous workers; not re-run here.
    """
    return Recipe(
        "paper_v1",
        epochs=100,
        batch_size=64,
        learning_rate=0.045,
        optimizer="rmsprop_tf",
        schedule="staircase",
        decay_rate=0.94,
        decay_epochs=2.5,
        ema_decay=0.9999,
        augmentation=Augmentation("flip", crop_scale=0.25),
    )


def paper_v2() -> Recipe:
    """Paper 2, section 6.1, with the released code's label smoothing and average.

    TensorFlow's RMSProp (decay and momentum 0.9, epsilon 1), 0.045 x 0.98 per epoch at batch 96,
    Inception's preprocessing. Known to give 72.0 % for V2 1.0 at 224 (paper 2, Table 4; 71.8
    released), with 16 asynchronous workers; not re-run here.
    """
    return Recipe(
        "paper_v2",
        epochs=300,
        batch_size=96,
        learning_rate=0.045,
        optimizer="rmsprop_tf",
        schedule="staircase",
        decay_rate=0.98,
        decay_epochs=1.0,
        objective=Objective(label_smoothing=0.1),
        ema_decay=0.9999,
        augmentation=Augmentation("inception", crop_scale=0.08),
    )


def modern() -> Recipe:
    """The best published recipe for V2 whose every setting is public: torchvision's second.

    Known to give 72.15 % for V2 1.0 at 224 on ImageNet-1k (600 epochs on eight GPUs; not re-run
    here): SGD, cosine with five epochs of warm-up, TrivialAugment, erasing, mixing, training at 176
    pixels for 224, and that proportion for any other size.
    Two things differ from it: no repeated augmentation, and the average's decay of 0.9999 a step.
    """
    return Recipe(
        "modern",
        epochs=600,
        batch_size=1024,
        learning_rate=0.5,
        weight_decay=2e-5,
        decay_depthwise=True,
        warmup_epochs=5.0,
        objective=Objective(label_smoothing=0.1),
        ema_decay=0.9999,
        augmentation=Augmentation(
            "trivial", 0.08, erasing=0.1, mixup=0.2, cutmix=1.0, train_scale=176 / 224
        ),
        norm_momentum=0.1,
    )


def finetune() -> Recipe:
    """The default with `--from`: few epochs on few images, from features that are already good.

    Ten epochs of SGD at a rate that leaves the features be, and an average of the weights. The
    norms learn and follow the new images (momentum 0.1: the papers' 0.003 would take thousands
    of steps). docs/reproduction.md has what it gives on ants and bees, with the command.
    """
    return Recipe(
        "finetune",
        epochs=10,
        batch_size=32,
        learning_rate=0.002,
        weight_decay=1e-4,
        warmup_epochs=1.0,
        objective=Objective(label_smoothing=0.1),
        ema_decay=0.99,
        augmentation=Augmentation("flip", crop_scale=0.35),
        norm_momentum=0.1,
    )


def paper_ssd() -> Recipe:
    """The authors' configuration for SSD and SSDLite on COCO (their released pipelines).

    TensorFlow's RMSProp at 0.004, practically constant (x 0.95 per 800,720 steps), batch 24, 200k
    steps of 118k images, crop by overlap and flip, hard negatives 3:1 after suppression at 0.99,
    norms' decay 0.9997. Known to give 22.1 mAP for SSDLite V2 at 320 (paper 2, Table 6); not
    re-run here.
    """
    return Recipe(
        "paper_ssd",
        epochs=41,
        batch_size=24,
        learning_rate=0.004,
        optimizer="rmsprop_tf",
        schedule="staircase",
        decay_rate=0.95,
        decay_epochs=162.0,
        augmentation=Augmentation("ssd_crop"),
        objective=Objective(negative_nms=0.99),
        norm_momentum=0.0003,
        task="detect",
    )


def modern_ssd() -> Recipe:
    """From scratch: AdamW, cosine with warm-up, softmax scores, SSD's augmentation, an average.

    For data sets of some thousand images and more. Not run on COCO here; docs/reproduction.md has
    what `finetune_ssd`, the same but for its length, gives from scratch beside torchvision's.
    """
    return Recipe(
        "modern_ssd",
        epochs=300,
        batch_size=64,
        learning_rate=0.004,
        optimizer="adamw",
        weight_decay=0.05,
        warmup_epochs=5.0,
        ema_decay=0.999,
        augmentation=Augmentation("ssd"),
        norm_momentum=0.03,
        clip_norm=10.0,
        task="detect",
        network={"scores": "softmax"},
    )


def finetune_ssd() -> Recipe:
    """The default with `--from`: a detector for a small set of images, from a good backbone.

    AdamW: new extras and heads learn from few steps, which plain SGD needs several times as many
    of. Softmax scores for the same reason. docs/reproduction.md has what it gives on blood cells,
    with the command.
    """
    return Recipe(
        "finetune_ssd",
        epochs=50,
        batch_size=16,
        learning_rate=0.002,
        optimizer="adamw",
        weight_decay=0.05,
        warmup_epochs=1.0,
        ema_decay=0.99,
        augmentation=Augmentation("ssd"),
        norm_momentum=0.1,
        clip_norm=10.0,
        task="detect",
        network={"scores": "softmax"},
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "paper_v1": paper_v1,
    "paper_v2": paper_v2,
    "modern": modern,
    "finetune": finetune,
    "paper_ssd": paper_ssd,
    "modern_ssd": modern_ssd,
    "finetune_ssd": finetune_ssd,
}


def recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe called `name` with some settings changed; None changes nothing.

    A setting of the augmentation (`policy`, ...) or the objective is given by its own name. A
    batch size given without a learning rate scales the rate with it. Raises ValueError for a name,
    a setting or a value that is not one.
    """
    if name not in RECIPES:
        raise ValueError(unknown_name(name, RECIPES, "recipe"))
    made = RECIPES[name]()
    given = {key: value for key, value in changes.items() if value is not None}
    parts = {
        part: {field.name for field in fields(type(getattr(made, part)))}
        for part in ("augmentation", "objective")
    }
    inner = set().union(*parts.values())
    fixed = {"name", "task", "network", *parts}
    allowed = (inner | {field.name for field in fields(Recipe)}) - fixed
    for key in given:
        if key not in allowed:
            raise ValueError(unknown_name(key, allowed, "setting"))
        for task, names in ALONE.items():
            if key in names and task != made.task:
                raise ValueError(
                    f"{key} is a setting to {task}, the recipe {name} is to {made.task}"
                )
    batch_size = given.get("batch_size", made.batch_size)
    if "learning_rate" not in given and isinstance(batch_size, int) and batch_size > 0:
        given["learning_rate"] = made.learning_rate * (batch_size / made.batch_size)
    changed = {
        part: replace(getattr(made, part), **{k: v for k, v in given.items() if k in names})
        for part, names in parts.items()
    }
    outer = {key: value for key, value in given.items() if key not in inner}
    return replace(made, **changed, **outer)


MICRO_BATCH, MICRO_SIDE = 64, 224


def split(made: Recipe, pixels: int = MICRO_SIDE**2) -> Recipe:
    """The recipe with its batches computed in parts of at most 64 images of 224 x 224 pixels.

    And as many fewer of larger ones, `pixels` each. A CPU is no faster with more, and V2 at 224
    pixels takes 80 MB an image in training.
    """
    wanted = made.batch_size * pixels / (MICRO_BATCH * MICRO_SIDE**2)
    batch = made.batch_size
    even = [n for n in range(1, batch // 2 + 1) if batch % n == 0] or [1]  # two images or more each
    parts = next((n for n in even if n >= wanted), even[-1])
    return replace(made, accumulate=parts)


STEPS = 8
"""Optimizer steps that an epoch should have at least."""


def fit(made: Recipe, images: int, *, smallest: int = 16, keep_rate: bool = False) -> Recipe:
    """The recipe with its batch halved, and its rate with it, until an epoch has enough steps.

    A recipe for ImageNet has batches that a small data set would see a few times only. A rate
    that was asked for by number is kept with `keep_rate`.
    """
    batch = made.batch_size
    while batch // 2 >= smallest and images // batch < STEPS:
        batch //= 2
    rate = made.learning_rate * (1.0 if keep_rate else batch / made.batch_size)
    return replace(made, batch_size=batch, learning_rate=rate)
