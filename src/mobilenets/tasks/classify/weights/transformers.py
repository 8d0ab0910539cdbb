"""What Hugging Face's transformers call a classifier."""

from collections.abc import Collection

from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.heads import TransformersHead


def head(names: Collection[str]) -> TransformersHead | None:
    """The head of MobileNetV1/V2ForImageClassification; None where there is no such tensor."""
    if "classifier.weight" not in names:
        return None
    return TransformersHead("classifier", imagenet_labels)
