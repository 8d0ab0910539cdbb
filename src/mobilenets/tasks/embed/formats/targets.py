"""What is known of an image that is embedded."""

from typing import Any, NamedTuple

from mobilenets.data.listing import Role


class Sought(NamedTuple):
    """An image's class, and what it is for in a search."""

    label: int
    """Its class: images of one are to be near each other."""
    image: int
    """Its number in the data set."""
    role: Role
    """'' where it is both looked for and found."""


def label_of(target: Any) -> int:
    """The class of a target; a data set of one's own gives it as a number."""
    return target.label if isinstance(target, Sought) else int(target)
