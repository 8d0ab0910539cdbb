"""How many processors this process may use: those that exist, are allowed, and are paid for."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")
_SPACE = "\\040"
"""How a space in a folder's name is written in lists of mounted file systems."""


def processors() -> int:
    """At least 1: the processors of this machine, no more than affinity and cgroup quota allow.

    Of a quota of 2.5 processors 2 are used: a third thread would make all of them wait.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cgroup_quota()
    return count if quota is None else max(1, min(count, int(quota)))


def cgroup_quota(root: Path = _ROOT) -> float | None:
    """The processors' worth of time that a container's limits give, None where there are none.

    Of cgroups version 1 and 2, in the folders that /proc names below `root`, and all above them.
    """
    found = [*_version_2(root), *_version_1(root)]
    return min(found, default=None)


def _version_2(root: Path) -> Iterator[float]:
    """`cpu.max` holds the time in a period, or `max`, and the period, in microseconds."""
    for folder in _folders(root, "cgroup2", ""):
        words = _read(folder / "cpu.max").split()
        yield from _share(words[0] if words else "", words[1] if len(words) > 1 else "100000")


def _version_1(root: Path) -> Iterator[float]:
    """The same in two files; no limit is -1."""
    for folder in _folders(root, "cgroup", "cpu"):
        yield from _share(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _share(quota: str, period: str) -> Iterator[float]:
    with suppress(ValueError, ZeroDivisionError):
        if int(quota) > 0:
            yield int(quota) / int(period)


def _folders(root: Path, kind: str, controller: str) -> Iterator[Path]:
    """The process's own folder in a hierarchy, and those above it up to where it is mounted."""
    inside = _own(root, controller)
    for mount, top in _mounts(root, kind, controller):
        # In a container the path may be the host's, of which only the end is there, or nothing.
        below = inside.removeprefix(top) if inside.startswith(top) else inside
        place = root / mount.lstrip("/")
        yield place
        for part in [one for one in below.split("/") if one not in ("", "..")]:
            place /= part
            yield place


def _own(root: Path, controller: str) -> str:
    """The process's path in the hierarchy with a controller; version 2's has none."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            return path
    return "/"


def _mounts(root: Path, kind: str, controller: str) -> Iterator[tuple[str, str]]:
    """Where hierarchies of a kind are mounted, and which of their folders lies there."""
    for line in _read(root / "proc/self/mountinfo").splitlines():
        first, _, last = line.partition(" - ")
        fields, tail = first.split(), last.split()
        if len(fields) < 5 or len(tail) < 3 or tail[0] != kind:
            continue
        if not controller or controller in tail[2].split(","):
            top = fields[3].replace(_SPACE, " ")
            yield fields[4].replace(_SPACE, " "), "" if top == "/" else top


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
