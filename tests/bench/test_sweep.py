import json
from types import ModuleType

import pytest

from mobilenets.bench import compare
from mobilenets.bench.compare import BenchPlan
from mobilenets.bench.figures import Comparison, Measured, Skipped

PLAN = BenchPlan((1,), ("litert", "openvino"), rounds=2)


@pytest.fixture
def sweep(script) -> ModuleType:
    return script("sweep")


def result(ours: float, litert: float, machine: str = "a processor") -> dict:
    found = Comparison("mobilenets", 2, machine={"processor": machine, "cores": 2, "system": "L"})
    sides = {"mobilenets": ours, "litert": litert}
    found.add(1, {n: Measured([[round(ms * 1e6)]], memory=10**7) for n, ms in sides.items()})
    found.skipped.append(Skipped("openvino", None, "openvino is not installed"))
    return found.to_dict()


def test_the_configurations_are_the_16_and_the_22(sweep):
    found = sweep.configurations()
    assert len(found) == 38
    assert sum(name.startswith("mobilenet_v1") for name in found) == 16
    assert list(sweep.configurations("mobilenet_v2_1.4")) == ["mobilenet_v2_1.4_224"]
    assert all(one.top1 for one in found.values())


def test_the_mean_is_geometric_over_what_has_a_ratio(sweep):
    found = {"a": result(1, 2), "b": result(1, 8)}
    assert sweep.geometric_mean(found, 1) == pytest.approx(4)
    assert sweep.geometric_mean(found, 2) is None


def test_what_lacks_a_side_or_threads_is_measured_again_unless_the_side_was_left_out(sweep):
    found = result(1, 2)
    assert sweep.complete(found, PLAN)
    assert not sweep.complete(found, BenchPlan((1, 2), ("litert", "openvino")))
    assert not sweep.complete(found, BenchPlan((1,), ("litert", "torch")))
    del found["sides"]["mobilenets"]
    assert not sweep.complete(found, PLAN)


def test_what_is_finished_is_not_measured_again(sweep, tmp_path, monkeypatch):
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"mobilenet_v2_1.3_224": result(1, 3)}))
    asked = []

    def stand_in(name, plan, *, resolution, knobs):
        asked.append((name, resolution, knobs))
        made = Comparison("mobilenets", 2)
        made.add(1, {"mobilenets": Measured([[10**6]]), "litert": Measured([[2 * 10**6]])})
        made.skipped.append(Skipped("openvino", None, "it is not installed"))
        return made

    monkeypatch.setattr(sweep, "compare", stand_in)
    for _ in range(2):
        found = sweep.measure(PLAN, kept, "mobilenet_v2_1.")
        assert len(found) == 7
    assert len(asked) == 6
    assert asked[0] == ("mobilenet_v2", 224, {"width": 1.4})
    assert found["mobilenet_v2_1.3_224"]["ratio_to_best_peer"] == {"1": 3}


def test_the_page_has_a_row_and_the_picture_a_point_for_each(sweep, tmp_path):
    found = {"mobilenet_v1_1.0_224": result(4, 6), "mobilenet_v2_1.0_224": result(2, 4)}
    text = sweep.page(found, PLAN)
    row = next(line for line in text.splitlines() if line.startswith("| mobilenet_v2_1.0_224"))
    assert row == "| mobilenet_v2_1.0_224 | 71.8 | 2.000 | 4.000 |  | 2.00 | 10.0 / 10.0 |"
    assert "Geometric mean of best peer / ours: 1.73" in text
    assert sweep.points(found, 1, ours=False) == {
        "mobilenet_v1": [(6.0, pytest.approx(70.9))],
        "mobilenet_v2": [(4.0, pytest.approx(71.8))],
    }
    sweep.draw(found, 1, tmp_path / "images" / "a.png")
    assert (tmp_path / "images" / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_the_sweep_measures_as_the_command_does(sweep):
    assert sweep.compare is compare.compare
