"""Which label file belongs to which image."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mobilenets.data.listing import count, few
from mobilenets.data.paths import Tree
from mobilenets.runtime.images import natural_key, walk

_IMAGES = ("images", "jpegimages", "image", "imgs", "img")
_LABELS = ("labels", "Labels", "label")


class Labels:
    """The label files of images: in `labels` for `images`, or beside them.

    Where no image has one there, a folder with text files of the same names is taken; a note
    says which.
    """

    def __init__(self, tree: Tree, images: Sequence[str]) -> None:
        self._tree = tree
        self.read: list[str] = []
        """Label files, relative to the root, in the order of their images."""
        self.of: dict[str, int] = {}
        """Image -> place in `read`."""
        self.without: list[str] = []
        """Images without a label file."""
        self.notes: list[str] = []
        found = {image: self._beside(image) for image in images}
        if images and not any(found.values()):
            found = self._elsewhere(images)
        for image, label in found.items():
            if label:
                self.of[image] = len(self.read)
                self.read.append(label)
            else:
                self.without.append(image)
        twice = [label for label, times in Counter(self.read).items() if times > 1]
        if twice:
            what = count(len(twice), "label file is", "label files are")
            self.notes.append(f"{what} taken for several images of the same name: {few(twice)}")

    def _beside(self, image: str) -> str | None:
        every = places(image)
        capitals = (f"{place[:-4]}.TXT" for place in every)
        return next((place for place in (*every, *capitals) if self._tree.has(place)), None)

    def _elsewhere(self, images: Sequence[str]) -> dict[str, str | None]:
        stems = {PurePosixPath(image).stem: image for image in images}
        best: dict[str, str | None] = {}
        where = ""
        for folder, names in walk(self._tree.root):
            before = folder.relative_to(self._tree.root).as_posix()
            here = {
                stems[name[:-4]]: f"{before}/{name}".removeprefix("./")
                for name in names
                if name.endswith(".txt") and name[:-4] in stems
            }
            if len(here) > len(best):
                best, where = dict(here), before
        if best:
            what = count(len(best), "image", "images")
            self.notes.append(f"label files are those in {where}, of the same name for {what}")
        return {image: best.get(image) for image in images}

    def strays(self) -> list[str]:
        """Label files in the folders that were read, of no image."""
        folders = {PurePosixPath(label).parent for label in self.read}
        found = [
            (folder / file.name).as_posix()
            for folder in folders
            if {part.casefold() for part in folder.parts} & {"labels", "label"}
            for file in (self._tree.root / folder).glob("*.txt")
            if file.name != "classes.txt"
        ]
        return sorted(set(found) - set(self.read), key=natural_key)


def labels_alone(root: Path) -> str:
    """What to say of label files without images, as Label Studio may export them."""
    found = [file for folder in _LABELS for file in (root / folder).glob("**/*.txt")]
    found = [file for file in found if file.name != "classes.txt"]
    if not found:
        return ""
    what = count(len(found), "label file", "label files")
    first = min(found).relative_to(root).as_posix()
    return f" for its {what}, such as {first}; put them into images/"


def places(image: str) -> list[str]:
    """Where an image's label file may be, the likeliest first.

    `labels` stands for the last `images` in its path; else it is before or behind the part's
    folder; else the file is beside the image.
    """
    path = PurePosixPath(image)
    folders = [*path.parent.parts, f"{path.stem}.txt"]
    inner = [i for i, name in enumerate(folders[:-1]) if name.casefold() in _IMAGES]
    found = []
    for labels in _LABELS:
        if inner:
            found.append([*folders[: inner[-1]], labels, *folders[inner[-1] + 1 :]])
        else:
            found += [[labels, *folders], [*folders[:-1], labels, folders[-1]]]
    found.insert(1 if inner else 0, folders)
    return [PurePosixPath(*one).as_posix() for one in found]
