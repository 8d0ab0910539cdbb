"""The classifiers' own layers, in the order that `architecture.classifier.Classifier` runs them."""

from mobilenets.models.bodies import Body
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers


def classifier(layers: Layers, body: Body, *, classes: int = 1000, dropout: float = 0.2) -> None:
    """A body, an average pool and a fully connected layer behind dropout."""
    check(classes=classes, dropout=dropout)
    layers.linear("classifier", layers.pool("pool", body.add(layers)), classes)
