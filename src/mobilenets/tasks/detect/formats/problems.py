"""What can be wrong with data of boxes."""

from mobilenets.data.problems import Kinds, shared

KINDS: Kinds = {
    "broken": ("annotation file is broken, left out", "annotation files are broken, left out"),
    "other json": (
        "JSON file is not COCO's file of objects, left out",
        "JSON files are not COCO's files of objects, left out",
    ),
    **shared("missing", "unreadable", "narrow", "unlisted"),
    "absent": (
        "name in the lists of images has no annotation file, left out",
        "names in the lists of images have no annotation file, left out",
    ),
    **shared("overlap"),
    "repeated": (
        "image is listed more than once, its objects are taken together",
        "images are listed more than once, their objects are taken together",
    ),
    "renamed": (
        "annotation file names another image than that of its own name, which is taken",
        "annotation files name other images than those of their own names, which are taken",
    ),
    "unlabelled": (
        "image has no annotation file, left out",
        "images have no annotation file, left out",
    ),
    "no file": (
        "image has no label file, taken as without objects",
        "images have no label file, taken as without objects",
    ),
    "stray": ("label file has no image", "label files have no image"),
    "bad image": (
        "image entry has no id and file name of its own, left out",
        "image entries have no id and file name of their own, left out",
    ),
    "bad category": (
        "category has no id or no name, left out",
        "categories have no id or no name, left out",
    ),
    "malformed": (
        "object has no class and box of four numbers, left out",
        "objects have no class and box of four numbers, left out",
    ),
    "orphan": (
        "object is of an image that is not listed, left out",
        "objects are of images that are not listed, left out",
    ),
    "unknown class": (
        "object is of a class that the training data does not declare, left out",
        "objects are of classes that the training data does not declare, left out",
    ),
    "not finite": (
        "box has a number that is not finite, left out",
        "boxes have numbers that are not finite, left out",
    ),
    "inverted": ("box ends before it begins, left out", "boxes end before they begin, left out"),
    "empty": ("box has no area, left out", "boxes have no area, left out"),
    "outside": ("box lies outside its image, left out", "boxes lie outside their image, left out"),
    "clipped": (
        "box lies partly outside its image, clipped",
        "boxes lie partly outside their image, clipped",
    ),
    "duplicate": (
        "object is there twice with the same class and box, kept once",
        "objects are there again with the same class and box, kept once",
    ),
    "polygon": (
        "object is an outline, its bounding box is used",
        "objects are outlines, their bounding boxes are used",
    ),
    "turned": (
        "image was annotated as it is stored, its boxes are turned upright",
        "images were annotated as they are stored, their boxes are turned upright",
    ),
    "swapped": (
        "image has width and height swapped in its annotation, the boxes are kept as they are",
        "images have width and height swapped in their annotation, the boxes are kept as they are",
    ),
    "scaled": (
        "image was annotated at another size, its boxes are scaled",
        "images were annotated at another size, their boxes are scaled",
    ),
    "no objects": ("image has no objects", "images have no objects"),
}
"""In the order in which they are told."""
