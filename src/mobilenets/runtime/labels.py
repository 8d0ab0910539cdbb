"""ImageNet's classes in words, and which output of a model a folder of images belongs to."""

from collections.abc import Sequence
from importlib.resources import files

from mobilenets.errors import DataError

BACKGROUND = "background"
"""The name of output 0 in Google's heads of 1001."""


def _read() -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = files(__package__).joinpath("imagenet.txt").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(wnid for wnid, _ in rows), tuple(name for _, name in rows)


IMAGENET_WNIDS, _NAMES = _read()
"""The 1000 WordNet identifiers of ILSVRC 2012, sorted: the order of every published head.

The name beside each is the first of its WordNet synonyms; names that two classes share carry
what tells them apart, as in `crane (bird)`.
"""


def imagenet_labels(outputs: int) -> tuple[str, ...]:
    """The names of a head of 1000, or of 1001 with `background` first; () for any other size."""
    return {1000: _NAMES, 1001: (BACKGROUND, *_NAMES)}.get(outputs, ())


def match_classes(folder_classes: Sequence[str], labels: Sequence[str]) -> list[int]:
    """The model's output for each class of a data set.

    By equal name first; else by a name that differs only in case, `_` for a space, or further
    synonyms after a comma; else, where the labels are ImageNet's, by WordNet identifier. A
    DataError names the first classes that the model does not have, and two that would share an
    output.
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
            f"{len(missing)} of the data's {len(folder_classes)} classes are not among the "
            f"model's {len(labels)}: {_few(missing)}; the model has {_few(labels)}"
        )
    outputs = [i for i in found if i is not None]
    owner: dict[int, str] = {}
    for name, i in zip(folder_classes, outputs, strict=True):
        if owner.setdefault(i, name) != name:
            raise DataError(f"classes {owner[i]} and {name} are both the model's {labels[i]}")
    return outputs


def _plain(name: str) -> str:
    return name.split(",")[0].replace("_", " ").strip().casefold()


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


def _few(names: Sequence[str], most: int = 5) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
