"""Every format of attributes, as people have them, and what is asked about or refused."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.labelled import open_data
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.registry import tasks

TASK = tasks()["attributes"]


@pytest.fixture
def folder(tmp_path):
    """Twelve images called 0.jpg to 11.jpg in `images`."""
    (tmp_path / "images").mkdir()
    for i in range(12):
        Image.new("RGB", (24 + i, 20), (20 * i, 90, 40)).save(tmp_path / "images" / f"{i}.jpg")
    return tmp_path


def write(path, text, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="", **how)
    return path


def table(head: str, row, count: int = 12, end: str = "\n") -> str:
    return end.join([head, *(row(i) for i in range(count))]) + end


def marks(path, split="all") -> np.ndarray:
    data = TASK.data.open_data(path, split)
    return np.stack([data.target(i) for i in range(len(data))])


def test_a_column_for_each_attribute_with_blanks_and_other_columns(folder):
    text = table(
        "image,male,hat,age", lambda i: f"{i}.jpg,{i % 2},{'' if i > 9 else int(i < 4)},{i + 20}"
    )
    data = TASK.data.open_data(write(folder / "a.csv", text), "all")
    assert data.classes == ("male", "hat")
    expected = [[i % 2, -1 if i > 9 else int(i < 4)] for i in range(12)]
    np.testing.assert_array_equal([data.target(i) for i in range(12)], expected)
    assert data.name(3) == "images/3.jpg"
    notes = " | ".join(data.notes)
    assert "1 column has no marks in a.csv, left out: age" in notes
    assert "2 entries are unknown in a.csv: neither learned nor measured" in notes
    assert TASK.check.claims(str(folder / "a.csv"))


def test_a_mark_that_is_none_is_an_error_with_its_line(folder):
    text = table("image,male,hat", lambda i: f"{i}.jpg,{i % 2},{'O' if i == 7 else i % 3 % 2}")
    with pytest.raises(DataError, match="line 9: hat must be 1, 0 or blank, got 'O'"):
        TASK.data.open_data(write(folder / "a.csv", text), "all")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("where", ["", "Anno"])
def test_celebas_lists(folder, end, where):
    """A number, names, rows of -1 and 1; the part and the person in files of their own."""
    (folder / "images").rename(folder / "img_align_celeba")
    rows = [f"{i}.jpg  {1 if i % 2 else -1}  {1 if i < 5 else -1}" for i in range(12)]
    text = end.join(["12", "Male Young ", *rows]) + end
    write(folder / where / "list_attr_celeba.txt", text)
    parts = end.join(f"{i}.jpg {0 if i < 6 else 1 if i < 9 else 2}" for i in range(12)) + end
    write(folder / where / "list_eval_partition.txt", parts)
    people = end.join(f"{i}.jpg {i // 3}" for i in range(12)) + end
    write(folder / where / "identity_CelebA.txt", people)
    data = TASK.data.open_data(folder, "train")
    assert data.classes == ("Male", "Young")
    np.testing.assert_array_equal(
        [data.target(i) for i in range(6)], [[i % 2, i < 5] for i in range(6)]
    )
    assert data.groups == ("0", "0", "0", "1", "1", "1")
    assert [len(TASK.data.open_data(folder, part)) for part in ("val", "test")] == [3, 3]
    assert len(data.taken.labels) == 3


def test_kaggles_copy_of_celeba(folder):
    text = table(
        "image_id,Male,Young", lambda i: f"{i}.jpg,{1 if i % 2 else -1},{1 if i < 5 else -1}"
    )
    write(folder / "list_attr_celeba.csv", text)
    parts = table("image_id,partition", lambda i: f"{i}.jpg,{0 if i < 9 else 1}")
    write(folder / "list_eval_partition.csv", parts)
    write(folder / "list_bbox_celeba.csv", "image_id,x_1\n0.jpg,3\n")
    assert len(TASK.data.open_data(folder, "train")) == 9
    np.testing.assert_array_equal(marks(folder, "val"), [[i % 2, 0] for i in range(9, 12)])


def test_three_values_are_asked_about_and_never_guessed(folder):
    values = ("1", "0", "-1")
    path = write(
        folder / "a.csv",
        table("image,hat,bag", lambda i: f"{i}.jpg,{values[i % 3]},{values[i % 2]}"),
    )
    with pytest.raises(DataError) as error:
        TASK.data.open_data(path, "all")
    assert str(error.value) == (
        f"{path}: its marks are -1, 0, 1, so which of -1 and 0 is no, and which unknown? Say it in "
        f"{folder / 'marks.txt'}, a line for each: `1 yes`, `0 unknown`, `-1 no`"
    )
    write(folder / "marks.txt", "# WIDER's\n0 unknown\n-1 no\n")
    found = marks(path)
    np.testing.assert_array_equal(found[:3, 0], [1, -1, 0])
    notes = TASK.data.open_data(path, "all").notes
    assert "marks.txt says of the marks: 0 is unknown, -1 is no" in notes
    write(folder / "marks.txt", "0 no\n-1 unknown\nblank no\n")
    np.testing.assert_array_equal(marks(path)[:3, 0], [1, 0, -1])
    write(folder / "marks.txt", "0 nothing\n")
    with pytest.raises(
        DataError, match="line 1 must be a mark and yes, no or unknown, got '0 noth"
    ):
        TASK.data.open_data(path, "all")


def test_marks_of_ones_own(folder):
    words = ("da", "nein", "?")
    path = write(folder / "a.csv", table("image,hat", lambda i: f"{i}.jpg,{words[i % 3]}"))
    with pytest.raises(DataError, match="no column has marks of 1 and 0, nor tags"):
        TASK.data.open_data(path, "all")
    write(folder / "marks.txt", "da yes\nnein no\n? unknown\n")
    np.testing.assert_array_equal(marks(path)[:3, 0], [1, 0, -1])


@pytest.mark.parametrize("tags", ["clear primary", "clear|primary", "clear, primary"])
def test_a_column_of_tags_and_images_without_suffix(folder, tags):
    text = table("image_name,tags", lambda i: f'{i},"{tags if i % 2 else "clear"}"')
    data = TASK.data.open_data(write(folder / "a.csv", text), "all")
    assert data.classes == ("clear", "primary")
    np.testing.assert_array_equal([data.target(i) for i in range(4)], [[1, 0], [1, 1]] * 2)
    assert "1 attribute is the same on all images for all, or unknown: clear" in data.notes


def test_tags_in_text_files_beside_the_images(folder):
    for part, numbers in (("train", range(8)), ("val", range(8, 11))):
        (folder / part).mkdir()
        for i in numbers:
            (folder / "images" / f"{i}.jpg").rename(folder / part / f"{i}.jpg")
            tags = ["1girl", "long hair"] if i % 2 else ["1girl, smile", "hat"][: 1 + (i == 10)]
            write(folder / part / f"{i}.txt", "\n".join(tags))
    data = TASK.data.open_data(folder, "train")
    assert data.classes == ("1girl", "long hair", "smile")
    assert len(data) == 8
    notes = " | ".join(data.notes)
    assert "1 tag is not in train, left out: hat" in notes
    assert "1 image has no file of tags, left out: images/11.jpg" in notes


def test_boxes_are_tags_where_there_is_nothing_else(folder, call):
    (folder / "labels").mkdir()
    for i in range(12):
        lines = ["0 0.5 0.5 0.2 0.2"] * (i % 2) + ["1 0.4 0.4 0.1 0.1"] * (i < 9)
        write(folder / "labels" / f"{i}.txt", "\n".join(lines))
    write(folder / "data.yaml", "path: .\ntrain: images\nnames: [hat, bag]\n")
    data = open_data(TASK, folder, "all")
    assert data.classes == ("hat", "bag")
    order = sorted(range(12), key=lambda i: data.name(i))
    found = {data.name(i): data.target(i).tolist() for i in order}
    assert found == {f"images/{i}.jpg": [i % 2, int(i < 9)] for i in range(12)}
    assert any("boxes are taken as tags" in note for note in data.notes)


def test_a_box_that_is_difficult_alone_is_unknown():
    class Boxes:
        def target(self, i):
            crowd, difficult = np.array([False, False, True]), np.array([False, True, False])
            return Objects.of(np.zeros((3, 4)), [2, 0, 2], crowd, difficult)

    assert tasks()["detect"].data.classes_in(Boxes(), 0) == ([2], [0])


def test_masks_are_tags_too(folder):
    (folder / "masks").mkdir()
    for i in range(12):
        mask = np.zeros((20, 24 + i), np.uint8)
        mask[:5] = i % 3
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    write(folder / "classes.txt", "ground\nroad\ncar\n")
    data = open_data(TASK, folder, "all")
    found = {data.name(i): data.target(i).tolist() for i in range(12)}
    assert found["images/4.jpg"] == [1, 1, 0]
    assert found["images/5.jpg"] == [1, 0, 1]


def test_files_of_boxes_are_no_tags(folder):
    for i in range(12):
        write(folder / "images" / f"{i}.txt", "0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match="no attributes; expected a CSV list"):
        TASK.data.open_data(folder, "all")


@pytest.mark.parametrize("named", [True, False])
def test_paddles_lists(folder, named):
    for part, numbers in (("train", range(8)), ("val", range(8, 12))):
        lines = (f"images/{i}.jpg\t{i % 2},{int(i < 10)},0" for i in numbers)
        write(folder / f"{part}_list.txt", "\n".join(lines) + "\n")
    if named:
        write(folder / "label_list.txt", "hat\nbag\ncoat\n")
    data = TASK.data.open_data(folder, "val")
    names = ("hat", "bag", "coat") if named else ("attribute 0", "attribute 1", "attribute 2")
    assert data.classes == names
    np.testing.assert_array_equal(data.target(3), [1, 0, 0])
    assert any("have no names" in note for note in data.notes) is not named
    write(folder / "val_list.txt", "images/8.jpg\t0,1\nimages/9.jpg\t0,1,0\n")
    with pytest.raises(DataError, match="line 1 must have 3 marks of 1 and 0, got 2 marks"):
        TASK.data.open_data(folder, "val")


def test_lists_of_parts_have_the_attributes_of_train(folder):
    write(folder / "train.csv", table("image,hat,bag", lambda i: f"{i}.jpg,{i % 2},{i % 3 % 2}", 8))
    text = "image,bag,coat\n9.jpg,1,0\n10.jpg,0,1\n"
    write(folder / "val.csv", text)
    data = TASK.data.open_data(folder, "val")
    np.testing.assert_array_equal([data.target(i) for i in range(2)], [[-1, 1], [-1, 0]])
    notes = " | ".join(data.notes)
    assert "1 attribute of val.csv that train has not, left out: coat" in notes
    assert "1 attribute not in val.csv, unknown there: hat" in notes


def test_groups_stay_in_one_part(folder):
    path = write(
        folder / "a.csv", table("image,hat,group", lambda i: f"{i}.jpg,{i % 2},person {i // 4}")
    )
    train, val = (TASK.data.open_data(path, part) for part in ("train", "val"))
    assert {*train.groups} == {"person 0", "person 1", "person 2"} - {*val.groups}
    assert len(val) == 4
    head = "image,hat,split,group"
    text = table(head, lambda i: f"{i}.jpg,{i % 2},{'val' if i % 3 else 'train'},person {i // 4}")
    notes = TASK.data.open_data(write(path, text), "train").notes
    assert any("3 groups are in several parts of a.csv" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "image,hat\n0.jpg,1\n0.jpg,0\n1.jpg,0\n",
            "0.jpg is there twice and not the same, in lines 2",
        ),
        ("image,hat\n0.jpg,1\n1.jpg,1\n", "1 attribute is the same on all images: hat"),
        ("image,hat\na.jpg,1\nb.jpg,0\n", "none of its 2 images exist: a.jpg, b.jpg"),
        ("image,xmin,hat\n0.jpg,1,1\n", "it has boxes .columns xmin., which are for a detector"),
        ("hat,bag\n1,0\n", "needs a column image, path or filename; it has hat, bag"),
        ("image,hat,hat\n0.jpg,1,0\n", "several columns are called hat"),
        (
            "image,hat,split\n0.jpg,1,train\n1.jpg,0,tran\n",
            "line 3: split must be train, val or test",
        ),
        ("image,hat\n", "it has no rows"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line(folder, text, message):
    with pytest.raises(DataError, match=message) as error:
        TASK.data.open_data(write(folder / "a.csv", text), "all")
    assert "\n" not in str(error.value)


def test_a_list_of_one_class_each_is_no_list_of_attributes(folder):
    text = table("image,cat,dog", lambda i: f"{i}.jpg,{i % 2},{1 - i % 2}")
    path = write(folder / "data.csv", text)
    assert not TASK.check.claims(str(folder))
    assert tasks()["classify"].check.claims(str(folder))
    write(path, table("image,cat,dog", lambda i: f"{i}.jpg,{i % 2},{int(i > 3)}"))
    assert TASK.check.claims(str(folder))


def test_data_check_counts_and_names(folder, call):
    text = table(
        "image,hat,bag,coat", lambda i: f"{i}.jpg,{i % 2},{'' if i == 5 else int(i == 3)},0"
    )
    write(folder / "data.csv", text)
    (folder / "images" / "7.jpg").write_bytes(b"no image")
    ran = call("data", "check", folder, "--task", "attributes", "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["parts"]["all"]["images"] == 11
    assert found["parts"]["all"]["by_attribute"]["bag"] == {"yes": 1, "no": 9, "unknown": 1}
    kinds = {one["kind"]: one for one in found["problems"]}
    assert kinds["unreadable"]["names"] == ["images/7.jpg"]
    assert kinds["same"]["names"] == ["coat (all)"]
    assert kinds["rare"]["names"] == ["bag (all)"]
    assert kinds["unknown"]["count"] == 1
    ran = call("data", "check", folder, "--task", "attributes", "--save-dir", folder / "seen")
    assert "bag" in ran.out
    assert len(list((folder / "seen").iterdir())) == 8


def test_attributes_given_to_a_classifier_are_told(folder, call):
    write(folder / "data.csv", table("image,hat,bag", lambda i: f"{i}.jpg,{i % 2},{int(i > 3)}"))
    ran = call("train", "mobilenet_v2", "--data", folder)
    assert "these are attributes; train a network for attributes" in ran.err


def test_the_built_in_shapes_have_attributes_that_are_true():
    data = TASK.data.open_data("shapes", "val")
    assert data.classes[8:] == ("two", "large", "red", "green", "blue")
    found = np.stack([data.target(i) for i in range(40)])
    for i, row in enumerate(found):
        scene = data.scene(i)
        assert [data.classes[k] for k in np.flatnonzero(row[:8])] == sorted(
            {data.classes[k] for k in scene.labels}
        )
        assert row[8] == (len(scene.boxes) > 1)
    assert set(found[:, 8:].ravel()) == {-1, 0, 1}
    assert ((found[:, 10:] == 1).sum(1) <= 1).all()


@pytest.mark.assets
def test_the_faces_of_the_assets(assets):
    data = TASK.data.open_data(assets / "faces", "all")
    assert (len(data), data.classes) == (1000, ("male", "child", "adult", "senior"))
    assert "1 column has no marks in attributes.csv, left out: age" in data.notes
