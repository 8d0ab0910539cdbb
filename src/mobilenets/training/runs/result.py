"""What a run leaves."""

from dataclasses import dataclass
from pathlib import Path

from mobilenets.training.runs.report import Row


@dataclass(frozen=True)
class Result:
    """What a run leaves: its best epoch's metrics, and the files."""

    best: Row
    history: list[Row]
    metric: str
    """The name of the result that picked the best epoch."""
    checkpoint: Path
    """The best epoch's weights; `last.safetensors` beside it has the last one's."""
    device: str = ""
    """What it was trained on, in words."""
    began: str = ""
    """What epoch 0 was, in words, such as `the probe`; empty where the run has none."""
