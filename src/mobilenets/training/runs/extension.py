"""More epochs for a run that has ended."""

from dataclasses import dataclass

from mobilenets.tasks.checks import check_number


@dataclass(frozen=True)
class Extension:
    """Epochs beyond those that a run had at first. ValueError for a value out of range."""

    epochs: int
    """How many more, 1 or more."""
    learning_rate: float | None = None
    """What they begin with, falling as the recipe's schedule does. None: half of the recipe's rate
    where that has fallen to 0 (cosine, poly), else as the schedule goes on (staircase)."""

    def __post_init__(self) -> None:
        if type(self.epochs) is not int or self.epochs < 1:
            raise ValueError(f"extend must be a positive number of epochs, got {self.epochs!r}")
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate, above=0)
