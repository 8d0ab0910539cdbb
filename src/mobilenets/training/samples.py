"""Which images make which batch, and what is drawn at random for each: all from the seed.

Nothing depends on the process, the worker or what ran before, so a run that was killed goes on
exactly where it was, and two processes see together what one would have seen.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mobilenets.data.dataset import Dataset as ImageDataset
from mobilenets.data.listing import count
from mobilenets.errors import DataError, TrainingError
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.task import Task

Key = tuple[int, int]
"""(epoch, index)"""
Drawn = Callable[[int], NDArray[np.int64]]
"""A seed -> the numbers of an epoch's images, batch by batch."""


def seed_only_cpu(number: int) -> None:
    """As `torch.manual_seed`, which on a CPU keeps a list of calls for every accelerator.

    That list grows at each call, by the whole stack in words: a good part of an image's time.
    """
    torch.default_generator.manual_seed(number)


def mix(*numbers: int) -> int:
    """A 63-bit seed out of a few integers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Samples(Dataset[tuple[Tensor, Any, str]]):
    """A data set's images through a random transform: (image, target, note) by (epoch, index).

    An image that cannot be read, or its mask, is replaced by the next one and named in the note.
    """

    def __init__(
        self, dataset: ImageDataset, transform: Callable[..., tuple[Tensor, Tensor]], seed: int
    ) -> None:
        self.dataset = dataset
        self.transform = transform
        self.seed = seed

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor, str]:
        epoch, index = key
        note = ""
        for shift in range(len(self.dataset)):
            chosen = (index + shift) % len(self.dataset)
            try:
                image, target = self.dataset.image(chosen), self.dataset.target(chosen)
            except DataError as error:
                note = note or str(error)
                continue
            with torch.random.fork_rng(devices=[]):
                seed_only_cpu(mix(self.seed, epoch, chosen))
                return (*self.transform(image, target), note)
        images = count(len(self.dataset), "training image", "training images")
        raise DataError(f"none of {images} can be read: {note}")


class Batches(Sampler[list[Key]]):
    """The part of this process in each global batch of an epoch, from step `start` on.

    An epoch is one permutation of the images, its tail that fills no batch left out; or what
    `drawn` makes of a seed, batch by batch, if a use says which images belong together.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        seed: int,
        rank: int,
        world: int,
        drawn: Drawn | None = None,
    ) -> None:
        self.drawn = drawn
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.rank, self.world = rank, world
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return max(self.images // self.batch_size, 1)

    def __iter__(self) -> Iterator[list[Key]]:
        seed = mix(self.seed, self.epoch)
        shuffled = np.random.default_rng(seed).permutation
        order = shuffled(self.images) if self.drawn is None else self.drawn(seed)
        part = min(self.batch_size, self.images) // self.world
        for step in range(self.start, len(self)):
            first = step * self.batch_size + self.rank * part
            yield [(self.epoch, int(index)) for index in order[first : first + part]]


def batches_of(
    task: Task, dataset: ImageDataset, batch: int, made: Recipe, accelerator: Accelerator
) -> Batches:
    """Of a run's batches, `batch` images over all processes, this one's part, as its use draws."""
    sampler = getattr(task.learn, "sampler", None)
    drawn = None if sampler is None else sampler(dataset, batch, made.objective)
    rank, world = accelerator.process_index, accelerator.num_processes
    return Batches(len(dataset), batch, made.seed, rank, world, drawn)


def collate(samples: list[tuple[Tensor, Tensor, str]]) -> tuple[Tensor, Tensor, list[str]]:
    """(N, 3, H, W) images, N targets, and the notes of images that could not be read."""
    images, targets, notes = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(targets), [note for note in notes if note]


def ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C to the process that trains: it ends its readers when it has saved the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def loader(samples: Samples, batches: Batches, workers: int) -> DataLoader[Any]:
    """Reads and augments in `workers` processes of its own; 0 for none."""
    return DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=ignore_interrupts,
    )


def read(batches: DataLoader[Any]) -> Iterator[Any]:
    """What a loader gives.

    Ctrl-C waits while its readers start: they do not ignore it yet, and would each end in a
    traceback of their own.
    """
    with held_interrupts():
        found = iter(batches)
    try:
        yield from found
    except (RuntimeError, DataError, OSError, ValueError, TypeError, KeyError) as error:
        raise reading_error(error) from error


def reading_error(error: Exception) -> Exception:
    """What went wrong in a process that reads, in one line without that process's traceback."""
    lines = str(error).strip().splitlines() or [""]
    first, last = lines[0], lines[-1]
    if first.startswith("Caught ") and "DataLoader worker" in first:
        if isinstance(error, DataError):  # its message, traceback and all, is one line
            name = f"{DataError.__module__}.{DataError.__qualname__}: "
            return DataError(str(error).partition(name)[2])
        kind, _, text = last.partition(": ")
        return TrainingError(f"a process that reads images failed: {text or kind}")
    if "DataLoader worker" in first:
        return TrainingError(f"a process that reads images ended: {first}")
    return error


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Keep Ctrl-C back until the end, in processes started meanwhile for ever; not on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
