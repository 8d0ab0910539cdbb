"""Where a photograph was taken, in fields."""

from __future__ import annotations

from mobilenets.tasks.answer import Answer
from mobilenets.tasks.geolocate.read import CellShare, Whereabouts


class PlaceAnswer(Answer):
    """Where a network believes that a photograph was taken, and how far off it may be.

    >>> answer = model.predict("harbour.jpg")
    >>> answer.lat, answer.lon
    (43.5081, 16.4402)
    >>> answer.radius(0.9)  # kilometres that hold it in nine of ten cases
    38.2
    """

    @property
    def located(self) -> Whereabouts:
        """All that is known: the position, its circles, the likeliest cells."""
        found: Whereabouts = self.checked()
        return found

    @property
    def lat(self) -> float:
        """Degrees, north is positive."""
        return self.located.lat

    @property
    def lon(self) -> float:
        """Degrees, east is positive."""
        return self.located.lon

    @property
    def cells(self) -> tuple[CellShare, ...]:
        """The likeliest cells of the map with their probabilities."""
        return self.located.cells

    def radius(self, held: float = 0.9) -> float:
        """Kilometres around the position that hold the truth with 0.5 or 0.9; ValueError else."""
        for circle in self.located.circles:
            if circle.held == held:
                return circle.radius
        known = " or ".join(f"{circle.held:g}" for circle in self.located.circles) or "none here"
        raise ValueError(f"held must be {known}, got {held!r}")


ANSWER: type[Answer] = PlaceAnswer
