import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from mobilenets.data.problems import Problems
from mobilenets.tasks.detect.formats.boxes import SLACK, BoxTable, Cleaner, best_overlaps
from mobilenets.tasks.detect.formats.problems import KINDS

WIDTH, HEIGHT = 50, 30
COORDINATE = st.sampled_from([-1e308, -7, -1, -0.5, 0, 1e-30, 3, 29.5, 30, 50, 50.4, 99, 1e308])
BROKEN = st.sampled_from([math.nan, math.inf, -math.inf])
BOX = st.tuples(*[COORDINATE | st.floats(-60, 60) | BROKEN] * 4)
ROW = st.tuples(st.integers(0, 2), BOX, st.integers(0, 3))


def twin(rows) -> tuple[list[tuple], dict[str, int]]:
    """One box after the other, in plain Python: what is kept, and how many of what was found."""
    kept, found, seen = [], dict.fromkeys(KINDS, 0), set()
    for image, (left, top, right, bottom), label in rows:
        if label == 3:
            found["unknown class"] += 1
        elif not all(map(math.isfinite, (left, top, right, bottom))):
            found["not finite"] += 1
        elif right < left or bottom < top:
            found["inverted"] += 1
        elif right == left or bottom == top:
            found["empty"] += 1
        elif left >= WIDTH or top >= HEIGHT or right <= 0 or bottom <= 0:
            found["outside"] += 1
        else:
            over = max(-left, -top, right - WIDTH, bottom - HEIGHT) > SLACK
            found["clipped"] += over
            corners = [max(left, 0), max(top, 0), min(right, WIDTH), min(bottom, HEIGHT)]
            box = tuple(float(np.float32(v)) for v in corners)
            if box[2] <= box[0] or box[3] <= box[1]:
                found["empty"] += 1
            elif (image, box, label) in seen:
                found["duplicate"] += 1
            else:
                seen.add((image, box, label))
                kept.append((image, box, 2 - label))
    return sorted(kept, key=lambda one: one[0]), {k: n for k, n in found.items() if n}


@settings(max_examples=120)
@given(st.lists(ROW, max_size=12))
def test_boxes_are_cleaned_as_a_slow_twin_does(rows):
    rows = rows + rows[:2]
    problems = Problems(KINDS)
    image, boxes, labels = ([row[i] for row in rows] for i in range(3))
    cleaner = Cleaner(BoxTable.of(image, boxes, labels), ["a", "b", "c"], problems)
    cleaner.relabel(["cat", "dog", "emu", "who"], ["emu", "dog", "cat"])
    cleaner.check_boxes(np.array([[WIDTH, HEIGHT]] * 3))
    table = cleaner.table
    kept, found = twin(rows)
    assert list(zip(table.image.tolist(), map(tuple, table.boxes.tolist()), table.labels.tolist(), strict=True)) == kept  # fmt: skip # noqa: E501
    assert {problem.kind: problem.count for problem in problems.list()} == found
    assert np.isfinite(table.areas).all()


@pytest.mark.parametrize("many", [1, 7, 3000])
def test_overlaps_are_torchvisions(many):
    rng = np.random.default_rng(many)
    low = rng.uniform(0, 0.8, (many + 3000, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.01, 0.5, low.shape)], axis=1)
    ours = best_overlaps(boxes[:many], boxes[many:])
    theirs = box_iou(torch.tensor(boxes[:many]), torch.tensor(boxes[many:])).amax(1)
    assert np.abs(ours - theirs.numpy()).max() < 1e-5


def test_overlaps_with_nothing_are_none():
    assert best_overlaps(np.ones((2, 4)), np.zeros((0, 4))).tolist() == [0, 0]
    assert len(best_overlaps(np.zeros((0, 4)), np.ones((2, 4)))) == 0


def test_problems_are_sentences_with_at_most_five_names():
    problems = Problems(KINDS)
    problems.add("empty", ["a"], 3)
    problems.add("empty", [f"b{i}" for i in range(6)])
    problems.add("missing", [])
    problems.add("missing", ["x.jpg"])
    missing, empty = problems.list()
    assert missing.sentence == "1 image is not on the disk, left out: x.jpg"
    assert empty.sentence == "9 boxes have no area, left out: a, b0, b1, b2, b3 and 2 more"
