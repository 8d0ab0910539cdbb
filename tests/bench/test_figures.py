import json

import numpy as np
import pytest

from mobilenets.bench.figures import Comparison, Measured, agreement, ratio

MS = 1_000_000


def measured(*rounds: list[float], outputs=(), **values) -> Measured:
    turns = [[round(ms * MS) for ms in turn] for turn in rounds]
    return Measured(turns, [np.asarray(out, np.float32) for out in outputs], **values)


def test_median_and_best_are_over_all_runs():
    one = measured([1, 2, 9], [3, 4])
    assert one.median_ms == 3
    assert one.best_ms == 1


def test_a_ratio_is_of_medians_round_by_round_with_quartiles():
    ours = measured([1, 1, 5], [2], [1, 3], [4])  # medians 1, 2, 2, 4
    theirs = measured([3], [4, 4], [3], [4, 8, 100])  # medians 3, 4, 3, 8: ratios 3, 2, 1.5, 2
    assert ratio(theirs, ours) == pytest.approx((2.0, 1.875, 2.25))


def test_one_round_has_no_spread():
    assert ratio(measured([3]), measured([2])) == (1.5, 1.5, 1.5)


def test_agreement_is_relative_to_the_largest_output_of_the_reference():
    assert agreement([np.array([[1.0, -4.0]])], [np.array([1.0, -5.0])]) == pytest.approx(0.2)
    two = [np.array([10.0]), np.array([1.5])]
    assert agreement(two, [np.array([10.0]), np.array([1.0])]) == pytest.approx(0.5)


def test_maps_may_have_their_channels_last_and_classes_are_counted():
    maps = np.arange(24.0).reshape(1, 2, 3, 4)
    assert agreement([maps.transpose(0, 2, 3, 1)], [maps]) == 0
    assert agreement([maps.reshape(1, 3, 4, 2)], [maps]) > 0.1
    classes = np.arange(8).reshape(1, 2, 4)
    other = classes.copy()
    other[0, 0, 0] = 5
    assert agreement([other], [classes]) == 1 / 8


@pytest.mark.parametrize("other", [[np.zeros(3)], [np.zeros(2), np.zeros(2)], []])
def test_outputs_of_other_shapes_do_not_agree(other):
    assert agreement(other, [np.zeros(2)]) is None


def test_nan_does_not_agree():
    assert agreement([np.array([np.nan, 1.0])], [np.array([1.0, 1.0])]) is None


@pytest.fixture
def comparison() -> Comparison:
    found = Comparison("mobilenets", 2)
    one = {
        "mobilenets": measured([2], [2, 2], outputs=[[1, 2]], memory=15 * 10**6),
        "torch": measured([16], [18], outputs=[[1, 2]]),
        "litert": measured([4], [2, 2, 4], outputs=[[1, 2.5]], version="2.0"),
        "openvino": measured([5], [5], outputs=[[1, 2]]),
    }
    found.add(1, one)
    found.add(2, {"torch": measured([9], [9], outputs=[[1, 1]])})
    return found


def test_the_best_peer_is_the_fastest_by_its_median(comparison):
    assert comparison.best_peer(1) == "litert"
    assert comparison.ratio_to_best_peer(1) == 1.5
    assert comparison.ratios()["openvino"][1].median == 2.5


def test_the_reference_is_onnx_runtime_else_torch(comparison):
    assert comparison.sides["litert"][1].agreement == 0.25
    assert comparison.sides["torch"][1].agreement == 0
    comparison.add(
        1,
        {
            "torch": measured([1], outputs=[[2.0]]),
            "onnxruntime": measured([1], outputs=[[1.0]]),
        },
    )
    assert comparison.sides["torch"][1].agreement == 1


def test_json_is_what_the_documentation_says(comparison):
    found = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert found["ratio_to_best_peer"] == {"1": 1.5, "2": None}
    ours = found["sides"]["mobilenets"]["1"]
    assert {key: ours[key] for key in ("median_ms", "best_ms", "memory_mb", "agreement")} == {
        "median_ms": 2,
        "best_ms": 2,
        "memory_mb": 15,
        "agreement": 0,
    }
    assert found["sides"]["torch"]["2"]["median_ms"] == 9
    assert found["ratios"]["litert"]["1"] == {"median": 1.5, "low": 1.25, "high": 1.75}
    assert found["skipped"] == []
