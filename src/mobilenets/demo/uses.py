"""What the demo trains: one entry for each use of a network."""

from dataclasses import dataclass, field
from typing import Any

COMMON = {"weight_decay": 1e-4, "ema_decay": 0.99, "label_smoothing": 0.0}


@dataclass(frozen=True)
class Use:
    """A network small enough to learn the built-in shapes while one waits."""

    task: str
    title: str
    model: str
    resolution: int
    recipe: str
    settings: dict[str, Any]
    """Of the recipe, changed."""
    metric: str
    threshold: float
    """What `metric` must reach on images never trained on."""
    guessing: str
    """What one gets without learning, in words."""
    mistake: str
    """What it is to see other labels in a picture than those that are there, in words."""
    agreement: float = 0.002
    """Largest difference of `metric` between the checkpoint and its export."""
    knobs: dict[str, Any] = field(default_factory=lambda: {"width": 0.35})


# The others start from the first one's backbone.
USES = (
    Use(
        "classify",
        "Classification",
        "mobilenet_v2",
        64,
        "modern",
        {
            **COMMON,
            "epochs": 4,
            "batch_size": 32,
            "learning_rate": 0.04,
            "warmup_epochs": 1.0,
            "dropout": 0.0,
            "policy": "flip",
            "crop_scale": 0.6,
            "erasing": 0.0,
            "mixup": 0.0,
            "cutmix": 0.0,
            "train_scale": 1.0,
        },
        metric="top1",
        threshold=0.65,
        guessing="guessing gives 0.125",
        mistake="taken for something else",
    ),
    Use(
        "detect",
        "Detection",
        "ssdlite_mobilenet_v2",
        128,
        "finetune_ssd",
        {**COMMON, "epochs": 4, "batch_size": 16, "learning_rate": 0.005, "policy": "flip"},
        metric="ap50",
        threshold=0.3,
        guessing="guessing gives nearly 0",
        agreement=0.01,
        mistake="not all found, or more than is there",
    ),
    Use(
        "segment",
        "Segmentation",
        "deeplabv3_mobilenet_v2",
        129,
        "finetune_deeplab",
        {**COMMON, "epochs": 3, "batch_size": 16, "learning_rate": 0.005, "policy": "flip"},
        metric="miou",
        threshold=0.33,
        guessing="background alone gives 0.1",
        mistake="not all found, or more than is there",
    ),
)
