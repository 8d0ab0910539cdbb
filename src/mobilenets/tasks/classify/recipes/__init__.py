"""Recipes to classify, each saying what it is known to give."""

from dataclasses import replace

from mobilenets.tasks.classify.recipes.settings import (
    ClassificationAugmentation,
    ClassificationObjective,
)
from mobilenets.tasks.recipe import Recipe, by_name, on_features


def paper_v1() -> Recipe:
    """Paper 1, section 3.2, with the numbers of the released code.

    TensorFlow's RMSProp, 0.045 x 0.94 every 2.5 epochs at batch 64, little augmentation, no label
    smoothing, no decay on depthwise kernels. Known to give 70.6 % (paper 1, Table 4; 70.9 released)
    for V1 1.0 at 224, with asynchronous workers; not re-run here.
    """
    return Recipe(
        "paper_v1",
        epochs=100,
        batch_size=64,
        learning_rate=0.045,
        optimizer="rmsprop_tf",
        schedule="staircase",
        decay_rate=0.94,
        decay_epochs=2.5,
        ema_decay=0.9999,
        augmentation=ClassificationAugmentation("flip", crop_scale=0.25),
        objective=ClassificationObjective(),
    )


def paper_v2() -> Recipe:
    """Paper 2, section 6.1, with the released code's label smoothing and average.

    TensorFlow's RMSProp (decay and momentum 0.9, epsilon 1), 0.045 x 0.98 per epoch at batch 96,
    Inception's preprocessing. Known to give 72.0 % for V2 1.0 at 224 (paper 2, Table 4; 71.8
    released), with 16 asynchronous workers; not re-run here.
    """
    return replace(
        paper_v1(),
        name="paper_v2",
        epochs=300,
        batch_size=96,
        decay_rate=0.98,
        decay_epochs=1.0,
        augmentation=ClassificationAugmentation("inception", crop_scale=0.08),
        objective=ClassificationObjective(label_smoothing=0.1),
    )


def modern() -> Recipe:
    """The best published recipe for V2 whose every setting is public: torchvision's second.

    Known to give 72.15 % for V2 1.0 at 224 on ImageNet-1k (600 epochs on eight GPUs; not re-run
    here): SGD, cosine with five epochs of warm-up, TrivialAugment, erasing, mixing, training at 176
    pixels for 224, and that proportion for any other size.
    Two things differ from it: no repeated augmentation, and the average's decay of 0.9999 a step.
    """
    return Recipe(
        "modern",
        epochs=600,
        batch_size=1024,
        learning_rate=0.5,
        weight_decay=2e-5,
        decay_depthwise=True,
        warmup_epochs=5.0,
        objective=ClassificationObjective(label_smoothing=0.1),
        ema_decay=0.9999,
        augmentation=ClassificationAugmentation(
            "trivial", 0.08, erasing=0.1, mixup=0.2, cutmix=1.0, train_scale=176 / 224
        ),
        norm_momentum=0.1,
    )


def finetune() -> Recipe:
    """The default with `--from`: few epochs on few images, from features that are already good.

    Ten epochs of SGD at a rate that leaves the features be, and an average of the weights. The
    norms learn and follow the new images (momentum 0.1: the papers' 0.003 would take thousands
    of steps). After a probe fewer than 1000 images change less: the rate falls in proportion, crops
    grow to whole images, and labels are spread less, since the probe fits them as they are. Where
    they are too few for the batch, norms keep their statistics. docs/reproduction.md has what it
    gives on few images, with the command.
    """
    return on_features(
        "finetune",
        ClassificationAugmentation("flip", crop_scale=0.35),
        ClassificationObjective(label_smoothing=0.1),
        enough_images=1000,
        gentle={
            "learning_rate": 0.0,
            "crop_scale": 1.0,
            "label_smoothing": 0.0,
            "norm": "frozen",
        },
    )


RECIPES = by_name(paper_v1, paper_v2, modern, finetune)
SCRATCH, FINETUNE = "modern", "finetune"
