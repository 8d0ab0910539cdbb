"""Non-maximum suppression inside an ONNX file."""

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

from mobilenets.tasks.detect.architecture.geometry import MOST_DETECTIONS, NMS_IOU
from mobilenets.tasks.detect.read import LEAST_SCORE, suppress

_SUPPRESSION = """
suppression (float[N, A, V] boxes) => (float[N, {most}, 6] detections) {{
    nms_zero = Constant <value_ints = [0]> ()
    nms_two = Constant <value_ints = [2]> ()
    nms_four = Constant <value_ints = [4]> ()
    nms_end = Constant <value_ints = [{end}]> ()
    nms_most = Constant <value_ints = [{most}]> ()
    nms_anchors = Constant <value_int = {anchors}> ()
    nms_overlap = Constant <value_floats = [{overlap}]> ()
    nms_least = Constant <value_floats = [{least}]> ()
    nms_nothing = Constant <value_float = 0.0> ()

    nms_corners = Slice (boxes, nms_zero, nms_four, nms_two)
    nms_scores = Slice (boxes, nms_four, nms_end, nms_two)
    nms_classes = Transpose <perm = [0, 2, 1]> (nms_scores)
    nms_kept = NonMaxSuppression (nms_corners, nms_classes, nms_most, nms_overlap, nms_least)

    nms_values = GatherND (nms_classes, nms_kept)
    nms_shape = Shape (nms_classes)
    nms_blank = ConstantOfShape (nms_shape)
    nms_left = ScatterND (nms_blank, nms_kept, nms_values)

    nms_rows = Constant <value_ints = [0, -1]> ()
    nms_flat = Reshape (nms_left, nms_rows)
    nms_room = Constant <value_ints = [0, 0, 0, {most}]> ()
    nms_roomy = Pad (nms_flat, nms_room)
    nms_best, nms_places = TopK <axis = 1> (nms_roomy, nms_most)

    nms_class = Div (nms_places, nms_anchors)
    nms_anchor = Mod (nms_places, nms_anchors)
    nms_which = Unsqueeze (nms_anchor, nms_two)
    nms_found = GatherND <batch_dims = 1> (nms_corners, nms_which)
    nms_label = Cast <to = 1> (nms_class)
    nms_score_column = Unsqueeze (nms_best, nms_two)
    nms_label_column = Unsqueeze (nms_label, nms_two)
    nms_all = Concat <axis = 2> (nms_found, nms_score_column, nms_label_column)
    nms_used = Greater (nms_score_column, nms_nothing)
    detections = Where (nms_used, nms_all, nms_nothing)
}}
"""
"""What is left in the place of each score that stays, else 0; then the best of all classes."""


def add_suppression(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The file with `boxes` (N, anchors, 4 + classes) as one with `detections` (N, 100, 6).

    A row is left, top, right, bottom, score, class, by falling score; rows that are not used are
    0. In each class by itself a box goes where its overlap with a better one is above 0.6. Only
    scores above 0.01 count: ONNX's NonMaxSuppression leaves out one that is equal.
    """
    batch, anchors, _ = proto.graph.output[0].type.tensor_type.shape.dim
    text = _SUPPRESSION.format(
        anchors=anchors.dim_value, most=MOST_DETECTIONS, end=2**31, overlap=NMS_IOU,
        least=LEAST_SCORE,
    )  # fmt: skip
    added = onnx.parser.parse_graph(text)
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    made.graph.node.extend(added.node)
    del made.graph.output[:]
    made.graph.output.extend(added.output)
    made.graph.output[0].type.tensor_type.shape.dim[0].CopyFrom(batch)
    onnx.checker.check_model(made, full_check=True)
    return made


def suppressed(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a file with suppression makes of `boxes`, by the runtime's own: (N, 100, 6)."""
    result: NDArray[np.float32] = np.zeros((len(boxes), MOST_DETECTIONS, 6), np.float32)
    above = float(np.nextafter(np.float32(LEAST_SCORE), np.float32(1)))
    for rows, image in zip(result, boxes, strict=True):
        seen = suppress(image, threshold=above, iou=NMS_IOU, most=MOST_DETECTIONS)
        columns = np.column_stack([seen.boxes, seen.scores, seen.classes])
        rows[: len(columns)] = columns
    return result
