"""What attributes an image has, in fields."""

from __future__ import annotations

from mobilenets.tasks.answer import Answer, ThingsAnswer
from mobilenets.tasks.attributes.read import SeenAttribute


class AttributesAnswer(ThingsAnswer[SeenAttribute]):
    """The attributes that a model sees in an image, the surest first.

    >>> answer = model.predict("face.jpg")
    >>> answer.labels, answer.scores
    (['adult', 'male'], [0.93, 0.81])
    >>> "male" in answer
    True
    """

    def __contains__(self, label: object) -> bool:
        return label in self.labels


ANSWER: type[Answer] = AttributesAnswer
