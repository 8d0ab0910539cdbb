"""The classifiers' own layers, in the order that `architecture.classifier.Classifier` runs them."""

from mobilenets.models.bodies import Body
from mobilenets.models.costs import LayerCost, Shape
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers


def classifier(
    layers: Layers,
    body: Body,
    *,
    classes: int = 1000,
    dropout: float = 0.2,
    hidden: int = 0,
    known: bool = False,
) -> None:
    """A body, an average pool and a fully connected layer behind dropout.

    Before that, where `hidden` is not 0, one of so many outputs and ReLU. Beside it, where it is
    `known` what its classes look like, the likeness to each.
    """
    check(classes=classes, dropout=dropout, hidden=hidden, known=known)
    x = layers.pool("pool", body.add(layers))
    if hidden:
        x = layers.linear("hidden", x, hidden)
    layers.linear("classifier", x, classes)
    if known:
        features = layers.shapes[x]
        tensors: dict[str, Shape] = {
            "known.mean": features,
            "known.middle": features,
            "known.centroids.weight": (classes, *features),
        }
        layers.add(
            LayerCost(
                "known.centroids",
                "fc",
                features,
                (classes,),
                parameters=(classes + 1) * features[0],
                madds=classes * features[0],
                reads=(x,),
                tensors=tensors,
            )
        )
