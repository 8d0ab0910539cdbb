import threading
import time

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.runtime.batches import read_batches


def read(item: int) -> np.ndarray:
    time.sleep(0.002 * (item % 3))  # so that threads finish out of order
    if item % 5 == 4:
        raise DataError(f"item {item} is broken")
    return np.full((3, 2, 2), item, np.float32)


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 23])
def test_order_sizes_and_failures(workers, count):
    batches = list(read_batches(range(count), read, 4, workers))
    good = [i for i in range(count) if i % 5 != 4]
    assert [item for batch in batches for item in batch.items] == good
    assert all(len(batch.items) == 4 for batch in batches[:-1])
    for batch in batches:
        assert batch.inputs.shape == ((len(batch.items), 3, 2, 2) if batch.items else (0,))
        assert [one[0, 0, 0] for one in batch.inputs] == batch.items
    failures = [failure for batch in batches for failure in batch.failures]
    assert failures == [(i, f"item {i} is broken") for i in range(count) if i % 5 == 4]


def test_when_nothing_can_be_read_there_is_one_batch_of_failures():
    def never(item: str) -> np.ndarray:
        raise DataError(f"{item}: no")

    (batch,) = read_batches(["a", "b"], never, 1, 2)
    assert batch.items == []
    assert len(batch.inputs) == 0
    assert batch.failures == [("a", "a: no"), ("b", "b: no")]


def test_other_errors_come_through():
    def bug(item: int) -> np.ndarray:
        raise KeyError(item)

    for workers in (0, 2):
        with pytest.raises(KeyError):
            list(read_batches([1], bug, 1, workers))


def test_reading_ahead_is_bounded_and_stops_when_nobody_listens():
    done: list[int] = []
    lock = threading.Lock()

    def count(item: int) -> np.ndarray:
        with lock:
            done.append(item)
        return np.zeros(1, np.float32)

    before = threading.active_count()
    batches = read_batches(range(10_000), count, 4, 2)
    next(batches)
    assert len(done) <= 4 + 2 * 4 + 2 + 1
    batches.close()
    assert len(done) < 100
    assert threading.active_count() == before


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        read_batches([], read, 0)
    with pytest.raises(ValueError, match="workers must be 0 or more, got -1"):
        read_batches([], read, 1, -1)
