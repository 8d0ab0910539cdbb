"""One recipe, with a setting of its own."""

from dataclasses import dataclass

from mobilenets.tasks.recipe import Recipe


@dataclass(frozen=True)
class Stretch:
    scale: float = 1.0


def quick():
    """A few steps."""
    return Recipe("quick", 2, 4, 0.05, objective=Stretch(), norm_momentum=0.3)


RECIPES = {"quick": quick}
SCRATCH = FINETUNE = "quick"
