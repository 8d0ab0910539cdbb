"""Dilated convolutions that a TFLite file writes as three operators.

A map is cut into batches, one for every place in a tile of the dilation's size, these are
convolved, and put together again. That is one convolution with a dilation.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.front.tflite.flatbuffer import TfliteGraph, TfliteOperator

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def joined(graph: TfliteGraph) -> TfliteGraph:
    """The graph with every such three as one dilated convolution, padded as SAME.

    What is cut in another way stays as it is. ValueError for damaged constants.
    """
    readers = Counter(i for operator in graph.operators for i in operator.inputs)
    made: dict[int, TfliteOperator] = {}
    operators: list[TfliteOperator] = []
    gone: set[tuple[int, ...]] = set()
    for operator in graph.operators:
        three = _three(operator, made, readers)
        convolution = three and _dilated(graph, *three)
        if three and convolution:
            gone |= {three[0].outputs, three[1].outputs}
        operators.append(convolution or operator)
        made |= dict.fromkeys(operator.outputs, operator)
    return dataclasses.replace(graph, operators=[op for op in operators if op.outputs not in gone])


def _three(
    last: TfliteOperator, made: Mapping[int, TfliteOperator], readers: Counter[int]
) -> tuple[TfliteOperator, TfliteOperator, TfliteOperator] | None:
    """The operators that `last` ends, where nothing else reads what is between them."""
    if last.kind != "BATCH_TO_SPACE_ND" or len(last.inputs) != 3:
        return None
    middle = made.get(last.inputs[0])
    if middle is None or middle.kind not in _CONVOLUTIONS or len(middle.inputs) < 2:
        return None
    first = made.get(middle.inputs[0])
    if first is None or first.kind != "SPACE_TO_BATCH_ND" or len(first.inputs) != 3:
        return None
    if min(*first.inputs, *middle.inputs[:2], *last.inputs) < 0:
        return None
    alone = readers[middle.inputs[0]] == readers[last.inputs[0]] == 1
    return (first, middle, last) if alone else None


def _dilated(
    graph: TfliteGraph, first: TfliteOperator, middle: TfliteOperator, last: TfliteOperator
) -> TfliteOperator | None:
    """The one convolution, or None if the map is not cut as that needs it."""
    block, pads = (_constant(graph, first, index) for index in (1, 2))
    same, crops = (_constant(graph, last, index) for index in (1, 2))
    if middle.padding != "VALID" or middle.stride != (1, 1) or middle.dilation != (1, 1):
        return None
    if block.shape != (2,) or (block < 1).any() or not np.array_equal(same, block):
        return None
    kernel = graph.tensors[middle.inputs[1]].shape[1:3]
    if pads.shape != (2, 2) or crops.shape != (2, 2) or len(kernel) != 2:
        return None
    half = block * (np.array(kernel) - 1) // 2
    beyond = pads - half[:, None]  # what fills the last tile, and is cropped again
    if (beyond[:, 0] != 0).any() or (beyond[:, 1] < 0).any() or (beyond != crops).any():
        return None
    return dataclasses.replace(
        middle,
        inputs=(first.inputs[0], *middle.inputs[1:]),
        outputs=last.outputs,
        padding="SAME",
        dilation=(int(block[0]), int(block[1])),
    )


def _constant(graph: TfliteGraph, operator: TfliteOperator, index: int) -> NDArray[np.int64]:
    return graph.constant(operator.inputs[index]).astype(np.int64)
