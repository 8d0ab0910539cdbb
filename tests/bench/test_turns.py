"""When a side's turn may begin."""

import itertools
import sys
import time

import pytest

from mobilenets.bench import processes
from mobilenets.bench.processes import Process, wait_for_rest


class Side:
    """A process that goes on using a processor for some looks after its turn."""

    def __init__(self, looks: int) -> None:
        self.time = itertools.chain(range(looks), itertools.repeat(looks))
        self.last = 0

    def used(self) -> float:
        self.last = next(self.time)
        return self.last


def test_a_turn_begins_when_no_side_uses_a_processor(monkeypatch):
    monkeypatch.setattr(processes, "PAUSE", 0.0)
    spinning = Side(7)
    wait_for_rest([Side(0), spinning])
    assert spinning.last == 7


def test_a_side_that_never_rests_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(processes, "LONGEST_PAUSE", 0.05)
    wait_for_rest([Side(10**9)])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells")
def test_a_process_tells_the_processor_time_that_it_used(tmp_path):
    with Process("run", "none", tmp_path, [1], sys.executable) as process:
        end = time.monotonic() + 30
        while process.used() == 0 and time.monotonic() < end:  # its imports take a while
            time.sleep(0.01)
        assert 0 < process.used() < 30
