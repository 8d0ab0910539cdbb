import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import open_detection
from mobilenets.tasks.detect.formats.yolo.names import names_in, read_yaml
from tests.data.labelled import kinds, names
from tests.tasks.detect.formats.files import WRONG_BOXES, put, write


@pytest.fixture
def pets(tmp_path):
    put(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg")
    write(tmp_path / "labels/a.txt", "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.1 0.2\n")
    write(tmp_path / "labels/b.txt", "")
    write(tmp_path / "classes.txt", "cat\ndog\n")
    return tmp_path


@pytest.mark.assets
def test_real_images_are_what_their_files_say(assets):
    root = assets / "coco128"
    data = open_detection(root, "all")
    files = sorted((root / "images").iterdir())
    assert data.kind == "YOLO text"
    assert not data.named
    assert data.classes == tuple(map(str, range(80)))
    assert names(data) == [f"images/{file.name}" for file in files]
    total = 0
    for i, file in enumerate(files):
        label = root / "labels" / f"{file.stem}.txt"
        lines = label.read_text().splitlines() if label.exists() else []
        target = data.target(i)
        with Image.open(file) as image:
            width, height = image.size
        assert data.image_size(i) == (width, height)
        rows = np.array([list(map(float, line.split())) for line in lines]).reshape(-1, 5)
        total += len(rows)
        assert target.labels.tolist() == rows[:, 0].tolist()
        left, top, right, bottom = target.boxes.T
        assert (left + right) / 2 / width == pytest.approx(rows[:, 1], abs=2e-3)
        assert (bottom - top) / height == pytest.approx(rows[:, 4], abs=4e-3)
    assert total == 929
    assert kinds(data) == {"no file": 2, "no objects": 2}


def test_shares_become_pixels(pets):
    data = open_detection(pets, "all")
    assert data.classes == ("cat", "dog")
    assert data.named
    boxes = data.target(0).boxes
    assert boxes[0].tolist() == [15, 10, 45, 30]
    assert boxes[1] == pytest.approx([12, 6, 18, 14])
    assert len(data.target(1).boxes) == len(data.target(2).boxes) == 0
    assert kinds(data) == {"no file": 1, "no objects": 2}


def test_shares_are_of_the_upright_image(pets):
    put(pets, "images/a.jpg", turned=6)
    data = open_detection(pets, "all")
    assert data.image(0).size == data.image_size(0) == (40, 60)
    assert data.target(0).boxes[0].tolist() == [10, 15, 30, 45]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{}/a.jpg", "labels/{}/a.txt"),
        ("{}/images/a.jpg", "{}/labels/a.txt"),
        ("{}/a.jpg", "{}/a.txt"),
        ("images/{}2017/a.jpg", "labels/{}2017/a.txt"),
        ("coco/images/{}/a.jpg", "coco/labels/{}/a.txt"),
    ],
)
def test_layouts(tmp_path, image, label):
    for part in ("train", "valid"):
        put(tmp_path, image.format(part))
        write(tmp_path / label.format(part), f"{'tv'.index(part[0])} 0.5 0.5 0.5 0.5\n")
    put(tmp_path, "results.png", "images/.hidden.jpg")
    write(tmp_path / "data.yaml", "names: [cat, dog]\n")
    assert names(open_detection(tmp_path, "train"))[0] == image.format("train")
    data = open_detection(tmp_path, "val")
    assert names(data) == [image.format("valid")]
    assert data.target(0).labels.tolist() == [1]


def test_files_beside_their_images(tmp_path):
    put(tmp_path, "obj_train_data/a.jpg", "obj_train_data/b.jpg")
    write(tmp_path / "obj_train_data/a.txt", "0 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "obj.names", "cell\n")
    data = open_detection(tmp_path, "all")
    assert data.classes == ("cell",)
    assert [len(data.target(i).labels) for i in range(2)] == [1, 0]


def test_a_data_yaml_says_where_the_parts_are(pets):
    put(pets, "more/images/d.jpg")
    write(pets / "more/labels/d.txt", "1 0.5 0.5 0.5 0.5\n")
    write(pets / "list.txt", "images/a.jpg\n./images/b.jpg\n")
    text = "train: list.txt\nval: ../more/images\nnc: 2\nnames:\n  0: cat  # first\n  1: 'dog'\n"
    for path in (write(pets / "data.yaml", text), pets):
        assert names(open_detection(path, "train")) == ["images/a.jpg", "images/b.jpg"]
        assert names(open_detection(path, "val")) == ["more/images/d.jpg"]


def test_a_data_yaml_of_another_machine_or_with_one_folder_for_both(pets):
    write(pets / "data.yaml", "train: /nowhere/train\nval: /nowhere/val\nnames: [cat, dog]\n")
    data = open_detection(pets, "train")
    assert len(data) == 2
    assert any("/nowhere/train, where there are no images" in note for note in data.notes)
    write(pets / "data.yaml", "train: images\nval: images\nnames: [cat, dog]\n")
    train, val = open_detection(pets, "train"), open_detection(pets, "val")
    assert sorted(names(train) + names(val)) == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    assert any("no part of its own" in note for note in train.notes)


def test_everything_wrong_is_counted_and_kept_out(pets):
    lines = [
        *("0 .5 .5 .2 .2", "0 .5 .5 .2 .2", "1 .5 .5 .2 .2", "0 0 0 .2 .2", "0 2 2 .1 .1"),
        *("0 .5 .5 -.2 .2", "0 .5 .5 0 .2", "0 nan .5 .2 .2", "0 inf .5 .2 .2", "2 .5 .5 .2 .2"),
        *("-1 .5 .5 .2 .2", "0.5 .5 .5 .2 .2", "nan .5 .5 .2 .2", "1e30 .5 .5 .2 .2", "", "  "),
        *("0 .5 .5 1.01 1.02", "0 .1 .1 .2 .1 .2 .3"),
    ]
    write(pets / "labels/a.txt", "\n".join(lines))
    write(pets / "labels/stray.txt", "0 .5 .5 .2 .2")
    write(pets / "labels/classes.txt", "cat")
    data = open_detection(pets, "all")
    assert np.allclose(
        data.target(0).boxes,
        [
            *([24, 16, 36, 24], [24, 16, 36, 24], [0, 0, 6, 4], [0, 0, 60, 40], [6, 4, 12, 12]),
        ],
        atol=1e-5,
    )
    assert data.target(0).labels.tolist() == [0, 1, 0, 0, 0]
    assert kinds(data) == {
        "no file": 1,
        "stray": 1,
        "unknown class": 5,
        **WRONG_BOXES,
        "polygon": 1,
        "no objects": 2,
    }
    [unknown] = [p for p in data.problems if p.kind == "unknown class"]
    assert "number -1, number 0.5, number 2, number 1e+30" in unknown.sentence


@pytest.mark.parametrize(
    "line", ["0 .5 .5 .2", "0 .5 .5 .2 .2 9", "cat .5 .5 .2 x", "0 .5 .5 .2 .", "\x00\x01"]
)
def test_a_file_with_a_line_that_is_something_else_is_named_and_its_image_left_out(pets, line):
    put(pets, "images/d.jpg")
    write(pets / "labels/d.txt", f"0 .5 .5 .2 .2\n{line}\n0 .5 .5 .2 .2")
    data = open_detection(pets, "all")
    assert names(data) == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    [broken] = [p for p in data.problems if p.kind == "broken"]
    assert "labels/d.txt (line 2: not class x y width height:" in broken.sentence
    assert len(data.target(0).boxes) == 2


def test_a_file_that_is_no_text_is_broken_and_a_data_set_of_such_an_error(pets):
    write(pets / "labels/b.txt", b"\xff\xfe\x00\xd8")
    assert names(open_detection(pets, "all")) == ["images/a.jpg", "images/c.jpg"]
    write(pets / "labels/a.txt", b"\xff\xfe\x00\xd8")
    with pytest.raises(
        DataError, match=r"no label file that can be read for its 3 images: labels/a\.txt"
    ):
        open_detection(pets, "train", val_fraction=0.01)


def test_without_any_label_file_it_is_an_error(pets):
    for file in (pets / "labels").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"no label file that can be read for its 3 images"):
        open_detection(pets, "train")


def test_a_wild_class_number_does_not_make_a_million_classes(pets):
    (pets / "classes.txt").unlink()
    write(pets / "labels/a.txt", "3 .5 .5 .2 .2\n123456789 .5 .5 .2 .2\n")
    data = open_detection(pets, "all")
    assert data.classes == ("0", "1", "2", "3")
    assert kinds(data)["unknown class"] == 1
    assert any("called by their numbers" in note for note in data.notes)


@pytest.mark.every
def test_a_million_boxes(pets):
    """Seconds, not minutes; all but a thousand are there again."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, (1000, 2))
    rows = [f"{i % 2} {x:.6f} {y:.6f} 0.05 0.05\n" for i, (x, y) in enumerate(values)]
    write(pets / "labels/a.txt", "".join(rows) * 1000)
    data = open_detection(pets, "all")
    target = data.target(0)
    centre = (target.boxes[:, 0] + target.boxes[:, 2]) / 2
    assert np.allclose(centre, values[:, 0] * 60, atol=1e-3)
    assert kinds(data)["duplicate"] == 999_000


YAMLS = [
    "names: [cat, dog]\nnc: 2\n",
    "names: ['cat, the', \"do\\\"g\", it's]\n",
    "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['a b', 'c']\n",
    "# comment\npath: ../x # root\nnames:\n  0: person\n  1: 'traffic light'\n",
    "names:\n- cat\n- dog # good\n- 'a: b'\n",
    "names:\n  - cat\n  - dog\ntrain: [a, b]\n",
    "---\nnames: {0: cat, 1: dog}\n",
    "names: [\n  'cat',\n  'dog',\n]\ntrain: x\n",
    "names: []\n",
    "path: C#/x\nnames: [a#b]\n",
]


def plain(value):
    """What YAML's own reader says, as texts."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else str(value)


def test_words_that_mean_something_else_in_yaml_are_names(tmp_path):
    path = write(tmp_path / "data.yaml", "names: [no, 1e3, null, 2024-01-01]\nx: {y: {z: [1]}}\n")
    content = read_yaml(path)
    assert names_in(content, path) == ["no", "1e3", "null", "2024-01-01"]
    assert "x" not in content


@pytest.mark.parametrize("text", YAMLS)
def test_a_yaml_file_says_what_it_says(tmp_path, text):
    assert read_yaml(write(tmp_path / "data.yaml", text)) == plain(yaml.safe_load(text))


WORDS = st.text("abc ',:\"#-0é", min_size=1, max_size=8).map(str.strip).filter(bool)


@settings(max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_names_survive_a_library_that_writes_them(tmp_path_factory, words, flow, numbered):
    value = dict(enumerate(words)) if numbered else words
    if flow:
        text = "names: " + yaml.safe_dump(value, default_flow_style=True, allow_unicode=True)
    else:
        text = yaml.safe_dump({"names": value}, allow_unicode=True)
    path = write(tmp_path_factory.getbasetemp() / "data.yaml", text)
    assert names_in(read_yaml(path), path) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat, dog\n", r"not YAML \(line 2: expected"),
        ("names:\n  cat\n  dog: x\n", r"not YAML \(line 3: mapping values are not allowed"),
        ("names: cat\n", "names must be a list"),
        ("names: {cat: 0}\n", "names must be a list"),
        ("names: [a]\nnonsense\n", r"not YAML \(line 3: could not find expected"),
        ("names: [[a]]\n", "names must be a text, a list or a mapping of texts"),
        ("names: [a]\ntrain: {x: [y]}\n", "train must be a text"),
        ("names: " + "[" * 5000, "not YAML"),
        ("names: [a]\x00\n", "not YAML"),
    ],
)
def test_a_yaml_file_that_is_not_understood_is_named(pets, text, message):
    write(pets / "data.yaml", text)
    with pytest.raises(DataError, match=rf"data\.yaml: .*{message}"):
        open_detection(pets, "all")
