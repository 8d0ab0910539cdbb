"""The demo: a small network that learns the built-in shapes."""

from collections.abc import Sequence

from mobilenets.tasks.classify.read import Prediction
from mobilenets.tasks.values import QUICK, Demo

DEMO = Demo(
    "Classification",
    "mobilenet_v2",
    64,
    "modern",
    {
        **QUICK,
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
    threshold=0.4,
    guessing="guessing gives 0.125",
    mistake="taken for something else",
    top=3,
)


def labels(
    decoded: list[Prediction], target: int, classes: Sequence[str]
) -> tuple[list[str], list[str]]:
    """(there, seen): the class, and the likeliest label."""
    return [classes[target]], [one.label for one in decoded[:1]]
