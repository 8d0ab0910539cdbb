"""What torch.save writes: a state dict as a pickle, read without running any code in it."""

import argparse
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mobilenets.card import KEY
from mobilenets.errors import WeightsError
from mobilenets.weights.containers.arrays import Arrays, damaged
from mobilenets.weights.containers.checkpoint import Chosen, choose
from mobilenets.weights.containers.heads import Row

SLACK = 1 << 20
"""Bytes that tensors may claim beyond twice what the file has: a shared storage is saved once."""
ASIDE = re.compile(
    r"(numpy|mmengine|mmcv|mmcls|mmpretrain|omegaconf|yacs|addict|easydict|fvcore|pathlib|datetime"
    r"|lightning|pytorch_lightning|lightning_fabric|torchmetrics|typing|collections)\."
    r"|(list|dict|set|frozenset|tuple|int|float|str|bytes|slice|range|complex)$"
)
"""Where the objects are from that training scripts keep beside the weights: scores, settings,
dates. What stands in for them here is an empty dict, and no code of theirs runs."""


@dataclass(frozen=True)
class Described:
    """What a network of ours leaves in the metadata of its state dict (`models.modules.carded`)."""

    card: str
    """Its card, as JSON."""
    layers: Mapping[str, Row]
    """The layers of its head, by the part that they are in."""
    structure: Mapping[str, str]
    """What each of its layers is, by its path."""


@dataclass(frozen=True)
class StoredState:
    """The tensors of a file by its own names, and what the file says beside them."""

    tensors: Arrays
    note: str = ""
    """Which of several state dicts this is; empty where there was one."""
    labels: tuple[str, ...] = ()
    """The names of the classes, where the file has them."""
    unnamed: str = ""
    """In words, that there are names of classes which cannot be used."""
    described: Mapping[str, Described] = field(default_factory=dict)
    """Of networks of ours, by the prefix of their tensors."""


class StandIn(dict[Any, Any]):
    """An object of a library that is not needed to read weights; what is in it is not kept."""

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Keep nothing."""


def _empty(*values: Any) -> dict[Any, Any]:
    """What stands in for a dict of a special kind."""
    return {}


def is_pickle(path: Path) -> bool:
    """Whether it is what torch.save writes: a zip with data.pkl, or the bare pickle of old."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"PK":
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith("/data.pkl") for name in archive.namelist())
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            return True  # cut off: the reader says so
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def read_pickle(path: Path) -> StoredState:
    """The state dict that torch.save wrote, bare or nested in a training checkpoint.

    Read with torch's `weights_only`, so no code in the file runs; one that asks for more than
    tensors and plain values is refused with a WeightsError. So is one whose parts, unpacked, or
    whose tensors claim much more than the file has.
    """
    _check_parts(path)  # before torch is loaded, which takes more memory than all else
    import torch

    content = _load(path)
    try:
        chosen = choose(content, lambda v: isinstance(v, torch.Tensor) and v.dim() == 4)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    said = dict(_described(getattr(chosen.state, "_metadata", None)))
    return StoredState(_arrays(path, chosen), chosen.note, chosen.labels, chosen.unnamed, said)


def _described(metadata: Any) -> Iterator[tuple[str, Described]]:
    """What networks of ours leave in a state dict's metadata (`models.modules.carded`)."""
    for prefix, values in metadata.items() if isinstance(metadata, Mapping) else ():
        said = values.get(KEY) if isinstance(values, Mapping) else None
        if not (isinstance(said, Mapping) and isinstance(said.get("card"), str)):
            continue
        layers = said.get("layers")
        rows = layers.items() if isinstance(layers, Mapping) else ()
        try:
            pairs = {str(name): [(str(p), str(k)) for p, k in row] for name, row in rows}
        except (TypeError, ValueError):
            continue
        looks = said.get("structure")
        looks = looks if isinstance(looks, Mapping) else {}
        yield (
            str(prefix),
            Described(said["card"], pairs, {str(k): str(v) for k, v in looks.items()}),
        )


def _arrays(path: Path, chosen: Chosen) -> Arrays:
    """All floating-point tensors; WeightsError for a weight that is stored in another way."""
    import torch

    found: dict[str, Any] = {}
    for name, value in chosen.state.items():
        if not isinstance(value, torch.Tensor):
            continue
        kind = str(value.dtype).removeprefix("torch.")
        if value.is_meta or value.layout != torch.strided or value.is_quantized:
            layout = "no numbers at all" if value.is_meta else f"{value.layout} of {kind}"
            raise WeightsError(
                f"{path}: {name!s:.80} is stored as {layout}; plain floating-point tensors are read"
            )
        if not value.is_floating_point() and value.dim() == 4:
            raise WeightsError(
                f"{path}: {name!s:.80} holds {kind} numbers; floating-point tensors are read"
            )
        if value.is_floating_point():
            found[str(name)] = value
    claimed = sum(value.numel() * value.element_size() for value in found.values())
    _check_claim(path, claimed, "its tensors")
    with np.errstate(over="ignore"):  # infinities are refused with the finished network
        return {name: value.detach().float().numpy() for name, value in found.items()}


def _check_parts(path: Path) -> None:
    """WeightsError for an archive whose parts are far larger than it is: torch unpacks them all."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise damaged(path, error) from error
    _check_claim(path, claimed, "its parts")


def _check_claim(path: Path, claimed: int, what: str) -> None:
    if claimed > 2 * path.stat().st_size + SLACK:
        raise WeightsError(f"{path}: {what} claim {claimed} bytes, more than the file has")


def _load(path: Path) -> Any:
    """What was saved; objects of `ASIDE` are stand-ins."""
    import torch

    # The arguments of a training script: a bag of plain values, harmless, and very common.
    allowed: list[Any] = [argparse.Namespace]
    for _ in range(32):  # a refusal names one class
        try:
            with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
        except MemoryError as error:
            raise WeightsError(f"{path}: more than the memory there is") from error
        except Exception as error:  # a hostile pickle can raise anything
            named = re.search(r"GLOBAL (\S+)", str(error))
            if named is None or not ASIDE.match(named[1]):
                raise _refused(path, error) from error
            full = named[1] if "." in named[1] else f"builtins.{named[1]}"
            plain = full.startswith("collections.")  # torch fills nothing but plain dicts
            stand_in = _empty if plain else type(named[1], (StandIn,), {})
            allowed.append((stand_in, full))
    raise WeightsError(f"{path}: holds objects of more than 32 classes; save its state dict alone")


def _refused(path: Path, error: Exception) -> WeightsError:
    text = str(error)
    if "TorchScript" in text:
        return WeightsError(f"{path}: TorchScript, which is code; save the state dict instead")
    if named := re.search(r"GLOBAL (\S+)", text):
        return WeightsError(
            f"{path}: holds {named[1]:.100}, more than tensors and plain values, and unpickling it "
            "could run code; save its state dict alone"
        )
    if "Can only" in text:
        return WeightsError(
            f"{path}: holds objects that cannot be read without running code; save its state "
            "dict alone"
        )
    return damaged(path, error)
