import signal
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.tasks.classify.recipes.settings import ClassificationAugmentation
from mobilenets.tasks.registry import tasks
from mobilenets.training.samples import Batches, Samples, loader, mix, read


class Broken(Shapes):
    """Some images cannot be read."""

    def image(self, i: int) -> Image.Image:
        if i in (3, 4) or len(self) < 3:
            raise DataError(f"{self.name(i)}: broken")
        return super().image(i)


def keys(images: int, batch: int, rank: int = 0, world: int = 1, epoch: int = 0, start: int = 0):
    batches = Batches(images, batch, seed=7, rank=rank, world=world)
    batches.epoch, batches.start = epoch, start
    return list(batches)


@pytest.fixture
def make() -> Callable[..., Samples]:
    def make(dataset=None, seed=0):
        augmentation = ClassificationAugmentation("trivial", erasing=0.5)
        transform = tasks()["classify"].learn.transform(
            ModelCard("mobilenet_v2", preprocessing=Preprocessing((24, 24))), augmentation
        )
        return Samples(dataset or Shapes(32, length=12), transform, seed)

    return make


@pytest.mark.parametrize(("images", "batch"), [(48, 8), (50, 8), (8, 8), (5, 5), (9, 1)])
def test_an_epoch_is_a_permutation_without_the_tail_that_fills_no_batch(images, batch):
    found = keys(images, batch, epoch=3)
    assert len(found) == images // batch
    assert {len(one) for one in found} == {batch}
    indices = [index for one in found for _, index in one]
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(images))
    assert {epoch for one in found for epoch, _ in one} == {3}


def test_the_tail_that_is_left_out_is_another_in_each_epoch():
    left = [set(range(9)) - {i for one in keys(9, 4, epoch=e) for _, i in one} for e in range(12)]
    assert len(set().union(*left)) > 3


def test_epochs_and_seeds_have_their_own_order():
    orders = [tuple(i for one in keys(64, 8, epoch=e) for _, i in one) for e in range(4)]
    assert len(set(orders)) == 4
    other = Batches(64, 8, seed=8, rank=0, world=1)
    assert tuple(i for one in other for _, i in one) != orders[0]
    assert orders[0] != tuple(sorted(orders[0]))


@pytest.mark.parametrize("world", [2, 4])
def test_the_parts_of_the_processes_make_up_the_same_global_batches(world):
    whole = keys(50, 8, epoch=1)
    parts = [keys(50, 8, rank, world, epoch=1) for rank in range(world)]
    joined = [[*chain(*together)] for together in zip(*parts, strict=True)]
    assert joined == whole


def test_a_resumed_epoch_starts_where_it_was_left():
    assert keys(50, 8, epoch=2, start=4) == keys(50, 8, epoch=2)[4:]
    assert keys(50, 8, epoch=2, start=6) == []


def test_seeds_are_mixed_so_that_neighbours_share_nothing():
    found = {mix(a, b) for a in range(30) for b in range(30)}
    assert len(found) == 900
    assert all(0 <= seed < 2**63 for seed in found)
    assert mix(1, 2) == mix(1, 2)
    bits = np.array([[seed >> bit & 1 for bit in range(63)] for seed in found]).mean(0)
    assert np.abs(bits - 0.5).max() < 0.1


def test_a_sample_is_drawn_from_its_seed_epoch_and_index_alone(make):
    samples = make()
    torch.manual_seed(1)
    first = [samples[(0, i)][0] for i in range(12)]
    torch.manual_seed(2)
    again = [make()[(0, i)][0] for i in reversed(range(12))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (samples[(1, 0)], make(seed=1)[(0, 0)]):
        assert not torch.equal(first[0], other[0])


def test_every_image_of_an_epoch_is_augmented_in_its_own_way(make):
    class Same(Shapes):
        def image(self, i):
            return super().image(0)

    samples = make(Same(32, length=12))
    assert len({samples[(0, i)][0].numpy().tobytes() for i in range(12)}) == 12


def test_the_process_keeps_its_own_random_numbers(make):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make()[(0, 0)]
    assert torch.equal(torch.rand(3), expected)


def test_an_image_asks_no_accelerator_for_its_random_numbers(make, monkeypatch):
    """Where there is none, torch keeps such a call, with the stack in words, for ever."""

    def asked(seed):
        raise AssertionError("an accelerator is seeded")

    for name in ("cuda", "xpu", "mtia"):
        monkeypatch.setattr(getattr(torch, name), "manual_seed_all", asked)
    make()[(0, 3)]


def test_a_broken_image_is_replaced_by_the_next_one_and_named(make):
    samples = make(Broken(32, length=12))
    image, target, note = samples[(0, 3)]
    assert note == "shapes/train/3: broken"
    assert int(target) == 5
    assert torch.equal(image, samples[(0, 5)][0])
    assert samples[(0, 5)][2] == ""


def test_the_last_image_is_replaced_by_the_first(make):
    class Last(Shapes):
        def image(self, i):
            if i == 11:
                raise DataError("broken")
            return super().image(i)

    assert int(make(Last(32, length=12))[(0, 11)][1]) == 0


def test_only_broken_images_are_an_error(make):
    with pytest.raises(DataError, match="none of 2 training images can be read: shapes"):
        make(Broken(32, length=2))[(0, 1)]


def test_workers_give_what_the_process_itself_gives(make):
    batches = Batches(12, 4, seed=0, rank=0, world=1)
    dataset = Broken(32, length=12)
    alone, helped = (list(loader(make(dataset), batches, workers)) for workers in (0, 2))
    assert len(alone) == 3
    for a, b in zip(alone, helped, strict=True):
        assert a[0].shape == (4, 3, 24, 24)
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
        assert a[2] == b[2]
    notes = [note for batch in alone for note in batch[2]]
    assert sorted(notes) == ["shapes/train/3: broken", "shapes/train/4: broken"]


class Held(torch.utils.data.Dataset):
    """Whether Ctrl-C is kept from the process that reads."""

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, str]:
        held = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return torch.zeros(1), torch.tensor(held), ""


@pytest.mark.every
@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no signal masks")
def test_ctrl_c_does_not_reach_readers_that_start():
    """Not even where they are new processes, as on macOS; and it reaches this one as before."""
    batches = loader(Held(), Batches(2, 2, seed=0, rank=0, world=1), 1)
    batches.multiprocessing_context = "spawn"
    ((_, held, _),) = read(batches)
    assert held.all()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
