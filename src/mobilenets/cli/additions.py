"""What the uses of a network add to commands: options, and sentences of the help."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

import typer

from mobilenets.tasks.registry import with_part
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Addition, Option

USES = "USES"
"""Stands in a command's help where the uses' sentences go."""
Command = Callable[..., None]


def additions(command: str) -> list[tuple[Task, Addition]]:
    """What each use adds to a command, in the order of the uses."""
    found = ((task, task.commands.ADDITIONS.get(command)) for task in with_part("commands"))
    return [(task, addition) for task, addition in found if addition is not None]


def extended(command: str, before: str) -> Callable[[Command], Command]:
    """A decorator: the command with the uses' options in front of its parameter `before`.

    They reach it as keyword arguments, those that were given alone. Of two uses with an option of
    the same name, the first one's is shown. A parameter of the command that is a dataclass stands
    for options of its own, one for each field (`options.Running`).
    """

    def extend(run: Command) -> Command:
        taken = inspect.signature(run).parameters.values()
        groups: dict[str, Any] = {p.name: p.annotation for p in taken if is_dataclass(p.annotation)}
        own = [each for p in taken if p.kind is not p.VAR_KEYWORD for each in _unfolded(p)]
        added = {option.name: option for _, a in additions(command) for option in a.options}
        place = [p.name for p in own].index(before)
        parameters = [*own[:place], *map(_parameter, added.values()), *own[place:]]

        @functools.wraps(run)
        def call(**given: Any) -> None:
            chosen = {k: v for k, v in given.items() if k not in added or _given(v)}
            for name, group in groups.items():
                chosen[name] = group(**{f.name: chosen.pop(f.name) for f in fields(group)})
            run(**chosen)

        texts = " ".join(a.text for _, a in additions(command) if a.text)
        call.__doc__ = (inspect.getdoc(run) or "").replace(USES, texts)
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        return call

    return extend


def _unfolded(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """The parameter; for one that is a dataclass, a parameter for each of its fields."""
    kind = parameter.POSITIONAL_OR_KEYWORD
    if not is_dataclass(parameter.annotation):
        return [parameter.replace(kind=kind)]
    return [
        inspect.Parameter(f.name, kind, default=f.default, annotation=f.type)
        for f in fields(parameter.annotation)
    ]


def _given(value: Any) -> bool:
    """Whether an option was given: 0 is a value."""
    return value is not None and value is not False


def _parameter(option: Option) -> inspect.Parameter:
    flag = f"--{option.name.replace('_', '-')}"
    shown = typer.Option(flag, help=option.help, metavar=option.metavar, min=option.least)
    kind: Any = bool if option.kind is bool else option.kind | None
    return inspect.Parameter(
        option.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=False if option.kind is bool else None,
        annotation=Annotated[kind, shown],
    )


def by_use(values: Mapping[str, float]) -> str:
    """`32, or 4 to do this`: a value for each use, the first one's for those not named."""
    first = next(iter(values.values()))
    named: dict[float, list[str]] = {}
    for name, value in values.items():
        if value != first:
            named.setdefault(value, []).append(f"to {name}")
    parts = [f"{value:g} {' and '.join(names)}" for value, names in named.items()]
    return ", ".join([f"{first:g}", *parts[:-1], *(f"or {part}" for part in parts[-1:])])


def first_paragraph(command: Command) -> str:
    """What a list of commands says of one, whole: plain help would cut it at 45 letters."""
    return " ".join((inspect.getdoc(command) or "").partition("\n\n")[0].split())


def recipe_names() -> str:
    """The recipes of every use, in words."""
    lists: list[str] = []
    for task in with_part("recipes"):
        *names, last = task.recipes.RECIPES
        words = f"{', '.join(names)} or {last}" if names else last
        if lists:
            words = f"to {task.name} {words}"
        else:
            words = words.replace(task.recipes.SCRATCH, f"{task.recipes.SCRATCH} (default)", 1)
            words = words.replace(
                f" or {task.recipes.FINETUNE}", f" or {task.recipes.FINETUNE} (with --from)"
            )
        lists.append(words)
    return "; ".join(lists) + "."
