"""Which ids in masks are which classes: from files, palettes, frames' names, or numbers."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.tasks.segment.data import open_segmentation
from mobilenets.tasks.segment.formats import images as module
from tests.tasks.detect.formats.files import coco, write
from tests.tasks.segment.formats.files import (
    colours,
    grey,
    grey16,
    palette,
    photo,
    save,
    voc_colour,
)

IDS = [[0, 0, 1, 255], [0, 2, 1, 1], [0, 0, 0, 0]]


def test_a_file_names_the_classes_by_their_lines_and_void_is_no_class(tmp_path):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", [[0, 1, 2, 3], [4, 255, 3, 3], [0, 0, 0, 0]])
    write(tmp_path / "classes.txt", "Unlabeled\nroad\nVOID\ncar\n")
    data = open_segmentation(tmp_path, "all")
    assert (data.classes, data.named) == (("road", "car"), True)
    assert data.target(0).tolist() == [[255, 0, 255, 1], [255, 255, 1, 1], [255] * 4]
    assert data.pixels().tolist() == [1, 3, 8]
    [problem] = data.problems
    assert problem.sentence == (
        "1 mask has ids that are no class, which are taken as void: masks/a.png (id 4)"
    )


def test_wide_ids_are_classes_where_a_file_names_them(tmp_path):
    photo(tmp_path, "images/a.jpg")
    grey16(tmp_path, "masks/a.png", [[0, 300, 7, 255]] * 3)
    write(tmp_path / "labels.txt", "0: ground\n300: roof\n1000: wall\n")
    data = open_segmentation(tmp_path, "all")
    assert data.classes == ("ground", "roof", "wall")
    assert data.target(0).tolist() == [[0, 1, 255, 255]] * 3
    assert "1 class has no pixels in all: wall" in data.notes
    assert [(one.kind, one.count) for one in data.problems] == [("out of range", 1)]


def test_masks_for_training_are_not_read_where_a_file_names_the_classes(tmp_path, monkeypatch):
    for part in ("train", "val"):
        photo(tmp_path, f"images/{part}/a.jpg")
        grey(tmp_path, f"masks/{part}/a.png", IDS)
    read = []
    real = module.read_mask

    def noted(path, *given, **options):
        read.append(path)
        return real(path, *given, **options)

    monkeypatch.setattr(module, "read_mask", noted)
    write(tmp_path / "classes.txt", "a\nb\nc\n")
    open_segmentation(tmp_path, "val")
    assert read == [tmp_path / "masks/val/a.png"]
    (tmp_path / "classes.txt").unlink()
    open_segmentation(tmp_path, "val")  # and what was read is not read again
    assert read[1:] == [tmp_path / "masks/train/a.png"]


def test_roboflows_list_of_classes(tmp_path):
    for part in ("train", "valid"):
        photo(tmp_path, f"{part}/a.jpg")
        grey(tmp_path, f"{part}/a_mask.png", [[0, 1, 2, 2]] * 3)
        write(tmp_path / part / "_classes.csv", "Pixel Value, Class\n0, background\n1, x\n2, y y\n")
    assert open_segmentation(tmp_path, "val").classes == ("background", "x", "y y")
    write(tmp_path / "train/_classes.csv", "Pixel Value, Class\nx\n")
    with pytest.raises(DataError, match=r"_classes.csv: expected lines of `id, name`"):
        open_segmentation(tmp_path, "val")
    write(tmp_path / "train/_classes.csv", "Pixel Value, Class\n0, x\n-1, y\n")
    with pytest.raises(DataError, match=r"_classes.csv: ids must be 0 to 65535, got -1 for 'y'"):
        open_segmentation(tmp_path, "val")


@pytest.mark.parametrize("stuff", [False, True])
def test_coco_names_by_its_categories(tmp_path, stuff):
    folder = "stuffthingmaps/val2017" if stuff else "annotations/stuff_val2017_pixelmaps"
    photo(tmp_path, "val2017/1.jpg")
    grey(tmp_path, f"{folder}/1.png", np.array([[1, 3, 3, 200]] * 3) - stuff)
    categories = [{"id": 3, "name": "grass"}, {"id": 1, "name": "person"}, {"id": 200, "name": "x"}]
    coco(tmp_path / "annotations/stuff_val2017.json", ["1.jpg"], [], categories)
    data = open_segmentation(tmp_path, "val")
    assert data.classes == ("person", "grass", "x")
    assert data.target(0).tolist() == [[0, 1, 1, 2]] * 3
    assert data.kind == "COCO masks"
    [note] = [note for note in data.notes if "names are those of stuff_val2017.json" in note]
    assert ("one more than in the masks" in note) == stuff
    write(tmp_path / "annotations/stuff_val2017.json", '{"images": [')
    with pytest.raises(DataError, match=r"stuff_val2017.json: not JSON, or cut short"):
        open_segmentation(tmp_path, "val")


def one_masked(root, values, names, text):
    """One photograph, its mask of `values`, and a file of names."""
    photo(root, "images/1.jpg")
    grey(root, "masks/1.png", [values] * 3)
    write(root / names, text)
    return open_segmentation(root, "all")


def test_where_categories_begin_at_one_zero_is_void(tmp_path):
    text = '[{"id": 2, "name": "person"}, {"id": 7, "name": "x"}]'
    data = one_masked(tmp_path, [0, 2, 7, 255], "categories.json", text)
    assert data.target(0).tolist() == [[255, 0, 1, 255]] * 3
    assert data.problems == []
    assert data.notes == ["names are those of categories.json, which has no id 0: that is void"]


def test_one_less_than_the_categories_is_seen_from_the_ids(tmp_path):
    text = '[{"id": 1, "name": "person"}, {"id": 3, "name": "grass"}]'
    data = one_masked(tmp_path, [0, 2, 2, 255], "categories.json", text)
    assert data.target(0).tolist() == [[0, 1, 1, 255]] * 3


@pytest.mark.parametrize(
    ("name", "text", "classes", "target"),
    [
        # A file that names id 0 has the masks' own ids; lines say theirs as they are.
        ("stuffthingmaps/1.png", "0: person\n1: bicycle\n2: car", "person bicycle car", [0, 1, 2]),
        ("masks/1.png", "1: person\n2: bicycle\n3: car", "person bicycle car", [255, 0, 1]),
        # COCO-Stuff's own list.
        ("stuffthingmaps/1.png", "0: unlabeled\n1: person\n2: x\n3: y", "person x y", [0, 1, 2]),
    ],
)
def test_ids_in_a_list_of_names(tmp_path, name, text, classes, target):
    photo(tmp_path, "images/1.jpg")
    grey(tmp_path, name, [[0, 1, 2, 255]] * 3)
    write(tmp_path / "labels.txt", text)
    data = open_segmentation(tmp_path, "all")
    assert " ".join(data.classes) == classes
    assert data.target(0)[0].tolist() == [*target, 255]


def test_categories_that_cannot_be_are_named(tmp_path):
    photo(tmp_path, "images/1.jpg")
    grey(tmp_path, "masks/1.png", [[0, 1, 2, 255]] * 3)
    for extra, message in (
        ({"id": 1, "name": "c"}, "two names for id 1: b, c"),
        ({"id": 70000, "name": "c"}, "ids must be 0 to 65535, got 70000 for 'c'"),
        ({"id": 7}, "categories without a name: id 7"),
        ({"id": "x", "name": "c"}, "categories whose id is no whole number: c"),
        ({"id": 1.5, "name": "c"}, "categories whose id is no whole number: c"),
    ):
        entries = [{"id": "0", "name": "a"}, {"id": 1.0, "name": "b"}, extra]
        path = write(tmp_path / "categories.json", json.dumps(entries))
        with pytest.raises(DataError, match=message) as caught:
            open_segmentation(tmp_path, "all")
        assert str(path) in str(caught.value)
    # A file of that name that is about something else.
    write(tmp_path / "categories.json", '[{"id": 1}, {"id": 1}]')
    assert open_segmentation(tmp_path, "all").classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\nb\n", "line 2 is empty"),
        ("a\nb\na\n", "a name for two ids: a"),
        ("a\nvoid\n", "2 to 255 classes besides void, got 1"),
        ("", "got 0"),
        (
            "\n".join(map(str, range(255))) + "\nlast\n",
            "id 255 is always void, and no class 'last'",
        ),
        ("\n".join(f"{i}: c{i}" for i in range(256, 600)), "got 344"),
        (b"\xff\xfe\0", "not text in UTF-8"),
        ("0: a\n1: b\n70000: c\n", "ids must be 0 to 65535, got 70000 for 'c'"),
        ("0: a\n1: b\n1: c\n", "two names for id 1: b, c"),
    ],
)
def test_a_list_of_names_that_cannot_be_is_named(tmp_path, text, message):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", IDS)
    path = write(tmp_path / "classes.txt", text)
    with pytest.raises(DataError, match=message) as caught:
        open_segmentation(tmp_path, "all")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (None, ("0", "255")),
        ("background\npolyp\n", ("background", "polyp")),
        ("polyp\n", ("background", "polyp")),
        ("0: ground\n255: polyp\n", ("ground", "polyp")),
    ],
)
def test_masks_of_0_and_255_alone_are_two_classes_and_that_is_said(tmp_path, names, classes):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", [[0, 255, 255, 0]] * 3)
    if names:
        write(tmp_path / "classes.txt", names)
    data = open_segmentation(tmp_path, "all")
    assert (data.classes, data.named) == (classes, names is not None)
    assert data.target(0).tolist() == [[0, 1, 1, 0]] * 3
    assert data.pixels().tolist() == [6, 6, 0]
    said = f"masks hold 0 and 255 alone: two classes, {classes[0]} and {classes[1]}; 255 is void"
    assert any(note.startswith(said) for note in data.notes)
    assert data.problems == []


def test_255_is_void_where_there_are_other_classes(tmp_path):
    for name, ids in (("a", [0, 255, 255, 0]), ("b", [0, 255, 1, 0])):
        photo(tmp_path, f"images/{name}.jpg")
        grey(tmp_path, f"masks/{name}.png", [ids] * 3)
    write(tmp_path / "classes.txt", "background\npolyp\n")
    data = open_segmentation(tmp_path, "all")
    assert data.target(0).tolist() == [[0, 255, 255, 0]] * 3
    assert data.pixels().tolist() == [12, 3, 9]


def test_a_class_that_only_the_other_part_has_is_not_made_up(tmp_path):
    for part, ids in (("train", [0, 255, 255, 0]), ("val", [0, 255, 1, 7])):
        photo(tmp_path, f"images/{part}/a.jpg")
        grey(tmp_path, f"masks/{part}/a.png", [ids] * 3)
    data = open_segmentation(tmp_path, "val")
    assert data.target(0).tolist() == [[0, 1, 255, 255]] * 3
    assert [problem.sentence for problem in data.problems] == [
        "1 mask has ids that are no class, which are taken as void: masks/val/a.png (ids 1, 7)"
    ]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_blurred_masks_of_two_classes_are_told_apart_and_that_is_said(tmp_path, suffix):
    disc = np.hypot(*np.mgrid[-32:32, -32:32]) < 20
    for i in range(3):
        photo(tmp_path, f"images/{i}.jpg", (64, 64))
        soft = Image.fromarray(np.where(disc, 255, 0).astype(np.uint8)).resize((256, 256))
        save(tmp_path, f"masks/{i}.{suffix}", soft.resize((64, 64), Image.Resampling.BICUBIC))
    data = open_segmentation(tmp_path, "all")
    assert data.classes == ("0", "255")
    assert (data.target(0) == disc).mean() > 0.99
    assert any("blurred: below 128" in note for note in data.notes)
    assert data.problems == []


def test_a_jpeg_is_no_mask_of_more_classes(tmp_path):
    for i in range(3):
        photo(tmp_path, f"images/{i}.jpg")
        save(tmp_path, f"masks/{i}.jpg", Image.fromarray(np.array([[0, 1, 2, 3]] * 3, np.uint8)))
    write(tmp_path / "classes.txt", "a\nb\nc\nd\n")
    with pytest.raises(DataError, match=r"3 masks cannot be used, .*a JPEG, which does not keep"):
        open_segmentation(tmp_path, "all")


def test_vocs_colours_have_vocs_names_and_other_palettes_numbers(tmp_path):
    photo(tmp_path, "images/a.jpg")
    seen = [[voc_colour(i) for i in row] for row in IDS]
    colours(tmp_path, "masks/a.png", seen)
    data = open_segmentation(tmp_path, "all")
    assert data.target(0).tolist() == IDS
    assert data.classes[15] == "person"
    palette(tmp_path, "masks/a.png", [[0, 21, 1, 1]] * 3)
    assert open_segmentation(tmp_path, "all").classes == tuple(map(str, range(22)))


def test_camvid_is_known_by_its_frames_and_ids(tmp_path):
    for name in ("0001TP_1", "0006R0_2", "0016E5_3", "Seq05VD_4"):
        photo(tmp_path, f"images/{name}.jpg")
        grey(tmp_path, f"masks/{name}.png", [[0, 10, 11, 255]] * 3)
    data = open_segmentation(tmp_path, "all")
    assert data.classes[10] == "bicyclist"
    assert data.target(0).tolist() == [[0, 10, 255, 255]] * 3
    assert data.problems == []
    grey(tmp_path, "masks/0001TP_1.png", [[0, 12, 11, 255]] * 3)
    assert open_segmentation(tmp_path, "all").classes == tuple(map(str, range(13)))


def test_more_ids_than_classes_can_be_are_void_and_that_is_said(tmp_path):
    photo(tmp_path, "images/a.jpg")
    photo(tmp_path, "images/a.jpg", (301, 3))
    grey16(tmp_path, "masks/a.png", [range(301)] * 3)
    data = open_segmentation(tmp_path, "all")
    assert len(data.classes) == 255
    assert data.target(0)[0, [0, 254, 255, 300]].tolist() == [0, 254, 255, 255]
    said = "masks have at most 255 classes: ids from 255 on are void, the greatest is 300"
    assert any(said in note for note in data.notes)


def test_few_ids_far_apart_are_the_classes(tmp_path):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", [[0, 76, 150, 255]] * 3)
    data = open_segmentation(tmp_path, "all")
    assert data.classes == ("0", "76", "150")
    assert data.target(0).tolist() == [[0, 1, 2, 255]] * 3
    said = "masks hold few ids, so only those are classes: 0, 76, 150; 255 is taken as void"
    assert said in data.notes


RED, GREEN, BLACK = (250, 50, 83), (0, 128, 0), (0, 0, 0)
LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\ndog:0,128,0::\n"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labelmap.txt", LABELMAP),
        ("label_colors.txt", "0 0 0\t\tbackground\n250 50 83\tcat\n0 128 0\tdog\n"),
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncat,250,50,83\ndog,0,128,0\n"),
        ("class_dict.csv", "name, r, g, b\nbackground, 0, 0, 0\ncat, 250, 50, 83\ndog, 0,128,0\n"),
    ],
)
@pytest.mark.parametrize("stored", ["colours", "palette"])
def test_masks_in_the_colours_of_a_file(tmp_path, file, text, stored):
    photo(tmp_path, "JPEGImages/a.jpg")
    seen = np.array([[BLACK, RED, GREEN, RED]] * 3, np.uint8)
    path = colours(tmp_path, "SegmentationClass/a.png", seen)
    if stored == "palette":  # numbers that are not the lines'
        with Image.open(path) as image:
            image.convert("P", palette=Image.Palette.ADAPTIVE, colors=3).save(path)
    write(tmp_path / file, text)
    data = open_segmentation(tmp_path, "all")
    assert data.classes == ("background", "cat", "dog")
    assert data.target(0).tolist() == [[0, 1, 2, 1]] * 3
    assert f"masks are read by the colours in {file}" in data.notes
    assert data.problems == []


@pytest.mark.parametrize(
    ("file", "more", "where"),
    [
        ("labelmap.txt", "# a remark\n\nbird:1,2::\n", "line 7 (bird:1,2::)"),
        ("class_dict.csv", "bird,1,,2\n", "line 5 (bird,1,,2)"),
        ("obj_class_to_machine_color.json", '"bird": [1, 2]', "bird ([1, 2])"),
    ],
)
def test_what_names_no_colour_is_said(tmp_path, file, more, where):
    photo(tmp_path, "images/a.jpg")
    colours(tmp_path, "masks/a.png", [[BLACK, RED, GREEN, RED]] * 3)
    entries = '"background": [0, 0, 0], "cat": [250, 50, 83], "dog": [0, 128, 0]'
    text = {
        "labelmap.txt": LABELMAP + more,
        "class_dict.csv": f"name,r,g,b\nbackground,0,0,0\ncat,250,50,83\ndog,0,128,0\n{more}",
        "obj_class_to_machine_color.json": f"{{{entries}, {more}}}",
    }[file]
    write(tmp_path / file, text)
    data = open_segmentation(tmp_path, "all")
    assert data.classes == ("background", "cat", "dog")
    said = f"masks are read by the colours in {file}; no name with a colour, left out: {where}"
    assert said in data.notes


def test_a_colour_that_nothing_names_is_named(tmp_path):
    for i, last in enumerate([RED, (1, 2, 3)]):
        photo(tmp_path, f"images/{i}.jpg")
        colours(tmp_path, f"masks/{i}.png", [[BLACK, RED, GREEN, last]] * 3)
    write(tmp_path / "labelmap.txt", LABELMAP)
    data = open_segmentation(tmp_path, "all")
    assert len(data) == 1
    assert data.problems[0].names == (
        "masks/1.png (in colours that labelmap.txt does not name: (1, 2, 3))",
    )
    write(tmp_path / "labelmap.txt", LABELMAP + "cow:0,128,0::\n")
    with pytest.raises(DataError, match=r"two names for the colour \(0, 128, 0\): dog, cow"):
        open_segmentation(tmp_path, "all")


def test_numbers_beside_a_file_of_colours_are_its_lines(tmp_path):
    text = "name,r,g,b\nvoid,0,0,0\ncat,250,50,83\ndog,0,128,0\n"
    data = one_masked(tmp_path, [0, 1, 2, 1], "class_dict.csv", text)
    assert data.classes == ("cat", "dog")
    assert data.target(0).tolist() == [[255, 0, 1, 0]] * 3
    assert "masks hold numbers: names are those of class_dict.csv, by their order" in data.notes


def test_superviselys_numbers(tmp_path):
    photo(tmp_path, "set/img/a.jpg")
    grey(tmp_path, "set/masks_machine/a.jpg.png", [[0, 3, 5, 5]] * 3)
    colours(tmp_path, "set/masks_human/a.jpg.png", [[BLACK, RED, GREEN, GREEN]] * 3)
    write(
        tmp_path / "set/obj_class_to_machine_color.json",
        '{"cat": [3, 3, 3], "neutral": [0, 0, 0], "dog": [5, 5, 5]}',
    )
    data = open_segmentation(tmp_path, "all")
    assert data.classes == ("cat", "neutral", "dog")
    assert data.target(0).tolist() == [[1, 0, 2, 2]] * 3


def test_ade20k_names_its_ids_and_zero_is_void(tmp_path):
    photo(tmp_path, "images/training/a.jpg")
    grey(tmp_path, "annotations/training/a.png", [[0, 1, 2, 3]] * 3)
    rows = [f"{i}\t.1\t9\t2\t1\t{name}" for i, name in enumerate(["", "wall", "house, inn", "sky"])]
    rows[0] = "Idx\tRatio\tTrain\tVal\tStuff\tName"
    write(tmp_path / "objectInfo150.txt", "\n".join(rows))
    data = open_segmentation(tmp_path, "train")
    assert data.classes == ("wall", "house", "sky")
    assert data.target(0).tolist() == [[255, 0, 1, 2]] * 3
    assert data.problems == []


def city(root, kinds, cities=("bonn", "ulm")):
    """Two cities for train and one for val; rows of two pixels of road, one of car, one of void."""
    ids = {"labelIds": (7, 26, 0), "labelTrainIds": (0, 13, 255), "instanceIds": (7, 26001, 0)}
    seen = {"color": ((128, 64, 128), (0, 0, 142), (0, 0, 0))}
    for part, places in (("train", cities), ("val", cities[:1])):
        for place in places:
            name = f"{place}_000001_000019"
            photo(root, f"leftImg8bit/{part}/{place}/{name}_leftImg8bit.png")
            for kind in kinds:
                file = f"gtFine/{part}/{place}/{name}_gtFine_{kind}.png"
                road, car, void = (ids | seen)[kind]
                row = [road, road, car, void]
                make = {"color": colours, "instanceIds": grey16}.get(kind, grey)
                make(root, file, [row] * 3)


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        (("labelIds", "labelTrainIds", "instanceIds", "color"), "labelTrainIds"),
        (("labelIds", "instanceIds", "color"), "labelIds"),
        (("instanceIds", "color"), "color"),
    ],
)
@pytest.mark.parametrize("around", [False, True])
def test_cityscapes(tmp_path, kinds, taken, around):
    city(tmp_path, kinds)
    if around:  # as some archives have it
        (tmp_path / "imgsFine").mkdir()
        (tmp_path / "leftImg8bit").rename(tmp_path / "imgsFine" / "leftImg8bit")
    data = open_segmentation(tmp_path, "train")
    assert len(data) == 2
    assert len(open_segmentation(tmp_path, "val")) == 1
    assert len(data.classes) == 19
    assert [data.classes[i] for i in (0, 13, 18)] == ["road", "car", "bicycle"]
    assert data.target(0).tolist() == [[0, 0, 13, 255]] * 3
    assert data.masks[0].endswith(f"_gtFine_{taken}.png")
    assert data.problems == []
    if taken != "color":
        said = f"masks are Cityscapes' {taken}: its 19 classes, and void for other ids"
        assert said in data.notes
    left = [note for note in data.notes if "left out: " in note]
    assert all(kind in left[0] for kind in kinds if kind != taken)


def test_masks_of_one_class_and_void_are_nothing_to_train_on(tmp_path):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", [[0, 255, 255, 0]] * 3)
    write(tmp_path / "classes.txt", "background\npolyp\ntool\n")
    with pytest.raises(DataError, match=r"is background or void \(50%\); the classes are"):
        open_segmentation(tmp_path, "train")
    data = open_segmentation(tmp_path, "all")
    assert "2 classes have no pixels in all: polyp, tool" in data.notes
