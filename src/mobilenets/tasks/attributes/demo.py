"""The demo: attributes of the built-in shapes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.attributes.marks import YES
from mobilenets.tasks.attributes.read import HALF, SeenAttribute
from mobilenets.tasks.values import Demo, Judged

DEMO = Demo(
    "Attributes",
    "attributes_mobilenet_v2",
    {
        "epochs": 4,
        "learning_rate": 0.003,
        "crop_scale": 0.9,
        "groups": "red,green,blue",
    },
    metric="mean_ap",
    threshold=0.65,
    guessing="guessing gives 0.27",
    resolution=64,
    top=6,
)


def judge(decoded: list[SeenAttribute], target: NDArray[np.int8], classes: Sequence[str]) -> Judged:
    """Right where every attribute that is known is; the most that are right first."""
    marks = np.asarray(target)
    truth = [SeenAttribute(classes[k], k, 1.0, HALF) for k in np.flatnonzero(marks == YES).tolist()]
    seen = np.isin(np.arange(len(marks)), [one.index for one in decoded])
    wrong = [classes[k] for k in np.flatnonzero((seen != (marks == YES)) & (marks >= 0)).tolist()]
    said = f"wrong: {', '.join(wrong)}" if wrong else "all right"
    return Judged(truth, not wrong, float(-len(wrong)), said)
