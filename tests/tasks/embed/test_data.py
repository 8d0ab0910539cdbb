"""Which images are learned from, and which are looked for."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import ModelCard
from mobilenets.errors import DataError
from mobilenets.tasks.registry import tasks

TASK = tasks()["embed"]
open_data = TASK.data.open_data


def put(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / file, "JPEG")
    return root


def classes_of(data) -> set[str]:
    return {data.classes[data.target(i).label] for i in range(len(data))}


def test_whole_classes_are_held_out(tmp_path):
    put(tmp_path, *(f"{c}/{i}.jpg" for c in "abcdefghij" for i in range(3)))
    train, val = open_data(tmp_path, "train"), open_data(tmp_path, "val")
    assert (len(classes_of(train)), len(classes_of(val))) == (8, 2)
    assert not classes_of(train) & classes_of(val)
    assert train.classes == tuple(sorted(classes_of(train)))
    assert "2 classes are measured on, and the other 8 learned from" in train.notes[-1]
    assert len(open_data(tmp_path, "all")) == 30
    assert classes_of(open_data(tmp_path, "val", seed=1)) != classes_of(val)


def test_parts_that_the_data_has_are_taken_as_they_are(tmp_path):
    put(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg", "val/b/2.jpg", "test/d/1.jpg")
    assert classes_of(open_data(tmp_path, "train")) == {"a", "b"}
    val = open_data(tmp_path, "val")
    assert classes_of(val) == {"b", "c"}
    assert "1 class is learned from and measured on: b" in val.notes
    assert classes_of(open_data(tmp_path, "test")) == {"d"}


def test_too_few_classes_leave_images_of_each(tmp_path):
    put(tmp_path, *(f"{c}/{i}.jpg" for c in "abc" for i in range(5)))
    train, val = open_data(tmp_path, "train"), open_data(tmp_path, "val")
    assert classes_of(train) == classes_of(val) == {"a", "b", "c"}
    assert (len(train), len(val)) == (12, 3)
    assert "too few classes to keep some unseen" in val.notes[-1]


def test_classes_that_share_a_group_stay_together(tmp_path):
    put(tmp_path, *(f"{c}.jpg" for c in "abcdefgh"))
    rows = [f"{c}.jpg,{c},{g}" for c, g in zip("abcdefgh", "xxyyzzww", strict=True)]
    (tmp_path / "data.csv").write_text("image,label,group\n" + "\n".join(rows))
    for seed in range(5):
        assert classes_of(open_data(tmp_path, "val", seed=seed)) in (
            {"a", "b"},
            {"c", "d"},
            {"e", "f"},
            {"g", "h"},
        )


def test_folders_of_queries_and_a_gallery(tmp_path):
    put(tmp_path, "query/a/1.jpg", "query/z/1.jpg", "gallery/a/1.jpg", "gallery/b/1.jpg")
    data = open_data(tmp_path, "eval")
    assert [data.target(i).role for i in range(4)] == ["query"] * 2 + ["gallery"] * 2
    assert "1 class of the queries is not in the gallery: z" in data.notes
    put(tmp_path, "train/k/1.jpg", "train/l/1.jpg")
    assert classes_of(open_data(tmp_path, "train")) == {"k", "l"}
    assert len(open_data(tmp_path, "val")) == 4


@pytest.mark.parametrize(
    ("head", "marks"),
    [
        ("is_query,is_gallery", ("1,0", "0,1", "1,1")),
        ("query,gallery", ("true,false", "false,true", "true,true")),
    ],
)
def test_columns_of_queries_and_a_gallery(tmp_path, head, marks):
    put(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    rows = [f"{i}.jpg,a,val,{mark}" for i, mark in enumerate(marks, 1)]
    (tmp_path / "data.csv").write_text(f"image,label,split,{head}\n" + "\n".join(rows))
    data = open_data(tmp_path, "val")
    assert [data.target(i).role for i in range(3)] == ["query", "gallery", ""]
    (tmp_path / "data.csv").write_text(f"image,label,split,{head}\n{rows[0][:-3]}0,0\n")
    if head.startswith("is"):
        with pytest.raises(DataError, match="line 2 is neither in the query nor in the gallery"):
            open_data(tmp_path, "val")


def faces(root: Path) -> Path:
    names = ("Ann_B", "Carl", "Dora", "Emil", "Fritz")
    return put(root, *(f"{name}/{name}_{i:04}.jpg" for name in names for i in (1, 2, 10)))


def test_pairs_of_lfw(tmp_path):
    faces(tmp_path)
    lines = ["Ann_B\t1\t10", "Carl\t1\tAnn_B\t2", "Carl\t2\t1", "Ann_B\t1\tCarl\t10"]
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t1", *lines]))
    data = open_data(tmp_path, "eval")
    assert classes_of(data) == {"Ann_B", "Carl"}
    assert classes_of(open_data(tmp_path, "train")) == {"Dora", "Emil", "Fritz"}
    names = [(data.name(p.first), data.name(p.second), p.same, p.fold) for p in data.pairs]
    assert names == [
        ("Ann_B/Ann_B_0001.jpg", "Ann_B/Ann_B_0010.jpg", True, 0),
        ("Carl/Carl_0001.jpg", "Ann_B/Ann_B_0002.jpg", False, 0),
        ("Carl/Carl_0002.jpg", "Carl/Carl_0001.jpg", True, 1),
        ("Ann_B/Ann_B_0001.jpg", "Carl/Carl_0010.jpg", False, 1),
    ]
    lines[0] = "Ann_B\t1\t11"
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t1", *lines]))
    data = open_data(tmp_path, "eval")
    assert len(data.pairs) == 3
    assert "1 pair is left out, an image is not there: Ann_B 11" in data.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ann_B 1 2\n", "must begin with the number of folds"),
        ("1\nAnn_B 1 2\n", "says 1 folds of 1 [+] 1 pairs, it has 1"),
        ("1\nAnn_B 1 2\nCarl 1 2 3 4\n", "line 3 must be `name 1 2` or `name 1 other 2`"),
    ],
)
def test_a_list_of_pairs_that_is_none_is_named(tmp_path, text, message):
    faces(tmp_path)
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path, "eval")


def test_half_of_the_shapes_is_never_learned_from():
    train, val, every = (open_data("shapes", part) for part in ("train", "eval", "all"))
    assert not set(train.classes) & set(val.classes)
    assert every.classes == train.classes + val.classes
    for data in (train, val, every):
        for i in (0, 5, len(data) - 1):
            label = every.classes[data.shapes.target(data.place(i))]
            assert data.classes[data.target(i).label] == label
    assert (train.image(5).tobytes()) == train.shapes.image(train.place(5)).tobytes()


def truth(root: Path, **changes) -> Path:
    put(root, "jpg/a.jpg", "jpg/b.jpg", "jpg/q.jpg")
    one = {"bbx": [1, 0, 3.5, 2], "easy": [1], "hard": [], "junk": [0]}
    said = {"imlist": ["a", "b"], "qimlist": ["q"], "gnd": [one], **changes}
    (root / "gnd_small.json").write_text(json.dumps(said))
    return root


def test_the_truth_of_revisited_oxford(tmp_path):
    data = open_data(truth(tmp_path), "eval")
    assert [data.target(i).role for i in range(3)] == ["gallery", "gallery", "query"]
    assert (data.image(0).size, data.image(2).size) == ((4, 3), (2, 2))
    evaluator = TASK.measure.evaluator(ModelCard(""), data)
    vectors = np.float32([[0, 1], [1, 0], [0.8, 0.6]])
    for i in (2, 0, 1):  # in whatever order
        evaluator.update({"logits": vectors[i : i + 1]}, [data.target(i)], [])
    found = dict(evaluator.results())
    assert found["map_easy"] == found["recall@1"] == 1
    with pytest.raises(DataError, match=r"gnd_small.json: 1 image is not there.*: c"):
        open_data(truth(tmp_path, imlist=["a", "c"]), "eval")
    with pytest.raises(DataError, match="no truth of queries and a gallery"):
        open_data(truth(tmp_path, qimlist=["q", "a"]), "eval")
