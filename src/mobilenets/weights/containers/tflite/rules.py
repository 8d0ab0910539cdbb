"""What a TFLite file's convolutions say of a network: padding, strides, shortcuts, ceilings."""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol, get_args

import numpy as np

from mobilenets.errors import WeightsError
from mobilenets.models.geometry import (
    OutputStride,
    Padding,
    same_padding,
    v1_blocks,
    v2_blocks,
)
from mobilenets.weights.containers.stored import StoredLayer
from mobilenets.weights.containers.tflite.chain import TflitePads, TfliteStep


class Walked(Protocol):
    """Convolutions in a row, as `Chain` has them."""

    steps: list[TfliteStep]
    shortcuts: dict[int, int]


def padding_of(steps: Sequence[TfliteStep], others: Sequence[TfliteStep] = ()) -> Padding:
    """The rule that gives every convolution the padding it has in the file.

    `others` are those behind a backbone's `steps`: Keras pads them as TensorFlow does.
    """
    rules: list[Padding] = ["same", "symmetric", "keras"]
    for index, step in enumerate([*steps, *others]):
        rules = [
            rule
            for rule in rules
            if _agrees(step, "same" if rule == "keras" and index >= len(steps) else rule)
        ]
        if not rules:
            raise WeightsError(f"the padding of {step.layer.name} is none that is known")
    return rules[0]


def _agrees(step: TfliteStep, rule: Padding) -> bool:
    """Whether `rule` pads this step as the file does, on the file's image.

    Where the image's size is open, TensorFlow finds SAME when it runs; a padding that is written
    down then suits every size, as SAME at stride 2 cannot.
    """
    kernel, operator = step.layer.weight.shape[-1], step.operator
    stride, dilation = operator.stride[0], operator.dilation[0]
    half = dilation * (kernel - 1) // 2
    symmetric = ((half, half), (half, half))
    if step.pads is not None and operator.padding == "SAME":
        return False  # padded twice
    if stride == 1:
        same: TflitePads | None = symmetric
    elif all(step.image):
        height, width = (same_padding(side, kernel, stride, dilation) for side in step.image)
        same = height, width
    else:
        same = None
    pads = same if operator.padding == "SAME" else step.pads or ((0, 0), (0, 0))
    if rule == "symmetric":
        return pads == symmetric
    if rule == "keras" and step.layer.depthwise and stride > 1:
        return pads == ((0, 1), (0, 1))
    return pads == same


def strides_of(steps: Sequence[TfliteStep], names: Sequence[str]) -> dict[str, Any]:
    """`output_stride` and `early_strides` where they are not the default."""
    found = []
    for step, name in zip(steps, names, strict=True):
        stride, dilation = step.operator.stride, step.operator.dilation
        if name == "stem" or step.layer.depthwise:
            found.append((stride, dilation))
        elif stride != (1, 1):
            raise WeightsError(f"{name} must have stride 1, got {stride}")
    blocks = partial(v1_blocks, shallow=len(found) < 1 + len(v1_blocks()))
    unrolled = v2_blocks if "blocks.0.project" in names else blocks
    for output_stride in get_args(OutputStride)[::-1]:
        for early in ((2, 2), (1, 2), (2, 1), (1, 1)):
            expected = [((early[0],) * 2, (1, 1))]
            for block in unrolled(output_stride=output_stride, early_strides=early):
                expected.append(((block.stride,) * 2, (block.dilation,) * 2))
            if expected == found:
                unusual = {} if early == (2, 2) else {"early_strides": list(early)}
                return unusual | ({} if output_stride == 32 else {"output_stride": output_stride})
    raise WeightsError(f"not a MobileNet's strides: {[stride[0] for stride, _ in found]}")


def shortcut_of(chain: Walked, names: Sequence[str]) -> dict[str, str]:
    """Check that V2's shortcuts are where the paper has them, or nowhere."""
    expected = {}
    for last, name in enumerate(names):
        if not name.endswith("project"):
            continue
        first = names.index(f"{name.removesuffix('project')}depthwise")
        if names[first - 1] == name.replace("project", "expand"):
            first -= 1
        before, after = chain.steps[first].layer, chain.steps[last].layer
        c_in = before.weight.shape[0 if before.depthwise else 1]
        stride = max(max(step.operator.stride) for step in chain.steps[first : last + 1])
        if stride == 1 and c_in == after.weight.shape[0]:
            expected[last] = first
    if chain.shortcuts == expected:
        return {}
    if not chain.shortcuts:
        return {"shortcut": "none"}
    raise WeightsError("not a MobileNetV2: its shortcuts are in other places")


def rectifier_of(
    steps: Sequence[TfliteStep], names: Sequence[str], *, ours: str = ""
) -> dict[str, Any]:
    """The arguments of a body that activates as `steps` do, whose names in it are `names`.

    A quantised ceiling counts as ReLU6, into which `to_relu6` makes it. WeightsError where they
    differ, or where they must be `ours` and are not.
    """
    found: dict[str, Any] = {}
    first = ""
    for step, name in zip(steps, names, strict=True):
        if step.ceiling is None and step.slope is None:
            continue
        here: dict[str, Any] = {}
        if step.slope is not None:
            here = {"activation": "leaky_relu", "negative_slope": round(step.slope, 7)}
        elif step.ceiling == math.inf:
            here = {"activation": "relu"}
        word = here.get("activation", "relu6")
        if ours and word != ours:
            raise WeightsError(f"{name} activates with {word}, ours with {ours} there")
        if first and here != found:
            raise WeightsError(f"{name} activates with {word}, but {first} does not")
        first, found = first or name, here
    return found


def to_relu6(steps: Sequence[TfliteStep], names: Sequence[str]) -> list[StoredLayer]:
    """Check where activations are, and turn a ceiling other than 6 into 6; none stays none.

    min(relu(z), c) = c / 6 * relu6(6 / c * z): a layer is scaled by 6 / c and those that read it
    by c / 6. Such a ceiling comes from a quantization range.
    """
    ceilings: dict[int, float] = {}
    layers = []
    for step, name in zip(steps, names, strict=True):
        layer = from_ceiling(step.layer, ceilings.get(step.source, 6.0))
        linear = name.endswith(("project", "predict"))
        active = step.ceiling is not None or step.slope is not None
        if linear and active:
            raise WeightsError(f"{name} has an activation, which no MobileNet has there")
        if not linear and not active:
            raise WeightsError(f"{name} has no ReLU6, as a MobileNet has there")
        if step.ceiling is not None and step.ceiling not in (6.0, math.inf):
            ceilings[step.output] = step.ceiling
            layer = _scaled(layer, 6.0 / step.ceiling, bias=True)
        layers.append(layer)
    return layers


def from_ceiling(layer: StoredLayer, ceiling: float) -> StoredLayer:
    """A layer whose input was cut off at `ceiling`, now that it is scaled to end at 6."""
    return layer if ceiling in (6.0, math.inf) else _scaled(layer, ceiling / 6.0, bias=False)


def _scaled(layer: StoredLayer, factor: float, *, bias: bool) -> StoredLayer:
    with np.errstate(over="ignore"):  # an infinity is refused with the finished tensor
        scaled = dataclasses.replace(layer, weight=layer.weight * np.float32(factor))
        if bias and layer.bias is not None:
            scaled = dataclasses.replace(scaled, bias=layer.bias * np.float32(factor))
        return scaled
