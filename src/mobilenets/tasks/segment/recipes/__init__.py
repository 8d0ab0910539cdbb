"""Recipes to segment, each saying what it is known to give."""

from dataclasses import replace

from mobilenets.tasks.recipe import Recipe, adamw_from_scratch, by_name, for_few_images
from mobilenets.tasks.segment.recipes.settings import (
    SegmentationAugmentation,
    SegmentationObjective,
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
        augmentation=SegmentationAugmentation("deeplab"),
        norm="auto",
        norm_momentum=0.0003,
        objective=SegmentationObjective(),
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
    return adamw_from_scratch(
        "modern_deeplab",
        epochs=300,
        batch_size=32,
        schedule="poly",
        augmentation=SegmentationAugmentation("deeplab_colours", scale_step=0.0),
        objective=SegmentationObjective(class_weights="root"),
        norm="auto",
        initialization="he",
    )


def finetune_deeplab() -> Recipe:
    """The default with `--from`: segmentation of a small set of images, from a good backbone.

    AdamW: a new head learns from few steps. docs/reproduction.md has what it gives on road
    scenes, with the command.
    """
    return for_few_images(modern_deeplab(), "finetune_deeplab", 60, 100)


RECIPES = by_name(paper_deeplab, paper_deeplab_trainval, modern_deeplab, finetune_deeplab)
SCRATCH, FINETUNE = "modern_deeplab", "finetune_deeplab"
