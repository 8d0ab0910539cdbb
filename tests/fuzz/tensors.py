"""State dicts of other names, shapes and kinds of tensors, as torch and safetensors write them."""

import json
import random
import struct
from pathlib import Path
from typing import Any

import torch

from tests.fuzz import mutate

DTYPES = [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64, torch.bool]
DTYPES += [torch.complex64, torch.uint8, torch.float8_e4m3fn]


def other_name(rng: random.Random, names: list[str]) -> str:
    """A name near one of `names`."""
    parts = rng.choice(names).split(".")
    place = rng.randrange(len(parts))
    match rng.randrange(7):
        case 0:
            parts[place] = rng.choice(["weight", "bias", "conv", "bn", "0", "1", "99", "x", ""])
        case 1:
            del parts[place]
        case 2:
            parts.insert(place, rng.choice(["module", "model", "0", "backbone", "ema", ""]))
        case 3 if parts[place].isdigit():
            parts[place] = str(int(parts[place]) + rng.choice([-1, 1, 100]))
        case 4:
            parts[place] = parts[place].upper()
        case 5:
            parts = rng.choice(names).split(".")[:-1] + parts[-1:]
        case _:
            parts = ["".join(parts)]
    return ".".join(parts)


def other_tensor(rng: random.Random, value: torch.Tensor) -> Any:
    """The tensor in another shape, type or layout; or no tensor at all."""
    makers = [
        lambda: value.reshape(-1),
        lambda: value.unsqueeze(rng.choice([0, -1])),
        lambda: value.transpose(0, -1).contiguous() if value.dim() > 1 else value[:0],
        lambda: value[: rng.randrange(len(value) + 1)] if value.dim() else value,
        lambda: torch.cat([value, value]) if value.dim() else value,
        lambda: torch.zeros(()),
        lambda: torch.zeros(0),
        lambda: torch.zeros(*value.shape[:1], 0, *value.shape[1:]),
        lambda: value.to(rng.choice(DTYPES)),
        lambda: value * rng.choice([0.0, float("nan"), float("inf"), -1.0, 1e30]),
        lambda: torch.zeros(1).expand(rng.choice([10, 2**20, 2**40])),
        lambda: torch.randn([rng.choice([1, 2, 3, 32]) for _ in range(rng.randrange(7))]),
        lambda: value.to_sparse() if value.dim() else value,
        lambda: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.qint8),
        lambda: value.to("meta"),
        lambda: [value, value],
        lambda: {"weight": value},
        lambda: torch.nn.Parameter(value) if value.is_floating_point() else value,
        lambda: rng.choice([None, 1, 1.5, "text", b"x", (), [1, 2]]),
    ]
    return rng.choice(makers)()


def other_state(rng: random.Random, state: dict[Any, Any]) -> dict[Any, Any]:
    """One to four changes in a state dict."""
    state = dict(state)
    names = [name for name in state if isinstance(state[name], torch.Tensor)]
    for name in mutate.some_left(rng, names, state, (1, 1, 2, 4)):
        match rng.randrange(8):
            case 0:
                del state[name]
            case 1 | 2:  # in its place, as someone who renames it does
                new = other_name(rng, names)
                _put(state, [(new if k == name else k, v) for k, v in state.items()])
            case 3:
                state[other_name(rng, names)] = state[name]
            case 4:
                other = rng.choice(names)
                state[name] = state.get(other, state[name])
            case 5:
                items = list(state.items())
                rng.shuffle(items)
                _put(state, items)
            case _ if isinstance(state[name], torch.Tensor) and state[name].layout is torch.strided:
                try:
                    state[name] = other_tensor(rng, state[name])
                except (RuntimeError, NotImplementedError, IndexError):
                    state[name] = torch.zeros(3)
            case _:
                del state[name]
    if rng.random() < 0.05:
        state[rng.choice([1, ("a", 2), None, 2.5])] = torch.zeros(2)
    if rng.random() < 0.1:
        cut = rng.choice([".", "0", "1", "conv", "features", "bn"])
        state = {str(k).replace(cut, rng.choice(["", "x", "7"])): v for k, v in state.items()}
    return state


def _put(state: dict[Any, Any], items: list[tuple[Any, Any]]) -> None:
    """Other items into the same dict, which says what is left to change."""
    state.clear()
    state.update(items)


def wrapped(rng: random.Random, state: dict[Any, Any]) -> Any:
    """As training scripts keep a state dict, or something odd around it."""
    key = rng.choice(["state_dict", "model", "model_ema", "state_dict_ema", "net", "ema", "x"])
    prefix = rng.choice(["module.", "model.", "backbone.", "_orig_mod.module.", ""])
    classes = rng.choice([("a", "b"), "ab", 7, [1], None, {"a": 0, "b": 1}, {"a": 7}])
    named = {f"{prefix}{k}" if isinstance(k, str) else k: v for k, v in state.items()}
    return rng.choice(
        [
            named,
            {key: named},
            {key: state, "epoch": 3, "optimizer": {"state": {}}},
            {"state_dict": state, "state_dict_ema": named},
            {"state_dict": named, "meta": {"CLASSES": classes}},
            {"model": named, "class_to_idx": classes},
            {key: {key: named}},
            {key: [named]},
            list(state.values()),
        ]
    )


def write_pickle(rng: random.Random, state: dict[Any, Any], path: Path) -> None:
    """As torch writes it, new or old; what it cannot write is left out."""
    changed = other_state(rng, state)
    content = changed if rng.random() < 0.6 else wrapped(rng, changed)
    try:
        torch.save(content, path, _use_new_zipfile_serialization=rng.random() < 0.8)
    except (RuntimeError, NotImplementedError, TypeError, AttributeError):
        torch.save({str(k): torch.zeros(2) for k in changed}, path)


def write_safetensors(
    rng: random.Random, state: dict[Any, Any], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """By hand, so that names, types, shapes and offsets can be those that no library writes."""
    kinds = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    kinds |= {torch.float64: "F64", torch.int64: "I64", torch.int8: "I8", torch.uint8: "U8"}
    kinds |= {torch.bool: "BOOL"}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, value in other_state(rng, state).items():
        if not isinstance(value, torch.Tensor) or value.dtype not in kinds:
            continue
        if value.layout is not torch.strided or value.is_meta or value.numel() > 1 << 22:
            continue
        raw = value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        header[str(name)] = {
            "dtype": kinds[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    entry = rng.choice([k for k in header if k != "__metadata__"] or ["x"])
    if rng.random() < 0.3 and entry in header:
        what = rng.choice(["dtype", "shape", "data_offsets"])
        odd = [[], [0], [-1], [2**62, 4], [2**40], "F32", "F4", "C64", "I64", 3, None, [0, 0]]
        header[entry][what] = rng.choice(odd)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
