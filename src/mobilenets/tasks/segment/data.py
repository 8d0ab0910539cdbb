"""Images with masks on disk, and the built-in shapes."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.built_in import BUILT_IN, is_built_in
from mobilenets.data.dataset import AnnotatedDataset
from mobilenets.data.problems import Problems
from mobilenets.data.shapes import shape_split
from mobilenets.data.splits import Split, check_split, choose, present
from mobilenets.errors import DataError
from mobilenets.tasks.segment.formats.files import Pairs, find_pairs, unpaired
from mobilenets.tasks.segment.formats.images import MaskedImages, gather, look_at, usable
from mobilenets.tasks.segment.formats.known import colours_for
from mobilenets.tasks.segment.formats.names import Naming, name_ids
from mobilenets.tasks.segment.formats.problems import KINDS
from mobilenets.tasks.segment.formats.shapes import ShapeMasks
from mobilenets.tasks.segment.formats.values import MaskValues, values_of


class MaskDataset(AnnotatedDataset, Protocol):
    """Pictures with the class of every pixel; each has at least one pixel that is not void."""

    def target(self, i: int) -> NDArray[np.uint8]:
        """(H, W) of the upright picture: the class of each pixel, 255 for void."""
        ...

    def pixels_of(self, i: int) -> NDArray[np.int64]:
        """(classes + 1,): pixels of each class in a picture; the last is void."""
        ...

    def pixels(self) -> NDArray[np.int64]:
        """(classes + 1,): pixels of each class in all pictures; the last is void."""
        ...


def open_data(path: str | Path, split: str, *, seed: int = 0) -> MaskDataset:
    """VOC's layout, folders of images and of masks, COCO's semantic PNG, or `shapes`."""
    return open_segmentation(path, cast(Split, split), seed=seed)


def open_segmentation(
    path: str | Path, split: Split, *, val_fraction: float = 0.2, seed: int = 0
) -> MaskDataset:
    """Open images with masks; what they are is seen from the disk (docs/data.md has the layouts).

    - VOC: `JPEGImages/`, `SegmentationClass/`, `ImageSets/Segmentation/`;
    - COCO: PNG files of category ids, as `stuffthingmaps/train2017/` beside `train2017/`;
    - folders of images and of masks with the same names, as `images/` and `masks/`;
    - the word `shapes`: the built-in data set.

    Every mask of the split is read once, for what it holds, and where nothing else names the
    classes those for training too. Validation images are held out as `open_detection` does, and
    `eval` and `all` mean the same.

    Images and masks that cannot be used are left out, and counted and named in `problems` and
    `notes`; ids that are no class are void, and named too. DataError where nothing is left.
    """
    check_split(split, val_fraction)
    if is_built_in(path):
        return _shapes(split, seed)
    found = _find(Path(path))
    naming = _name(found)
    chosen, notes, origin = choose(path, found.files, found.parts, split, val_fraction, seed)
    found.notes += notes
    return replace(gather(found, chosen, look_at(found, chosen), naming, split), origin=origin)


def open_parts(path: str | Path, *, seed: int = 0) -> dict[str, MaskDataset]:
    """Every part that the data itself has, by name; `all` where it says of none."""
    if is_built_in(path):
        return {part: _shapes(part, seed) for part in ("train", "val")}
    found = _find(Path(path))
    naming = _name(found)
    parts: dict[str, MaskedImages] = {}
    lost = Problems(KINDS)
    left: dict[str, str] = {}
    for part in present(found.parts):
        chosen = [i for i, one in enumerate(found.parts) if one == part]
        name = part or "all"
        try:
            parts[name] = gather(found, chosen, look_at(found, chosen), naming, name)
        except DataError as error:
            failure = error
            why = str(error).removeprefix(f"{found.root}: ")
            lost.add("lost part", [f"{name} ({why})"])
            left |= {found.files[i]: f"in {name}, which has no usable mask" for i in chosen}
    if not parts:
        raise failure
    return {name: part.without(left, lost.list()) for name, part in parts.items()}


def classes_in(dataset: MaskDataset, i: int) -> tuple[list[int], list[int]]:
    """The classes that picture i has a pixel of; none is doubtful."""
    pixels = dataset.pixels_of(i)[:-1]  # the last is void
    return [k for k, number in enumerate(pixels.tolist()) if number], []


def has_masks(path: str | Path) -> bool:
    """Whether a folder has images with masks; the built-in shapes have."""
    if is_built_in(path):
        return True
    try:
        return Path(path).is_dir() and find_pairs(Path(path)) is not None
    except DataError:  # masks that are not read: who opens them is told why
        return False


def _shapes(split: str, seed: int) -> ShapeMasks:
    return ShapeMasks(shape_split(split), seed=seed)


def _find(path: Path) -> Pairs:
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder; data with masks is a folder or `{BUILT_IN}`")
    found = find_pairs(path)
    if found is None:
        raise DataError(
            f"{path}: {unpaired(path) or 'no masks found'}; expected VOC (JPEGImages/, "
            "SegmentationClass/), or images/ and masks/ with PNG files of the same names"
        )
    found.colours = colours_for(found.root, found.masks)
    if not found.files:
        why = "; ".join(problem.sentence for problem in found.problems.list())
        raise DataError(f"{path}: no image with a mask: {why}")
    return found


def _name(found: Pairs) -> Naming:
    """The classes, by the masks of the training part where nothing else says them."""
    own = [i for i, part in enumerate(found.parts) if part in ("train", "")]
    own = own or list(range(len(found.files)))

    def see() -> MaskValues:
        looks = usable(found, own, look_at(found, own), Problems(KINDS), "train").values()
        return values_of(list(looks))

    files, masks = ([names[i] for i in own] for names in (found.files, found.masks))
    return name_ids(found.root, files, masks, see, found.colours)
