"""What a training script saves: which of its state dicts is the network, and whose names it has.

Keys are those of timm, torchvision's references, Lightning, and OpenMMLab (mmcv and mmengine).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mobilenets.errors import WeightsError

AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "averaged_model", "ema")
"""Keys of an average over the steps: taken where they are there, as timm and torchvision do."""
PLAIN = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module")
"""Keys of the weights after the last step; the first one found is taken."""
DEEPEST = 3
"""State dicts lie no deeper in a file."""
_CLASSES: tuple[tuple[str, ...], ...] = (
    ("meta", "CLASSES"),
    ("meta", "dataset_meta", "classes"),
    ("meta", "dataset_meta", "CLASSES"),
    ("dataset_meta", "classes"),
    ("class_to_idx",),
    ("idx_to_class",),
    ("classes",),
    ("class_names",),
    ("labels",),
    ("hyper_parameters", "classes"),
)
"""Where files keep the names of the classes."""


@dataclass(frozen=True)
class Chosen:
    """A state dict, and what the file around it says."""

    state: Mapping[Any, Any]
    note: str = ""
    """Which of several was taken; empty where there was one."""
    labels: tuple[str, ...] = ()
    """The names of the classes, where the file has them."""
    unnamed: str = ""
    """In words, that there are names of classes which cannot be used."""


def choose(content: Any, is_weight: Any) -> Chosen:
    """The state dict in what was saved; an average where there is one, as timm takes it.

    `is_weight` says of a value whether it is a convolution's weight. WeightsError, without the
    path, for what holds no state dict.
    """
    labels, unnamed = labels_in(content)
    taken: list[str] = []
    note = ""
    for _ in range(DEEPEST + 1):
        if not isinstance(content, Mapping):
            raise WeightsError(f"holds a {type(content).__name__}, not a state dict")
        if any(is_weight(value) for value in content.values()):
            return Chosen(content, note, labels, unnamed)
        there = [key for key in _order(content) if isinstance(content.get(key), Mapping)]
        there = [key for key in there if _has_weights(content[key], is_weight)]
        if not there:
            break
        key, *others = there
        taken.append(key)
        if others:
            note = f"{'.'.join(taken)} is taken, not {' or '.join(others)}{_why(content, key)}"
        content = content[key]
    raise WeightsError("holds no convolution weights, nor a dict of them")


def _order(content: Mapping[Any, Any]) -> Sequence[str]:
    """The keys, in the order in which they are asked for.

    mmengine's hook swaps the two: there `state_dict` is the average, and `ema_state_dict`, which
    also counts `steps`, has the weights after the last step.
    """
    ema = content.get("ema_state_dict")
    if isinstance(ema, Mapping) and "steps" in ema and "state_dict" in content:
        return ("state_dict", "ema_state_dict")
    others = [key for key in content if isinstance(key, str) and key not in (*AVERAGES, *PLAIN)]
    return (*AVERAGES, *PLAIN, *(key for key in others if "optim" not in key))


def _why(content: Mapping[Any, Any], key: str) -> str:
    if key in AVERAGES:
        return ": the average over the steps"
    return ": the average, as mmengine swaps them" if "ema_state_dict" in content else ""


def _has_weights(content: Any, is_weight: Any, depth: int = DEEPEST) -> bool:
    if not isinstance(content, Mapping) or not depth:
        return False
    return any(
        is_weight(value) or _has_weights(value, is_weight, depth - 1) for value in content.values()
    )


def labels_in(content: Any) -> tuple[tuple[str, ...], str]:
    """The names of the classes in a checkpoint; () where it says none that can be used.

    And in words which those are that cannot be, where there are no others.
    """
    wrong = ""
    for key, said in _found(content):
        names, why = _names(said)
        if names:
            return names, ""
        if why:
            wrong = wrong or f"its names of classes under {key!r} are left aside: {why}"
    return (), wrong


def _names(said: Any) -> tuple[tuple[str, ...], str]:
    """Names in the order of their outputs; or why what seems to be names gives none."""
    if isinstance(said, Mapping):
        if said and all(isinstance(name, str) for name in said):
            if all(isinstance(name, str) and place.isdecimal() for place, name in said.items()):
                said = {int(place): name for place, name in said.items()}  # as JSON has numbers
            else:
                said = {place: name for name, place in said.items()}
        if sorted(said, key=repr) != sorted(range(len(said)), key=repr):
            return (), f"their numbers are not 0 to {len(said) - 1}"
        said = [said[i] for i in range(len(said))]
    if not isinstance(said, (list, tuple)) or not any(isinstance(name, str) for name in said):
        return (), ""
    if not all(isinstance(name, str) for name in said):
        return (), "some are no text"
    return (tuple(said), "") if len(said) == len(set(said)) else ((), "two are the same")


def _found(content: Any) -> Iterator[tuple[str, Any]]:
    for path in _CLASSES:
        value = content
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            yield ".".join(path), value
