"""What tests ask of data sets with problems, whatever their labels are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mobilenets.errors import DataError


def kinds(data: Any) -> dict[str, int]:
    """How often each kind of problem was found."""
    return {problem.kind: problem.count for problem in data.problems}


def names(data: Any) -> list[str]:
    """What every item is called."""
    return [data.name(i) for i in range(len(data))]


def opened(root: Path, opening: Callable[[Path, str], Any]) -> Any:
    """Damaged data as it opens; None where it is refused in a line that names a file of it."""
    try:
        data = opening(root, "all")
    except DataError as error:
        wrong = str(error)
        assert str(root) in wrong
        assert "\n" not in wrong
        return None
    assert all(note.encode() and note.isprintable() for note in data.notes)
    return data


def image_sets(folder: Path, test: str) -> Path:
    """VOC's lists of the images 1 to 3 for train, 4 for val, and one for test."""
    folder.mkdir(parents=True)
    for name, images in (("train", "1\n2\n3"), ("val", "4"), ("trainval", "1\n2\n3\n4")):
        (folder / f"{name}.txt").write_text(f"{images}\n")
    (folder / "test.txt").write_text(f"{test}\n")
    return folder
