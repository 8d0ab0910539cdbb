"""Recipes: functions that return frozen data, each saying what it is known to give."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from mobilenets.data.augmentation import Augmentation
from mobilenets.models.geometry import unknown_name
from mobilenets.tasks import Objective
from mobilenets.training.settings import ALONE, Recipe


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
        augmentation=Augmentation("flip", crop_scale=0.25),
    )


def paper_v2() -> Recipe:
    """Paper 2, section 6.1, with the released code's label smoothing and average.

    TensorFlow's RMSProp (decay and momentum 0.9, epsilon 1), 0.045 x 0.98 per epoch at batch 96,
    Inception's preprocessing. Known to give 72.0 % for V2 1.0 at 224 (paper 2, Table 4; 71.8
    released), with 16 asynchronous workers; not re-run here.
    """
    return Recipe(
        "paper_v2",
        epochs=300,
        batch_size=96,
        learning_rate=0.045,
        optimizer="rmsprop_tf",
        schedule="staircase",
        decay_rate=0.98,
        decay_epochs=1.0,
        objective=Objective(label_smoothing=0.1),
        ema_decay=0.9999,
        augmentation=Augmentation("inception", crop_scale=0.08),
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
        objective=Objective(label_smoothing=0.1),
        ema_decay=0.9999,
        augmentation=Augmentation(
            "trivial", 0.08, erasing=0.1, mixup=0.2, cutmix=1.0, train_scale=176 / 224
        ),
        norm_momentum=0.1,
    )


def finetune() -> Recipe:
    """The default with `--from`: few epochs on few images, from features that are already good.

    Ten epochs of SGD at a rate that leaves the features be, and an average of the weights. The
    norms learn and follow the new images (momentum 0.1: the papers' 0.003 would take thousands
    of steps). docs/reproduction.md has what it gives on ants and bees, with the command.
    """
    return Recipe(
        "finetune",
        epochs=10,
        batch_size=32,
        learning_rate=0.002,
        weight_decay=1e-4,
        warmup_epochs=1.0,
        objective=Objective(label_smoothing=0.1),
        ema_decay=0.99,
        augmentation=Augmentation("flip", crop_scale=0.35),
        norm_momentum=0.1,
    )


def paper_ssd() -> Recipe:
    """The authors' configuration for SSD and SSDLite on COCO (their released pipelines).

    TensorFlow's RMSProp at 0.004, practically constant (x 0.95 per 800,720 steps), batch 24, 200k
    steps of 118k images, crop by overlap and flip, hard negatives 3:1 after suppression at 0.99,
    norms' decay 0.9997. Known to give 22.1 mAP for SSDLite V2 at 320 (paper 2, Table 6); not
    re-run here.
    """
    return Recipe(
        "paper_ssd",
        epochs=41,
        batch_size=24,
        learning_rate=0.004,
        optimizer="rmsprop_tf",
        schedule="staircase",
        decay_rate=0.95,
        decay_epochs=162.0,
        augmentation=Augmentation("ssd_crop"),
        objective=Objective(negative_nms=0.99),
        norm_momentum=0.0003,
        task="detect",
    )


def modern_ssd() -> Recipe:
    """From scratch: AdamW, cosine with warm-up, softmax scores, SSD's augmentation, an average.

    For data sets of some thousand images and more. Not run on COCO here; docs/reproduction.md has
    what `finetune_ssd`, the same but for its length, gives from scratch beside torchvision's.
    """
    return Recipe(
        "modern_ssd",
        epochs=300,
        batch_size=64,
        learning_rate=0.004,
        optimizer="adamw",
        weight_decay=0.05,
        warmup_epochs=5.0,
        ema_decay=0.999,
        augmentation=Augmentation("ssd"),
        norm_momentum=0.03,
        clip_norm=10.0,
        task="detect",
        network={"scores": "softmax"},
    )


def finetune_ssd() -> Recipe:
    """The default with `--from`: a detector for a small set of images, from a good backbone.

    AdamW: new extras and heads learn from few steps, which plain SGD needs several times as many
    of. Softmax scores for the same reason. docs/reproduction.md has what it gives on blood cells,
    with the command.
    """
    return replace(
        modern_ssd(),
        name="finetune_ssd",
        epochs=50,
        batch_size=16,
        learning_rate=0.002,
        warmup_epochs=1.0,
        ema_decay=0.99,
        norm_momentum=0.1,
    )


def paper_deeplab() -> Recipe:
    """DeepLab's authors' for VOC 2012 (arXiv 1706.05587, section 4.1), their first stage.

    SGD at 0.007 x (1 - step / steps)^0.9, batch 16, 30k steps of the 10,582 images of `trainaug`,
    crops of 513 at scales 0.5 to 2.0, output stride 16, norms trained. Known to give 75.32 % on
    VOC's val for V2 without ASPP, from weights trained on COCO (paper 2, Table 7); not re-run
    here.
    """
    return Recipe(
        "paper_deeplab",
        epochs=46,
        batch_size=16,
        learning_rate=0.007,
        nesterov=False,
        schedule="poly",
        augmentation=Augmentation("deeplab"),
        norm="auto",
        norm_momentum=0.0003,
        task="segment",
    )


def paper_deeplab_trainval() -> Recipe:
    """Their second stage: on, from the first one's weights, on `train` and its fine masks alone.

    The rate is 0.0001 and the norms' statistics stay (arXiv 1706.05587, section 4.1: 30k steps
    at output stride 8 on the 1,464 images of VOC's `train`, or `trainval` for the test server).
    """
    return replace(
        paper_deeplab(),
        name="paper_deeplab_trainval",
        epochs=330,
        learning_rate=0.0001,
        norm="frozen",
        network={"output_stride": 8},
    )


def modern_deeplab() -> Recipe:
    """From scratch: AdamW, poly with warm-up, scales, crops and colours, an average.

    Rare classes weigh more, by the root of their share: the mean over classes is what counts.
    For data sets of some thousand images and more. Not run on a large one here.
    """
    return Recipe(
        "modern_deeplab",
        epochs=300,
        batch_size=32,
        learning_rate=0.002,
        optimizer="adamw",
        weight_decay=0.05,
        schedule="poly",
        warmup_epochs=5.0,
        ema_decay=0.999,
        augmentation=Augmentation("deeplab_colours", scale_step=0.0),
        objective=Objective(class_weights="root"),
        norm="auto",
        norm_momentum=0.03,
        clip_norm=10.0,
        task="segment",
        initialization="he",
    )


def finetune_deeplab() -> Recipe:
    """The default with `--from`: segmentation of a small set of images, from a good backbone.

    AdamW: a new head learns from few steps. docs/reproduction.md has what it gives on road
    scenes, with the command.
    """
    return replace(
        modern_deeplab(),
        name="finetune_deeplab",
        epochs=60,
        batch_size=16,
        learning_rate=0.002,
        warmup_epochs=1.0,
        ema_decay=0.99,
        norm_momentum=0.1,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "paper_v1": paper_v1,
    "paper_v2": paper_v2,
    "modern": modern,
    "finetune": finetune,
    "paper_ssd": paper_ssd,
    "modern_ssd": modern_ssd,
    "finetune_ssd": finetune_ssd,
    "paper_deeplab": paper_deeplab,
    "paper_deeplab_trainval": paper_deeplab_trainval,
    "modern_deeplab": modern_deeplab,
    "finetune_deeplab": finetune_deeplab,
}


def recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe called `name` with some settings changed; None changes nothing.

    A setting of the augmentation (`policy`, ...) or the objective is given by its own name. A
    batch size given without a learning rate scales the rate with it. Raises ValueError for a name,
    a setting or a value that is not one.
    """
    if name not in RECIPES:
        raise ValueError(unknown_name(name, RECIPES, "recipe"))
    made = RECIPES[name]()
    given = {key: value for key, value in changes.items() if value is not None}
    parts = {
        part: {field.name for field in fields(type(getattr(made, part)))}
        for part in ("augmentation", "objective")
    }
    inner = set().union(*parts.values())
    fixed = {"name", "task", "network", *parts}
    allowed = (inner | {field.name for field in fields(Recipe)}) - fixed
    for key in given:
        if key not in allowed:
            raise ValueError(unknown_name(key, allowed, "setting"))
        uses = [task for task, names in ALONE.items() if key in names]
        if uses and made.task not in uses:
            raise ValueError(
                f"{key} is a setting to {' or '.join(uses)}, the recipe {name} is to {made.task}"
            )
    batch_size = given.get("batch_size", made.batch_size)
    if "learning_rate" not in given and isinstance(batch_size, int) and batch_size > 0:
        given["learning_rate"] = made.learning_rate * (batch_size / made.batch_size)
    changed = {
        part: replace(getattr(made, part), **{k: v for k, v in given.items() if k in names})
        for part, names in parts.items()
    }
    outer = {key: value for key, value in given.items() if key not in inner}
    return replace(made, **changed, **outer)
