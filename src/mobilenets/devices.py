"""What torch computes on: a device by the name that a person gives, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def find_device(name: str = AUTO) -> torch.device:
    """The device called `name`: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` is CUDA's if it is there.

    Raises ValueError for another name, and for a device that is not there, saying what is.
    """
    import torch

    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (
        colon and (kind != "cuda" or not (number.isascii() and number.isdecimal()))
    ):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    there = devices()
    wanted = "cuda:0" if name == "cuda" else f"{kind}:{int(number)}" if colon else name
    if wanted not in there:
        why = _why_not(kind)
        raise ValueError(
            f"device must be one of this machine's, {', '.join(there)}, got {name!r}{why}"
        )
    return torch.device(wanted if colon else name)


def devices() -> list[str]:
    """What torch can compute on here: `cpu`, and `cuda:0`, ... or `mps` where there are any."""
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def _why_not(kind: str) -> str:
    """What torch itself lacks for a kind of device, as the end of a sentence."""
    import torch

    if kind == "cuda" and not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return "; this torch is built without CUDA"
    if kind == "mps" and not torch.backends.mps.is_built():
        return "; this torch is built without MPS"
    return ""


def describe(device: torch.device) -> str:
    """A device in words: `cuda:0 (NVIDIA H100)`, `cpu, 2 threads`."""
    import torch

    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return f"cuda:{index} ({torch.cuda.get_device_name(index)})"
    if device.type == "cpu":
        count = torch.get_num_threads()
        return f"cpu, {count} thread{'s' if count > 1 else ''}"
    return str(device)
