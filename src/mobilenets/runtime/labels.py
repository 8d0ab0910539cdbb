"""The classes of ImageNet, COCO and VOC in words, and which output of a model is which class."""

import re
from collections.abc import Sequence
from importlib.resources import files

from mobilenets.errors import DataError

BACKGROUND = "background"
"""The name of output 0 in Google's heads of 1001."""


def _read(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(key for key, _ in rows), tuple(value for _, value in rows)


IMAGENET_WNIDS, _NAMES = _read("imagenet.txt")
"""The 1000 WordNet identifiers of ILSVRC 2012, sorted: the order of every published head.

The name beside each is the first of its WordNet synonyms; names that two classes share carry
what tells them apart, as in `crane (bird)`.
"""


def imagenet_labels(outputs: int) -> tuple[str, ...]:
    """The names of a head of 1000, or of 1001 with `background` first; () for any other size."""
    return {1000: _NAMES, 1001: (BACKGROUND, *_NAMES)}.get(outputs, ())


_COCO_IDS, COCO = _read("coco.txt")
"""COCO's 80 classes of objects, in the order of their ids."""


def coco_labels(outputs: int) -> tuple[str, ...]:
    """The names of a detector of COCO's 80 classes, or of 90: one for every id from 1 to 90.

    Ten ids of COCO have no class; their names are such that nothing else is called so. () for
    any other number.
    """
    named = {int(i): name for i, name in zip(_COCO_IDS, COCO, strict=True)}
    ids = tuple(named.get(i, unused_label(i)) for i in range(1, 1 + max(named)))
    return {len(COCO): COCO, len(ids): ids}.get(outputs, ())


VOC = (
    BACKGROUND,
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The 20 classes of Pascal VOC in the order of its masks, behind the background."""
_VOC_AS_COCO = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "tvmonitor": "tv",
}
"""What the two call differently, spaces aside."""


def voc_labels(outputs: int) -> tuple[str, ...]:
    """The names of a segmentation network of VOC's 21 classes; () for any other number."""
    return VOC if outputs == len(VOC) else ()


def unused_label(number: int) -> str:
    """The name of an output, counted from 1, that was never trained."""
    return f"unused {number}"


def match_classes(folder_classes: Sequence[str], labels: Sequence[str]) -> list[int]:
    """The model's output for each class of a data set.

    By equal name first; else by a name that differs only in case, spaces, `_` or `-`, or further
    synonyms after a comma, and VOC's names are COCO's (`tvmonitor` is `tv`); else, where the
    labels are ImageNet's, by WordNet identifier. A DataError names the first classes that the
    model does not have, and two that would share an output.
    """
    if not labels:
        raise DataError("the model does not say what its outputs are called: it has no labels")
    exact = {label: i for i, label in reversed(list(enumerate(labels)))}
    loose = _unique({_plain(label): [] for label in labels}, labels)
    wnids = _wnid_outputs(labels)
    found = [
        exact.get(name, loose.get(_plain(name), wnids.get(name.lower()))) for name in folder_classes
    ]
    missing = [name for name, i in zip(folder_classes, found, strict=True) if i is None]
    if missing:
        raise DataError(
            f"{len(missing)} of the data's {len(folder_classes)} "
            f"classes {'is' if len(missing) == 1 else 'are'} not among the "
            f"model's {len(labels)}: {_few(missing)}; the model has {_few(labels)}"
        )
    outputs = [i for i in found if i is not None]
    owner: dict[int, str] = {}
    for name, i in zip(folder_classes, outputs, strict=True):
        if owner.setdefault(i, name) != name:
            raise DataError(f"classes {owner[i]} and {name} are both the model's {labels[i]}")
    return outputs


def both_names(
    classes: Sequence[str], outputs_of: Sequence[int], labels: Sequence[str]
) -> tuple[str, ...]:
    """A data set's classes, each with the model's name behind it where that says more.

    `n01440764 (tench)`, `0 (person)`; `outputs_of` is the model's output of each, -1 for none.
    """
    found = []
    for name, output in zip(classes, outputs_of, strict=True):
        label = labels[output] if 0 <= output < len(labels) else name
        found.append(name if _plain(name) == _plain(label) else f"{name} ({label})")
    return tuple(found)


def _plain(name: str) -> str:
    plain = re.sub(r"[\s_-]+", "", name.split(",")[0]).casefold()
    return _VOC_AS_COCO.get(plain, plain)


def _unique(places: dict[str, list[int]], labels: Sequence[str]) -> dict[str, int]:
    """Loose names that only one output has: `crane` alone must not match either crane."""
    for i, label in enumerate(labels):
        places[_plain(label)].append(i)
    return {name: found[0] for name, found in places.items() if len(found) == 1}


def _wnid_outputs(labels: Sequence[str]) -> dict[str, int]:
    """Output by WordNet identifier if the labels are ImageNet's in anybody's wording, else {}."""
    ours = imagenet_labels(len(labels))
    same = sum(_plain(a) == _plain(b) for a, b in zip(ours, labels, strict=False))
    if not ours or same < 0.9 * len(ours):
        return {}
    first = len(ours) - len(IMAGENET_WNIDS)
    return {wnid: first + i for i, wnid in enumerate(IMAGENET_WNIDS)}


def are_coco(labels: Sequence[str]) -> bool:
    """Whether labels are COCO's, 80 or 90, in anybody's wording."""
    ours = coco_labels(len(labels))
    same = sum(_plain(a) == _plain(b) for a, b in zip(ours, labels, strict=False))
    return bool(ours) and same >= 0.8 * len(ours)


def _few(names: Sequence[str], most: int = 5) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
