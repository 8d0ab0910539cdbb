"""How an image becomes the input of a TFLite file's first layer.

Three things say it, and they follow on each other: the metadata (from pixels to the input tensor),
the input's quantization, and arithmetic at the head of the graph. The last is taken out of it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import INCEPTION, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.weights.containers.affine import AffineInput
from mobilenets.weights.containers.tflite.graph import TfliteGraph, TfliteOperator
from mobilenets.weights.containers.tflite.metadata import TfliteMetadata

_PASSING = ("QUANTIZE", "DEQUANTIZE", "CAST")
_ARITHMETIC = ("MUL", "DIV", "ADD", "SUB")


def parted(graph: TfliteGraph) -> tuple[TfliteGraph, AffineInput]:
    """The graph without the arithmetic on its input, and that arithmetic.

    Nothing is taken out unless there is some. ValueError for damaged constants.
    """
    readers = Counter(i for operator in graph.operators for i in operator.inputs)
    constants = {
        op.outputs[0]: op.inputs[0]
        for op in graph.operators
        if op.kind == "DEQUANTIZE"
        and op.inputs
        and op.outputs
        and _is_constant(graph, op.inputs[0])
    }
    tensor, affine, gone = graph.inputs[0], AffineInput.pixels(), 0
    passed: list[tuple[int, ...]] = []
    for operator in graph.operators:
        if tensor not in operator.inputs:
            continue
        step = _step(graph, operator, tensor, constants)
        if step is None or readers[tensor] != 1 or len(operator.outputs) != 1:
            break
        if operator.kind in _ARITHMETIC:
            affine, gone = affine.then(*step), len(passed) + 1
        passed.append(operator.outputs)
        tensor = operator.outputs[0]
    if not gone:
        return graph, affine
    out = set(passed[:gone])
    operators = [op for op in graph.operators if op.outputs not in out]
    start = passed[gone - 1][0]
    return dataclasses.replace(graph, operators=operators, inputs=(start,)), affine


def preprocessing_of(
    graph: TfliteGraph, affine: AffineInput, metadata: TfliteMetadata
) -> tuple[Preprocessing, str]:
    """How an image is prepared for the `graph` as it lies in the file, and in words what says so.

    An integer input takes pixels as they are (an int8 one less 128), as TFLite's own library feeds
    it whatever the metadata says. WeightsError for a network not of one image.
    """
    tensor = graph.tensors[graph.inputs[0]]
    if len(tensor.shape) != 4 or tensor.shape[3] != 3:
        raise WeightsError(f"the input must be (1, height, width, 3), got {tensor.shape}")
    size = (tensor.shape[1] or INCEPTION.size[0], tensor.shape[2] or INCEPTION.size[1])
    said = [] if affine.untouched else ["arithmetic in its graph"]
    one = np.ones(3)
    unit = None
    if tensor.type in ("UINT8", "INT8"):
        unit, quantization = 255.0, tensor.quantization
        zero = 128 if tensor.type == "INT8" else 0
        if quantization is not None:
            scale = float(quantization.scale[0])
            zero += int(quantization.zero_point[0])
            before = AffineInput(scale * one, -scale * zero * one)
        else:
            before = AffineInput(one, -zero * one)
        said.insert(0, "its input's quantization")
    elif metadata.std:
        mean, std = _colours(metadata.mean or (0.0,)), _colours(metadata.std)
        before, unit = AffineInput(1 / std, -mean / std), 255.0
        said.insert(0, "its metadata")
    else:
        before = AffineInput.pixels()
    if not said:
        return Preprocessing(
            size=size
        ), "nothing in it says how pixels are scaled: taken as [-1, 1]"
    if affine.untouched and unit:
        feed, digits = before, 16
    else:
        feed, digits = before.then(affine.scale, affine.offset), 6
    centre, spread, words = feed.normalisation(unit, digits=digits)
    preprocessing = Preprocessing(size=size, mean=centre, std=spread)
    return preprocessing, f"images prepared as {' and '.join(said)} has it{words}"


def _is_constant(graph: TfliteGraph, tensor: int) -> bool:
    return tensor >= 0 and bool(graph.tensors[tensor].data.size)


def _step(
    graph: TfliteGraph, operator: TfliteOperator, tensor: int, constants: dict[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(scale, offset) of an operator on an image; None for one that does something else."""
    one = np.ones(3)
    if operator.kind in _PASSING:
        return one, 0 * one
    if operator.kind not in _ARITHMETIC or operator.activation != "NONE":
        return None
    if len(operator.inputs) != 2 or min(operator.inputs) < 0:
        return None
    first = operator.inputs[0] == tensor
    other = operator.inputs[1 if first else 0]
    other = constants.get(other, other)
    if not _is_constant(graph, other):
        return None
    values = graph.real(other).astype(np.float64).ravel()
    if values.size not in (1, 3) or not np.isfinite(values).all():
        return None
    value = np.broadcast_to(values, (3,))
    if operator.kind == "MUL":
        return value, 0 * one
    if operator.kind == "ADD":
        return one, value
    if operator.kind == "SUB":
        return (one, -value) if first else (-one, value)
    return (1 / value, 0 * one) if first and (value != 0).all() else None


def _colours(values: tuple[float, ...]) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.size not in (1, 3) or not np.isfinite(found).all():
        raise WeightsError(
            f"the normalization in its metadata must be 1 or 3 numbers, got {values}"
        )
    return np.broadcast_to(found, (3,))
