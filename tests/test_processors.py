"""How many processors a process may use, by files as the kernel has them in containers."""

import os
from pathlib import Path

import pytest

from mobilenets import processors as module
from mobilenets.engine import available
from mobilenets.processors import cgroup_quota, processors

V2 = "42 32 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:31 {top} /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
)


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def version_2(path: str, **limits: str) -> dict[str, str]:
    """Files of version 2; `limits` by the folder's name, `root` for the uppermost."""
    places = {"root": "", "box": "/box", "inner": "/box/inner"}
    files = {"proc/self/mountinfo": V2, "proc/self/cgroup": f"0::{path}\n"}
    return files | {f"sys/fs/cgroup{places[n]}/cpu.max": f"{v}\n" for n, v in limits.items()}


def version_1(path: str, top: str, place: str, quota: int, period: int) -> dict[str, str]:
    folder = f"sys/fs/cgroup/cpu,cpuacct{place}"
    return {
        "proc/self/mountinfo": V1.format(top=top),
        "proc/self/cgroup": f"5:cpuset:{path}\n4:cpu,cpuacct:{path}\n1:name=systemd:/\n",
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


CASES = {
    "no limit": (version_2("/", root="max 100000"), None),
    "no files": ({}, None),
    "of a container": (version_2("/", root="200000 100000"), 2.0),
    "of a folder": (version_2("/box", box="150000 100000"), 1.5),
    "of a folder above": (version_2("/box/inner", box="50000 100000", inner="max 100000"), 0.5),
    "the smaller of two": (
        version_2("/box/inner", box="300000 100000", inner="400000 100000"),
        3.0,
    ),
    "without its period": (version_2("/", root="300000"), 3.0),
    "the host's path": (version_2("/../../far", root="100000 50000"), 2.0),
    "nonsense": (version_2("/", root="a b"), None),
    "version 1": (version_1("/", "/", "", 350000, 100000), 3.5),
    "version 1, none": (version_1("/", "/", "", -1, 100000), None),
    "version 1, a folder": (version_1("/box", "/", "/box", 100000, 100000), 1.0),
    "version 1, mounted from the host": (
        version_1("/docker/abc", "/docker/abc", "", 200000, 100000),
        2.0,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_quota_is_read_as_the_kernel_writes_it(tmp_path, case):
    files, wanted = case
    assert cgroup_quota(lay_out(tmp_path, files)) == wanted


@pytest.mark.parametrize(
    ("quota", "allowed", "wanted"), [(None, 6, 6), (2.5, 6, 2), (0.5, 6, 1), (8.0, 3, 3)]
)
def test_threads_follow_quota_and_affinity(monkeypatch, quota, allowed, wanted):
    monkeypatch.setattr(module, "cgroup_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    assert processors() == wanted
    assert available() == (wanted if os.name == "posix" else 1)


def test_this_machine_has_one_at_least():
    assert 1 <= processors() <= (os.cpu_count() or 1)
