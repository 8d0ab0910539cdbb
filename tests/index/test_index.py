"""Files of vectors: made, kept up to date, searched; refused where they are another model's."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.quick import quick_export
from tests.small import of_shapes
from tests.tasks.embed.test_use import made

from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.export import export_onnx
from mobilenets.index.embedder import open_embedder
from mobilenets.index.file import Index, read_index, write_index
from mobilenets.index.search import duplicates, search
from mobilenets.weights.sources.own import save


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An embedding network as a checkpoint and as a file."""
    folder = tmp_path_factory.mktemp("model")
    network = made()
    save(network, folder / "m.safetensors")
    with quick_export():
        export_onnx(network, folder / "m.onnx")
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        Shapes(72).image(i).save(folder / f"{i}.png")
    shutil.copy(folder / "2.png", folder / "copy.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


@pytest.fixture
def index(call, model, photos, tmp_path):
    ran = call("embed", model / "m.onnx", photos, "-o", tmp_path / "x.embeddings", "--json")
    assert ran.status == 0, ran.err
    assert "bad.jpg" in ran.err
    found = json.loads(ran.out)
    assert (found["images"], found["embedded"], len(found["failures"])) == (7, 7, 1)
    return tmp_path / "x.embeddings"


def test_a_second_run_embeds_what_changed(call, index, model, photos):
    before = read_index(index)
    (photos / "0.png").unlink()
    Shapes(72).image(9).save(photos / "1.png")
    os.utime(photos / "1.png", ns=(1, 1))
    Shapes(72).image(7).save(photos / "new.png")
    ran = call("embed", model / "m.onnx", photos, "-o", index, "--json")
    found = json.loads(ran.out)
    assert {k: found[k] for k in ("embedded", "kept", "gone")} == {
        "embedded": 2,
        "kept": 5,
        "gone": 1,
    }
    after = read_index(index)
    assert after.names == ("1.png", "2.png", "3.png", "4.png", "5.png", "copy.png", "new.png")
    np.testing.assert_array_equal(after.vectors[1], before.vectors[2])
    assert (after.vectors[0] != before.vectors[1]).any()


def test_search_finds_the_image_and_its_copy(call, index, photos, tmp_path):
    ran = call("search", index, photos / "2.png", photos / "bad.jpg", "--top", 3, "--json",
               "--save-dir", tmp_path / "seen")  # fmt: skip
    assert ran.status == 0, ran.err
    found, bad = json.loads(ran.out)
    assert {one["image"] for one in found["nearest"][:2]} == {"2.png", "copy.png"}
    assert found["nearest"][0]["cosine"] == pytest.approx(1, abs=1e-5)
    assert "bad.jpg" in bad["error"]
    assert (tmp_path / "seen" / "2.jpg").is_file()
    assert found["by"] == "numpy, exact, 7 vectors"
    assert "searched by numpy" in call("search", index, photos / "2.png").err
    lines = call("search", index, photos / "2.png", "--top", 2).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["query", "2.png", "2.png"]


def test_duplicates_names_the_copy(call, index, tmp_path):
    ran = call("duplicates", index, "--least", 0.99999, "--save-dir", tmp_path / "seen", "--json")
    (group,) = json.loads(ran.out)["groups"]
    assert [one["image"] for one in group] == ["2.png", "copy.png"]
    assert (tmp_path / "seen" / "0001.jpg").is_file()
    assert "1 image of 7 images could go" in call("duplicates", index, "--least", 0.99999).out


def test_a_checkpoint_is_the_model_of_its_export(call, index, model, photos):
    ran = call("search", index, photos / "2.png", "--model", model / "m.safetensors", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)[0]["nearest"][0]["cosine"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("what", ["model", "resize", "size", "dimensions"])
def test_an_index_made_in_another_way_is_refused_by_name(call, index, photos, tmp_path, what):
    other = made(**({"dimensions": 8} if what == "dimensions" else {}))
    pre = other.card.preprocessing
    words = "another model"
    if what == "model":
        other.projection.norm.running_mean[:4] += 3
    elif what == "resize":
        other.card = other.card.replace(preprocessing=type(pre)(pre.size, "squash"))
        words = "resize crop then, squash now"
    elif what == "size":
        other.card = other.card.replace(preprocessing=type(pre)((48, 48)))
        words = r"size \[64, 64\] then, \[48, 48\] now"
    save(other, tmp_path / "o.safetensors")
    words = "16 numbers, these 8" if what == "dimensions" else words
    for command in (("search", index, photos / "2.png"), ("duplicates", index)):
        ran = call(*command, "--model", tmp_path / "o.safetensors")
        assert ran.status == 1
        assert "was made in another way" in ran.err
        assert re.search(words, ran.err)
    ran = call("embed", tmp_path / "o.safetensors", photos, "-o", index)
    assert ran.status == 1
    assert call("embed", tmp_path / "o.safetensors", photos, "-o", index, "--anew").status == 0


def test_features_of_a_classifier_are_the_same_from_a_file_and_from_weights(photos, tmp_path):
    network = of_shapes(64, width=0.35)
    save(network, tmp_path / "c.safetensors")
    with quick_export():
        export_onnx(network, tmp_path / "c.onnx")
    one, other = (open_embedder(tmp_path / name) for name in ("c.safetensors", "c.onnx"))
    assert one.layer == other.layer == "last"
    vectors = [each.one(photos / "3.png") for each in (one, other)]
    np.testing.assert_allclose(*vectors, atol=1e-5)
    assert vectors[0].shape == (1280,)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)


def test_verify_goes_by_the_threshold_of_the_card(call, photos, tmp_path):
    network = made()
    save(network, tmp_path / "plain.safetensors")
    pair = (photos / "2.png", photos / "copy.png")
    assert "know of no threshold" in call("verify", tmp_path / "plain.safetensors", *pair).out
    kept = {"thresholds": {"0.01": {"cosine": 0.9999, "true_accepts": 0.5}}}
    network.card = network.card.replace(kept=kept)
    save(network, tmp_path / "m.safetensors")
    found = json.loads(call("verify", tmp_path / "m.safetensors", *pair, "--json").out)
    assert found["same"] is True
    assert found["threshold"] == 0.9999
    others = (photos / "2.png", photos / "3.png")
    assert "two things" in call("verify", tmp_path / "m.safetensors", *others).out
    wrong = call("verify", tmp_path / "m.safetensors", *pair, "--rate", 0.2)
    assert (wrong.status, "rate must be one that was measured, 0.01" in wrong.err) == (2, True)


def random_index(count: int, dimensions: int = 8, kind=np.float32) -> Index:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(count, dimensions))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(kind)
    names = tuple(f"{i}.jpg" for i in range(count))
    return Index(
        "/photos", "m", {}, names, vectors, np.arange(count), np.zeros(count, np.int64),
        np.zeros((3, dimensions), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("block", [7, 1 << 18])
def test_search_is_exact_and_of_equal_ones_the_first_comes_first(monkeypatch, block):
    monkeypatch.setattr("mobilenets.index.search.BLOCK", block)
    index = random_index(100)
    index.vectors[40:60] = index.vectors[3]
    query = index.vectors[3].copy()
    for top in (1, 5, 30, 200):
        found = [one.image for one in search(index, query, top)]
        cosines = np.array([float(v @ query) for v in index.vectors], np.float32)
        expected = np.argsort(-cosines, kind="stable")[:top].tolist()
        assert found == expected


def test_groups_are_joined_through_others_and_the_largest_file_is_first(monkeypatch):
    monkeypatch.setattr("mobilenets.index.search.TILE", 3)
    index = random_index(9)
    angles = np.deg2rad([0, 90, 10, 200, 20, 95, 300, 30, 140])
    index.vectors[:] = 0
    index.vectors[:, 0], index.vectors[:, 1] = np.cos(angles), np.sin(angles)
    groups = [group.images for group in duplicates(index, float(np.cos(np.deg2rad(11))))]
    assert groups == [[7, 0, 2, 4], [5, 1]]


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_file_comes_back_as_it_was(tmp_path, kind):
    index = random_index(20, kind=kind)
    write_index(index, tmp_path / "x")
    found = read_index(tmp_path / "x")
    assert found.names == index.names
    assert found.vectors.dtype == kind
    np.testing.assert_array_equal(found.vectors, index.vectors)
    (tmp_path / "other").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("x", "other")}
    assert len(modes) == 1  # others may read it as they may any new file


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def with_nan(path):
    arrays = load_file(path)
    arrays["vectors"][2, 1] = np.nan
    write(path, arrays)


def longer(path):
    arrays = load_file(path)
    arrays["sizes"] = arrays["sizes"][:-1]
    write(path, arrays)


def without_metadata(path):
    save_file(load_file(path), path)


def write(path, arrays):
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        said = file.metadata()
    save_file(arrays, path, said)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, "damaged or cut short"),
        (with_nan, "1 of its 20 vectors are not of length 1"),
        (longer, "damaged: 20 names"),
        (without_metadata, "no file of vectors"),
        (lambda path: path.unlink(), "no such file of vectors"),
        (lambda path: path.write_bytes(b"no"), "damaged or cut short"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, damage, message):
    path = tmp_path / "x.embeddings"
    write_index(random_index(20), path)
    damage(path)
    with pytest.raises(DataError, match=message) as caught:
        read_index(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("ending", ["npy", "parquet", "csv"])
def test_vectors_for_other_programs(call, model, photos, tmp_path, ending):
    ran = call("embed", model / "m.onnx", photos, "-o", tmp_path / "x", "--to",
               tmp_path / f"v.{ending}")  # fmt: skip
    if ending == "csv":
        assert (ran.status, "must end in .npy or .parquet" in ran.err) == (2, True)
        return
    index = read_index(tmp_path / "x")
    if ending == "npy":
        vectors = np.load(tmp_path / "v.npy")
        names = (tmp_path / "v.txt").read_text().splitlines()
    else:
        from pyarrow import parquet

        table = parquet.read_table(tmp_path / "v.parquet")
        names = table["image"].to_pylist()
        vectors = np.array(table["vector"].to_pylist(), np.float32)
    assert tuple(names) == index.names
    np.testing.assert_array_equal(vectors, index.vectors)
