"""A run on disk: one file from which it goes on, replaced whole or not at all."""

import errno
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mobilenets.card import ModelCard
from mobilenets.data.contents import Contents, labels_digest
from mobilenets.data.dataset import Dataset
from mobilenets.errors import TrainingError
from mobilenets.files import replace_file
from mobilenets.tasks.recipe import Recipe
from mobilenets.training.runs import NAME as NAME
from mobilenets.training.runs.limits import Limits

LIMITS = ("minutes", "patience")
"""Those of a run that a resumed one must share."""

NEWER = {
    f"{part} {what}" for part in ("training", "validation") for what in ("files", "labels")
} | {"teacher's weights"}
"""What runs of before this was kept do not say: they go on without it."""
NO_STEPS = {"least_steps": 0, "warmup_steps": 0}
"""Of a recipe, as runs of before had them."""
LATER = {"probe", "enough_images", "gentle", *NO_STEPS}
"""Settings of a recipe that came later: runs of before were made without them."""


def fingerprint(
    recipe: Recipe,
    card: ModelCard,
    data: tuple[Dataset, Dataset],
    contents: tuple[Contents, Contents],
    *,
    teacher: nn.Module | None = None,
) -> dict[str, str]:
    """What a resumed run must share with the one it continues, by name.

    `data` are the training and the validation images, `contents` what their files hold.
    """
    settings = asdict(recipe)
    settings |= (settings.pop("augmentation") or {}) | (settings.pop("objective") or {})
    settings = {key: json.dumps(value) for key, value in settings.items()}
    settings["recipe"] = settings.pop("name")
    found = {"model": card.architecture, "classes": json.dumps(card.labels)}
    for part, dataset, files in zip(("training", "validation"), data, contents, strict=True):
        found[f"{part} images"] = names(dataset)
        found[f"{part} files"] = files.digest()
        found[f"{part} labels"] = labels_digest(dataset)
    return {
        **found,
        "teacher": "no teacher" if teacher is None else "a teacher",
        "teacher's weights": "none" if teacher is None else weights_digest(teacher),
        "arguments": json.dumps(card.arguments, sort_keys=True),
        "preprocessing": json.dumps(asdict(card.preprocessing)),
        **settings,
    }


def limits_of(limits: Limits) -> dict[str, str]:
    """The limits of a run, as `fingerprint` has its other settings."""
    return {name: str(getattr(limits, name)) for name in LIMITS}


def names(dataset: Dataset) -> str:
    """How many images, and a hash of what they are called."""
    text = "\n".join(dataset.name(i) for i in range(len(dataset)))
    return f"{len(dataset)}, {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def weights_digest(network: nn.Module) -> str:
    """A hash of a network's tensors, with their names, and of its layers as torch writes them."""
    found = hashlib.sha256(repr(network).encode())
    for name, value in network.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        array = value.detach().to("cpu").contiguous().reshape(-1)
        found.update(array.view(torch.uint8).numpy().tobytes() if array.numel() else b"")
    return found.hexdigest()[:12]


def as_begun(folder: Path, recipe: Recipe) -> Recipe:
    """The recipe without the least steps that the run in `folder` was begun before; it goes on."""
    begun = read_state(folder)["fingerprint"]
    later: dict[str, Any] = {k: v for k, v in NO_STEPS.items() if k not in begun}
    return replace(recipe, **later)


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
    state = read_state(folder)
    found = dict.fromkeys(LIMITS, "None")  # runs of before there were any
    found |= state["fingerprint"]
    for key, value in expected.items():
        if key in NEWER | LATER and key not in found:
            continue
        if found.get(key) != value:
            raise TrainingError(
                f"the run in {folder} cannot be resumed with a changed {key.replace('_', ' ')}: "
                f"it has {shorten(found.get(key))}, this call {shorten(value)}; --output picks "
                f"another run, --from {folder / 'best.safetensors'} starts a new one"
            )
    return state


def read_state(folder: Path) -> dict[str, Any]:
    """The state of the run in a folder, whichever it is; TrainingError where there is none."""
    path = folder / NAME
    if not path.exists():
        raise TrainingError(f"{folder} holds no run to resume; start it without --resume")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state: dict[str, Any] = dict(content)
        found = {str(key): str(value) for key, value in dict(state["fingerprint"]).items()}
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        why = (str(error) or "it ends too early").splitlines()[0]
        raise TrainingError(f"{path} is damaged and cannot be resumed ({why})") from error
    return {**state, "fingerprint": found}


def unknown_to(state: dict[str, Any]) -> list[str]:
    """What an older run does not say of itself, so that a change of it goes unnoticed."""
    return sorted(NEWER - set(state["fingerprint"]))


def shorten(text: str | None, length: int = 60) -> str:
    """The start of a long value, for a message."""
    text = text or "none"
    return text if len(text) <= length else text[:length] + "..."
