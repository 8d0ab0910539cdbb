"""Run by test_processes.py under `accelerate launch`, with a folder and a norm policy."""

import json
import sys
from pathlib import Path

from mobilenets.data.shapes import Shapes
from mobilenets.tasks import TASKS
from mobilenets.training.loop import Trainer
from tests.training.conftest import short, tiny_network


def main() -> None:
    folder, norm = Path(sys.argv[1]), sys.argv[2]
    # What is drawn per process (dropout, mixing) is off; the images' augmentation is not.
    recipe = short(norm=norm, mixup=0.0, cutmix=0.0, learning_rate=0.02)
    data = (Shapes(32, "train", length=48), Shapes(32, "val", length=17))
    run = Trainer(
        tiny_network(dropout=0.0), TASKS["classify"], data, recipe, folder, workers=0, cpu=True
    )
    losses = []
    plain = run.train_step

    def record(*args):
        losses.append(plain(*args))
        return losses[-1]

    run.train_step = record
    run.run()
    if run.accelerator.is_main_process:
        (folder / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
