"""What the uses of networks know of other people's weights (`tasks.base`: `Weights`)."""

from collections.abc import Iterator
from typing import Any

from mobilenets.tasks.registry import with_part


def readers(kind: str = "") -> Iterator[Any]:
    """The `weights` parts of all uses, or their modules called `kind` where there are any.

    Those listed last come first: the first use, whose networks are bodies with little behind
    them, takes what no other one claims.
    """
    for task in reversed(list(with_part("weights"))):
        if not kind:
            yield task.weights
        elif hasattr(task.weights, "__path__") and task.has(f"weights.{kind}"):
            yield task.part(f"weights.{kind}")
