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
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
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
