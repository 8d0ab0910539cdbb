"""What a classifier says of an image, in fields."""

from __future__ import annotations

from mobilenets.tasks.answer import Answer, ThingsAnswer
from mobilenets.tasks.classify.read import Prediction


class ClassAnswer(ThingsAnswer[Prediction]):
    """The classes that a classifier sees in an image, the likeliest first.

    >>> answer = model.predict("cat.jpg", top=3)
    >>> answer.label, answer.score
    ('Egyptian cat', 0.651)
    >>> answer.labels, answer.scores
    (['Egyptian cat', 'tabby', 'tiger cat'], [0.651, 0.174, 0.157])
    """

    @property
    def label(self) -> str | None:
        """The likeliest class; None where no score reaches the threshold."""
        return self.things[0].label if self.things else None

    @property
    def unknown(self) -> bool:
        """Whether it looks like none of the classes; False for a model that does not tell."""
        return bool(self.things) and self.things[0].index < 0

    @property
    def score(self) -> float | None:
        """Its score, 0 to 1; None where no score reaches the threshold."""
        return self.things[0].score if self.things else None


ANSWER: type[Answer] = ClassAnswer
