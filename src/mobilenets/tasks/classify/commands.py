"""What classification adds to commands."""

from collections.abc import Mapping

from mobilenets.tasks.values import Addition, Defaults, Option

DEFAULTS = Defaults(top=5, threshold=0.0, batch=32)

ADDITIONS: Mapping[str, Addition] = {
    "predict": Addition(text="Of what looks like no class, `unknown`: `train --unknown`."),
    "eval": Addition(text="A classifier's accuracy."),
    "export": Addition((Option("softmax", bool, "Probabilities, not logits."),)),
}
