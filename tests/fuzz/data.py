"""Data sets of every layout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import readers
from tests.fuzz.subjects import Subject, in_tree
from tests.tasks.detect.formats import makers
from tests.tasks.detect.formats.files import coco, put, voc, write
from tests.tasks.segment.formats.files import colours, grey, palette, photo

IDS = np.array([[0, 0, 1, 255], [0, 2, 1, 1], [0, 0, 0, 0]], np.uint8)


def coco_set(folder: Path) -> Path:
    root = folder / "coco"
    put(root, *(f"images/{i}.jpg" for i in range(3)))
    boxes = [(1, 1, 5, 5, 20, 10), (1, 2, 0, 0, 60, 40), (2, 2, 10, 10, 5, 5), (3, 1, 3, 3, 8, 9)]
    coco(root / "annotations.json", [f"images/{i}.jpg" for i in range(3)], boxes)
    return root


def voc_set(folder: Path) -> Path:
    root = folder / "voc"
    put(root, *(f"JPEGImages/{i}.jpg" for i in range(4)))
    for i in range(4):
        voc(root / f"Annotations/{i}.xml", [("cat", 5, 5, 20, 30), ("dog", 1, 1, 60, 40, 1)])
    write(root / "ImageSets/Main/train.txt", "0\n1\n2\n")
    write(root / "ImageSets/Main/val.txt", "3\n")
    return root


def yolo_set(folder: Path) -> Path:
    root = folder / "yolo"
    for part, numbers in (("train", range(3)), ("val", range(3, 5))):
        put(root, *(f"images/{part}/{i}.jpg" for i in numbers))
        for i in numbers:
            write(root / f"labels/{part}/{i}.txt", "0 0.5 0.5 0.3 0.3\n1 0.2 0.2 0.1 0.1\n")
    names = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
    write(root / "data.yaml", names)
    return root


def csv_set(folder: Path) -> Path:
    root = folder / "csv"
    put(root, *(f"{i}.jpg" for i in range(6)))
    rows = "".join(
        f"{i}.jpg,{'cat' if i % 2 else 'dog'},{'val' if i > 3 else 'train'}\n" for i in range(6)
    )
    write(root / "data.csv", "image,label,split\n" + rows)
    return root


def folders_set(folder: Path) -> Path:
    root = folder / "folders"
    put(
        root,
        *(f"{part}/{name}/{i}.jpg" for part in ("train", "val") for name in "ab" for i in (1, 2)),
    )
    return root


def masked(
    root: Path, images: str, masks: str, add: Callable[[Path, str, Any], object], values: Any
) -> Path:
    """Four photographs, and a mask of `values` for each, written by `add`."""
    for i in range(4):
        photo(root, f"{images}/{i}.jpg")
        add(root, f"{masks}/{i}.png", values)
    return root


def masks_set(folder: Path) -> Path:
    root = masked(folder / "masks", "images", "masks", grey, IDS)
    write(root / "classes.txt", "none\nroad\ncar\n")
    return root


def voc_masks(folder: Path) -> Path:
    root = masked(folder / "vocmasks", "JPEGImages", "SegmentationClass", palette, IDS)
    write(root / "ImageSets/Segmentation/train.txt", "0\n1\n2\n")
    write(root / "ImageSets/Segmentation/val.txt", "3\n")
    return root


def colour_masks(folder: Path) -> Path:
    values = np.stack([IDS * 60, IDS, IDS * 9], 2)
    root = masked(folder / "colours", "images", "labels", colours, values)
    names = {"none": (0, 0, 0), "road": (60, 1, 9), "car": (120, 2, 18), "x": (196, 255, 247)}
    rows = [f"{name}:{','.join(map(str, colour))}::" for name, colour in names.items()]
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\n" + "\n".join(rows))
    return root


def coco_outlines(folder: Path) -> Path:
    root = folder / "outlines"
    put(root, *(f"images/{i}.jpg" for i in range(2)))
    line = {"segmentation": [[5, 5, 25, 5, 25, 15, 5, 15]]}
    rle = {"segmentation": {"size": [40, 60], "counts": [100, 200, 2100]}, "iscrowd": 1}
    boxes = [(1, 1, 5, 5, 20, 10, line), (2, 2, 0, 0, 60, 40, rle)]
    coco(root / "instances.json", [f"images/{i}.jpg" for i in range(2)], boxes)
    content = json.loads((root / "instances.json").read_text())
    assert content["annotations"][1]["segmentation"]
    return root


def of_tool(make: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Two images with boxes, as an annotation tool writes them."""

    def made(folder: Path) -> Path:
        root = folder / "tool"
        put(root / "images", "a.jpg", "b.jpg")
        make(root)
        return root

    return made


def two_values(folder: Path) -> Path:
    root = masked(folder / "two", "images", "masks", grey, (IDS > 0) * 255)
    write(root / "names.txt", "background\nroad\n")
    return root


def cityscapes(folder: Path) -> Path:
    root = folder / "city"
    for part, name in (("train", "a_0_0"), ("val", "a_1_0")):
        photo(root, f"leftImg8bit/{part}/a/{name}_leftImg8bit.png")
        grey(root, f"gtFine/{part}/a/{name}_gtFine_labelIds.png", IDS * 7)
        write(root / f"gtFine/{part}/a/{name}_gtFine_polygons.json", '{"objects": []}')
    return root


def camvid(folder: Path) -> Path:
    root = folder / "camvid"
    for part in ("train", "val"):
        photo(root, f"{part}/0.png")
        grey(root, f"{part}annot/0.png", IDS)
        write(
            root / f"{part}.txt", f"/SegNet/CamVid/{part}/0.png /SegNet/CamVid/{part}annot/0.png\n"
        )
    return root


def data_subjects() -> list[Subject]:
    made = {
        "classify": (csv_set, folders_set),
        "detect": (coco_set, voc_set, yolo_set, coco_outlines),
        "segment": (
            masks_set,
            voc_masks,
            colour_masks,
            two_values,
            cityscapes,
            camvid,
        ),
    }
    tools = {**{make.__name__: make for make in makers.TOOLS}, **makers.TABLES}
    boxes = readers.data("detect")
    return [
        Subject(f"detect-{name.replace(' ', '-')}", of_tool(make), in_tree, boxes, 2)
        for name, make in tools.items()
    ] + [
        Subject(f"{task}-{write.__name__}", write, in_tree, readers.data(task), 5)
        for task, writers in made.items()
        for write in writers
    ]
