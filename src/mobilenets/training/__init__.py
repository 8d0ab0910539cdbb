"""Training: from a network's name and labelled images to a run in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mobilenets.arguments import nearest
from mobilenets.devices import AUTO
from mobilenets.tasks.registry import network_of

if TYPE_CHECKING:
    from mobilenets.data.dataset import Dataset
    from mobilenets.training.runs.result import Result

Say = Callable[[str], None] | Literal["print"] | None
OWN = (
    *("weights", "recipe", "val", "resolution", "teacher", "unlabelled", "output", "minutes"),
    *("unknown", "patience", "resume", "extend", "workers", "device", "say"),
)


def train(
    model: str,
    data: str | os.PathLike[str] | Dataset | None = None,
    *,
    val: Dataset | None = None,
    weights: str | os.PathLike[str] | None = None,
    recipe: str | None = None,
    resolution: int | None = None,
    teacher: str | os.PathLike[str] | None = None,
    unlabelled: str | os.PathLike[str] | None = None,
    unknown: bool = False,
    output: str | os.PathLike[str] | None = None,
    minutes: float | None = None,
    patience: int | None = None,
    resume: bool = False,
    extend: int | None = None,
    workers: int = 1,
    device: str = AUTO,
    say: Say = "print",
    **settings: Any,
) -> Result:
    """Train a network on labelled images, as `mobilenets train`, and leave the run in a folder.

    `model` is the name of a network. `data` is what the command takes: a folder, a list, the word
    `shapes`; or a data set of one's own, with another one as `val`: objects with `classes`, a
    length, `image(i)` and `target(i)` (`mobilenets.data.dataset.Dataset`). `weights` are what to
    start from: a file, a folder of a run or a published name; without them all is random.

    `settings` are the recipe's (`epochs=20`, `learning_rate=0.01`, `policy="trivial"`;
    `mobilenets.tasks.recipe.Recipe` has them all) and the network's knobs (`width=0.35`); `recipe`
    is the task's own for starting from weights, or at random, unless named. `resolution`: pixels
    of the input's sides. `teacher`: weights, or a timm name, to learn from. `unlabelled`: a folder
    of images from which the teacher's outputs are learned; then `data` may be left out. `unknown`:
    the best epoch's weights also tell images of none of the classes.

    `output` is a new folder under `runs/` unless given. With `resume` the run in it (or the newest
    of that name) goes on, and one that had ended for `extend` epochs more. In `minutes` of
    wall-clock time as many epochs are made as fit; after `patience` epochs without a better result
    the run ends. `workers` processes read images. `device`: "auto", "cpu", "cuda", "cuda:1", "mps".

    What happens is printed on standard error, with a bar on a terminal; `say=None` is silent, and a
    function gets every line. Raises ValueError for arguments, with the nearest name for one that
    there is not, DataError, WeightsError and TrainingError for the rest; Ctrl-C keeps the run and
    ends in InterruptedRunError.

    >>> result = mobilenets.train("mobilenet_v2", "photos", weights="mobilenet_v2_1.0_224.google")
    >>> result.best["top1"], result.checkpoint
    (0.96, PosixPath('runs/mobilenet_v2-photos/best.safetensors'))
    >>> result.open().predict("cat.jpg").label
    'cat'
    """
    from mobilenets.training.run import Plan
    from mobilenets.training.run import train as run
    from mobilenets.training.runs.extension import Extension
    from mobilenets.training.runs.own import pair
    from mobilenets.training.runs.voice import speaking

    knobs, changes = _split(model, settings)
    rate = changes.pop("learning_rate", None) if extend is not None else None
    start = None if weights is None else os.fspath(weights)
    taught, more = (None if path is None else os.fspath(path) for path in (teacher, unlabelled))
    plan = Plan(model, start, resolution, knobs, taught, more, unknown)
    with speaking(say) as line:
        return run(
            plan,
            None if data is None else pair(data, val),
            recipe_name=recipe,
            changes=changes,
            output=None if output is None else Path(output),
            resume=resume,
            extend=None if extend is None else Extension(extend, rate),
            workers=workers,
            device=device,
            minutes=minutes,
            patience=patience,
            say=line,
        )


def _split(model: str, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(The network's knobs, the recipe's settings): what both have is the recipe's."""
    from mobilenets.tasks.recipe import Recipe
    from mobilenets.training.recipes import PARTS, TAUGHT, recipes, settings_of

    if not isinstance(model, str):
        raise ValueError(f"model must be the name of a network, got {model!r:.80}")
    network = network_of(model)
    made = [make() for _, make in recipes().values()]
    known = {one.name for one in fields(Recipe)} - {"name", "network", *PARTS} | TAUGHT
    known = known.union(*(names for one in made for names in settings_of(one).values()))
    for name in settings:
        if name not in known and name not in network.knobs:
            near = nearest(name, [*OWN, *known, *network.knobs])
            raise ValueError(
                f"train has no argument {name!r}, nor have its recipes or {model}{near}"
            )
    changes = {name: value for name, value in settings.items() if name in known}
    return {k: v for k, v in settings.items() if k not in known}, changes
