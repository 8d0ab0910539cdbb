"""Images with masks: the layouts, the parts, the names of classes."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mobilenets.data.contents import labels_digest
from mobilenets.errors import DataError
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.segment.data import has_masks, open_parts, open_segmentation
from mobilenets.tasks.segment.formats.shapes import ShapeMasks
from tests.data.labelled import image_sets, kinds, names
from tests.tasks.detect.formats.files import put, write
from tests.tasks.segment.formats.files import colours, grey, palette, photo

IDS = [[0, 0, 1, 255], [0, 2, 1, 1], [0, 0, 0, 0]]


@pytest.fixture
def pets(tmp_path):
    """VOC's layout, images 1 .. 6: 1 to 3 for train, 4 val, 5 test, 6 in no list."""
    for i in range(1, 7):
        photo(tmp_path, f"JPEGImages/{i}.jpg")
        palette(tmp_path, f"SegmentationClass/{i}.png", IDS)
        palette(tmp_path, f"SegmentationObject/{i}.png", IDS)
    image_sets(tmp_path / "ImageSets" / "Segmentation", test="5")
    return tmp_path


@pytest.mark.assets
def test_real_roads_are_what_their_files_say(assets):
    root = assets / "camvid"
    parts = open_parts(root)
    for part, images in (("train", 123), ("val", 51)):
        data = open_segmentation(root, part)
        listed = (root / "ImageSets" / "Segmentation" / f"{part}.txt").read_text().split()
        assert sorted(names(data)) == [f"JPEGImages/{name}.jpg" for name in sorted(listed)]
        assert len(data) == len(parts[part]) == images
        assert data.classes[:4] == ("sky", "building", "pole", "road")
        assert len(data.classes) == 11
        assert data.kind == "VOC masks"
        assert data.problems == []
        assert any("CamVid as the SegNet tutorial has it" in note for note in data.notes)
        total = np.zeros(12, np.int64)
        for i in range(0, images, 10):
            stem = data.name(i).removeprefix("JPEGImages/").removesuffix(".jpg")
            with Image.open(root / "SegmentationClass" / f"{stem}.png") as image:
                wanted = np.array(image)
            wanted[wanted == 11] = 255
            assert (data.target(i) == wanted).all()
            assert data.image(i).size == data.image_size(i) == wanted.shape[::-1]
            assert data.pixels_of(i).sum() == wanted.size
        for path in (root / "SegmentationClass" / f"{name}.png" for name in listed):
            with Image.open(path) as image:
                total += np.array(image.histogram()[:12])
        assert (data.pixels() == total).all()  # the file's 11 is void, the last


@pytest.mark.assets
def test_real_objects_with_masks_for_some(assets):
    data = open_segmentation(assets / "coco128", "all")
    assert len(data) == 100
    assert data.classes[:2] == ("background", "aeroplane")
    assert (len(data.classes), data.named, data.kind) == (21, True, "images and masks")
    assert kinds(data) == {"no mask": 28}
    train, val = (open_segmentation(assets / "coco128", part) for part in ("train", "val"))
    assert sorted(names(train) + names(val)) == sorted(names(data))
    assert len(val) == 20
    assert open_segmentation(assets / "coco128", "val", seed=1).files != val.files


def test_a_mask_is_the_files_numbers_and_void(pets):
    data = open_segmentation(pets, "train")
    assert data.target(0).tolist() == IDS
    assert data.target(0).dtype == np.uint8
    assert (len(data.classes), data.classes[1], data.named) == (21, "aeroplane", True)
    assert data.image_size(0) == data.image(0).size == (4, 3)
    assert data.problems[0].kind == "unlisted"


def test_pixels_are_counted_as_one_would_by_hand(pets):
    palette(pets, "SegmentationClass/2.png", [[3, 3, 3, 3], [255, 0, 1, 1], [255, 255, 2, 7]])
    data = open_segmentation(pets, "train")
    count: Counter[int] = Counter()
    for i in range(len(data)):
        own = Counter(data.target(i).ravel().tolist())
        assert data.pixels_of(i).tolist() == [own[c] for c in [*range(21), 255]]
        count += own
    assert data.pixels().tolist() == [count[c] for c in [*range(21), 255]]
    assert data.pixels().dtype == np.int64


def test_the_lists_say_the_parts(pets):
    found = {split: names(open_segmentation(pets, split)) for split in ("train", "val", "test")}
    assert found == {
        "train": [f"JPEGImages/{i}.jpg" for i in (1, 2, 3)],
        "val": ["JPEGImages/4.jpg"],
        "test": ["JPEGImages/5.jpg"],
    }
    assert len(open_segmentation(pets, "all")) == 5
    assert list(open_parts(pets)) == ["train", "val", "test"]
    write(pets / "ImageSets/Segmentation/val.txt", "3\n4\n77\n")
    (pets / "SegmentationClass/1.png").unlink()
    palette(pets, "SegmentationClass/8.png", IDS)
    assert kinds(open_segmentation(pets, "train")) == {
        "overlap": 1,
        "missing": 1,
        "unlisted": 2,
        "no mask": 1,
    }
    assert names(open_segmentation(pets, "train")) == ["JPEGImages/2.jpg"]


def test_a_devkit_is_opened_and_of_several_one_must_be_named(pets, tmp_path_factory):
    root = tmp_path_factory.mktemp("kit")
    pets.rename(root / "VOC2012")
    assert len(open_segmentation(root, "train")) == 3
    (root / "VOC2007" / "SegmentationClass").mkdir(parents=True)
    with pytest.raises(DataError, match="several data sets, give one of them: VOC2007, VOC2012"):
        open_segmentation(root, "train")


LAYOUTS = [
    ("images/{0}.jpg", "masks/{0}.png", ""),
    ("imgs/{0}.jpg", "labels/{0}.png", ""),
    ("images/{0}.jpg", "masks/{0}_mask.png", ""),
    ("images/{0}.jpg", "annotations/trimaps/{0}.png", ""),
    ("images/north/{0}.jpg", "masks/north/{0}.png", ""),
    ("photos/{0}.png", "levels/{0}.png", ""),
    ("{0}.jpg", "{0}.png", ""),
    ("{0}.jpg", "voc21-masks/{0}.png", ""),
    ("{0}.png", "{0}_mask.png", ""),
    ("data/set/JPEGImages/{0}.jpg", "data/set/SegmentationClass/{0}.png", ""),
    ("images/{0}.jpg", "train/masks/{0}.png", "train"),
    ("images/train/{0}.jpg", "masks/train/{0}.png", "train"),
    ("train/images/{0}.jpg", "train/masks/{0}.png", "train"),
    ("train/{0}.jpg", "train_masks/{0}.tif", "train"),
    ("train_images/{0}.jpg", "train_masks/{0}.png", "train"),
    ("images/training/{0}.jpg", "annotations/training/{0}.png", "train"),
    ("train/{0}.jpg", "train/{0}_mask.png", "train"),
    ("train2017/{0}.jpg", "stuffthingmaps/train2017/{0}.png", "train"),
    ("train/{0}.png", "trainannot/{0}.png", "train"),
    ("Train/Urban/images_png/{0}.png", "Train/Urban/masks_png/{0}.png", "train"),
    ("imagesTr/{0}_0000.png", "labelsTr/{0}.png", "train"),
    ("{0}_sat.jpg", "{0}_mask.png", ""),
    ("img/{0}.jpg", "gt/{0}_segmentation.png", ""),
    ("images/img_{0}.jpg", "masks/mask_{0}.png", ""),
    ("images/image_{0}.jpg", "labels/label-{0}.png", ""),
    ("images/{0}.jpg", "masks/{0}.jpg.png", ""),
    ("images/train2017/{0}.jpg", "annotations/stuff_train2017_pixelmaps/{0}.png", "train"),
]


@pytest.mark.parametrize(("image", "mask", "part"), LAYOUTS)
def test_folders_of_images_and_masks(tmp_path, image, mask, part):
    for i in range(3):
        photo(tmp_path, image.format(f"a{i}"))
        grey(tmp_path, mask.format(f"a{i}"), [[i, 1, 2, 3]] * 3)
    assert has_masks(tmp_path)
    [(found, data)] = open_parts(tmp_path).items()
    assert found == (part or "all")
    assert data.kind == ("COCO masks" if "2017" in mask else _kind(mask))
    assert [data.target(i).tolist() for i in range(3)] == [[[i, 1, 2, 3]] * 3 for i in range(3)]
    assert [data.image(i).mode for i in range(3)] == ["RGB"] * 3
    assert data.problems == []
    assert data.classes == ("0", "1", "2", "3")
    assert not data.named
    assert any("called by their ids" in note for note in data.notes)


def _kind(mask: str) -> str:
    return "VOC masks" if "SegmentationClass" in mask else "images and masks"


def test_masks_for_looking_at_are_not_taken_and_what_is_left_out_is_said(tmp_path):
    for i in range(3):
        photo(tmp_path, f"images/{i}.jpg")
        colours(tmp_path, f"labels_colored/{i}.png", [[[9, 1, 200]] * 4] * 3)
        if i:
            grey(tmp_path, f"labels/{i}.png", IDS)
    data = open_segmentation(tmp_path, "all")
    assert len(data) == 2
    assert kinds(data) == {"no mask": 1}
    assert any("masks those of labels; left out: labels_colored (3 files)" in n for n in data.notes)


def test_pictures_of_masks_give_way_to_masks(tmp_path):
    for i in range(3):
        photo(tmp_path, f"images/{i}.jpg")
        photo(tmp_path, f"segmentation/{i}.jpg")
        if i:
            grey(tmp_path, f"gt/{i}.png", IDS)
    data = open_segmentation(tmp_path, "all")
    assert data.target(0).tolist() == IDS
    assert kinds(data) == {"no mask": 1}


def test_two_folders_of_masks_are_not_each_others_images(tmp_path):
    for i in range(3):
        grey(tmp_path, f"masks/{i}.png", IDS)
        grey(tmp_path, f"labels/{i}.png", [[i, 1, 1, 1]] * 3)
        if i:
            photo(tmp_path, f"rgb/{i}.jpg")
    data = open_segmentation(tmp_path, "all")
    assert names(data) == ["rgb/1.jpg", "rgb/2.jpg"]
    assert data.target(0).tolist() == IDS
    assert kinds(data) == {"stray mask": 1}


def test_text_beside_images_is_not_masks_and_masks_in_labels_are_no_boxes(tmp_path):
    put(tmp_path, "images/a.jpg")
    write(tmp_path / "labels/a.txt", "0 .5 .5 .1 .1\n")
    assert not has_masks(tmp_path)
    with pytest.raises(DataError, match="no masks found; expected VOC"):
        open_segmentation(tmp_path, "all")
    for i in range(10):  # grey pictures in folders of classes
        grey(tmp_path / "digits", f"{i}/a.png", IDS)
    assert not has_masks(tmp_path / "digits")


def test_images_are_held_out_by_their_names(tmp_path):
    for i in range(10):
        photo(tmp_path, f"images/{i}.jpg")
        grey(tmp_path, f"masks/{i}.png", IDS)
    train, val = open_segmentation(tmp_path, "train"), open_segmentation(tmp_path, "val")
    assert len(val) == 2
    assert sorted(names(train) + names(val)) == [f"images/{i}.jpg" for i in range(10)]
    assert any("2 images are held out for validation" in note for note in train.notes)
    assert names(open_segmentation(tmp_path, "eval")) == names(val)
    assert len(open_segmentation(tmp_path, "val", val_fraction=0.5)) == 5
    # Other masks with as many pixels of each class are noticed, as when a run is resumed.
    before = labels_digest(train)
    assert labels_digest(open_segmentation(tmp_path, "train")) == before
    grey(tmp_path, names(train)[2].replace("images", "masks").replace("jpg", "png"), IDS[::-1])
    again = open_segmentation(tmp_path, "train")
    assert again.pixels().tolist() == train.pixels().tolist()
    assert labels_digest(again) != before


def test_shapes_have_the_pixels_of_their_objects():
    data, objects = ShapeMasks("val"), ShapeObjects("val")
    assert data.classes == ("background", *objects.classes)
    assert len(data) == len(objects) == 256
    for i in range(5):
        mask, boxes = data.target(i), objects.target(i)
        assert mask.shape == (128, 128)
        assert set(np.unique(mask)) - {0} <= set((boxes.labels + 1).tolist())
        inside = np.zeros_like(mask, bool)
        for left, top, right, bottom in boxes.boxes.round().astype(int).tolist():
            inside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
        assert inside[mask > 0].all()
        assert data.name(i) == objects.name(i)
        assert data.image(i).tobytes() == objects.image(i).tobytes()
        assert data.pixels_of(i).tolist() == [
            int((mask == label).sum()) for label in [*range(9), 255]
        ]
        mask[:] = 3  # what is given away is a copy
        assert (data.target(i) != 3).any()
    assert ShapeMasks("val", size=40).image_size(0) == (40, 40)
    with pytest.raises(ValueError, match="size must be"):
        ShapeMasks(size=3)


def test_the_word_shapes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert has_masks("shapes")
    assert len(open_segmentation("shapes", "all")) == 1280
    assert len(open_segmentation("shapes", "eval")) == 256
    assert list(open_parts("shapes")) == ["train", "val"]
    assert len(open_segmentation("shapes", "test")) == 256


@pytest.mark.parametrize(
    ("path", "split", "fraction", "error", "message"),
    [
        ("nowhere", "train", 0.2, DataError, "nowhere: no such data folder"),
        ("shapes", "half", 0.2, ValueError, "split must be train, val, test, all or eval"),
        ("shapes", "train", 1.0, ValueError, "val_fraction must be between 0 and 1"),
    ],
)
def test_arguments_that_are_wrong(path, split, fraction, error, message):
    with pytest.raises(error, match=message):
        open_segmentation(path, split, val_fraction=fraction)


def test_a_part_that_is_not_there(tmp_path):
    photo(tmp_path, "images/train/a.jpg")
    grey(tmp_path, "masks/train/a.png", IDS)
    with pytest.raises(DataError, match="no images for test; it has 1 for train"):
        open_segmentation(tmp_path, "test")


def test_one_image_leaves_none_for_validation_and_that_is_said(tmp_path):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", IDS)
    with pytest.raises(DataError, match="it has 1 for all: one image alone is too few"):
        open_segmentation(tmp_path, "val")


def test_names_that_do_not_pair_at_all_are_shown(tmp_path):
    for i in range(3):
        photo(tmp_path, f"images/a{i}.jpg")
        grey(tmp_path, f"masks/b{i}.png", IDS)
    said = "no image and mask have a name in common, such as images/a0.jpg and masks/b0.png"
    with pytest.raises(DataError, match=said):
        open_segmentation(tmp_path, "train")


def test_fastais_camvid_says_its_parts_and_names_beside_the_folders(tmp_path):
    for i in range(4):
        photo(tmp_path, f"images/0001TP_{i}.png")
        grey(tmp_path, f"labels/0001TP_{i}_P.png", [[0, 1, 2, 1]] * 3)
    write(tmp_path / "codes.txt", "Animal\nArchway\nVoid\n")
    write(tmp_path / "valid.txt", "0001TP_1.png\n0001TP_3.png\n")
    parts = open_parts(tmp_path)
    assert {part: names(data) for part, data in parts.items()} == {
        "train": ["images/0001TP_0.png", "images/0001TP_2.png"],
        "val": ["images/0001TP_1.png", "images/0001TP_3.png"],
    }
    assert parts["train"].classes == ("Animal", "Archway")
    assert parts["train"].target(0).tolist() == [[0, 1, 255, 1]] * 3
    assert parts["train"].notes == ["the parts are by valid.txt"]
    write(tmp_path / "train.txt", "0001TP_0.png\n")
    data = open_segmentation(tmp_path, "all")
    assert names(data) == [f"images/0001TP_{i}.png" for i in (0, 1, 3)]
    assert kinds(data) == {"unlisted": 1}
    (tmp_path / "train.txt").unlink()
    write(tmp_path / "valid.txt", "these are\nother words\n")
    assert list(open_parts(tmp_path)) == ["all"]
