import json

import pytest
from typer.testing import CliRunner

import mobilenets.cli
from mobilenets.tasks.registry import networks
from tests.test_paper_tables import V1_RELEASED, V2_RELEASED


def run(*words: str):
    return CliRunner().invoke(
        mobilenets.cli.app,
        ["models", *words],
        env={"COLUMNS": "80"},
        catch_exceptions=False,  # an error is itself, and not an answer that is empty
    )


def test_every_network_with_what_it_costs():
    rows = json.loads(run("--json").stdout)
    assert list(dict.fromkeys(row["name"] for row in rows)) == list(networks())
    sizes = {name: network.size for name, (_, network) in networks().items()}
    rows = [r for r in rows if (r["width"], r["resolution"]) == (1.0, sizes[r["name"]])]
    assert [row["name"] for row in rows] == list(networks())
    found = {row["name"]: (row["parameters"], row["madds"]) for row in rows}
    assert found["mobilenet_v1"] == (4_231_976, 568_740_352)
    assert found["mobilenet_v2"] == (3_504_872, 300_774_272)
    assert found["ssdlite_mobilenet_v2"] == (4_337_013, 788_830_144)
    assert found["deeplabv3_mobilenet_v2"] == (2_113_557, 2_740_709_056)
    assert found["deeplabv3_resnet101"] == (58_164_437, 76_052_470_720)
    kinds = {row["name"]: (row["task"], row["resolution"]) for row in rows}
    assert kinds["mobilenet_v1"] == ("classify", 224)
    assert kinds["ssdlite_mobilenet_v1"] == ("detect", 320)
    assert kinds["ssd300_vgg16"] == ("detect", 300)
    assert kinds["deeplabv3_mobilenet_v1"] == ("segment", 513)


def test_the_38_released_checkpoints_are_there_with_their_costs():
    rows = json.loads(run("--pretrained", "--json").stdout)
    google = {
        (row["architecture"], row["width"], row["resolution"]): row["madds"]
        for row in rows
        if row["name"].endswith(".google")
    }
    released = {("mobilenet_v1", *row[:2]): row[2] for row in V1_RELEASED}
    released |= {("mobilenet_v2", *row[:2]): row[2] for row in V2_RELEASED}
    assert set(google) == set(released)
    for key, madds in released.items():
        # Within a class of the release's count, which is for 1001.
        assert abs(google[key] / 1e6 - madds) <= 0.0525
    top1 = {row["name"]: row["top1"] for row in rows}
    assert top1["mobilenet_v2_1.0_224.google"] == 0.718


def test_every_width_and_size_that_was_released_is_a_row():
    """With its accuracy, as the release pages and paper 2's tables 6 and 7 print them."""
    rows = json.loads(run("--json").stdout)
    found = {(row["name"], row["width"], row["resolution"]): row for row in rows}
    assert len(found) == len(rows)
    released = {("mobilenet_v1", *row[:2]) for row in V1_RELEASED}
    released |= {("mobilenet_v2", *row[:2]) for row in V2_RELEASED}
    assert released <= set(found)
    for key, metric, accuracy in (
        (("mobilenet_v2", 0.35, 96), "top1", 0.455),
        (("mobilenet_v1", 1.0, 224), "top1", 0.709),
        (("ssdlite_mobilenet_v2", 1.0, 320), "ap", 0.221),
        (("deeplabv3_mobilenet_v2", 1.0, 513), "miou", 0.7532),
        (("deeplabv3_resnet101", 1.0, 513), None, None),
    ):
        assert (found[key]["metric"], found[key]["accuracy"]) == (metric, accuracy)


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (("--max-madds", "20M"), lambda row: row["madds"] <= 20_000_000),
        (("--max-params", "1.5m"), lambda row: row["parameters"] <= 1_500_000),
        (("--max-size", "2MB"), lambda row: row["file_bytes"]["float32"] <= 2_000_000),
        (
            ("--max-size", "500kB", "--form", "int8"),
            lambda row: row["file_bytes"]["int8"] <= 500_000,
        ),
    ],
)
@pytest.mark.parametrize("which", [(), ("--pretrained",)])
def test_limits_leave_out_and_count(words, fits, which):
    rows = json.loads(run("--json", *which).stdout)
    done = run("--json", *which, *words)
    kept = [row for row in rows if fits(row)]
    assert json.loads(done.stdout) == kept
    assert 0 < len(kept) < len(rows)
    assert f"left out: {len(rows) - len(kept)} of {len(rows)}, over {words[0]}" in done.stderr


def test_where_nothing_is_left_the_least_is_named():
    done = run("--max-madds", "5M")
    assert (done.exit_code, done.stdout.strip()) == (0, "")
    assert "the least for --max-madds 5M is 11,9" in done.stderr


def test_rows_are_sorted():
    for words, figure in (
        (("madds",), lambda row: row["madds"]),
        (("params",), lambda row: row["parameters"]),
        (("size", "--form", "int8"), lambda row: row["file_bytes"]["int8"]),
    ):
        found = [figure(row) for row in json.loads(run("--json", "--sort", *words).stdout)]
        assert found == sorted(found)
    rows = json.loads(run("--json", "--sort", "accuracy").stdout)
    best = [row["accuracy"] for row in rows if row["metric"] == "top1"]
    assert best == sorted(best, reverse=True)


@pytest.mark.parametrize(
    "words",
    [("--max-madds", "5MB"), ("--max-madds", "x"), ("--max-size", "1M"), ("--max-size", "1")],
)
def test_another_unit_is_refused(call, words):
    done = call("models", *words)
    assert done.status == 2
    assert f"{words[0]} must be a" in done.err


def test_classes_change_what_is_counted():
    rows = json.loads(run("--json", "--classes", "10").stdout)
    small = next(row for row in rows if row["name"] == "mobilenet_v2" and row["width"] == 1.0)
    assert small["parameters"] == 3_504_872 - 1281 * 990


def test_tables_for_a_person():
    for words, figure in (((), "568.7"), (("--pretrained",), "71.8")):
        text = run(*words).stdout
        assert figure in text


def test_help_has_an_example():
    assert "mobilenets models --max-madds 20M" in run("--help").stdout
