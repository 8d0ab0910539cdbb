"""A model that is ready to answer, whatever file it comes from: `mobilenets.open`."""

from mobilenets.opened.model import Model
from mobilenets.opened.opening import open  # noqa: A004

__all__ = ["Model", "open"]
