"""What Hugging Face's transformers call a DeepLabv3, and how it is fed."""

import dataclasses
from collections.abc import Collection

from mobilenets.card import INCEPTION, Preprocessing
from mobilenets.runtime.labels import voc_labels
from mobilenets.tasks.segment.weights.feeding import resize_rule
from mobilenets.weights.containers.heads import TransformersHead

NAMES = {"pool": "conv_pool", "branches.0": "conv_aspp", "project": "conv_projection"}
"""Our units and theirs."""


def head(names: Collection[str]) -> TransformersHead | None:
    """The head of MobileNetV2ForSemanticSegmentation; None where there is no such tensor.

    Google's two-branch head: their class has no other. Their output stride is 32 where
    config.json does not say. Dropout is no part of the weights and stays ours.
    """
    if not any(name.startswith("segmentation_head.") for name in names):
        return None
    units = tuple(
        (
            ours,
            f"segmentation_head.{theirs}.convolution",
            f"segmentation_head.{theirs}.normalization",
        )
        for ours, theirs in NAMES.items()
    )
    return TransformersHead(
        "segmentation_head.classifier.convolution",
        voc_labels,
        units,
        last=False,
        kernel=True,
        arguments={"output_stride": 32},
        feed=_whole,
    )


def _whole(preprocessing: Preprocessing) -> Preprocessing:
    """Without a crop, which would leave pixels without a class."""
    if preprocessing.resize != "crop":
        return preprocessing
    return dataclasses.replace(
        preprocessing,
        resize=resize_rule(preprocessing.size),
        crop_fraction=INCEPTION.crop_fraction,
    )
