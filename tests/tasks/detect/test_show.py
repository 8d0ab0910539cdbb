import numpy as np
import pytest
from PIL import Image

from mobilenets.runtime.draw import colour_of
from mobilenets.tasks.detect.show.boxes import draw_boxes

NONE = np.zeros((0, 4), np.float32)


def painted(picture: Image.Image, index: int) -> np.ndarray:
    """(height, width): where a class's colour is."""
    return (np.asarray(picture) == colour_of(index)).all(2)


def extent(mask: np.ndarray) -> list[int]:
    y, x = np.nonzero(mask)
    return [int(v) for v in (x.min(), y.min(), x.max() + 1, y.max() + 1)]


def test_a_frame_covers_its_box_and_the_rest_stays():
    image = Image.effect_noise((400, 300), 60).convert("RGB")
    drawn = draw_boxes(image, np.array([[40, 50, 200, 180]]), [""], [3])
    assert drawn.size == (400, 300)
    assert extent(painted(drawn, 3)) == [40, 50, 200, 180]
    before, after = np.asarray(image), np.asarray(drawn)
    outside = np.ones((300, 400), bool)
    outside[49:181, 39:201] = False
    assert (before[outside] == after[outside]).all()
    assert (before[60:170, 50:190] == after[60:170, 50:190]).all()


def test_without_boxes_it_is_the_picture_in_a_copy():
    image = Image.effect_noise((400, 300), 60).convert("RGB")
    drawn = draw_boxes(image, NONE, [], [])
    assert drawn is not image
    assert drawn.tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (2, 3000), (3000, 2), (64, 48), (5000, 4000)])
def test_any_size_ends_readable_with_the_box_in_its_place(size):
    box = np.array([[0.25, 0.25, 0.75, 0.75]]) * [*size, *size]
    drawn = draw_boxes(Image.new("RGB", size), box, [""], [0])
    assert 360 <= max(drawn.size) <= 1280
    wanted = np.array([0.25, 0.25, 0.75, 0.75]) * [*drawn.size, *drawn.size]
    assert np.abs(np.array(extent(painted(drawn, 0))) - wanted).max() <= 1


@pytest.mark.parametrize(
    "box", [[0, 0, 400, 300], [-50, -50, 20, 20], [380, 280, 500, 500], [5, 5, 5, 5], [9, 9, 3, 3]]
)
def test_boxes_at_and_over_the_edge_have_their_tag_in_the_picture(box):
    image = Image.new("RGB", (400, 300), (90, 90, 90))
    bare, drawn = (draw_boxes(image, np.array([box]), [text], [1]) for text in ("", "a name"))
    tag = extent((np.asarray(bare) != np.asarray(drawn)).any(2))
    assert tag[2] - tag[0] > 30
    assert 12 <= tag[3] - tag[1] <= 40
    assert painted(drawn, 1).any()


def test_tags_do_not_hide_each_other_where_there_is_room():
    boxes = np.array([[100, 100, 200, 200]] * 4)
    image = Image.new("RGB", (400, 400), (90, 90, 90))
    drawn = draw_boxes(image, boxes, ["one", "two", "three", "four"], [0, 1, 2, 3])
    bare = draw_boxes(image, boxes, [""] * 4, [0, 0, 0, 0])
    tags = [painted(drawn, i) & ~painted(bare, 0) for i in range(4)]
    assert min(tag.sum() for tag in tags) > 300


def test_the_first_box_lies_on_top():
    boxes = np.array([[100, 100, 200, 200], [100, 100, 200, 200]])
    drawn = draw_boxes(Image.new("RGB", (400, 400)), boxes, ["", ""], [5, 6])
    assert painted(drawn, 5).any()
    assert not painted(drawn, 6).any()


def test_a_caption_too_long_is_cut_and_accents_do_no_harm():
    image, box = Image.new("RGB", (400, 300)), np.array([[10, 40, 60, 90]])
    assert draw_boxes(image, box, ["word " * 99], [0]).size == (400, 300)
    drawn = [draw_boxes(image, box, [text], [0]).tobytes() for text in ("Möwe", "Mowe")]
    assert drawn[0] == drawn[1]


def test_classes_have_colours_of_their_own():
    colours = [colour_of(i) for i in range(90)]
    assert len(set(colours)) == 90
    gaps = [np.abs(np.subtract(a, b)).sum() for a in colours[:10] for b in colours[:10] if a != b]
    assert min(gaps) > 70


def test_lists_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="captions must be as many as boxes, 1, got 2"):
        draw_boxes(Image.new("RGB", (9, 9)), np.ones((1, 4)), ["a", "b"], [0])
    with pytest.raises(ValueError, match="colours must be as many as boxes, 1, got 0"):
        draw_boxes(Image.new("RGB", (9, 9)), np.ones((1, 4)), ["a"], [])
