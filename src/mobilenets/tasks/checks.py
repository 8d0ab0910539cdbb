"""Checks of settings, with messages that name the setting, what is allowed and what it got."""

import math
from collections.abc import Sequence

from mobilenets.card import ModelCard


def check_number(
    name: str, value: object, *, above: float | None = None, most: float = math.inf
) -> None:
    """ValueError unless `value` is a number above `above` (from 0 where None), at most `most`."""
    if above is not None:
        allowed = f"above {above}" + (f" and at most {most}" if most < math.inf else "")
    else:
        allowed = f"from 0 to {most}" if most < math.inf else "0 or more"
    if isinstance(value, bool) or not isinstance(value, int | float):
        comma = "," if allowed[0] == "0" else ""
        raise ValueError(f"{name} must be a number{comma} {allowed}, got {value!r}")
    if not (value > above if above is not None else value >= 0) or not value <= most:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """ValueError unless `value` is one of the words in `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def check_same_outputs(
    name: str, card: ModelCard | None, outputs: int, student: ModelCard, kind: str, things: str
) -> None:
    """ValueError unless a teacher has the student's use, as many outputs and the same labels.

    `kind` is a network of that use in words, `things` what its labels are; `card` is None for a
    teacher that is none of ours, of which only the outputs are known.
    """
    if card is not None and card.task != student.task:
        raise ValueError(f"teacher must be {kind}, {name} is to {card.task}")
    if card is not None and card.labels and card.labels != student.labels:
        raise ValueError(
            f"teacher must have the student's {things} in the same order, {name} has "
            f"{', '.join(card.labels[:5])}, ..."
        )
    if outputs != len(student.labels):
        raise ValueError(
            f"teacher must have {len(student.labels)} outputs as the student, {name} has {outputs}"
        )
