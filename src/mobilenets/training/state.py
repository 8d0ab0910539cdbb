"""A run on disk: one file from which it goes on, replaced whole or not at all."""

import errno
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.errors import TrainingError
from mobilenets.files import replace_file
from mobilenets.tasks.recipe import Recipe

NAME = "state.pt"


def fingerprint(
    recipe: Recipe, card: ModelCard, data: tuple[Dataset, Dataset], *, taught: bool = False
) -> dict[str, str]:
    """What a resumed run must share with the one it continues, by name.

    `data` are the training and the validation images.
    """
    settings = asdict(recipe)
    settings |= (settings.pop("augmentation") or {}) | (settings.pop("objective") or {})
    settings = {key: json.dumps(value) for key, value in settings.items()}
    settings["recipe"] = settings.pop("name")
    return {
        **settings,
        "model": card.architecture,
        "arguments": json.dumps(card.arguments, sort_keys=True),
        "preprocessing": json.dumps(asdict(card.preprocessing)),
        "teacher": "a teacher" if taught else "no teacher",
        "classes": json.dumps(card.labels),
        "training images": names(data[0]),
        "validation images": names(data[1]),
    }


def names(dataset: Dataset) -> str:
    """How many images, and a hash of what they are called."""
    text = "\n".join(dataset.name(i) for i in range(len(dataset)))
    return f"{len(dataset)}, {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the run's state; OSError (a full disk, say) leaves the last one as it was."""

    def write(path: Path) -> None:
        try:
            torch.save(state, path)
        except RuntimeError as error:  # torch reports a failed write as its own
            if not path.parent.is_dir():
                raise OSError(errno.ENOENT, "its folder is gone", str(path)) from error
            why = "could not be written; is the disk full?"
            raise OSError(errno.ENOSPC, why, str(path)) from error

    replace_file(folder / NAME, write)


def load_state(folder: Path, expected: dict[str, str]) -> dict[str, Any]:
    """Read a run's state; TrainingError where there is none or it is of another run."""
    path = folder / NAME
    if not path.exists():
        raise TrainingError(f"{folder} holds no run to resume; start it without --resume")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state: dict[str, Any] = dict(content)
        found: dict[str, str] = dict(state["fingerprint"])
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        why = (str(error) or "it ends too early").splitlines()[0]
        raise TrainingError(f"{path} is damaged and cannot be resumed ({why})") from error
    for key, value in expected.items():
        if found.get(key) != value:
            raise TrainingError(
                f"the run in {folder} cannot be resumed with a changed {key.replace('_', ' ')}: "
                f"it has {shorten(found.get(key))}, this call {shorten(value)}; --output picks "
                f"another run, --from {folder / 'best.safetensors'} starts a new one"
            )
    return state


def shorten(text: str | None, length: int = 60) -> str:
    """The start of a long value, for a message."""
    text = text or "none"
    return text if len(text) <= length else text[:length] + "..."
