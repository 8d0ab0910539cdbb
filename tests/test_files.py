"""Files that are whole or not there at all."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mobilenets.files import made_folder, replace_file


@pytest.mark.parametrize("name", ["a.txt", "n" * 250, "é" * 120 + ".png"])
def test_any_name_that_the_system_takes(tmp_path, name):
    path = tmp_path / name
    path.write_text("before")
    replace_file(path, lambda temporary: temporary.write_text("after"))
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def full(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device", str(temporary))

    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(path, full)
    assert caught.value.filename == str(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_name_the_file_and_not_its_temporary_one(tmp_path):
    path = tmp_path / "none" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught:
        replace_file(path, lambda temporary: temporary.write_text("x"))
    assert caught.value.filename == str(path)


def test_writers_of_one_file_do_not_meet(tmp_path, monkeypatch):
    """Processes of two containers may have the same number."""
    path = tmp_path / "a.txt"
    monkeypatch.setattr("os.getpid", lambda: 7)

    def first(temporary):
        temporary.write_text("first")
        replace_file(path, lambda other: other.write_text("second"))
        assert temporary.read_text() == "first"

    replace_file(path, first)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "a.bin"
    texts = [bytes([i]) * 200_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: replace_file(path, lambda t: t.write_bytes(text)), texts))
    assert path.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [path]


def full(path) -> None:
    assert path.parent.is_dir()
    path.touch()
    raise OSError("full")


def test_a_folder_is_made_and_goes_again_where_what_is_inside_fails(tmp_path):
    (tmp_path / "old").mkdir()
    made = made_folder(tmp_path / "old" / "a" / "b")
    with pytest.raises(OSError, match="full"), made:
        replace_file(tmp_path / "old" / "a" / "b" / "c", full)
    assert list(tmp_path.rglob("*")) == [tmp_path / "old"]
    made = made_folder(tmp_path / "old" / "a" / "b")
    with pytest.raises(OSError, match="full"), made:
        full(tmp_path / "old" / "a" / "kept")
    assert (tmp_path / "old" / "a" / "kept").is_file()
    assert not (tmp_path / "old" / "a" / "b").exists()
