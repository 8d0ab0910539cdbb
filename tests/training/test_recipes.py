import dataclasses

import pytest

from mobilenets.training.fitting import STEPS, fit, planned_epochs, split
from mobilenets.training.recipes import recipe, recipes


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_has_its_own_name_and_says_what_it_gives(name):
    made = recipe(name)
    assert made == recipes()[name][1]()
    assert made.name == name
    assert len((recipes()[name][1].__doc__ or "").splitlines()) > 2


def test_the_first_paper_as_its_code_was_released():
    made = recipe("paper_v1")
    assert (made.optimizer, made.momentum) == ("rmsprop_tf", 0.9)
    assert (made.batch_size, made.learning_rate) == (64, 0.045)
    assert (made.schedule, made.decay_rate, made.decay_epochs) == ("staircase", 0.94, 2.5)
    assert made.objective.label_smoothing == 0
    assert not made.decay_depthwise
    assert made.augmentation.policy == "flip"  # "little augmentation"


def test_the_second_paper_with_the_settings_of_its_code():
    made = recipe("paper_v2")
    assert (made.optimizer, made.momentum) == ("rmsprop_tf", 0.9)
    assert (made.batch_size, made.learning_rate, made.weight_decay) == (96, 0.045, 4e-5)
    assert (made.schedule, made.decay_rate, made.decay_epochs) == ("staircase", 0.98, 1.0)
    assert (made.objective.label_smoothing, made.ema_decay) == (0.1, 0.9999)
    assert not made.decay_depthwise
    assert made.augmentation.policy == "inception"


def test_modern_is_torchvisions_second_recipe():
    made = recipe("modern")
    assert (made.optimizer, made.momentum, made.learning_rate) == ("sgd", 0.9, 0.5)
    assert (made.schedule, made.epochs, made.warmup_epochs) == ("cosine", 600, 5)
    assert (made.weight_decay, made.decay_depthwise) == (2e-5, True)
    assert made.objective.label_smoothing == 0.1
    assert made.ema_decay > 0
    inner = made.augmentation
    assert (inner.policy, inner.erasing, inner.mixup, inner.cutmix) == ("trivial", 0.1, 0.2, 1.0)
    assert round(224 * inner.train_scale) == 176


def test_the_authors_configuration_of_detectors():
    """FACTS: batch 24, RMSProp 0.004 x 0.95 per 800,720 steps, decay 0.9, epsilon 1, 200k steps."""
    made = recipe("paper_ssd")
    assert (made.optimizer, made.momentum, made.learning_rate) == ("rmsprop_tf", 0.9, 0.004)
    assert (made.batch_size, made.weight_decay, made.norm_momentum) == (24, 4e-5, 0.0003)
    steps = 118_287 // made.batch_size  # of COCO's training images
    assert made.epochs * steps == pytest.approx(200_000, rel=0.02)
    assert made.decay_epochs * steps == pytest.approx(800_720, rel=0.01)
    assert (made.schedule, made.decay_rate) == ("staircase", 0.95)
    assert made.augmentation.policy == "ssd_crop"
    assert (made.objective.negatives, made.objective.negative_nms) == (3.0, 0.99)
    assert made.network == {}  # sigmoid scores, as the network has them by itself


def test_settings_change_by_name_those_of_the_augmentation_too():
    made = recipe("modern", epochs=3, mixup=0.0, policy="none", seed=None)
    expected = recipe("modern")
    inner = dataclasses.replace(expected.augmentation, mixup=0.0, policy="none")
    assert made == dataclasses.replace(expected, epochs=3, augmentation=inner)


def test_the_rate_follows_the_batch_unless_both_are_given():
    assert recipe("modern", batch_size=256).learning_rate == pytest.approx(0.125)
    assert recipe("paper_v1", batch_size=128).learning_rate == pytest.approx(0.09)
    assert recipe("modern", batch_size=256, learning_rate=0.3).learning_rate == 0.3
    assert recipe("modern", learning_rate=0.3).batch_size == 1024


def test_a_small_data_set_halves_batch_and_rate_until_an_epoch_has_enough_steps():
    made = recipe("modern")
    assert fit(made, 1_281_167) == made
    assert fit(made, STEPS * 1024) == made
    smaller = fit(made, STEPS * 1024 - 1)
    assert (smaller.batch_size, smaller.learning_rate) == (512, 0.25)
    assert fit(made, 4096, keep_rate=True).learning_rate == 0.5
    least = fit(made, 10)
    assert (least.batch_size, least.learning_rate) == (10, pytest.approx(0.5 * 10 / 1024))
    assert fit(recipe("finetune", batch_size=24), 30).batch_size == 24  # half would be too small


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be a positive integer, got 0"),
        ({"epochs": 1.5}, "epochs must be a positive integer, got 1.5"),
        ({"epochs": True}, "epochs must be a positive integer, got True"),
        ({"batch_size": -8}, "batch_size must be a positive integer, got -8"),
        ({"batch_size": "many"}, "batch_size must be a positive integer, got 'many'"),
        ({"accumulate": 0}, "accumulate must be a positive integer, got 0"),
        ({"learning_rate": 0}, "learning_rate must be above 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
        ({"learning_rate": "fast"}, "learning_rate must be a number above 0, got 'fast'"),
        ({"freeze_epochs": -1}, "freeze_epochs must be an integer from 0, got -1"),
        ({"seed": 0.5}, "seed must be an integer from 0, got 0.5"),
        ({"clip_norm": -1}, "clip_norm must be 0 or more, got -1"),
        ({"clip_norm": "x"}, "clip_norm must be a number, 0 or more, got 'x'"),
        ({"weight_decay": -1e-4}, "weight_decay must be 0 or more, got -0.0001"),
        ({"momentum": 2}, "momentum must be from 0 to 1, got 2"),
        ({"ema_decay": 1.5}, "ema_decay must be from 0 to 1, got 1.5"),
        ({"label_smoothing": -0.1}, "label_smoothing must be from 0 to 1, got -0.1"),
        ({"dropout": 1.2}, "dropout must be from 0 to 1, got 1.2"),
        ({"norm_momentum": 7}, "norm_momentum must be from 0 to 1, got 7"),
        ({"teacher_weight": 2}, "teacher_weight must be from 0 to 1, got 2"),
        ({"teacher_temperature": 0}, "teacher_temperature must be above 0, got 0"),
        ({"decay_depthwise": "yes"}, "decay_depthwise must be true or false, got 'yes'"),
        ({"optimizer": "adam"}, "optimizer must be one of rmsprop_tf, sgd, adamw, got 'adam'"),
        ({"schedule": "step"}, "schedule must be one of cosine, staircase, poly, got 'step'"),
        ({"norm": "off"}, "norm must be one of train, frozen, auto, got 'off'"),
        ({"precision": "int8"}, "precision must be one of no, bf16, fp16, got 'int8'"),
        ({"initialization": "x"}, "initialization must be one of released, he, got 'x'"),
        ({"policy": "auto"}, "policy must be one of none, flip, inception, trivial, got 'auto'"),
        ({"mixup": -1}, "mixup must be 0 or more, got -1"),
        ({"cutmix": "a"}, "cutmix must be a number, 0 or more, got 'a'"),
        ({"erasing": 3}, "erasing must be from 0 to 1, got 3"),
        ({"crop_scale": 0}, "crop_scale must be above 0 and at most 1, got 0"),
        ({"train_scale": 0}, "train_scale must be above 0, got 0"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        recipe("modern", **changes)


@pytest.mark.parametrize("setting", ["mixupp", "name", "augmentation"])
def test_an_unknown_setting_is_told_the_known_ones(setting):
    message = rf"setting must be one of accumulate, .*, mixup, .*, got '{setting}'"
    with pytest.raises(ValueError, match=message):
        recipe("modern", **{setting: 1})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("finetune_ssd", {"mixup": 0.2}),
        ("paper_ssd", {"class_weights": "root"}),
        ("modern", {"negatives": 5.0}),
        ("modern_ssd", {"teacher_weight": 0.3}),
        ("modern_ssd", {"teacher_temperature": 3.0}),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(name, changes):
    with pytest.raises(ValueError, match=rf"{next(iter(changes))} is a setting to .*{name} is to"):
        recipe(name, **changes)


def test_an_unknown_recipe_is_told_the_known_ones():
    names = ", ".join(sorted(recipes()))
    with pytest.raises(ValueError, match=f"recipe must be one of {names}, got 'modem'; .*'modern'"):
        recipe("modem")


@pytest.mark.parametrize(
    ("batch", "side", "parts"),
    [
        *((16, 224, 1), (64, 224, 1), (65, 224, 5), (96, 224, 2), (512, 224, 8), (1000, 224, 20)),
        *((64, 320, 4), (16, 320, 1), (16, 512, 2), (4, 4096, 2), (67, 224, 1), (64, 32, 1)),
    ],
)
def test_a_batch_is_split_evenly_into_parts_of_at_most_64_images_of_224(batch, side, parts):
    """Of larger ones fewer, but never one alone: a norm needs two values."""
    made = split(recipe("modern", batch_size=batch), side * side)
    assert made.accumulate == parts
    assert made.batch_size == batch


@pytest.mark.parametrize("name", ["finetune_ssd", "finetune_deeplab"])
def test_of_few_images_there_are_more_epochs(name):
    made = recipe(name)
    assert planned_epochs(made, 1) == made.least_steps == 100
    assert planned_epochs(made, 3) == made.epochs
    assert planned_epochs(dataclasses.replace(made, epochs=2), 3) == 34
    assert planned_epochs(recipe(name, epochs=7), 1) == 7  # what a person says
    assert planned_epochs(recipe(name, epochs=7, least_steps=20), 1) == 20
    assert made.warmup_steps == 10
    with pytest.raises(ValueError, match="least_steps must be an integer from 0, got -1"):
        recipe(name, least_steps=-1)
