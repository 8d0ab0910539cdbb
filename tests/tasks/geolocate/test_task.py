"""From photographs with positions to a file that says where others were taken."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

import mobilenets
from mobilenets.card import card_of
from mobilenets.inference import open_model
from mobilenets.tasks.geolocate.cells import atlas_of
from mobilenets.tasks.geolocate.formats import globe
from mobilenets.tasks.geolocate.formats.globe import Globe
from mobilenets.tasks.geolocate.read import decode
from mobilenets.weights import load
from tests.quick import quick_export
from tests.tasks.geolocate.places import photo

NAME = "planet_mobilenet_v2"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Views of the globe as files, with a list."""
    folder = tmp_path_factory.mktemp("photographs")
    views = Globe(48, length=72)
    lines = ["image,lat,lon"]
    for i in range(len(views)):
        views.image(i).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{views.target(i)[0]},{views.target(i)[1]}")
    (folder / "places.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory):
    """A run of two epochs from small weights in the package."""
    folder = tmp_path_factory.mktemp("run") / "run"
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mobilenets.training.runs.report.Reporter.pictures", lambda *what: None)
        result = mobilenets.train(
            NAME,
            photographs,
            weights="mobilenet_v2_0.35_64.shapes",
            resolution=64,
            epochs=2,
            workers=0,
            output=folder,
            say=lines.append,
        )
    return result, lines


@pytest.fixture
def without_s2(monkeypatch):
    monkeypatch.setitem(sys.modules, "s2geometry", None)


def test_a_run_says_its_cells_and_keeps_them(run):
    result, lines = run
    assert any("cells of the map, of 1 to 8 photographs" in line for line in lines)
    assert any("the head starts from a probe: regression on" in line for line in lines)
    card = card_of(load(result.checkpoint))
    assert card.task == "geolocate"
    assert len(atlas_of(card).cells) == len(card.labels)
    assert card.kept["temperature"] > 0
    assert card.results["median_km"] == pytest.approx(result.best["median_km"])
    assert result.metric == "median_km"


def test_evaluated_and_exported_without_s2(run, photographs, call, tmp_path, without_s2):
    result, _ = run
    measured = json.loads(call("eval", result.checkpoint, photographs, "--json").out)
    assert measured["median_km"] == pytest.approx(result.best["median_km"], rel=1e-5)
    assert measured["by_class"] == {}
    file = tmp_path / "where.onnx"
    with quick_export():
        ran = call("export", result.checkpoint, "-o", file, "--json")
    assert ran.status == 0, ran.err
    again = json.loads(call("eval", file, photographs, "--json").out)
    assert again["median_km"] == pytest.approx(measured["median_km"], rel=1e-3)
    session, on_torch = mobilenets.open_session(file), open_model(result.checkpoint)
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    found = session(images)["logits"]
    expected = on_torch(images)["logits"]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    seen = tmp_path / "seen"
    ran = call("predict", file, photographs / "0.png", photographs / "1.png", "--save-dir", seen)
    assert ran.status == 0, ran.err
    assert ", within " in ran.out
    assert {path.name for path in seen.iterdir()} == {"0.jpg", "1.jpg", "seen.geojson"}
    assert len(json.loads((seen / "seen.geojson").read_text())["features"]) == 2
    again = call("predict", file, photographs / "0.png", "--save-dir", seen, "--json")
    assert again.status == 0, again.err  # its own file is written over
    (answer,) = json.loads(again.out)
    assert answer["predictions"]["radius_50_km"] <= answer["predictions"]["radius_90_km"]
    (seen / "seen.geojson").write_text('{"type": "FeatureCollection"}')
    asked = call("predict", file, photographs / "0.png", "--save-dir", seen)
    assert asked.status != 0
    assert "seen.geojson" in asked.err


def test_on_other_photographs_the_head_is_new_and_the_body_stays(run, photographs, tmp_path):
    from mobilenets.tasks.registry import tasks

    result, _ = run
    loaded = load(result.checkpoint)
    network = tasks()["geolocate"].network
    _, what = network.adapt(NAME, loaded, card_of(loaded).labels, {})
    assert what == ""
    other, what = network.adapt(NAME, loaded, ("a", "b"), {})
    assert what == "a new head for 2 cells of the map"
    assert card_of(other).kept == {}
    body = other.backbone.state_dict()
    assert all((body[k] == v).all() for k, v in loaded.backbone.state_dict().items())


def test_a_check_says_what_there_is(photographs, call, tmp_path):
    ran = call("data", "check", photographs, "--json", "--save-dir", tmp_path / "seen")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["task"] == "geolocate"
    assert found["parts"]["all"]["images"] == found["parts"]["all"]["places"] == 72
    box = found["parts"]["all"]["box"]
    targets = np.array([Globe(48, length=72).target(i) for i in range(72)])
    assert box["south"] == targets[:, 0].min()
    assert box["north"] == targets[:, 0].max()
    assert len(found["drawn"]) == 8
    assert "from " in call("data", "check", photographs).out


def test_a_check_of_the_built_in_globe(call, monkeypatch):
    monkeypatch.setattr(globe, "LENGTHS", {"train": 40, "val": 10, "test": 10})
    found = json.loads(call("data", "check", "globe", "--json").out)
    assert found["kind"] == "built-in globe"
    assert found["parts"]["val"]["images"] == 10


def test_the_span_goes_across_the_date_line():
    from mobilenets.tasks.geolocate.check import survey

    class Fiji:
        positions = np.array([(-17.0, 178.0), (-18.0, -179.0), (-16.0, 179.5)])

        def __len__(self):
            return 3

    found = survey(Fiji(), lambda n: None)
    assert found.box == (-18, 178, -16, -179)
    assert found.reach < 300


def test_telephone_photographs_in_class_folders_are_still_classes(tmp_path, call):
    gps = {1: "N", 2: (45.0, 0.0, 0.0), 3: "E", 4: (15.0, 0.0, 0.0)}
    for name in ("cat", "dog"):
        for i in range(2):
            photo(tmp_path / name / f"{i}.jpg", gps)
    assert json.loads(call("data", "check", tmp_path, "--json").out)["task"] == "classify"
    ran = call("data", "check", tmp_path, "--task", "geolocate", "--json")
    assert json.loads(ran.out)["parts"]["all"]["images"] == 4


def test_decoding_needs_no_torch_and_no_s2(run, without_s2):
    card = card_of(load(run[0].checkpoint))
    logits = np.zeros((1, len(card.labels)), np.float32)
    (found,) = decode({"logits": logits}, card, [(1, 1)], top=3, threshold=0)
    assert len(found.cells) == 3


def test_cells_are_of_as_many_photographs_as_the_command_says(photographs):
    from mobilenets.labelled import open_data
    from mobilenets.tasks.registry import tasks
    from mobilenets.training.recipes import recipe

    task = tasks()["geolocate"]

    def cells(**settings):
        made = recipe("finetune_planet", **settings)
        return open_data(task, photographs, "train", made.objective)

    usual, fine = cells(), cells(cell_most=2)
    assert len(fine.classes) > len(usual.classes)
    assert "of 1 to 2 photographs" in " ".join(fine.notes)
    coarse = cells(cell_most=20, cell_least=4)
    sizes = [cell.photographs for cell in atlas_of(card_of_kept(coarse)).cells]
    assert min(sizes) >= 4
    assert max(sizes) > 8
    with pytest.raises(ValueError, match="cell_least must be cell_most, 3, at most, got 4"):
        cells(cell_most=3, cell_least=4)
    with pytest.raises(ValueError, match="globe has cells of its own"):
        open_data(task, "globe", "train", recipe("finetune_planet", cell_most=9).objective)


def card_of_kept(data):
    return mobilenets.ModelCard("", labels=data.classes, kept=data.kept)


def test_an_evaluation_draws_all_answers_on_one_map(run, photographs, call, tmp_path):
    result, _ = run
    words = ("eval", result.checkpoint, photographs, "--save-dir", tmp_path / "seen", "--worst", 2)
    ran = call(*words, "--json")
    assert ran.status == 0, ran.err
    images = json.loads(ran.out)["images"]
    seen = json.loads((tmp_path / "seen" / "seen.geojson").read_text("utf-8"))
    assert seen["generator"] == "mobilenets eval"
    assert len(seen["features"]) == images
    median = np.median([one["properties"]["km"] for one in seen["features"]])
    assert median == pytest.approx(json.loads(ran.out)["median_km"])
    with Image.open(tmp_path / "seen" / "map.png") as picture:
        assert picture.size == (1280, 800)
    page = (tmp_path / "seen" / "index.html").read_text("utf-8")
    assert "src='map.png'" in page
    assert "href='seen.geojson'" in page
    assert call(*words).status == 0  # over what it wrote before
    other = tmp_path / "other"
    other.mkdir()
    (other / "map.png").write_bytes(b"mine")
    refused = call(*words[:3], "--save-dir", other)
    assert refused.status == 2
    assert "has files of its own" in refused.err
    assert (other / "map.png").read_bytes() == b"mine"
