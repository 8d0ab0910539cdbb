import unicodedata
from pathlib import Path

import pytest

from mobilenets.data.paths import Tree, clean_path


@pytest.fixture
def tree(tmp_path) -> Tree:
    for file in (
        *("images/train/a.jpg", "images/train/b.jpg", "images/val/b.jpg", "images/val/c.jpg"),
        *("cam1/0.jpg", "cam2/0.jpg", "deep/cam1/7.jpg", "Photos/Ärger.JPG", "alone.png"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("images/train/a.jpg", "images/train/a.jpg"),
        ("./images/train/../val/c.jpg", "images/val/c.jpg"),
        ("data/images/train/a.jpg", "images/train/a.jpg"),
        ("D:\\set\\images\\train\\b.jpg", "images/train/b.jpg"),
        ("/home/x/set/images/val/b.jpg", "images/val/b.jpg"),
        ("cam2\\0.jpg", "cam2/0.jpg"),
        ("C:\\alone.png", "alone.png"),
        ("\\\\server\\share\\cam1\\0.jpg", "cam1/0.jpg"),
        ("file:///C:/x/cam1/7.jpg", "deep/cam1/7.jpg"),
        ("https://host:80/x/photos/%C3%84rger.jpg?s=1", "Photos/Ärger.JPG"),
        ("/data/local-files/?d=images/val/c.jpg", "images/val/c.jpg"),
        ("/data/upload/1/alone.png", "alone.png"),
        ("photos/" + unicodedata.normalize("NFD", "ärger.jpg"), "Photos/Ärger.JPG"),
        ('"cam1/0.jpg" ', "cam1/0.jpg"),
    ],
)
def test_a_path_is_found_by_its_longest_end(tree, said, found):
    located = tree.find([said])
    assert located.files == [found]
    assert located.there == [True]
    as_it_is = said == found or said.startswith(("./", '"'))
    assert len(located.notes) == (0 if as_it_is else 1)
    if not as_it_is:
        assert located.notes[0].endswith(f" is {found}")


def test_nothing_is_guessed(tree):
    said = ["x/0.jpg", "x/b.jpg", "y/a.jpg", "z/a.jpg", "gone.jpg", "\0", "x" * 5000, "/", ""]
    located = tree.find(said)
    assert located.there == [False] * len(said)
    [note] = located.notes
    assert note.startswith("4 paths fit more than one file or another's, not found: x/0.jpg, ")


def test_the_longer_end_and_the_path_as_it_is_come_first(tree):
    said = ["q/train/a.jpg", "w/a.jpg", "images/val/c.jpg", "old/c.jpg"]
    assert tree.find(said).there == [True, False, True, False]
    assert tree.find(["q/a.jpg", "q/a.jpg"]).there == [True, True]  # one image, said twice


def test_folders_and_parts_tell_files_of_one_name_apart(tree):
    said = ["b.jpg", "a.jpg"]
    folders = ["images", "images/train", "images/val"]
    assert tree.find(said, folders).files == ["images/train/b.jpg", "images/train/a.jpg"]
    assert tree.find(["b.jpg", "c.jpg"], folders).files == ["images/val/b.jpg", "images/val/c.jpg"]
    assert tree.find(["q/b.jpg"], part="val").files == ["images/val/b.jpg"]
    located = tree.find(["c.jpg"], ["images/train"], part="train")  # val's own is another image
    assert (located.there, located.files) == ([False], ["images/train/c.jpg"])


def test_paths_of_this_machine_and_links(tree, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (away / "far.jpg").write_bytes(b"")
    (tree.root / "linked").symlink_to(away)
    (away / "round").symlink_to(tree.root)
    located = tree.find([str(away / "far.jpg"), "linked/far.jpg", "old/far.jpg"])
    assert (tree.root / located.files[0]).samefile(away / "far.jpg")
    assert located.files[1] == "linked/far.jpg"
    assert located.there == [True, True, False]  # the last is the second's already
    assert Tree(tree.root).find(["old/far.jpg"]).files == ["linked/far.jpg"]


def test_folders_are_found_by_their_end(tree):
    assert tree.folder("D:\\set\\images\\train") == "images/train"
    assert tree.folder("/content/set/train", ["images"]) == "images/train"
    assert tree.folder("../images/val") == "images/val"
    assert tree.folder("nowhere/at/all") is None


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        ("C:\\Users\\me\\a b.jpg", "Users/me/a b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("100%25.jpg", "100%25.jpg"),
        ("s3://bucket/k/a%25.jpg", "k/a%.jpg"),
        ("a:b.jpg", "a:b.jpg"),
        ("http://[bad/a.jpg", "http:/[bad/a.jpg"),
    ],
)
def test_what_belongs_to_a_machine_is_left_away(said, clean):
    assert clean_path(said) == clean
    assert not Path(clean_path(said)).is_absolute()
