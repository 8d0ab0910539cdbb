"""Items read in threads ahead of a model, in order; a broken one is reported, not fatal."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine import available
from mobilenets.errors import DataError

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Array = NDArray[np.float32]


@dataclass
class Batch(Generic[Item]):
    """Some items and their inputs, and those that could not be read since the batch before."""

    items: list[Item]
    inputs: Array
    """(len(items), ...); the last batch may have none, then its shape is (0,)."""
    failures: list[tuple[Item, str]] = field(default_factory=list)
    """Each with the message of its DataError."""


def read_batches(
    items: Iterable[Item],
    read: Callable[[Item], Array],
    batch_size: int = 32,
    workers: int | None = None,
) -> Iterator[Batch[Item]]:
    """Batches of `batch_size` readable items in their order, the last one perhaps smaller.

    `read` gives an item's input, all of one shape; it runs in `workers` threads, at most two
    batches ahead (0: in this thread, when needed; None: one for each processor, at least 2).
    A DataError of `read` goes to the next batch's `failures`; anything else comes through.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive, got {batch_size!r}")
    workers = max(2, available()) if workers is None else workers
    if workers < 0:
        raise ValueError(f"workers must be 0 or more, got {workers!r}")
    results = _in_threads(items, read, 2 * batch_size + workers, workers)
    return _collect(results if workers else _one_by_one(items, read), batch_size)


def _attempt(read: Callable[[Item], Array], item: Item) -> Array | str:
    try:
        return read(item)
    except DataError as error:
        return str(error)


def _one_by_one(
    items: Iterable[Item], read: Callable[[Item], Array]
) -> Iterator[tuple[Item, Array | str]]:
    for item in items:
        yield item, _attempt(read, item)


def _in_threads(
    items: Iterable[Item], read: Callable[[Item], Array], ahead: int, workers: int
) -> Iterator[tuple[Item, Array | str]]:
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[tuple[Item, Future[Array | str]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    try:
        for item in items:
            waiting.append((item, pool.submit(_attempt, read, item)))
            if len(waiting) > ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _collect(results: Iterator[tuple[Item, Array | str]], batch_size: int) -> Iterator[Batch[Item]]:
    items: list[Item] = []
    arrays: list[Array] = []
    failures: list[tuple[Item, str]] = []
    for item, result in results:
        if isinstance(result, str):
            failures.append((item, result))
            continue
        items.append(item)
        arrays.append(result)
        if len(items) == batch_size:
            yield Batch(items, np.stack(arrays), failures)
            items, arrays, failures = [], [], []
    if items or failures:
        inputs = np.stack(arrays) if arrays else np.zeros((0,), np.float32)
        yield Batch(items, inputs, failures)
