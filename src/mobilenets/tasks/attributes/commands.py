"""What attributes add to commands."""

from collections.abc import Mapping

from mobilenets.tasks.values import Addition, Defaults

DEFAULTS = Defaults(top=100, threshold=0.0, batch=32)
"""The threshold 0 stands for each attribute's own, as the card keeps it."""

ADDITIONS: Mapping[str, Addition] = {
    "predict": Addition(
        text="Of attributes those that reach their own threshold, which training chose and the "
        "file keeps; `--threshold` takes the place of all of these."
    ),
    "eval": Addition(
        text="Of attributes the mean average precision, and how right the marks are with the "
        "thresholds that the file keeps and with a half; unknown entries are left out."
    ),
    "export": Addition(text="The file of a network for attributes gives scores from 0 to 1."),
    "data check": Addition(
        text="Of attributes: how many images have each, have it not, and where that is unknown."
    ),
}
