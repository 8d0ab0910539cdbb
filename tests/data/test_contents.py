"""Which images a network was trained on, by what they hold and not by their names."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import ModelCard, TrainedOn
from mobilenets.data.contents import Contents, count_trained_on, hashes, labels_digest
from mobilenets.data.contents.hashes import key_of
from mobilenets.data.folders import open_classification
from mobilenets.data.shapes import Shapes
from mobilenets.errors import WeightsError
from mobilenets.tasks.detect.formats.shapes import ShapeObjects


def files(folder: Path, count: int, *, first: int = 0, size: int | None = None) -> Path:
    """Files of random bytes that are called images; all of one size, or each of another."""
    for i in range(first, first + count):
        path = folder / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(i).randbytes(size or 100 + 7 * i))
    return folder


def learned(folder: Path) -> TrainedOn:
    found = Contents(open_classification(folder, "all")).trained_on
    assert found is not None
    return found


def measured(trained_on: TrainedOn, folder: Path) -> tuple[int, int, bool]:
    data = open_classification(folder, "all")
    seen = count_trained_on(trained_on, data, range(len(data)))
    assert seen is not None
    assert seen.images == len(data)
    return seen.trained_on, seen.known, seen.exact


@pytest.mark.parametrize("size", [None, 64], ids=["any size", "one size"])
def test_the_same_content_counts_under_any_name(tmp_path, size):
    kept = learned(files(tmp_path / "train", 30, size=size))
    assert kept.images == 30
    other = files(tmp_path / "other", 20, first=100, size=size)
    assert measured(kept, other) == (0, 20, True)
    for i in range(6):
        shutil.copy(tmp_path / "train" / "ab"[i % 2] / f"{i}.jpg", other / "a" / f"copy{i}.jpg")
    assert measured(kept, other) == (6, 26, True)
    changed = other / "a" / "copy0.jpg"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    assert measured(kept, other)[0] == 5


@pytest.mark.parametrize("size", [None, 64], ids=["any size", "one size"])
def test_of_a_large_set_a_sample_tells_the_share(tmp_path, monkeypatch, size):
    """As of ImageNet's million: what does not fit a card is estimated, and said to be."""
    monkeypatch.setattr(TrainedOn, "MOST", 150)
    kept = learned(files(tmp_path / "train", 600, size=size))
    assert kept.images == 600
    assert len(kept.numbers()) == 150
    assert kept.below is not None
    assert kept.below > max(kept.numbers())
    # A quarter of it, and three times as many others: the sample knows about a quarter of them.
    mixed = files(tmp_path / "mixed", 450, first=1000, size=size)
    for i in range(150):
        shutil.copy(tmp_path / "train" / "ab"[i % 2] / f"{i}.jpg", mixed / "a" / f"copy{i}.jpg")
    about, known, exact = measured(kept, mixed)
    assert not exact
    assert 100 < known < 200
    assert 100 < about < 200  # 150 are there
    assert measured(kept, tmp_path / "train")[0] == 600
    assert measured(kept, files(tmp_path / "others", 300, first=5000, size=size))[0] == 0


def test_only_files_that_could_be_among_them_are_read(tmp_path, monkeypatch):
    kept = learned(files(tmp_path / "train", 20))
    read = []
    monkeypatch.setattr(hashes, "key_of", lambda source: read.append(source) or key_of(source))
    other = files(tmp_path / "other", 200, first=3000)
    shutil.copy(tmp_path / "train" / "a" / "4.jpg", other / "b")
    assert measured(kept, other)[0] == 1
    assert len(read) < 5
    read.clear()
    monkeypatch.setattr(TrainedOn, "MOST", 40)
    assert len(Contents(open_classification(other, "all")).keys) < 60
    assert len(read) < 60


def test_training_goes_on_from_what_was_trained_before(tmp_path):
    first, second = (learned(files(tmp_path / n, 20, first=f)) for n, f in (("a", 0), ("b", 15)))
    both = first.joined(second)
    assert both.images == 35
    assert measured(both, tmp_path / "a")[0] == measured(both, tmp_path / "b")[0] == 20
    assert second.joined(None) == second
    some = TrainedOn.of(1000, range(0, 900, 9), below=900)
    joined = some.joined(TrainedOn.of(3, [9, 10, 5000]))
    assert joined.numbers() == {*range(0, 900, 9), 10}
    assert (joined.images, joined.below) == (1003, 900)


def test_a_file_that_cannot_be_read_is_no_image(tmp_path):
    folder = files(tmp_path / "x", 6)
    (folder / "a" / "0.jpg").write_bytes(b"")
    kept = learned(folder)
    assert len(kept.numbers()) == 5
    data = open_classification(folder, "all")
    (folder / "b" / "1.jpg").unlink()
    seen = count_trained_on(kept, data, range(6))
    assert (seen.hits, seen.known) == (4, 6)


def test_made_pictures_and_those_without_files():
    train, val = Shapes(32, "train", length=40), Shapes(32, "val", length=20)
    kept = Contents(train).trained_on
    assert count_trained_on(kept, train, range(0, 40, 2)).trained_on == 20
    assert count_trained_on(kept, val, range(20)).trained_on == 0
    assert count_trained_on(kept, Shapes(48, "train", length=40), range(40)).trained_on == 0
    assert Contents(Shapes(32, "train", length=40)).digest() == Contents(train).digest()
    objects = ShapeObjects("train")
    assert count_trained_on(Contents(objects).trained_on, objects, range(9)).trained_on == 9

    class Plain:
        """Another package's data: pixels are all there is."""

        def __init__(self, first):
            self.first = first

        def __len__(self):
            return 10

        def image(self, i):
            return Image.new("RGB", (3, 3), (self.first + i, 0, 0))

    kept = Contents(Plain(0)).trained_on
    assert count_trained_on(kept, Plain(5), range(10)).trained_on == 5
    assert count_trained_on(None, Plain(5), range(10)) is None


def test_labels_differ_where_any_target_does():
    class Numbers:
        def __init__(self, *targets):
            self.targets = targets

        def __len__(self):
            return len(self.targets)

        def target(self, i):
            return self.targets[i]

    def digest(*targets):
        return labels_digest(Numbers(*targets))

    assert digest(1, 2) == digest(1, 2) != digest(2, 1)
    assert digest(0.25) != digest(0.5)
    assert digest(np.arange(4)) != digest(np.arange(4).reshape(2, 2))
    assert digest(("a", "bc")) != digest(("ab", "c"))
    assert digest({"x": [1, None]}) != digest({"x": [1, 0]})
    assert digest() == digest()


def test_a_card_keeps_it_and_old_cards_have_none():
    kept = TrainedOn.of(3, [1, 5, (1 << 48) - 1])
    card = ModelCard("mobilenet_v2", trained_on=kept)
    again = ModelCard.from_json(card.to_json(), "x")
    assert again == card
    assert again.trained_on.numbers() == {1, 5, (1 << 48) - 1}
    old = card.to_json().replace('"version": 3', '"version": 2')
    assert ModelCard.from_json(old, "x").trained_on == kept
    whole = TrainedOn.of(10**6, range(10**5))
    assert len(ModelCard("", trained_on=whole).to_json()) < 40_000
    for damaged in ('"%%%"', "7"):
        text = card.to_json().replace(f'"{kept.keys}"', damaged)
        with pytest.raises(WeightsError, match="x: its mobilenets metadata is damaged"):
            ModelCard.from_json(text, "x")
