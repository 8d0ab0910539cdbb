"""The commands that do on the command line what the demo does."""

import shlex
from pathlib import Path

from mobilenets.training.run import Plan


def train_command(plan: Plan, data: str, settings: dict[str, object], output: Path) -> str:
    """`mobilenets train` with the same arguments."""
    words = ["mobilenets", "train", plan.model, "--data", data]
    if plan.weights is not None:
        words += ["--from", str(plan.weights)]
    if plan.resolution is not None:
        words += ["--resolution", str(plan.resolution)]
    for name, value in plan.knobs.items():
        words += ["--knob", f"{name}={value}"]
    for name, value in settings.items():
        option = name in ("epochs", "batch_size", "learning_rate")
        written = str(value).lower() if isinstance(value, bool) else str(value)
        words += [f"--{name.replace('_', '-')}", written] if option else []
        words += [] if option else ["--set", f"{name}={written}"]
    return shlex.join([*words, "--output", str(output)])


def eval_command(model: Path, data: str, split: str) -> str:
    """`mobilenets eval` of a part of the data."""
    return shlex.join(["mobilenets", "eval", str(model), data, "--split", split])


def export_command(checkpoint: Path, output: Path) -> str:
    """`mobilenets export` to an ONNX file."""
    return shlex.join(["mobilenets", "export", str(checkpoint), "-o", str(output)])
