"""Which network of a state dict is read: wrappers' prefixes, averages and teachers beside it."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mobilenets.weights.containers.arrays import Arrays

DEPTHWISE = (8, 13, 17)
"""Depthwise convolutions of a shallow V1, of V1 and of V2."""
_AVERAGE = re.compile(r"(^|[._])(ema|swa|avg|averaged?)([._]|$)|_ema|ema_")
_OTHERS = re.compile(r"teacher|momentum|target|encoder_k|key_encoder|discriminator")
"""Networks that stand beside the one that is trained."""


@dataclass(frozen=True)
class Candidate:
    """The tensors under one prefix, without it, and those that lie elsewhere."""

    tensors: Arrays
    aside: Arrays
    note: str = ""
    """Which of several networks this is; empty where there is one."""


def networks_in(tensors: Mapping[str, NDArray[Any]]) -> Iterator[Candidate]:
    """All tensors, then those under every prefix that a stem lies under: the likeliest first.

    Of several networks an average comes first, as trainers take it, and a teacher last.
    """
    names = strip_prefix(tensors)
    yield Candidate(names, {})
    stems = [name for name in names if _is_stem(name, names[name])]
    prefixes = {name[: dot.start() + 1]: None for name in stems for dot in re.finditer(r"\.", name)}
    for prefix in sorted(prefixes, key=preference):
        inside = {k.removeprefix(prefix): v for k, v in names.items() if k.startswith(prefix)}
        apart = {stem.split(".")[0] for stem in stems if not stem.startswith(prefix)}
        aside = {
            k: v
            for k, v in names.items()
            if not k.startswith(prefix) and k.split(".")[0] not in apart
        }
        other = ", ".join(f"{name}.*" for name in sorted(apart))
        note = f"of several networks in the file {prefix}* is read, not {other}" if other else ""
        yield Candidate(inside, aside, note)


def _is_stem(name: str, value: NDArray[Any]) -> bool:
    return name.endswith(".weight") and value.ndim == 4 and value.shape[1:] == (3, 3, 3)


def preference(prefix: str) -> tuple[int, int]:
    """Sorts prefixes of networks, such as `model.`: an average first, a teacher last."""
    place = 0 if _AVERAGE.search(prefix) else 2 if _OTHERS.search(prefix) else 1
    return place, prefix.count(".")


def strip_prefix(tensors: Mapping[str, NDArray[Any]]) -> Arrays:
    """Without what wrappers put before every name: `module.`, `_orig_mod.`, `backbone.`, ...

    A first word is dropped while all names share it.
    """
    names = list(tensors)
    while names and all("." in name for name in names):
        first = {name.split(".", 1)[0] for name in names}
        if len(first) > 1:
            break
        names = [name.split(".", 1)[1] for name in names]
    return dict(zip(names, tensors.values(), strict=True))


def no_network(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Why a file is none that is read, in words that call no MobileNet another network."""
    kernels = [value.shape for value in tensors.values() if value.ndim == 4]
    depthwise = sum(shape[1:] == (1, 3, 3) for shape in kernels)
    if not any(depthwise in (count - 1, count, count + 1) for count in DEPTHWISE):
        return f"no network on MobileNet V1 or V2: {describe(tensors)}"
    return (
        f"not recognised as a MobileNet V1 or V2: its {len(kernels)} convolutions, {depthwise} of "
        f"them depthwise 3x3, are not in an order, and under names, that are read: "
        f"{describe(tensors)}"
    )


def describe(tensors: Mapping[str, NDArray[Any]]) -> str:
    """A file's first tensors in words, for a message."""
    some = ", ".join(f"{name} {tuple(t.shape)}" for name, t in list(tensors.items())[:2])
    total = sum(math.prod(t.shape) for t in tensors.values())
    return f"{len(tensors)} tensors, {total} numbers, the first {some}"
