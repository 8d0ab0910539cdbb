"""Damage: bytes turned, cut and repeated; names, shapes and numbers of what a file describes."""

import json
import random
import struct
from collections.abc import Container, Iterator, Sequence
from typing import Any

ODD = [0, -1, 1, 2, 3, 7, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**40, 2**63 - 1, -(2**63)]
ODD += [10**30, 0.5, -0.5, 1e-40, 1e300, float("nan"), float("inf"), None, True, False, "", "a"]
ODD += ["x" * 3000, "\0", "\ud800", "../../etc/passwd", "/", "two\nlines", [], {}, [[]], [0] * 50]
WORDS = [b"0", b"-1", b"1e309", b"nan", b"99999999999999999999", b"0.5", b"", b"\xff\xfe", b"\0"]
WORDS += [
    b"{",
    b"]",
    b"<",
    b">",
    b'"',
    b"&",
    b"&lol;",
    b"\n",
    b",",
    b";",
    b"../..",
    b"/",
    b"a" * 999,
]
NUMBERS = [0, 1, 2, 3, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def flip(rng: random.Random, data: bytes, near: int | None = None) -> bytes:
    """One to eight bytes are others; most of them in the first `near` bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        limit = near if near and rng.random() < 0.8 else len(changed)
        place = rng.randrange(max(1, min(limit, len(changed)))) if changed else 0
        if not changed:
            break
        if rng.random() < 0.5:
            changed[place] ^= 1 << rng.randrange(8)
        else:
            changed[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    return bytes(changed)


def number(rng: random.Random, data: bytes, near: int | None = None) -> bytes:
    """A field of 2, 4 or 8 bytes holds a number at the edge of something."""
    width, letter = rng.choice([(2, "H"), (4, "I"), (4, "I"), (8, "Q")])
    limit = near if near and rng.random() < 0.8 else len(data)
    if len(data) <= width:
        return data
    place = rng.randrange(max(1, min(limit, len(data) - width)))
    place -= place % rng.choice([1, width])
    value = rng.choice(NUMBERS) & (2 ** (8 * width) - 1)
    order = rng.choice("<<>")
    return data[:place] + struct.pack(order + letter, value) + data[place + width :]


def cut(rng: random.Random, data: bytes) -> bytes:
    """The end, the beginning or a middle part is missing."""
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice([data[:start], data[:end], data[start:], data[:start] + data[end:]])


def repeat(rng: random.Random, data: bytes) -> bytes:
    """A part stands there twice, or over another."""
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.choice([1, 4, 16, 64, 1024])]
    place = rng.randrange(len(data) + 1)
    after = place if rng.random() < 0.5 else place + len(part)
    return data[:place] + part * rng.choice([1, 1, 3]) + data[after:]


def damaged(rng: random.Random, data: bytes, near: int | None = None) -> bytes:
    """One or two of all these kinds of damage."""
    for _ in range(rng.choice([1, 1, 1, 2])):
        kind = rng.choice([flip, flip, number, number, cut, repeat])
        data = kind(rng, data, near) if kind in (flip, number) else kind(rng, data)  # type: ignore[operator]
    return data


def text(rng: random.Random, data: bytes) -> bytes:
    """Words and lines of a text are others, missing, or there twice."""
    if rng.random() < 0.2:
        return damaged(rng, data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        separator = rng.choice([b" ", b"\n", b",", b'"', b">", b":"])
        parts = data.split(separator)
        place = rng.randrange(len(parts))
        match rng.randrange(4):
            case 0:
                parts[place] = rng.choice(WORDS)
            case 1:
                del parts[place]
            case 2:
                parts.insert(rng.randrange(len(parts)), parts[place])
            case _:
                other = rng.randrange(len(parts))
                parts[place], parts[other] = parts[other], parts[place]
        data = separator.join(parts)
    return data


def tree(rng: random.Random, value: Any) -> Any:
    """A JSON value in which some entries are others, missing, renamed, or there twice."""
    value = json.loads(json.dumps(value))
    if not isinstance(value, (dict, list)):
        return rng.choice(ODD)
    places: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        node = pending.pop()
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in entries:
            places.append((node, key))
            if isinstance(child, (dict, list)):
                pending.append(child)
    for _ in range(rng.choice([1, 1, 2, 3])):
        if not places:
            return rng.choice(ODD)
        node, key = rng.choice(places)
        if (isinstance(node, list) and key >= len(node)) or (
            isinstance(node, dict) and key not in node
        ):
            continue
        match rng.randrange(5):
            case 0 | 1:
                node[key] = rng.choice(ODD)
            case 2:
                del node[key]
            case 3 if isinstance(node, dict):
                node[rng.choice(["", "x", *list(node)])] = node.pop(key)
            case 3:
                node.append(node[key])
            case _:
                other, there = rng.choice(places)
                if isinstance(other, dict) and there in other:
                    node[key] = json.loads(json.dumps(other[there]))
    return value


def json_bytes(rng: random.Random, data: bytes) -> bytes:
    """JSON with another tree, or with other words."""
    try:
        whole = json.loads(data)
    except ValueError:  # damaged before
        whole = None
    if whole is None or rng.random() < 0.3:
        return text(rng, data)
    changed = tree(rng, whole)
    return json.dumps(changed).encode("utf-8", "surrogatepass")


def some_left(
    rng: random.Random, names: Sequence[str], left: Container[str], counts: Sequence[int]
) -> Iterator[str]:
    """As many names as one of `counts`, those passed over that are no longer in `left`."""
    for _ in range(rng.choice(counts)):
        name = rng.choice(names)
        if name in left:
            yield name
