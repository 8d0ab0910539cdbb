"""Recipes to detect, each saying what it is known to give."""

from mobilenets.tasks.detect.recipes.settings import DetectionAugmentation, DetectionObjective
from mobilenets.tasks.recipe import Recipe, adamw_from_scratch, by_name, for_few_images


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
        augmentation=DetectionAugmentation("ssd_crop"),
        objective=DetectionObjective(negative_nms=0.99),
        norm_momentum=0.0003,
    )


def modern_ssd() -> Recipe:
    """From scratch: AdamW, cosine with warm-up, softmax scores, SSD's augmentation, an average.

    For data sets of some thousand images and more. Not run on COCO here; docs/reproduction.md has
    what `finetune_ssd`, the same but for its length, gives from scratch beside torchvision's.
    """
    return adamw_from_scratch(
        "modern_ssd",
        epochs=300,
        batch_size=64,
        learning_rate=0.004,
        augmentation=DetectionAugmentation("ssd"),
        objective=DetectionObjective(),
        network={"scores": "softmax"},
    )


def finetune_ssd() -> Recipe:
    """The default with `--from`: a detector for a small set of images, from a good backbone.

    AdamW: new extras and heads learn from few steps, which plain SGD needs several times as many
    of. Softmax scores for the same reason. docs/reproduction.md has what it gives on blood cells,
    with the command.
    """
    return for_few_images(modern_ssd(), "finetune_ssd", 50, 100)


RECIPES = by_name(paper_ssd, modern_ssd, finetune_ssd)
SCRATCH, FINETUNE = "modern_ssd", "finetune_ssd"
