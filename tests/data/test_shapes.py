import hashlib
import multiprocessing
from fractions import Fraction

import numpy as np
import pytest

from mobilenets.data import drawing, shapes
from mobilenets.data.shapes import CLASSES, SMALL, Shapes
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.segment.formats.shapes import ShapeMasks


def digest(dataset: Shapes, i: int) -> str:
    scene = dataset.scene(i)
    parts = [scene.image.tobytes(), scene.boxes.tobytes(), scene.mask.tobytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_picture_depends_on_seed_split_and_index_alone():
    forward = [digest(Shapes(), i) for i in range(6)]
    backward = [digest(Shapes(length=10), i) for i in reversed(range(6))]
    assert forward == backward[::-1]
    others = [Shapes(split="val"), Shapes(seed=1), Shapes(objects=(1, 4)), Shapes(size=65)]
    assert len({digest(data, 3) for data in [Shapes(), *others]} | set(forward)) == 10


def test_another_process_draws_the_same():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        theirs = pool.starmap(digest, [(Shapes(seed=5), i) for i in range(3)])
    assert theirs == [digest(Shapes(seed=5), i) for i in range(3)]


def test_pictures_are_the_same_as_ever():
    """Seen equal with Pillow 10.1 and 13, NumPy 1.26 and 2.4, with and without AVX."""
    data = Shapes(split="val", seed=7, objects=(1, 4))
    pixels = hashlib.sha256(b"".join(data.image(i).tobytes() for i in range(16))).hexdigest()
    assert pixels == "a42abf05b0048287e02006ad4b9a86e2344985ad6312757407cd6bfdf21f83d0"


def test_all_is_train_then_val_and_lengths_are_as_said():
    train, val, both = (Shapes(split=s) for s in ("train", "val", "all"))
    assert (len(train), len(val), len(both)) == (4096, 1024, 5120)
    assert digest(both, 4095) == digest(train, 4095)
    assert digest(both, 4096) == digest(val, 0)
    assert both.name(4096) == "shapes/val/0"
    assert both.target(4097) == val.target(1) == val.scene(1).label
    assert len(Shapes(length=7)) == 7


def test_targets_are_balanced_and_known_without_drawing():
    data = Shapes(length=24)
    assert [data.target(i) for i in range(24)] == [data.scene(i).label for i in range(24)]
    assert np.bincount([data.target(i) for i in range(24)]).tolist() == [3] * 8
    assert data.classes == CLASSES == tuple(sorted(CLASSES))


@pytest.mark.parametrize(
    "data",
    [Shapes(seed=11), ShapeObjects(seed=11), ShapeMasks(seed=12), Shapes(size=SMALL + 1, seed=11)],
    ids=lambda data: f"{type(data).__name__} {data.size}",
)
def test_a_picture_is_drawn_once_and_every_caller_has_a_copy(data, monkeypatch):
    drawn = []
    render = shapes._render
    monkeypatch.setattr(shapes, "_render", lambda *args: drawn.append(1) or render(*args))
    before = np.array(data.image(0))
    data.target(0)
    data.image(0).paste((0, 0, 0), (0, 0, data.size, data.size))
    for i in range(1, 24):
        data.image(i)
    assert np.array_equal(data.image(0), before)
    assert len(drawn) == (24 if data.size <= SMALL else 25)  # larger ones are not kept for long


@pytest.mark.parametrize("size", [16, 63, 64, 130])
def test_boxes_and_mask_agree(size):
    data = Shapes(size=size, objects=(1, 1), seed=2)
    for i in range(16):
        scene = data.scene(i)
        assert scene.image.size == (size, size)
        assert scene.image.mode == "RGB"
        assert scene.mask.shape == (size, size)
        assert set(np.unique(scene.mask)) == {0, scene.label + 1}
        y, x = np.nonzero(scene.mask)
        tight = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
        assert np.abs(scene.boxes[0] - tight).max() <= 1.5


def test_several_objects_have_a_box_and_a_class_each_and_the_first_is_the_largest():
    counts = set()
    for i in range(40):
        scene = Shapes(objects=(1, 4), size=96).scene(i)
        counts.add(len(scene.labels))
        assert scene.boxes.shape == (len(scene.labels), 4)
        assert scene.labels[0] == scene.label
        assert set(np.unique(scene.mask)) - {0} <= set(scene.labels + 1)
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert scene.boxes.min() >= 0
        assert scene.boxes.max() <= 96
        for box, label in zip(scene.boxes, scene.labels, strict=True):
            left, top, right, bottom = np.rint(box).astype(int)
            assert (scene.mask[top:bottom, left:right] == label + 1).any()
    assert counts == {1, 2, 3, 4}


def inside(x: float, y: float, polygon: np.ndarray) -> bool:
    """Even-odd rule at a point, in exact fractions, an edge at a time."""
    crossed = False
    for (x0, y0), (x1, y1) in zip(polygon.tolist(), np.roll(polygon, -1, 0).tolist(), strict=True):
        if (y0 > y) != (y1 > y):
            at = Fraction(x0) + (Fraction(y) - y0) * Fraction(x1 - x0, y1 - y0)
            crossed ^= Fraction(x) >= at
    return crossed


def test_covered_shares_are_those_of_a_point_by_point_twin():
    rng, pen = np.random.RandomState(3), np.zeros((16, 16, 3), np.float32)
    centres = rng.uniform(-2, 18, (8, 2))
    for (name, shape), centre in zip(drawing.OUTLINES.items(), centres, strict=True):
        polygons = drawing.outline(rng, shape, tuple(centre), 5)
        cover, (left, top) = drawing.paint(rng, pen, polygons)
        whole = np.zeros((16, 16))
        whole[top : top + cover.shape[0], left : left + cover.shape[1]] = cover
        for y, x in np.ndindex(16, 16):
            cells = [(4 * x + i + 0.5, 4 * y + j + 0.5) for i in range(4) for j in range(4)]
            hits = [sum(inside(*cell, p) for p in polygons) % 2 for cell in cells]
            assert whole[y, x] == sum(hits) / 16, (name, x, y)


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("circle", np.pi),
        ("ring", np.pi * (1 - 0.55**2)),
        ("square", 2.0),
        ("triangle", 3 * np.sqrt(3) / 4),
        ("pentagon", 2.5 * np.sin(2 * np.pi / 5)),
        ("star", 10 * 0.45 * np.sin(np.pi / 5) / 2),
        ("cross", 4 * 0.36 * (2 - 0.36) / (1 + 0.36**2)),
    ],
)
def test_outlines_have_the_area_that_geometry_says(name, area):
    shoelace = [
        abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
        for x, y in (points.T for points in drawing.OUTLINES[name])
    ]
    assert shoelace[0] - sum(shoelace[1:]) == pytest.approx(area, rel=0.01)


@pytest.mark.every
def test_colour_alone_does_not_tell():
    """A least-squares guess from the colours of ground and object stays near chance, 1 in 8."""

    def colours(data: Shapes) -> np.ndarray:
        pixels = np.stack([np.asarray(data.image(i), np.float64) for i in range(len(data))])
        flat = pixels.reshape(len(data), -1, 3) / 255
        parts = [flat.mean(1), flat.std(1), np.median(flat, axis=1), np.ones((len(data), 1))]
        return np.concatenate(parts, axis=1)

    train, val = Shapes(length=800), Shapes(split="val", length=400)
    guess = np.linalg.lstsq(colours(train), np.eye(8)[np.arange(800) % 8], rcond=None)[0]
    right = (colours(val) @ guess).argmax(1) == np.arange(400) % 8
    assert right.mean() < 0.3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 8}, "size must be at least 16"),
        ({"split": "eval"}, "split must be train, val, test or all, got 'eval'"),
        ({"length": 0}, "length must be positive"),
        ({"seed": -1}, "seed must be in"),
        ({"objects": (3, 2)}, r"objects must be \(least, most\)"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Shapes(**wrong)


def test_an_index_out_of_range_ends_iteration_as_python_expects():
    with pytest.raises(IndexError, match=r"0 \.\. 4095"):
        Shapes().image(4096)
