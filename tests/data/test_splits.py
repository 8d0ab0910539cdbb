"""Images held out in whole groups."""

import random

import pytest

from mobilenets.data.listing import held_out
from mobilenets.data.splits import hold_out


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_where_all_are_alone_it_is_the_plain_rule_for_each_label(fraction):
    draw = random.Random(0)
    files = [f"{i}.jpg" for i in range(300)]
    labels = [draw.choice("abcdefgh") for _ in files]
    files, labels = [*files, "alone.jpg"], [*labels, "z"]
    plain = set().union(
        *(
            held_out([f for f, one in zip(files, labels, strict=True) if one == label], fraction, 3)
            for label in set(labels)
        )
    )
    assert hold_out(files, [""] * 301, labels, fraction, 3) == plain


@pytest.mark.parametrize("seed", range(8))
def test_groups_stay_whole_and_every_label_keeps_images_to_learn_from(seed):
    draw = random.Random(seed)
    files = [f"{i}.jpg" for i in range(400)]
    groups = [draw.choice(["", *(f"g{k}" for k in range(60))]) for _ in files]
    labels = [draw.choice("abcde") for _ in files]
    held = hold_out(files, groups, labels, 0.2, seed)
    of = dict(zip(files, groups, strict=True))
    assert not {of[f] for f in held} & {of[f] for f in files if f not in held} - {""}
    for label in "abcde":
        own = [f for f, one in zip(files, labels, strict=True) if one == label]
        assert 0.1 < sum(f in held for f in own) / len(own) < 0.3


def test_a_group_may_be_called_as_a_file():
    assert hold_out(["a", "b", "c"], ["b", "", "b"], ["x"] * 3, 0.9, 0) == {"b"}
