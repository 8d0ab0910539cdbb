"""`data check` of images to be found again: what is there, and what is wrong with it."""

import json

import pytest
from tests.tasks.embed.test_data import put

PAIRS = "2\na 1 2\na 1 3\na 1 b 1\na 2 gone 1\n"


def check(call, data, *words):
    ran = call("data", "check", data, *words, "--json")
    assert ran.out, ran.err
    found = json.loads(ran.out)
    return ran.status, found, {one["kind"]: one for one in found["problems"]}


def test_pairs_are_counted_and_those_without_an_image_named(call, tmp_path):
    put(
        tmp_path,
        *(f"{c}/{c}_{i:04}.jpg" for c in "ab" for i in (1, 2, 3)),
        "c/c_0001.jpg",
        "d/1.jpg",
    )
    (tmp_path / "pairs.txt").write_text(PAIRS)
    (tmp_path / "b" / "b_0003.jpg").write_bytes(b"no picture")
    status, found, problems = check(call, tmp_path)
    assert status == 0
    assert found["task"] == "embed"
    part = found["parts"]["all"]
    assert (part["images"], part["pairs"]) == (7, 3)
    assert part["by_class"] == {"a": 3, "b": 2, "c": 1, "d": 1}
    assert problems["alone"]["names"] == ["c (all)", "d (all)"]
    assert problems["unreadable"]["names"] == ["b/b_0003.jpg"]
    assert problems["pair"]["count"] == 1
    assert [one["names"] for one in found["files"]["left_out"]] == [["b/b_0003.jpg"]]
    told = call("data", "check", tmp_path).out
    assert "all: 3 pairs in 1 fold, 2 of one class and 1 of two" in told


def test_queries_that_nothing_can_be_found_for(call, tmp_path):
    put(tmp_path, "query/a/1.jpg", "query/b/1.jpg", "gallery/a/2.jpg", "gallery/c/1.jpg")
    status, found, problems = check(call, tmp_path)
    assert found["parts"]["val"]["roles"] == {"query": 2, "gallery": 2}
    assert problems["not there"]["names"] == ["b (val)"]
    assert "alone" not in problems
    assert status == 1  # nothing is left to learn from
    assert "refused" in problems


def test_classes_and_groups_in_two_parts(call, tmp_path):
    put(tmp_path, *(f"{c}{i}.jpg" for c in "abc" for i in range(4)))
    rows = ["image,label,split,group,query"]
    for c, parts in (("a", "train"), ("b", "train val"), ("c", "val")):
        for i in range(4):
            part = parts.split()[i % len(parts.split())]
            rows.append(f"{c}{i}.jpg,{c},{part},album {i if c != 'a' else c},1")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    _, found, problems = check(call, tmp_path / "list.csv", "--task", "embed")
    assert {name: one["images"] for name, one in found["parts"].items()} == {"train": 6, "val": 6}
    assert problems["seen"]["names"] == ["b (val)"]
    assert problems["group"]["names"] == ["album 0", "album 2"]


def test_a_truth_of_its_own(call, tmp_path):
    put(tmp_path, *(f"jpg/{i}.jpg" for i in range(4)))
    said = {
        "imlist": ["0", "1", "2"],
        "qimlist": ["3"],
        "gnd": [{"bbx": [0, 0, 4, 3], "easy": [0], "hard": [1], "junk": []}],
    }
    (tmp_path / "gnd_small.json").write_text(json.dumps(said))
    status, found, problems = check(call, tmp_path, "--split", "val")
    assert status == 0
    assert not problems
    assert found["parts"]["val"]["by_class"] == {"gallery": 3, "query": 1}
    assert found["files"]["left_out"] == []


def test_class_folders_are_a_classifiers_unless_the_use_is_named(call, tmp_path):
    data = put(tmp_path, *(f"{c}/{i}.jpg" for c in "abcd" for i in range(2)))
    assert check(call, data)[1]["task"] == "classify"
    _, found, _ = check(call, data, "--task", "embed", "--split", "val")
    assert len(found["parts"]["val"]["by_class"]) == 2


@pytest.mark.every
def test_the_built_in_shapes_are_in_halves(call, monkeypatch):
    from mobilenets.data import shapes

    monkeypatch.setattr(shapes, "LENGTHS", {"train": 16, "val": 8, "test": 8})
    _, found, _ = check(call, "shapes", "--task", "embed")
    assert [one["images"] for one in found["parts"].values()] == [8, 4]
