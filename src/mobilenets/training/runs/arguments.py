"""What a run was started with, kept in its folder: the folder's name is enough to go on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mobilenets.errors import TrainingError
from mobilenets.files import replace_file
from mobilenets.training.runs import NAME

FILE = "arguments.json"
VERSION = 1
OPTIONS = {"model": "MODEL", "weights": "--from"}
"""What a person calls them on the command line, where that is not `--` and the name."""
OWN = {"width", "epochs", "batch_size", "learning_rate"}
"""Knobs and settings with an option of their own."""
FILES = ("data", "weights", "teacher", "unlabelled")
FREE = {"data", "unlabelled", "workers", "device"}
"""What a run that goes on may be given anew: data that moved (its contents are compared), and what
is the machine's."""


@dataclass(frozen=True)
class RunArguments:
    """The arguments of `train`, as JSON values; files by their whole paths."""

    model: str
    data: str
    weights: str | None = None
    recipe: str | None = None
    resolution: int | None = None
    teacher: str | None = None
    unlabelled: str | None = None
    unknown: bool | None = None
    workers: int | None = None
    device: str | None = None
    minutes: float | None = None
    patience: int | None = None
    knobs: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings of the recipe."""

    def merged(self, given: Mapping[str, Any], folder: Path) -> "RunArguments":
        """These, with what was `given` beside the folder; None and {} say nothing.

        Raises ValueError, naming the option, for one that contradicts what the run was started
        with. What the run left to the recipe or the weights may be given: the state says later
        whether it is as it was.
        """
        changed: dict[str, Any] = {}
        for name, value in given.items():
            kept = getattr(self, name)
            if value is None or value == {}:
                continue
            if isinstance(kept, dict):
                for key, one in value.items():
                    _agree(
                        _option(key, "knob" if name == "knobs" else "set"),
                        one,
                        kept.get(key),
                        folder,
                    )
                changed[name] = {**kept, **value}
                continue
            changed[name] = whole(value) if name in FILES else value
            if name not in FREE:
                _agree(_option(name), changed[name], kept, folder)
        return replace(self, **changed)


def _option(name: str, many: str = "") -> str:
    """What the command line calls an argument; `many` is the option for those without their own."""
    if many and name not in OWN:
        return f"--{many} {name}"
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _agree(option: str, value: Any, kept: Any, folder: Path) -> None:
    """ValueError where a run was started with another value than is given now."""
    if kept is not None and json.dumps(value) != json.dumps(kept):
        raise ValueError(f"{option} must be {kept!r} as the run in {folder} has it, got {value!r}")


def whole(value: Any) -> Any:
    """The whole path of what is there, so that it is found from elsewhere; else the same."""
    if value and isinstance(value, (str, Path)) and Path(value).exists():
        return str(Path(value).resolve())
    return value


def keep_arguments(folder: Path, arguments: RunArguments) -> None:
    """Write what a run is started with into its folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"version": VERSION, **asdict(arguments)}
    for name in FILES:
        values[name] = whole(values[name])
    text = json.dumps(values, indent=2) + "\n"
    replace_file(folder / FILE, lambda path: path.write_text(text, encoding="utf-8"))


def kept_arguments(folder: Path) -> RunArguments:
    """What a folder's run was started with; TrainingError where that is missing or damaged."""
    path = folder / FILE
    if not path.is_file():
        if (folder / NAME).is_file():
            raise TrainingError(
                f"the run in {folder} is of a version that did not keep its arguments: give MODEL, "
                f"--data and the others as at its start, with --output {folder} --resume"
            )
        what = "holds no run to resume" if folder.is_dir() else "no such folder of a run"
        raise TrainingError(f"{folder}: {what}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("version") != VERSION:
            raise ValueError("written by a version that this one does not read")
        known = {one.name for one in fields(RunArguments)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"it has {unknown[0]!r}, which is no argument")
        for name in ("knobs", "changes"):
            if not isinstance(values.get(name), dict):
                raise ValueError(f"{name} must be an object, got {values.get(name)!r:.80}")
            values[name] = {k: _tupled(v) for k, v in values[name].items()}
        return RunArguments(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TrainingError(f"{path} is damaged ({error})") from error


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def run_folder(text: str) -> Path:
    """The folder of a run that is named by itself or by a file in it."""
    path = Path(text)
    return path.parent if path.is_file() else path
