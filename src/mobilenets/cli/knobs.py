"""Settings given as NAME=VALUE, where a command has too many of them for options of their own."""

import json
from collections.abc import Sequence
from typing import Any


def parse(pairs: Sequence[str] | None, option: str) -> dict[str, Any]:
    """`["shortcut=none", "shallow=true"]` -> {"shortcut": "none", "shallow": True}.

    A value is JSON where it can be read as such, else text; (2, 2) is written 2,2.
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise ValueError(f"--{option} must be NAME=VALUE, got {pair!r}")
        found[name.replace("-", "_")] = value_of(value)
    return found


def of_name(
    knob: Sequence[str] | None, *, width: float | None = None, classes: int | None = None
) -> dict[str, Any]:
    """The arguments of a network given by name: `--knob`, and those that have options of their own.

    ValueError where one is given in both ways, with other values.
    """
    arguments = parse(knob, "knob")
    for name, value in (("width", width), ("classes", classes)):
        if value is None:
            continue
        if arguments.setdefault(name, value) != value:
            raise ValueError(f"--{name} {value} contradicts --knob {name}={arguments[name]}")
    return arguments


def value_of(text: str) -> Any:
    """A number, true, false, a tuple of numbers, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return tuple(json.loads(f"[{text}]")) if "," in text else text
    except ValueError:
        return text
