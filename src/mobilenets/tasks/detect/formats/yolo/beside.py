"""Which label file belongs to which image."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from mobilenets.data.listing import count
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

    def _beside(self, image: str) -> str | None:
        return next((place for place in places(image) if self._tree.has(place)), None)

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


def places(image: str) -> list[str]:
    """Where an image's label file may be, the likeliest first.

    `labels` stands for the last `images` in its path; else it is before or behind the part's
    folder; else the file is beside the image.
    """
    path = PurePosixPath(image).with_suffix(".txt")
    folders = list(path.parts)
    inner = [i for i, name in enumerate(folders[:-1]) if name.casefold() in _IMAGES]
    found = []
    for labels in _LABELS:
        if inner:
            found.append([*folders[: inner[-1]], labels, *folders[inner[-1] + 1 :]])
        else:
            found += [[labels, *folders], [*folders[:-1], labels, folders[-1]]]
    found.insert(1 if inner else 0, folders)
    return [PurePosixPath(*one).as_posix() for one in found]
