"""Images with boxes on disk, as COCO, VOC, YOLO and other tools have them; the built-in shapes."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from mobilenets.data.built_in import BUILT_IN, is_built_in
from mobilenets.data.dataset import AnnotatedDataset
from mobilenets.data.listing import count, one_line
from mobilenets.data.shapes import shape_split
from mobilenets.data.splits import Split, check_split, choose, present
from mobilenets.errors import DataError
from mobilenets.tasks.detect.formats.annotations import Annotations, gather
from mobilenets.tasks.detect.formats.coco import read_coco
from mobilenets.tasks.detect.formats.layouts import has_objects, read_folder
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.detect.formats.tools.find import kind_of, read_tools
from mobilenets.tasks.detect.formats.yolo import read_yolo


class ObjectDataset(AnnotatedDataset, Protocol):
    """Pictures with their objects; every box can be trained on."""

    def target(self, i: int) -> Objects:
        """The picture's objects, in its pixels."""
        ...


def open_data(path: str | Path, split: str, *, seed: int = 0) -> ObjectDataset:
    """COCO JSON, VOC XML, YOLO text, or `shapes`.

    DataError where nothing could be learned or measured: no object but crowds, and for
    measuring such as are marked difficult.
    """
    dataset = open_detection(path, cast(Split, split), seed=seed)
    targets = (dataset.target(i) for i in range(len(dataset)))
    measured = split != "train"
    if all((t.crowd | (t.difficult & measured)).all() for t in targets):
        raise DataError(
            f"{path}: none of {count(len(dataset), 'image', 'images')} for {split} has an object"
        )
    return dataset


def open_detection(
    path: str | Path, split: Split, *, val_fraction: float = 0.2, seed: int = 0
) -> ObjectDataset:
    """Open images with boxes; what they are is seen from the disk (docs/data.md has the layouts).

    - COCO JSON: a `.json` file, or a folder as `find_coco` knows them;
    - VOC XML: `Annotations/`, `JPEGImages/`, `ImageSets/Main/`, or XML files beside images;
    - YOLO text: `images/` and `labels/`, a `data.yaml`, or text files beside images;
    - files of CVAT, CreateML, Label Studio, LabelMe, Supervisely, VIA; CSV tables; JSON lines;
    - the word `shapes`: the built-in data set.

    Where the data does not say which images are for validation, `val_fraction` of those for
    training are held out, at least one, by the rank of a hash of `seed` and file name: a file
    added later moves at most one other. `eval` is val as training has it, where there is none test,
    else everything; `all` is everything.

    Boxes, files and images that cannot be used are left out, and counted and named in `problems`
    and `notes`. DataError where nothing is left, or a file that all depends on is damaged.
    """
    check_split(split, val_fraction)
    if is_built_in(path):
        return _shapes(split, seed)
    found = _read(Path(path))
    chosen, notes, origin = choose(path, found.files, found.parts, split, val_fraction, seed)
    found.notes += notes
    return replace(gather(found, chosen, split), origin=origin)


def open_parts(path: str | Path, *, seed: int = 0) -> dict[str, ObjectDataset]:
    """Every part that the data itself has, by name; `all` where it says of none."""
    if is_built_in(path):
        return {part: _shapes(part, seed) for part in ("train", "val")}
    found = _read(Path(path))
    parts: dict[str, ObjectDataset] = {}
    lost: list[DataError] = []
    for part in present(found.parts):
        chosen = [i for i, one in enumerate(found.parts) if one == part]
        try:
            parts[part or "all"] = gather(found, chosen, part or "all")
        except DataError as error:
            lost.append(error)
    if lost and not parts:
        raise lost[0]
    for one in parts.values():
        one.notes.extend(one_line(str(error).removeprefix(f"{found.root}: ")) for error in lost)
    return parts


def classes_in(dataset: ObjectDataset, i: int) -> tuple[list[int], list[int]]:
    """The classes that picture i has an object of; and those of crowds or difficult ones alone."""
    objects = dataset.target(i)
    sure = ~(objects.crowd | objects.difficult)
    there = set(objects.labels[sure].tolist())
    return sorted(there), sorted(set(objects.labels.tolist()) - there)


def has_boxes(path: str | Path) -> bool:
    """Whether files with boxes lie there; the built-in shapes have boxes."""
    folder = Path(path)
    if is_built_in(path):
        return True
    if folder.is_file():  # a table may be of classes alone
        return folder.suffix.lower() in (".json", ".yaml", ".yml") or bool(kind_of(folder))
    return folder.is_dir() and has_objects(folder)


def _shapes(split: str, seed: int) -> ShapeObjects:
    return ShapeObjects(shape_split(split), seed=seed)


def _read(path: Path) -> Annotations:
    if path.is_file():
        return _read_file(path)
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder or file")
    found = read_folder(path)
    if any(found.parts):  # images beside those of a part are for training
        found.parts = [part or "train" for part in found.parts]
    return found


def _read_file(path: Path) -> Annotations:
    inner = path.parent.name.casefold() in ("annotations", "annotation", "labels")
    root = path.parent.parent if inner else path.parent
    kind = kind_of(path)
    if kind:
        return read_tools(root, kind, [path])
    if path.suffix.lower() == ".json":
        return read_coco(root, [("", path)])
    if path.suffix.lower() in (".yaml", ".yml"):
        return read_yolo(path.parent, path)
    raise DataError(
        f"{path}: data is a folder, a COCO .json, a data.yaml or `{BUILT_IN}`, or one file of "
        "CVAT, CreateML, Label Studio or VIA, a CSV table or JSON lines with boxes"
    )
