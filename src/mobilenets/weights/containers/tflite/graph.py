"""A TFLite file's graph by its path, as the engine's front end reads it."""

from pathlib import Path

from mobilenets.engine.front.tflite.flatbuffer import (
    DAMAGE,
    IDENTIFIER,
    TfliteGraph,
    TfliteOperator,
    read_flatbuffer,
)
from mobilenets.errors import WeightsError

__all__ = ["DAMAGE", "IDENTIFIER", "TfliteGraph", "TfliteOperator", "parse"]

MAX_BYTES = 1 << 30


def parse(path: Path) -> TfliteGraph:
    """Read the first graph of a TFLite file.

    Raises WeightsError, naming `path`, for a file that is damaged, too large, or has options that
    no reader of weights looks at.
    """
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path}: larger than {MAX_BYTES} bytes: no MobileNet")
    try:
        graph = read_flatbuffer(path.read_bytes())
        for operator in graph.operators:
            _check(operator)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error.__cause__
    return graph


def _check(operator: TfliteOperator) -> None:
    if operator.kind == "SOFTMAX" and operator.beta != 1:
        raise WeightsError(f"its softmax has a beta of {operator.beta:g}, must be 1")
    if not operator.plain:
        raise WeightsError(f"the weights of its {operator.kind} are shuffled, which is not read")
