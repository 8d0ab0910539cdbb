"""What a run leaves."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mobilenets.training.runs.report import Row


@dataclass(frozen=True, repr=False)
class Result:
    """What a run leaves: its best epoch's metrics, and the files.

    >>> result = mobilenets.train("mobilenet_v2", "photos", weights="mobilenet_v2_1.0_224.google")
    >>> result
    <Result top1 0.9608 at epoch 7 of 10, runs/mobilenet_v2-photos/best.safetensors>
    >>> result.open().predict("cat.jpg").label
    'cat'
    """

    best: Row
    """Of `history` the row of the best epoch: `epoch`, `loss`, and figures by name, 0 to 1."""
    history: list[Row]
    """A row for each epoch, as `log.csv` has them."""
    metric: str
    """The name of the result that picked the best epoch."""
    checkpoint: Path
    """The best epoch's weights; `last.safetensors` beside it has the last one's."""
    device: str = ""
    """What it was trained on, in words."""
    began: str = ""
    """What epoch 0 was, in words, such as `the probe`; empty where the run has none."""

    def open(self) -> Any:
        """The best epoch's model, ready to answer: what `mobilenets.open` gives, a `Model`."""
        # By its public name: what opens models knows of runs, so runs cannot import it.
        return import_module("mobilenets").open(self.checkpoint)

    def __repr__(self) -> str:
        when, last = int(self.best["epoch"]), int(self.history[-1]["epoch"])
        figure = f"{self.metric} {self.best[self.metric]:.4f}"
        return f"<Result {figure} at epoch {when} of {last}, {self.checkpoint}>"
