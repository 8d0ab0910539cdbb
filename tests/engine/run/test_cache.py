import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mobilenets.engine.run import cache as module
from mobilenets.engine.run import identity
from mobilenets.engine.run.cache import PAGE, Cache, CacheEntry, key_of

ROOT = Path(__file__).parents[3]
KEY = key_of("a network")
CODE = bytes(range(256)) * 3
WEIGHTS = np.random.default_rng(0).normal(size=5000).astype(np.float32)
INFO = {"name": "net", "shape": [1, 3], "nested": {"bytes": 12}}
STARTS = PAGE
"""Where the weights begin in this entry's file."""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Cache:
    monkeypatch.setattr(module, "_warned", False)
    monkeypatch.delenv("MOBILENETS_CACHE_SIZE", raising=False)
    return Cache(tmp_path / "engine")


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Iterator[Path]:
    """A copy of the engine's source, which `maker` takes for the engine."""
    copy = tmp_path / "engine"
    shutil.copytree(identity._ENGINE, copy)
    monkeypatch.setattr(identity, "_ENGINE", copy)
    identity.maker.cache_clear()
    yield copy
    identity.maker.cache_clear()


@pytest.mark.parametrize("room", ["kernels", "plan", "front/onnx"])
def test_an_edit_in_any_room_makes_another_maker(engine, room):
    before = identity.maker()
    with (engine / room / "__init__.py").open("a") as file:
        file.write("\n")
    identity.maker.cache_clear()
    assert identity.maker() != before


def only_file(cache: Cache) -> Path:
    (path,) = cache.directory.iterdir()
    return path


def same(entry: CacheEntry | None) -> bool:
    assert entry is not None
    assert entry.weights.dtype == np.uint8
    assert entry.weights.ctypes.data % 64 == 0
    assert not entry.weights.flags.writeable
    return (
        entry.code == CODE and entry.info == INFO and entry.weights.tobytes() == WEIGHTS.tobytes()
    )


def change(path: Path, at: int, *, hidden: bool) -> None:
    """Flip a bit; hidden: as a failing disk does it, without a new time of change."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    if hidden:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_is_stored_is_fetched_by_this_and_by_the_next_cache(cache):
    assert cache.fetch(KEY) is None
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    assert same(cache.fetch(KEY))
    assert same(Cache(cache.directory).fetch(KEY))
    assert cache.fetch(key_of("another")) is None


def test_weights_are_mapped_from_a_pages_start(cache):
    for entry in (cache.store(KEY, CODE, WEIGHTS, INFO), cache.fetch(KEY)):
        assert isinstance(entry.weights, np.memmap)
        assert entry.weights.offset % PAGE == 0
        assert entry.weights.ctypes.data % PAGE == 0


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025])
@pytest.mark.parametrize("length", [0, 1, 5000])
def test_any_lengths_of_code_and_weights_fit(cache, count, length):
    weights = np.arange(count, dtype=np.float32)
    cache.store(KEY, bytes(length), weights, {})
    entry = cache.fetch(KEY)
    assert entry is not None
    assert (entry.code, entry.info) == (bytes(length), {})
    assert entry.weights.tobytes() == weights.tobytes()


def test_a_key_depends_on_every_part_its_kind_and_the_cuts_between():
    keys = [key_of(*parts) for parts in [("a",), (b"a",), ("a", ""), ("ab",), ("a", "b"), ()]]
    assert len(set(keys)) == len(keys)
    assert key_of("a", b"b") == key_of("a", b"b")


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "0" * 15, "g" * 64])
def test_a_key_that_is_none_is_named(cache, key):
    with pytest.raises(ValueError, match="key must be 16 to 128 hexadecimal digits, got"):
        cache.fetch(key)


def test_the_last_one_stored_wins(cache):
    first = cache.store(KEY, b"old", WEIGHTS[:7], {})
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    assert same(cache.fetch(KEY))
    # Who has the old one keeps it.
    assert first.weights.tobytes() == WEIGHTS[:7].tobytes()


def test_a_file_cut_anywhere_is_no_entry(cache):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    path = only_file(cache)
    whole = path.read_bytes()
    head = module._HEADER.size
    code_ends = whole.index(CODE) + len(CODE)
    bounds = (8, 12, 16, 24, 32, 40, 48, head, whole.index(CODE), code_ends, STARTS, len(whole))
    for cut in sorted({0, *(b + d for b in bounds for d in (-1, 0, 1))} - {len(whole)}):
        path.write_bytes(whole[:cut] + bytes(max(0, cut - len(whole))))
        assert cache.fetch(KEY) is None, cut
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    assert same(cache.fetch(KEY))


@pytest.mark.parametrize("hidden", [True, False])
def test_a_changed_byte_of_header_info_or_code_is_seen(cache, hidden):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    path = only_file(cache)
    used = path.read_bytes().index(CODE) + len(CODE)
    for at in [*range(module._HEADER.size), *range(module._HEADER.size, used, 41), used - 1]:
        change(path, at, hidden=hidden)
        assert cache.fetch(KEY) is None, at
        change(path, at, hidden=hidden)
        assert same(cache.fetch(KEY))


@pytest.mark.parametrize("at", [STARTS, STARTS + 4 * 2500, STARTS + 4 * 5000 - 1])
def test_changed_weights_are_seen_by_the_time_of_change(cache, at):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    change(only_file(cache), at, hidden=False)
    assert cache.fetch(KEY) is None


def test_a_copy_is_verified_once_and_then_trusted(cache, monkeypatch):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    path = only_file(cache)
    path.write_bytes(path.read_bytes())
    verified = []
    real = module._weights_digest
    monkeypatch.setattr(module, "_weights_digest", lambda c: verified.append(1) or real(c))
    assert same(cache.fetch(KEY))
    assert same(cache.fetch(KEY))
    assert len(verified) == (1 if os.utime in os.supports_fd else 2)


def test_an_entry_under_another_key_is_not_taken(cache):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    other = key_of("another")
    only_file(cache).rename(cache.directory / f"{other}.net")
    assert cache.fetch(other) is None


def test_an_entry_of_another_version_is_not_taken(cache, monkeypatch):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    assert cache.fetch(KEY) is None
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_not_trusted(cache, mode):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    assert cache.directory.stat().st_mode & 0o777 == 0o700
    cache.directory.chmod(mode)
    assert cache.fetch(KEY) is None
    with pytest.warns(RuntimeWarning, match="others can write there"):
        assert same(cache.store(KEY, CODE, WEIGHTS, INFO))


def test_an_entry_that_others_can_write_or_own_is_not_trusted(cache, monkeypatch):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    path = only_file(cache)
    path.chmod(0o620)
    assert cache.fetch(KEY) is None
    path.chmod(0o600)
    assert same(cache.fetch(KEY))
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert cache.fetch(KEY) is None


def test_links_folders_and_pipes_are_no_entries(cache, tmp_path):
    cache.store(KEY, CODE, WEIGHTS, INFO)
    path = only_file(cache)
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    assert cache.fetch(KEY) is None
    path.unlink()
    path.mkdir()
    assert cache.fetch(KEY) is None
    path.rmdir()
    os.mkfifo(path)
    assert cache.fetch(KEY) is None
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))


@pytest.mark.parametrize("call", ["mkstemp", "fsync", "write"])
def test_a_full_disk_warns_once_and_leaves_nothing(cache, monkeypatch, call):
    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    place = {"mkstemp": tempfile, "fsync": os, "write": module}[call]
    monkeypatch.setattr(place, "_write_parts" if call == "write" else call, full)
    with pytest.warns(RuntimeWarning, match=r"not kept: .*No space left") as caught:
        entries = [cache.store(KEY, CODE, WEIGHTS, INFO) for _ in range(2)]
    assert len(caught) == 1
    assert all(same(entry) for entry in entries)
    assert list(cache.directory.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_warned", False)
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "engine")
    assert cache.fetch(KEY) is None
    with pytest.warns(RuntimeWarning, match="compiled networks are not kept"):
        assert same(cache.store(KEY, CODE, WEIGHTS, INFO))


def test_the_longest_unused_go_first(cache):
    keys = [key_of(str(i)) for i in range(4)]
    for i, key in enumerate(keys[:3]):
        cache.store(key, CODE, WEIGHTS, INFO)
        path = cache.directory / f"{key}.net"
        os.utime(path, ns=(i, path.stat().st_mtime_ns))
    assert same(cache.fetch(keys[0]))
    cache.size = int(3.5 * path.stat().st_size)
    assert same(cache.store(keys[3], CODE, WEIGHTS, INFO))
    assert [cache.fetch(key) is not None for key in keys] == [True, False, True, True]


def test_an_entry_over_the_bound_is_not_kept(cache):
    cache.size = WEIGHTS.nbytes
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    assert cache.fetch(KEY) is None


def test_what_is_being_written_stays_and_what_was_abandoned_goes(cache):
    cache.directory.mkdir(mode=0o700)
    fresh, old = cache.directory / ".a.tmp", cache.directory / ".b.tmp"
    for path in (fresh, old):
        path.write_bytes(bytes(100_000))
    long_ago = time.time() - 2 * 3600
    os.utime(old, (long_ago, long_ago))
    (cache.directory / "notes.txt").write_text("mine")
    cache.size = 50_000
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    left = {path.name for path in cache.directory.iterdir()}
    assert left == {".a.tmp", "notes.txt", f"{KEY}.net"}


WRITER = """
import sys
from tests.engine.run.test_cache import *
cache = Cache(Path(sys.argv[1]))
for _ in range(40):
    assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    found = cache.fetch(KEY)
    assert same(found) and isinstance(found.weights, np.memmap)
"""


def test_processes_that_write_and_read_at_once_agree(cache):
    command = [sys.executable, "-c", WRITER, str(cache.directory)]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        entry = cache.fetch(KEY)
        # Once it is there it never goes: a writer replaces it.
        assert entry is not None or not seen
        seen += entry is not None and same(entry)
    assert [writer.communicate()[1] for writer in writers] == [b"", b"", b""]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert same(cache.fetch(KEY))
    only_file(cache)


def test_threads_that_write_at_once_agree(cache):
    good = []

    def work() -> None:
        for _ in range(20):
            good.append(same(cache.store(KEY, CODE, WEIGHTS, INFO)))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert good == [True] * 80
    only_file(cache)


@pytest.mark.parametrize(
    ("chosen", "xdg", "place"),
    [
        ("/a/b", "/x", "/a/b/engine"),
        ("~/b", "/x", "/home/me/b/engine"),
        ("", "/x", "/x/mobilenets/engine"),
        ("", "", "/home/me/.cache/mobilenets/engine"),
        ("", "relative", "/home/me/.cache/mobilenets/engine"),
    ],
)
def test_the_folder_is_where_the_environment_says(monkeypatch, chosen, xdg, place):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("MOBILENETS_CACHE", chosen)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert Cache().directory == Path(place)


def test_off_keeps_nothing_and_says_nothing(monkeypatch):
    monkeypatch.setenv("MOBILENETS_CACHE", "off")
    cache = Cache()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(cache.store(KEY, CODE, WEIGHTS, INFO))
    assert cache.directory is None
    assert cache.fetch(KEY) is None


@pytest.mark.parametrize(
    ("text", "size"), [("", 2_000_000_000), ("0", 0), ("500M", 500_000_000), ("2gb", 2 * 10**9)]
)
def test_the_bound_is_what_the_environment_says(monkeypatch, text, size):
    monkeypatch.setenv("MOBILENETS_CACHE_SIZE", text)
    assert Cache(Path("unused")).size == size


@pytest.mark.parametrize("text", ["-1", "much", "1.5G", "2GiB"])
def test_a_bound_that_is_no_number_of_bytes_is_named(monkeypatch, text):
    monkeypatch.setenv("MOBILENETS_CACHE_SIZE", text)
    with pytest.raises(ValueError, match="MOBILENETS_CACHE_SIZE must be a number of bytes"):
        Cache(Path("unused"))
