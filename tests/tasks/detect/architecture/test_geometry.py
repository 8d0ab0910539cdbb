"""Maps and anchors: by hand, against torchvision's, and against those inside a published file."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

from mobilenets.tasks.detect.architecture import NETWORKS
from mobilenets.tasks.detect.architecture.geometry import (
    anchor_shapes,
    anchors_of,
    check_head_kernel,
    check_scores,
    extra_channels,
    make_anchors,
    map_sizes,
    vgg_layers,
    vgg_map_sizes,
)

DETECTORS = list(NETWORKS)
MOBILE = [name for name in DETECTORS if "mobilenet" in name]


@pytest.mark.parametrize(
    ("size", "sides", "count"),
    [(300, [19, 10, 5, 3, 2, 1], 1917), (320, [20, 10, 5, 3, 2, 1], 2034)],
)
@pytest.mark.parametrize("name", MOBILE)
def test_the_authors_grids_and_their_anchors(name, size, sides, count):
    assert map_sizes((size, size)) == [(side, side) for side in sides]
    assert anchors_of(name, (size, size)).shape == (count, 4)


@pytest.mark.parametrize(
    ("name", "sides", "count"),
    [
        ("ssd300_vgg16", [38, 19, 10, 5, 3, 1], 8732),
        ("ssd512_vgg16", [64, 32, 16, 8, 4, 2, 1], 24564),
    ],
)
def test_liu_et_als_grids_and_their_anchors(name, sides, count):
    size = NETWORKS[name].size
    assert vgg_map_sizes((size, size), name) == [(side, side) for side in sides]
    assert anchors_of(name, (size, size)).shape == (count, 4)


def test_maps_follow_each_side_and_the_padding():
    assert map_sizes((33, 300)) == [(3, 19), (2, 10), (1, 5), (1, 3), (1, 2), (1, 1)]
    assert map_sizes((1, 1)) == [(1, 1)] * 6
    # 130 -> 65 -> 33, 17, 9, 5 by SAME; Keras' strided depthwise convolutions cut odd sides down.
    assert map_sizes((130, 130))[:2] == [(9, 9), (5, 5)]
    assert map_sizes((130, 130), "keras")[:2] == [(8, 8), (4, 4)]


def test_shapes_by_hand():
    """FACTS of the authors' configuration, written out: scales .2 to .95, then 1."""
    shapes = anchor_shapes()
    assert [len(found) for found in shapes] == [3, 6, 6, 6, 6, 6]
    np.testing.assert_allclose(shapes[0], [(0.1, 0.1), (0.2828, 0.1414), (0.1414, 0.2828)], 1e-3)
    np.testing.assert_allclose(
        shapes[1],
        [
            (0.35, 0.35),
            (0.4950, 0.2475),
            (0.2475, 0.4950),
            (0.6062, 0.2021),
            (0.2021, 0.6062),
            (0.4183, 0.4183),  # sqrt(.35 * .5)
        ],
        1e-3,
    )
    squares = [found[0][0] for found in shapes[1:]]
    np.testing.assert_allclose(squares, [0.35, 0.5, 0.65, 0.8, 0.95])
    assert shapes[5][5] == pytest.approx((0.9747, 0.9747), rel=1e-3)  # sqrt(.95 * 1)


@pytest.mark.assets
def test_anchors_are_those_inside_a_published_file(assets):
    """To half a quantisation step, in the file's own order."""
    from mobilenets.weights.containers.tflite.graph import parse

    graph = parse(assets / "weights" / "ssd_mobilenet_v1_coco_quant.tflite")
    index = next(x.inputs[2] for x in graph.operators if "PostProcess" in x.kind)
    stored, quantization = graph.tensors[index], graph.tensors[index].quantization
    assert stored.shape == (1917, 4)
    y_x_height_width = graph.real(index)
    ours = anchors_of("ssd_mobilenet_v1", (300, 300))
    apart = np.abs(y_x_height_width[:, [1, 0, 3, 2]] - ours)
    assert apart.max() <= quantization.scale[0] / 2 + 1e-6


VGG_SETTINGS = {
    "ssd300_vgg16": (
        [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        [8, 16, 32, 64, 100, 300],
    ),
    "ssd512_vgg16": (
        [0.04, 0.1, 0.26, 0.42, 0.58, 0.74, 0.9, 1.06],
        [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
        [8, 16, 32, 64, 128, 256, 512],
    ),
}


@pytest.mark.parametrize("name", VGG_SETTINGS)
@pytest.mark.parametrize("wider", [0, 61])
def test_vggs_anchors_equal_torchvisions(name, wider):
    scales, ratios, steps = VGG_SETTINGS[name]
    theirs = DefaultBoxGenerator(ratios, scales=scales, steps=steps, clip=False)
    image = NETWORKS[name].size, NETWORKS[name].size + wider
    sizes = [list(size) for size in vgg_map_sizes(image, name)]
    expected = theirs._grid_default_boxes(sizes, list(image))
    np.testing.assert_allclose(anchors_of(name, image), expected.numpy(), atol=2e-6)


def test_places_without_steps_equal_torchvisions():
    """A MobileNet's anchors stand in the middle of their map's pixels."""
    theirs = DefaultBoxGenerator([[2], [2, 3]], scales=[0.2, 0.4, 0.6], clip=False)
    sizes = [(5, 7), (3, 4)]
    shapes = [[tuple(pair) for pair in pairs.tolist()] for pairs in theirs._wh_pairs]
    expected = theirs._grid_default_boxes([list(size) for size in sizes], [50, 70])
    found = torch.from_numpy(make_anchors(sizes, shapes))
    torch.testing.assert_close(found, expected)


def test_extras_have_the_papers_channels_and_keep_sixteen():
    assert extra_channels() == [512, 256, 256, 128]
    assert extra_channels(0.5) == [256, 128, 128, 64]
    assert extra_channels(0.1) == [51, 25, 25, 16]


def test_a_pool_that_rounds_up_is_vggs_third():
    assert [layer.name for layer in vgg_layers() if layer.ceil] == ["pool3"]
    pool = next(layer for layer in vgg_layers() if layer.ceil)
    assert [pool.output(side) for side in (75, 76, 1)] == [38, 38, 1]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="scores must be 'sigmoid' or 'softmax', got 'linear'"):
        check_scores("linear")
    with pytest.raises(ValueError, match="head_kernel must be 1 or 3, got 5"):
        check_head_kernel(5)
    with pytest.raises(ValueError, match=r"resolution must be about 512 .*got \(512, 100\)"):
        anchors_of("ssd512_vgg16", (512, 100))
