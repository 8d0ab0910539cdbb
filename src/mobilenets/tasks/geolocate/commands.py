"""What locating adds to commands."""

from collections.abc import Mapping

from mobilenets.tasks.values import Addition, Defaults

DEFAULTS = Defaults(top=25, threshold=0.0, batch=32)

ADDITIONS: Mapping[str, Addition] = {
    "predict": Addition(
        text="Of a network that locates: the likeliest position, and circles that hold it with 50 "
        "and 90 %; `--save-dir` draws maps, without a network, and writes `seen.geojson`."
    ),
    "eval": Addition(
        text="A locating network's shares within 1, 25, 200, 750 and 2500 km, and the median."
    ),
    "data check": Addition(
        text="Of positions: photographs and places of each part, and what they span."
    ),
}
