"""What a graph's first output is: scores of a softmax or a sigmoid, logits, or no scores at all."""

import onnx

from mobilenets.runtime.foreign.parts import Links

_PASSING = (
    *("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout", "Expand"),
    *("Cast", "DequantizeLinear", "Slice", "Gather", "Split", "Transpose", "Concat"),
    *("ReduceMean", "ReduceMax", "GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool"),
)
"""What changes shapes and types, leaves some of the scores away, or takes their mean or best."""
_SCALING = (
    *("Mul", "Div", "Add", "Sub", "Clip", "Min", "Max", "Neg", "Pow", "Sqrt", "Log", "Round"),
    *("Sum", "Mean"),
)
"""What makes other numbers of scores."""
_ALIKE = {
    "hardsigmoid": "sigmoid",
    "qlinearsigmoid": "sigmoid",
    "qlinearsoftmax": "softmax",
}
NO_SCORES = frozenset(
    (
        *("argmax", "argmin", "topk", "hardmax", "onehot", "nonmaxsuppression", "zipmap"),
        *("labelencoder", "arrayfeatureextractor", "round", "quantizelinear"),
        *("greater", "less", "greaterorequal", "lessorequal", "equal", "not", "and", "or"),
        *("lpnormalization", "scaled softmax", "scaled sigmoid"),
    )
)
"""What ends in positions, in answers, or in numbers that are no scores: of an embedding, say."""
_EDGE = 0.02
"""How far from 0 and 1 a clip may cut scores off and still leave them what they are."""


def last_operator(graph: onnx.GraphProto) -> str:
    """The operator that gives the first output, in lower case; what only moves it is passed over.

    `softmax` and `sigmoid` also where they are written out, or are the same but for a clip at 0
    and 1; `scaled softmax` where their scores are made something else.
    """
    links = Links(graph)
    name, operator = _walk(links, graph.output[0].name, _PASSING)
    if operator not in _SCALING:
        return _named(operator)
    node = links.giver(name)
    assert node is not None
    if written := _written_out(links, node):
        return written
    product = node.op_type in ("Mul", "Div") and len(_before(links, node)) > 1
    inner, unchanged = ("", False) if product else _unscaled(links, name)
    if inner not in ("softmax", "sigmoid"):
        return operator.lower()
    # The logarithm of a softmax is as good as its logits.
    logits = operator == "Log" and inner == "softmax"
    return inner if unchanged else operator.lower() if logits else f"scaled {inner}"


def _named(operator: str) -> str:
    return _ALIKE.get(operator.lower(), operator.lower())


def _walk(links: Links, name: str, over: tuple[str, ...]) -> tuple[str, str]:
    """Back from a value over such nodes: the value before them, and what gives that."""
    for _ in range(len(links.graph.node)):
        node = links.giver(name)
        if node is None or not _passes(links, node, over):
            return name, "" if node is None else node.op_type
        name = _before(links, node)[0]
    return name, ""


def _passes(links: Links, node: onnx.NodeProto, over: tuple[str, ...]) -> bool:
    if not _before(links, node):
        return False
    if node.op_type == "QuantizeLinear":  # and back
        return any(one.op_type == "DequantizeLinear" for one in links.readers(node.output[0]))
    return node.op_type in over


def _before(links: Links, node: onnx.NodeProto) -> list[str]:
    """What a node reads that is no constant."""
    return [one for one in node.input if one and links.constant(one) is None]


def _unscaled(links: Links, name: str) -> tuple[str, bool]:
    """What gives the value before all scaling, and whether scaling leaves scores what they are."""
    unchanged = True
    for _ in range(len(links.graph.node)):
        node = links.giver(name)
        if node is None:
            return "", unchanged
        if written := _written_out(links, node):
            return written, unchanged
        if node.op_type in _SCALING:
            unchanged = unchanged and _keeps(links, node)
        elif not _passes(links, node, _PASSING):
            return _named(node.op_type), unchanged
        before = _before(links, node)
        if not before:
            return "", unchanged
        name = before[0]
    return "", unchanged


def _keeps(links: Links, node: onnx.NodeProto) -> bool:
    """Whether scores stay scores: times or by 1, plus or minus 0, 1 minus them, cut at 0 and 1."""
    numbers = [links.number(name) for name in node.input]
    if node.op_type in ("Mul", "Div"):
        return 1.0 in numbers[-1:] or (node.op_type == "Mul" and 1.0 in numbers)
    if node.op_type in ("Add", "Sub"):
        return 0.0 in numbers[1:] or (0.0 in numbers and node.op_type == "Add") or (
            node.op_type == "Sub" and numbers[0] == 1
        )  # fmt: skip
    if node.op_type in ("Clip", "Min", "Max"):
        given = [number for number in numbers if number is not None]
        given += [one.f for one in node.attribute if one.name in ("min", "max")]
        return all(abs(number - round(number)) < _EDGE and -_EDGE < number < 1 + _EDGE
                   for number in given)  # fmt: skip
    return False


def _written_out(links: Links, node: onnx.NodeProto) -> str:
    """`softmax`, `sigmoid` or a division by a length, written as a division; '' for other nodes."""
    if node.op_type not in ("Div", "Mul", "Reciprocal"):
        return ""
    over = ("Identity", "Expand", "Unsqueeze", "Reshape", "Clip", "Max", "Add", "Reciprocal")
    below, divisor = _walk(links, node.input[-1], over)
    above = links.giver(node.input[0])
    if divisor == "ReduceSum" and above is not None and above.op_type == "Exp":
        summed = links.giver(below)
        return "softmax" if summed is not None and summed.input[0] == above.output[0] else ""
    if divisor in ("ReduceL2", "Sqrt") and node.op_type == "Div":
        return "lpnormalization"
    one = node.op_type == "Reciprocal" or links.number(node.input[0]) == 1
    return "sigmoid" if divisor == "Exp" and one and node.op_type != "Mul" else ""
