import numpy as np
import pytest
from PIL import Image

from mobilenets.tasks.classify.read import Prediction
from mobilenets.tasks.classify.show import annotate

THREE = [Prediction("bee", 0, 0.75), Prediction("fly", 1, 0.2), Prediction("ant", 2, 0.05)]


def bar_lengths(band: np.ndarray) -> list[float]:
    """Share of the width that each row's bar fills, at its lowest line: no text there."""
    track = (band == (44, 48, 55)).all(2)
    ground = (band == (24, 26, 30)).all(2)
    rows = [y for y in range(len(band) - 1) if not ground[y].all() and ground[y + 1].all()]
    widths = [(~ground[y]).sum() for y in rows]
    return [1 - track[y].sum() / width for y, width in zip(rows, widths, strict=True)]


def test_the_picture_stays_and_the_bars_are_as_long_as_the_scores():
    image = Image.effect_noise((400, 300), 80).convert("RGB")
    drawn = np.asarray(annotate(image, THREE))
    assert drawn.shape[1] == 400
    assert (drawn[:300] == np.asarray(image)).all()
    assert bar_lengths(drawn[300:]) == pytest.approx([0.75, 0.2, 0.05], abs=0.01)


def test_names_are_written():
    image = Image.new("RGB", (400, 300))
    one, other = (annotate(image, [Prediction(label, 0, 0.5)]) for label in ("bee", "wasp"))
    assert one.size == other.size
    assert (np.asarray(one) != np.asarray(other)).any()
    white = (np.asarray(one)[300:] > 200).all(2)
    assert white[:, : white.shape[1] // 2].any()
    assert white[:, white.shape[1] // 2 :].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (64, 64), (5000, 4000)])
def test_any_size_ends_readable_and_small(size):
    drawn = annotate(Image.new("RGB", size), THREE)
    assert 360 <= drawn.width <= 1280
    assert drawn.height <= 1280 + 3 * 120


def test_a_label_too_long_is_cut_before_the_score():
    image = Image.new("RGB", (400, 30))
    long = annotate(image, [Prediction("word " * 50, 0, 0.0)])
    short = annotate(image, [Prediction("", 0, 0.0)])
    assert long.size == short.size
    score = (slice(30, None), slice(345, None))
    assert (np.asarray(long)[score] == np.asarray(short)[score]).all()


def test_without_predictions_there_is_no_band_and_accents_do_no_harm():
    assert annotate(Image.new("RGB", (400, 300)), []).size == (400, 300)
    image = Image.new("RGB", (400, 300))
    drawn = [annotate(image, [Prediction(t, 0, 0.5)]).tobytes() for t in ("Möwe", "Mowe")]
    assert drawn[0] == drawn[1]
