"""The demo: a classifier of the built-in shapes."""

from collections.abc import Sequence

from mobilenets.tasks.classify.read import Prediction
from mobilenets.tasks.values import Demo, Judged

DEMO = Demo(
    "Classification",
    "mobilenet_v2",
    {"epochs": 2, "learning_rate": 0.02, "crop_scale": 0.7, "probe": False},
    metric="top1",
    threshold=0.92,
    guessing="guessing gives 0.125",
    resolution=64,
    top=3,
)


def judge(decoded: list[Prediction], target: int, classes: Sequence[str]) -> Judged:
    """Right where the likeliest label is the true one; the surest first."""
    truth = [Prediction(classes[target], target, 1.0)]
    first = decoded[0]
    right = first.index == target
    said = f"{classes[target]}" if right else f"{classes[target]}, taken for {first.label}"
    return Judged(truth, right, first.score if right else -first.score, said)
