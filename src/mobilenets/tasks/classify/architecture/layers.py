"""The classifiers' own layers, in the order that `architecture.classifier.Classifier` runs them."""

from mobilenets.models.bodies import Body
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers


def classifier(
    layers: Layers, body: Body, *, classes: int = 1000, dropout: float = 0.2, hidden: int = 0
) -> None:
    """A body, an average pool and a fully connected layer behind dropout.

    Before that, where `hidden` is not 0, one of so many outputs and ReLU.
    """
    check(classes=classes, dropout=dropout, hidden=hidden)
    x = layers.pool("pool", body.add(layers))
    if hidden:
        x = layers.linear("hidden", x, hidden)
    layers.linear("classifier", x, classes)
