"""What embeddings add to commands."""

from collections.abc import Mapping

from mobilenets.tasks.values import Addition, Defaults

DEFAULTS = Defaults(top=5, threshold=0.0, batch=32)

ADDITIONS: Mapping[str, Addition] = {
    "predict": Addition(text="Of an embedding network it shows the vector's first numbers."),
    "eval": Addition(
        text="Of an embedding network how often an image's nearest others are of its class, and "
        "how well pairs are told apart."
    ),
}
