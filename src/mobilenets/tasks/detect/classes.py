"""Which of a detector's labels is which class of a data set."""

import re
from collections.abc import Sequence

from mobilenets.errors import DataError
from mobilenets.runtime.labels import COCO, are_coco, coco_labels, match_classes


def match_detection_classes(classes: Sequence[str], labels: Sequence[str]) -> tuple[list[int], str]:
    """The model's label for each class of a data set, and a sentence on how if not by name.

    By name as `match_classes`. Classes that are plain numbers, as those of YOLO's text files
    without names: where the model's labels are COCO's, the places in COCO's 80; where they are
    as many as the classes, the labels' own places. DataError as `match_classes`, and for numbers
    that mean nothing to this model.
    """
    numbers = [int(name) for name in classes if re.fullmatch("0|[1-9][0-9]{,8}", name)]
    if not labels or len(numbers) < max(len(classes), 1) or set(classes) <= set(labels):
        return match_classes(classes, labels), ""
    if are_coco(labels) and max(numbers) < len(COCO):
        ours = coco_labels(len(labels))
        outputs = [ours.index(COCO[i]) for i in numbers]
        return outputs, f"the data's classes are numbers, read as COCO's {len(COCO)} in order"
    if sorted(numbers) == list(range(len(labels))):
        return numbers, "the data's classes are numbers, read as the model's labels in order"
    raise DataError(
        f"the data's {len(numbers)} classes are plain numbers up to {max(numbers)}, which say "
        f"nothing to a model of {len(labels)} labels; add a file of names to the data"
    )
