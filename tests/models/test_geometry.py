import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.models.geometry import (
    V1_TABLE,
    V2_TABLE,
    check,
    output_size,
    round_channels,
    same_padding,
    truncate_channels,
    unknown_name,
    v1_blocks,
    v1_stem,
    v2_blocks,
    v2_last,
    v2_stem,
)


@given(st.floats(0.1, 5000))
def test_paper_2_rounds_to_eights_and_never_loses_a_tenth(channels):
    rounded = round_channels(channels)
    assert rounded % 8 == 0
    assert rounded >= max(8, 0.9 * channels)
    # Either the nearest multiple (the upper of two), or the one above it.
    nearest = max(8, math.floor(channels / 8 + 0.5) * 8)
    assert rounded == (nearest if nearest >= 0.9 * channels else nearest + 8)


@given(st.floats(0.1, 5000))
def test_paper_1_cuts_off_and_keeps_eight(channels):
    assert truncate_channels(channels) == max(8, math.floor(channels))


@given(st.integers(1, 300), st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.integers(1, 4))
def test_same_padding_gives_the_ceiling_with_the_odd_pixel_last(size, kernel, stride, dilation):
    before, after = same_padding(size, kernel, stride, dilation)
    span = (kernel - 1) * dilation + 1
    assert 0 <= before <= after <= before + 1
    assert (size + before + after - span) // stride + 1 == math.ceil(size / stride)
    # No more than needed: with one pixel less an output would be lost, unless none was added.
    if before + after:
        assert (size + before + after - 1 - span) // stride + 1 < math.ceil(size / stride)


def test_output_sizes():
    assert [output_size(n, 2) for n in (7, 8)] == [4, 4]
    assert [output_size(n, 2, "keras", depthwise=True) for n in (7, 8)] == [3, 4]
    assert [output_size(n, 2, "keras") for n in (7, 8)] == [4, 4]


@pytest.mark.parametrize(
    ("width", "stem", "stages", "last"),
    [
        (0.35, 16, [8, 8, 16, 24, 32, 56, 112], 1280),
        (0.5, 16, [8, 16, 16, 32, 48, 80, 160], 1280),
        (0.75, 24, [16, 24, 24, 48, 72, 120, 240], 1280),
        (1.0, 32, [16, 24, 32, 64, 96, 160, 320], 1280),
        (1.3, 40, [24, 32, 40, 80, 128, 208, 416], 1664),
        (1.4, 48, [24, 32, 48, 88, 136, 224, 448], 1792),
    ],
)
def test_paper_2_channels_by_hand(width, stem, stages, last):
    channels = [block.c_out for block in v2_blocks(width)]
    firsts = [0, 1, 3, 6, 10, 13, 16]
    assert v2_stem(width) == stem
    assert [channels[first] for first in firsts] == stages
    assert v2_last(width) == last


def test_paper_2_last_layer_follows_the_width_only_where_asked():
    assert [v2_last(w, finegrained=False) for w in (0.5, 0.35, 1.4)] == [640, 448, 1792]


@pytest.mark.parametrize(
    ("width", "stem", "channels"),
    [
        (0.25, 8, [16, 32, 32, 64, 64, 128, *[128] * 5, 256, 256]),
        (0.75, 24, [48, 96, 96, 192, 192, 384, *[384] * 5, 768, 768]),
        (0.33, 10, [21, 42, 42, 84, 84, 168, *[168] * 5, 337, 337]),
    ],
)
def test_paper_1_channels_by_hand(width, stem, channels):
    assert v1_stem(width) == stem
    assert [block.c_out for block in v1_blocks(width)] == channels


@pytest.mark.parametrize("blocks", [v1_blocks, v2_blocks])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_atrous_rates(blocks, output_stride):
    plain, dilated = blocks(), blocks(output_stride=output_stride)
    stride, rate = 2, 1
    for before, after in zip(plain, dilated, strict=True):
        assert after.dilation == rate
        if stride < output_stride:
            assert after.stride == before.stride
            stride *= after.stride
        else:
            assert after.stride == 1
            rate *= before.stride
        assert before.dilation == 1
    assert stride == output_stride


def test_each_block_takes_what_the_one_before_gives():
    for blocks, stem in ((v1_blocks(0.3), v1_stem(0.3)), (v2_blocks(0.3), v2_stem(0.3))):
        assert [stem, *(b.c_out for b in blocks[:-1])] == [b.c_in for b in blocks]


def test_tables_have_the_papers_blocks():
    assert sum(row.n for row in V1_TABLE) == 13
    assert sum(row.n for row in V2_TABLE) == 17
    assert len(v1_blocks(shallow=True)) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width must be a number above 0 and at most 16, got 0"),
        ({"width": "1"}, "width must be a number above 0 and at most 16, got '1'"),
        ({"width": float("nan")}, "width must be a number above 0 and at most 16, got nan"),
        ({"classes": 0}, "classes must be a positive integer, got 0"),
        ({"classes": 2.0}, "classes must be a positive integer, got 2.0"),
        ({"output_stride": 12}, "output_stride must be 8, 16 or 32, got 12"),
        ({"padding": "valid"}, "padding must be 'same', 'symmetric' or 'keras', got 'valid'"),
        ({"norm_eps": 0}, "norm_eps must be above 0, got 0"),
        ({"norm_momentum": 2}, "norm_momentum must be above 0 and at most 1, got 2"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"expansion": 0}, "expansion must be a positive integer, got 0"),
        ({"divisor": 0}, "divisor must be a positive integer, got 0"),
        (
            {"shortcut": "all"},
            "shortcut must be 'bottleneck', 'expansion' or 'none', got 'all'",
        ),
        ({"early_strides": (2, 3)}, "early_strides must be two of 1 or 2, got (2, 3)"),
        ({"early_strides": (1,)}, "early_strides must be two of 1 or 2, got (1,)"),
    ],
)
def test_each_check_names_argument_allowed_and_got(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(**arguments)


def test_unknown_names_get_the_nearest():
    message = unknown_name("mobilnet_v2", ["mobilenet_v1", "mobilenet_v2"])
    assert message.endswith("got 'mobilnet_v2'; did you mean 'mobilenet_v2'?")


@pytest.mark.parametrize(
    ("rule", "asked", "expected"),
    [
        (truncate_channels, 32 * 0.25, 8),
        (truncate_channels, 32 * 0.2, 8),
        (truncate_channels, 32 * 0.75, 24),
        (truncate_channels, 64 * 0.33, 21),
        (round_channels, 32 * 0.35, 16),
        (round_channels, 16 * 0.35, 8),
        (round_channels, 24 * 0.35, 8),
        (round_channels, 64 * 0.35, 24),
        (round_channels, 96 * 0.35, 32),
        (round_channels, 160 * 0.35, 56),
        (round_channels, 320 * 0.35, 112),
        (round_channels, 24 * 1.3, 32),
        (round_channels, 32 * 1.4, 48),
        (round_channels, 24 * 1.4, 32),
        (round_channels, 1280 * 1.3, 1664),
        (round_channels, 1280 * 1.4, 1792),
    ],
)
def test_width_rules_by_hand(rule, asked, expected):
    assert rule(asked) == expected
