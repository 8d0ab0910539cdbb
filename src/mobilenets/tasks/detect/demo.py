"""The demo: a detector of the built-in shapes."""

from collections.abc import Sequence

import numpy as np

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.read import Detection, box_iou
from mobilenets.tasks.values import Demo, Judged

FOUND = 0.5
"""Overlap (intersection over union) from which a box is found, as AP50 has it."""
DEMO = Demo(
    "Detection",
    "ssdlite_mobilenet_v2",
    {"epochs": 4, "learning_rate": 0.003, "policy": "flip"},
    metric="ap50",
    threshold=0.77,
    guessing="guessing gives nearly 0",
    resolution=128,
    agreement=0.01,
)


def judge(decoded: list[Detection], target: Objects, classes: Sequence[str]) -> Judged:
    """Right where each object is found once, with its class, and nothing else."""
    truth = [
        Detection(classes[label], int(label), 1.0, (box[0], box[1], box[2], box[3]))
        for label, box in zip(target.labels, target.boxes.tolist(), strict=True)
    ]
    seen = np.array([one.box for one in decoded], np.float32).reshape(-1, 4)
    overlaps = box_iou(seen, target.boxes)  # (seen, there)
    left, wrong = set(range(len(truth))), 0
    for one, row in zip(decoded, overlaps, strict=True):
        fits = [i for i in left if truth[i].index == one.index and row[i] >= FOUND]
        left -= {max(fits, key=lambda i: row[i])} if fits else set()
        wrong += not fits
    found, right = len(truth) - len(left), not left and not wrong
    sure = min((one.score for one in decoded), default=0.0)
    said = f"{found} of {len(truth)} found{f', {wrong} too many' if wrong else ''}"
    return Judged(truth, right, sure if right else -len(left) - wrong, said)
