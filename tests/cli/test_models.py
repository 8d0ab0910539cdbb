import json

from typer.testing import CliRunner

import mobilenets.cli
from mobilenets.tasks.registry import networks
from tests.test_paper_tables import V1_RELEASED, V2_RELEASED


def run(*words: str):
    return CliRunner().invoke(mobilenets.cli.app, ["models", *words], env={"COLUMNS": "80"})


def test_every_network_with_what_it_costs():
    rows = json.loads(run("--json").stdout)
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


def test_tables_for_a_person():
    for words, figure in (((), "568.7"), (("--pretrained",), "71.8")):
        text = run(*words).stdout
        assert figure in text
        assert max(len(line) for line in text.splitlines()) <= 80


def test_help_has_an_example():
    assert "mobilenets models --pretrained" in run("--help").stdout
