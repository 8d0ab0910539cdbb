"""The recipes of all uses by name, and changes of their settings."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from mobilenets.models.geometry import unknown_name
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.registry import with_part
from mobilenets.tasks.task import Task

PARTS = ("augmentation", "objective")
"""Settings of a recipe that are a task's own dataclasses; each is set by the names inside it."""


TAUGHT = {"teacher_weight", "teacher_temperature"}
"""Settings of a recipe for a use that can learn from another network."""


def recipes() -> dict[str, tuple[Task, Callable[[], Recipe]]]:
    """Every recipe by name, with the task that it is for."""
    return {
        name: (task, make)
        for task in with_part("recipes")
        for name, make in task.recipes.RECIPES.items()
    }


def recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe called `name` with some settings changed; None changes nothing.

    A setting of the augmentation (`policy`, ...) or the objective is given by its own name. A
    batch size given without a learning rate scales the rate with it; epochs that are given are as
    many as there will be. Raises ValueError for a name, a setting or a value that is not one.
    """
    known = recipes()
    if name not in known:
        raise ValueError(unknown_name(name, known, "recipe"))
    task, make = known[name]
    made = make()
    given = {key: value for key, value in changes.items() if value is not None}
    inner = set().union(*settings_of(made).values())
    own = {"name", "network", "gentle", *PARTS}
    allowed = (inner | {field.name for field in fields(Recipe)}) - own
    if not task.has("teach"):
        allowed -= TAUGHT
    for key in given:
        if key not in allowed:
            raise ValueError(_not_a_setting(key, name, task, allowed))
    batch_size = given.get("batch_size", made.batch_size)
    if "learning_rate" not in given and isinstance(batch_size, int) and batch_size > 0:
        given["learning_rate"] = made.learning_rate * (batch_size / made.batch_size)
    if "epochs" in given:
        given.setdefault("least_steps", 0)
    return changed(made, given)


def changed(made: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with other settings, by name; ValueError for a wrong value."""
    parts = settings_of(made)
    inner = set().union(*parts.values())
    within = {
        part: replace(getattr(made, part), **{k: v for k, v in given.items() if k in names})
        for part, names in parts.items()
    }
    return replace(made, **within, **{k: v for k, v in given.items() if k not in inner})


def setting(made: Recipe, name: str) -> Any:
    """A setting of a recipe by name, of its augmentation and its objective too."""
    homes = [getattr(made, part) for part, names in settings_of(made).items() if name in names]
    return getattr(homes[0] if homes else made, name)


def settings_of(made: Recipe) -> Mapping[str, set[str]]:
    """The names of the settings inside each part that the recipe has."""
    return {
        part: {field.name for field in fields(getattr(made, part))}
        for part in PARTS
        if is_dataclass(getattr(made, part))
    }


def _not_a_setting(key: str, name: str, task: Task, allowed: set[str]) -> str:
    """The message for a setting that this recipe does not have."""
    uses = sorted(
        {
            other.name
            for other, make in recipes().values()
            if key in set().union(*settings_of(make()).values())
        }
    )
    if key in TAUGHT:
        uses = [one.name for one in with_part("teach")]
    if uses:
        return f"{key} is a setting to {' or '.join(uses)}, the recipe {name} is to {task.name}"
    return unknown_name(key, allowed, "setting")
