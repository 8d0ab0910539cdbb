"""One process that fails among several ends all within seconds, with its reason."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from mobilenets.errors import DataError, TrainingError
from mobilenets.training import together as module
from mobilenets.training.samples import Batches, Samples, loader, read
from mobilenets.training.together import SILENT_SECONDS, Watch, raise_together
from tests.some import some

ROOT = Path(__file__).parents[2]
FULL = "the disk of this machine is full"


@pytest.mark.parametrize(
    ("how", "reason"),
    some(
        [
            ("raises late", FULL),
            ("raises", FULL),
            ("is killed", "SIGKILL"),
            ("opens nothing", FULL),
        ],
        (),
    ),
)
def test_one_that_fails_ends_all_within_seconds(tmp_path, how, reason):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *launcher, "-m", "tests.training.failing", str(tmp_path), how]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    ended = time.time() - float((tmp_path / "failed").read_text())
    assert done.returncode != 0
    assert reason in " ".join(done.stderr.split())
    assert "mobilenets/training/" not in done.stderr  # no traceback of ours
    assert ended < 60  # of two minutes, or ten in which torch would wait


@pytest.fixture
def watches(monkeypatch):
    """Three processes' watches on one store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    yield [Watch(rank, 3) for rank in range(3)]
    del store


def test_the_first_to_fail_is_heard_by_all(watches):
    one, two, three = watches
    for watch in watches:
        watch.look()
    assert not any(watch.reason for watch in watches)
    assert two.tell("x.jpg: damaged")
    assert not three.tell("something else")
    one.look()
    assert {(watch.failed, watch.reason) for watch in watches} == {("1", "x.jpg: damaged")}
    with pytest.raises(TrainingError, match=r"^process 1 failed: x\.jpg: damaged$"):
        raise_together(RuntimeError("Connection closed by peer [127.0.0.1]:99"), one)
    with pytest.raises(SystemExit):  # the same everywhere is said once
        raise_together(DataError("x.jpg: damaged"), three)


def test_one_that_fails_says_so_itself_and_tells_the_launcher(watches, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    with pytest.raises(DataError, match="nowhere: no such data folder"):
        raise_together(DataError("nowhere: no such data folder"), watches[2])
    found = json.loads((tmp_path / "error.json").read_text())
    assert found["message"]["message"] == "nowhere: no such data folder"
    watches[0].look()
    assert watches[0].failed == "2"


def test_silence_is_a_failure_and_an_end_is_not(watches, monkeypatch):
    one, two, three = watches
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for watch in watches:
        watch.look()
    three.end()
    for _ in range(10):
        now[0] += SILENT_SECONDS / 5
        two.look()
        one.look()
    assert not one.reason  # the third is done, and the second gives signs of life
    now[0] += SILENT_SECONDS + 1
    one.look()
    assert (one.failed, one.reason) == ("1", "no sign of life")
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
    with pytest.raises(TrainingError, match="another process ended without a word"):
        raise_together(RuntimeError("[gloo] Connection reset"), two)


class Picky:
    """Data of which the process that reads makes something else than images."""

    classes, notes = ("a", "b"), ()

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 8

    def image(self, i):
        self.act()

    def target(self, i):
        return 0

    def name(self, i):
        return str(i)


def damaged():
    raise DataError("x.jpg: the file is empty")


def wrong():
    raise KeyError("orientation")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def transform(image, target):
    return image, target


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (damaged, DataError, r"^none of 8 training images can be read: x.jpg: the file is emp"),
        (wrong, TrainingError, r"^a process that reads images failed: 'orientation'$"),
        (killed, TrainingError, r"^a process that reads images ended: DataLoader worker \(pid"),
    ],
)
def test_a_process_that_reads_says_why_it_ended_in_one_line(act, error, message):
    batches = loader(Samples(Picky(act), transform, 0), Batches(8, 2, 0, 0, 1), workers=1)
    with pytest.raises(error, match=message) as caught:
        next(read(batches))
    assert "\n" not in str(caught.value)
