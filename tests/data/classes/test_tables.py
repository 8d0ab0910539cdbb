from pathlib import Path

import pytest
from PIL import Image

from mobilenets.data.folders import open_classification
from mobilenets.errors import DataError


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("1", "2", "3", "4"):
        Image.new("RGB", (2, 2)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def write(folder: Path, *lines: str, name: str = "data.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder / name


def pairs(data) -> list[tuple[str, str]]:
    return [(data.name(i), data.classes[data.target(i)]) for i in range(len(data))]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,label", "{image},{label}"),
        ("Label;Path", "{label};{image}"),
        ("filename\tid\tClass", "{image}\t7\t{label}"),
        ("\ufeffimage,label", '"{image}","{label}"'),
    ],
)
def test_columns_delimiters_quotes_and_a_byte_order_mark(folder, header, row):
    rows = [row.format(image=f"images/{i}.png", label=c) for i, c in ((1, "cat"), (2, "ant"))]
    path = write(folder, header, *rows)
    for given in (path, folder):
        data = open_classification(given, "all")
        assert data.classes == ("ant", "cat")
        assert pairs(data) == [("images/1.png", "cat"), ("images/2.png", "ant")]
        assert data.image(0).size == (2, 2)


def test_a_split_column_is_honoured(folder):
    rows = ["images/1.png,a,train", "images/2.png,b,Training", "images/3.png,a,valid"]
    write(folder, "image,label,split", *rows, "images/4.png,b,test")
    assert len(open_classification(folder, "train")) == 2
    val = open_classification(folder, "val")
    assert pairs(val) == [("images/3.png", "a")]
    assert "1 test image is kept for `eval --split test`" in val.notes
    assert val.origin == "the data's own val part"
    assert pairs(open_classification(folder, "eval")) == pairs(val)
    assert len(open_classification(folder, "all")) == 4


def test_a_class_only_in_val_is_an_error(folder):
    write(
        folder,
        "image,label,split",
        "images/1.png,a,train",
        "images/2.png,b,train",
        "images/3.png,z,val",
    )
    with pytest.raises(DataError, match="val has classes that train does not have: z"):
        open_classification(folder, "train")


def test_whole_numbers_are_ordered_by_value(folder):
    write(folder, "image,label", "images/1.png,10", "images/2.png,9", "images/3.png,0")
    assert open_classification(folder, "all").classes == ("0", "9", "10")


def test_missing_images_and_repeated_rows_are_counted_and_named(folder):
    rows = ["images/1.png,a", "images/2.png,b", "./images/2.png,b", "gone.png,a", "lost.png,b"]
    data = open_classification(write(folder, "image,label", *rows), "all")
    assert len(data) == 2
    assert data.notes == [
        "1 row of data.csv said before, left out",
        "2 images of data.csv not found, left out: gone.png, lost.png",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["image,label", "images/1.png,a", "images/1.png,b"],
            "listed as a in line 2 and as b in line 3",
        ),
        (
            ["image,label,split", "images/1.png,a,train", "images/1.png,a,val"],
            "listed as train in line 2 and as val in line 3",
        ),
        (["image,label", "x.png,a", "y.png,b"], "none of its 2 images exist: x.png, y.png"),
        (["image,label"], "it has no rows"),
        ([""], "it is empty"),
        (["image,age", "images/1.png,3"], "needs a column label or class.*it has image, age"),
        (["image,label", "images/1.png,"], "line 2 has no label"),
        (["image,label", ",a"], "line 2 has no image"),
        (["image,label", "images/1.png"], "line 2 has no label"),
        (
            ["image,label,split", "images/1.png,a,fold1"],
            "split must be train, val or test, got 'fold1'",
        ),
        (["image,label", "images/1.png,a", "images/2.png,a"], "only one class, a"),
    ],
)
def test_lists_that_cannot_be_used_say_why_in_one_line(folder, lines, message):
    path = write(folder, *lines)
    with pytest.raises(DataError, match=message) as caught:
        open_classification(path, "all")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_an_error(folder):
    (folder / "data.csv").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="not text in UTF-8"):
        open_classification(folder / "data.csv", "all")


def test_among_several_lists_only_data_csv_is_taken(folder):
    write(folder, "image,label", "images/1.png,a", "images/2.png,b", name="other.csv")
    assert len(open_classification(folder, "all")) == 2
    rows = ("images/1.png,a", "images/2.png,b", "images/3.png,b")
    write(folder, "image,label", *rows, name="third.csv")
    with pytest.raises(DataError, match="only one class, images"):
        open_classification(folder, "all")
    write(folder, "image,label", *rows, "images/4.png,b")
    assert len(open_classification(folder, "all")) == 4


def test_a_column_for_each_class(folder):
    """Roboflow's list of a part, and Kaggle's of ids without suffix."""
    rows = ["images/1.png, 1, 0", "images/2.png, 0, 1", "images/3.png, 0, 0"]
    data = open_classification(write(folder, "filename, cat, dog", *rows), "all")
    assert pairs(data) == [("images/1.png", "cat"), ("images/2.png", "dog")]
    assert "data.csv: a column for each class" in data.notes
    assert "1 row of data.csv without a class, left out" in data.notes
    several = write(folder, "image_id,healthy,rust", "1,1,0", "2,1,1")
    with pytest.raises(DataError, match=r"line 3 has several classes \(healthy, rust\)"):
        open_classification(several, "all")


def test_roboflows_lists_in_part_folders(tmp_path):
    for part, name in (("train", "a"), ("train", "b"), ("valid", "c")):
        (tmp_path / part).mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / part / f"{name}.jpg")
    rows = ("filename, cat, dog", "a.jpg, 1, 0", "b.jpg, 0, 1")
    write(tmp_path / "train", *rows, name="_classes.csv")
    write(tmp_path / "valid", "filename, cat, dog", "c.jpg, 0, 1", name="_classes.csv")
    assert pairs(open_classification(tmp_path, "train")) == [
        ("train/a.jpg", "cat"),
        ("train/b.jpg", "dog"),
    ]
    assert pairs(open_classification(tmp_path, "val")) == [("valid/c.jpg", "dog")]


def test_kaggles_lists_of_parts_and_names_without_suffix(folder):
    write(folder, "id,breed", "1,hound", "2,poodle", "9,poodle", name="train.csv")
    write(folder, "id", "3", name="test.csv")
    write(folder, "id,hound,poodle", "3,.5,.5", name="sample_submission.csv")
    data = open_classification(folder, "all")
    assert pairs(data) == [("images/1.png", "hound"), ("images/2.png", "poodle")]
    assert "1 image of train.csv not found, left out: 9" in data.notes
    assert any(note.startswith("test.csv is not used: needs a column") for note in data.notes)


@pytest.mark.parametrize(
    "written", [r"D:\photos\images\{}.png", "/home/me/photos/images/{}.png", "photos/images/{}.png"]
)
def test_paths_of_another_machine(folder, written):
    rows = [f"{written.format(i)},{label}" for i, label in ((1, "a"), (2, "b"))]
    data = open_classification(write(folder, "image,label", *rows), "all")
    assert pairs(data) == [("images/1.png", "a"), ("images/2.png", "b")]
    assert any("found by the end" in note for note in data.notes)


def test_the_one_other_column_is_the_class_and_that_is_said(folder):
    path = write(folder, "photo,mood", "images/1.png,sad", "images/2.png,glad")
    data = open_classification(path, "all")
    assert pairs(data) == [("images/1.png", "sad"), ("images/2.png", "glad")]
    assert "data.csv: the classes are those in the column mood" in data.notes


def test_a_list_of_boxes_is_refused(folder):
    head = "filename,width,height,class,xmin,ymin,xmax,ymax"
    path = write(folder, head, "images/1.png,2,2,cat,0,0,1,1")
    with pytest.raises(DataError, match=r"it has boxes \(columns xmin, xmax\)"):
        open_classification(path, "all")


def test_a_table_of_other_things_beside_class_folders_gives_way(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "1.png")
    write(tmp_path, "name,r,g,b", "a,0,0,0", name="class_dict.csv")
    data = open_classification(tmp_path, "all")
    assert data.classes == ("a", "b")
    said = "class_dict.csv is no list of images and classes, class folders are taken"
    assert said in data.notes
    (tmp_path / "b" / "1.png").unlink()
    (tmp_path / "a" / "1.png").unlink()
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\na,0,1,0\n")
    with pytest.raises(DataError, match=r"class_dict.csv: .*exist: a; and no images in"):
        open_classification(tmp_path, "all")


def grouped(folder: Path, *rows: str) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    lines = []
    for i, row in enumerate(rows):
        Image.new("RGB", (2, 2)).save(folder / "images" / f"{i}.png")
        lines.append(f"images/{i}.png,{row}")
    return write(folder, "image,label,group", *lines)


@pytest.mark.parametrize("seed", range(4))
def test_a_group_is_never_in_two_parts(tmp_path, seed):
    rows = [f"{'ab'[i % 2]},person {i // 6}" for i in range(60)]
    path = grouped(tmp_path, *rows)
    parts = [open_classification(path, part, seed=seed) for part in ("train", "val")]
    train, val = ({*part.groups} for part in parts)
    assert not train & val
    assert len(train | val) == 10
    assert [len(part) for part in parts] == [48, 12]
    assert parts[1].targets.count(0) == 6
    assert parts[0].notes == [
        "20% of each class is held out for validation, about, since 10 groups are kept whole: "
        "the data has no val part of its own"
    ]


def test_images_without_a_group_are_alone_and_a_group_may_span_classes(tmp_path):
    path = grouped(tmp_path, "a,x", "b,x", "a,x", "b,x", *["a,", "b,"] * 7)
    held = set()
    for seed in range(40):
        val = open_classification(path, "val", seed=seed)
        assert {*val.targets} == {0, 1}
        held.add(val.groups.count("x"))
    assert held == {0, 4}


def test_a_class_of_one_group_stays_whole_in_train(tmp_path):
    path = grouped(tmp_path, *["a,x"] * 5, *["b,y", "b,z"] * 2)
    assert open_classification(path, "train").targets.count(0) == 5
    assert {*open_classification(path, "val").targets} == {1}
    path = grouped(tmp_path, "a,x", "a,x", "b,y", "b,y")
    with pytest.raises(DataError, match="no class has a second group, to be held out"):
        open_classification(path, "val")


def test_a_group_in_two_parts_of_a_list_is_counted_and_named(folder):
    rows = ["images/1.png,a,train,x", "images/2.png,b,train,y"]
    write(folder, "image,label,split,group", *rows, "images/3.png,a,val,x", "images/4.png,b,test,x")
    assert (
        "1 group is in several parts of data.csv, so what is measured flatters: "
        "x (train and val and test)"
    ) in open_classification(folder, "train").notes


def test_one_image_in_two_groups_is_an_error(folder):
    rows = ["images/1.png,a,x", "images/1.png,a,y", "images/2.png,b,"]
    with pytest.raises(DataError, match="listed as x in line 2 and as y in line 3"):
        open_classification(write(folder, "image,label,group", *rows), "all")


def test_a_column_called_group_that_is_the_only_one_is_the_class(folder):
    data = open_classification(
        write(folder, "image,group", "images/1.png,cat", "images/2.png,ant"), "all"
    )
    assert data.classes == ("ant", "cat")
    assert data.groups == ()
