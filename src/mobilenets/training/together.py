"""Several processes that train together: where one fails, all end within seconds, and say why.

A process that waits for others in torch's exchange of gradients hears of nothing else, some for ten
minutes. So a thread beside it asks the store through which they met whether one has failed, or has
been silent for long, and ends its own process then.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from mobilenets.devices import AUTO, find_device
from mobilenets.errors import TrainingError
from mobilenets.training.runs.signals import InterruptedRunError

LOOK_SECONDS = 0.5
"""Between looks for the failure of another process."""
GRACE_SECONDS = 3.0
"""In which a process ends by itself when another one has failed: its error may be on its way."""
SILENT_SECONDS = 30.0
"""After which a process without a sign of life counts as gone."""
_DONE = 1 << 40
_LOST = ("connection", "peer", "gloo", "nccl", "socket", "broken pipe")


@contextmanager
def together() -> Iterator[None]:
    """What runs inside runs in all processes, or ends in all.

    The one that fails first says why as it would alone. The others end in a TrainingError that
    names it and its reason, and quietly where they fail for the same one. Alone this does nothing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    PartialState(cpu=not torch.accelerator.is_available())
    watch = Watch(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    watch.start()
    try:
        yield
    except InterruptedRunError:  # all agreed on it, and one may be saving the run
        raise
    except Exception as error:
        raise_together(error, watch)
    finally:
        watch.end()


def raise_together(error: Exception, watch: "Watch") -> None:
    """End in this process's own error, or in that of the one that failed before it."""
    reason = " ".join(str(error).split()) or type(error).__name__
    lost = is_lost(error)
    if not lost and watch.tell(reason):
        leave_for_launcher(reason)
        raise error
    end = time.monotonic() + GRACE_SECONDS
    while not watch.reason and time.monotonic() < end:
        watch.look()
        time.sleep(LOOK_SECONDS / 5)
    if watch.reason == reason:
        sys.exit(1)
    if watch.reason:
        raise TrainingError(f"process {watch.failed} failed: {watch.reason}") from error
    watch.tell("the connection to another process was lost")
    raise TrainingError(
        "another process ended without a word: killed, perhaps because memory ran out"
    ) from error


def is_lost(error: Exception) -> bool:
    """Whether an error says that another process is gone, not what is wrong in this one."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in _LOST)


def leave_for_launcher(reason: str) -> None:
    """Write the reason where torch's launcher looks for it, to be shown in its summary."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        extra = {"py_callstack": reason, "timestamp": str(int(time.time()))}
        text = json.dumps({"message": {"message": reason, "extraInfo": extra}})
        with suppress(OSError):
            Path(path).write_text(text, encoding="utf-8")


class Watch(threading.Thread):
    """Looks after the other processes, by the store through which they met; a thread of its own.

    It has a connection of its own, since torch's may be waiting in the main thread.
    """

    def __init__(self, rank: int, world: int) -> None:
        super().__init__(name="together", daemon=True)
        self.rank, self.world = rank, world
        self.ended = threading.Event()
        """Set when there is nothing to look after any more."""
        self.failed, self.reason = "", ""
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self.key = f"mobilenets/{attempt}"
        self.lock = threading.Lock()
        self.beats: dict[int, tuple[int, float]] = {}
        """The sign of life last seen of each process, and when it was new."""
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self.store = TCPStore(
            host, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=20)
        )

    def run(self) -> None:
        """Look until the end; end the process where another has failed and nothing happens."""
        while not self.ended.wait(LOOK_SECONDS):
            try:
                self.look()
            except RuntimeError:  # who kept the store is gone
                self.failed, self.reason = "0", "it ended without a word"
            if self.reason and not self.ended.wait(2 * GRACE_SECONDS):
                print(  # noqa: T201
                    f"error: process {self.failed} failed: {self.reason}",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)

    def tell(self, reason: str) -> bool:
        """Say to all why this process fails; False where another one did before."""
        with self.lock, suppress(RuntimeError):
            said = f"{self.rank} {reason}"
            found = self.store.compare_set(f"{self.key}/failed", "", said)
            self.failed, _, self.reason = bytes(found).decode(errors="replace").partition(" ")
            return self.failed == str(self.rank)
        return True

    def end(self) -> None:
        """Stop looking, and say that silence is no failure from now on."""
        self.ended.set()
        with self.lock, suppress(RuntimeError):
            self.store.add(f"{self.key}/beat/{self.rank}", _DONE)

    def look(self) -> None:
        """See whether a process has failed, and give a sign of life."""
        with self.lock:
            if self.reason:
                return
            if self.store.check([f"{self.key}/failed"]):
                said = bytes(self.store.get(f"{self.key}/failed")).decode(errors="replace")
                self.failed, _, self.reason = said.partition(" ")
                return
            self.store.add(f"{self.key}/beat/{self.rank}", 1)
            now = time.monotonic()
            for other in set(range(self.world)) - {self.rank}:
                beat = self.store.add(f"{self.key}/beat/{other}", 0)
                last, when = self.beats.get(other, (-1, now))
                self.beats[other] = (last, when) if beat == last else (beat, now)
                if beat == last < _DONE and now - when > SILENT_SECONDS:
                    self.failed, self.reason = str(other), "no sign of life"


def choose_device(device: str) -> bool:
    """Make what is called `device` that of this process; whether it is the CPU.

    ValueError for one that is not there, and for any but `auto` where several processes train.
    """
    if device == AUTO:
        return not torch.accelerator.is_available()
    found = find_device(device)
    if "WORLD_SIZE" in os.environ:
        raise ValueError(f"device must be auto where several processes train, got {device!r}")
    if found.type == "cuda":
        torch.cuda.set_device(found.index or 0)  # what Accelerate takes
    return found.type == "cpu"
