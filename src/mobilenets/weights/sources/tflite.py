"""TFLite files of networks on MobileNetV1 and V2: float, float16, quantised.

The network is recognised by following the operators from the image to the scores; no name is
read. Integers become real numbers. Batch normalisation is folded in these files and becomes one
that only adds the bias: its statistics say nothing about the data, so keep it frozen when
training on, or measure them anew.
"""

from dataclasses import replace
from pathlib import Path

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.tflite.file import TfliteFile
from mobilenets.weights.containers.tflite.graph import parse
from mobilenets.weights.infer import infer
from mobilenets.weights.uses import readers

COMPILED = {"edgetpu-custom-op": "the Edge TPU", "ethos-u": "Arm's Ethos-U"}
"""Operators that other compilers put in place of a network -> what runs them."""


def read(path: Path) -> Foreign:
    """The network in a TFLite file, dequantised, as the first use reads it that claims its graph.

    Raises WeightsError, naming `path`, for a damaged file and for another network.
    """
    graph = parse(path)
    for operator in graph.operators:
        if operator.kind in COMPILED:
            raise WeightsError(
                f"{path}: compiled for {COMPILED[operator.kind]}, which hides its weights in an "
                f"operator {operator.kind}; take the file that was given to the compiler"
            )
    try:
        file = TfliteFile.of(path, graph)
        for reader in readers("tflite"):
            if reader.matches(file.graph):
                found: Foreign = reader.read(file, infer)
                misfit = "" if found.unread else file.misfit(found.card.arguments["classes"])
                return replace(found, remarks=(*found.remarks, *filter(None, [misfit])))
        raise WeightsError("no use of a network reads such a graph")
    except (ValueError, WeightsError) as error:
        raise WeightsError(f"{path}: {error}") from error
