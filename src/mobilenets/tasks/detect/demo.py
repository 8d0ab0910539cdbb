"""The demo: a small network that learns the built-in shapes."""

from collections.abc import Sequence

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.read import Detection
from mobilenets.tasks.values import QUICK, Demo

DEMO = Demo(
    "Detection",
    "ssdlite_mobilenet_v2",
    128,
    "finetune_ssd",
    {**QUICK, "epochs": 4, "batch_size": 16, "learning_rate": 0.005, "policy": "flip"},
    metric="ap50",
    threshold=0.15,
    guessing="guessing gives nearly 0",
    agreement=0.01,
    mistake="not all found, or more than is there",
)


def labels(
    decoded: list[Detection], target: Objects, classes: Sequence[str]
) -> tuple[list[str], list[str]]:
    """(there, seen): the objects' labels, sorted."""
    return sorted(classes[i] for i in target.labels), sorted(one.label for one in decoded)
