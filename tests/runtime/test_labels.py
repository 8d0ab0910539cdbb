import re

import pytest

from mobilenets.errors import DataError
from mobilenets.runtime.labels import (
    COCO,
    IMAGENET_WNIDS,
    VOC,
    coco_labels,
    imagenet_labels,
    match_classes,
)


def test_names_and_order_are_those_of_torchvision_and_timm():
    from timm.data import ImageNetInfo
    from torchvision.models import MobileNet_V2_Weights

    theirs = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    ours = imagenet_labels(1000)
    differ = {(a, b) for a, b in zip(theirs, ours, strict=True) if a != b}
    assert differ == {
        ("crane bird", "crane (bird)"),
        ("crane", "crane (machine)"),
        ("maillot tank suit", "maillot (tank suit)"),
    }
    assert list(IMAGENET_WNIDS) == ImageNetInfo().label_names()


def test_every_name_is_its_own_and_wnids_are_sorted():
    assert len(set(imagenet_labels(1000))) == 1000
    assert list(IMAGENET_WNIDS) == sorted(set(IMAGENET_WNIDS))
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in IMAGENET_WNIDS)


def test_background_comes_first_and_other_heads_have_no_names():
    assert imagenet_labels(1001) == ("background", *imagenet_labels(1000))
    assert imagenet_labels(1002) == imagenet_labels(10) == ()


def test_wnid_folders_match_either_head():
    folders = ["n01440764", "n02007558", "n15075141"]
    assert match_classes(folders[::2], imagenet_labels(1000)) == [0, 999]
    assert match_classes(folders[::2], imagenet_labels(1001)) == [1, 1000]


def test_wnids_match_labels_in_another_wording():
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    wordy = [info.index_to_description(i, detailed=False) for i in range(1000)]
    assert match_classes(IMAGENET_WNIDS, wordy) == list(range(1000))


def test_wnids_mean_nothing_to_a_thousand_other_labels():
    with pytest.raises(DataError, match="n01440764"):
        match_classes(["n01440764"], [f"thing {i}" for i in range(1000)])


def test_equal_names_match_in_any_order_and_loosely_where_no_doubt():
    assert match_classes(["bees", "ants"], ["ants", "bees", "wasps"]) == [1, 0]
    assert match_classes(["great_white_shark", "Tench"], imagenet_labels(1000)) == [2, 0]
    assert match_classes(["A", "a"], ["a", "A"]) == [1, 0]


def test_vocs_classes_are_known_by_cocos_names_and_with_spaces():
    """Labels of Hugging Face's DeepLabv3, and of models trained on COCO."""
    names = ["potted plant", "dining-table", "tv", "Motorcycle", "airplane", "couch"]
    assert [VOC[i] for i in match_classes(names, VOC)] == [
        *("pottedplant", "diningtable", "tvmonitor", "motorbike", "aeroplane", "sofa")
    ]
    coco = coco_labels(80)
    assert [coco[i] for i in match_classes(VOC[1:], coco)][-5:] == [
        *("potted plant", "sheep", "couch", "train", "tv")
    ]


def test_a_missing_class_is_named_with_what_the_model_has():
    with pytest.raises(DataError) as caught:
        match_classes(["ants", "flies", "gnats"], ["ants", "bees"])
    message = str(caught.value)
    assert "2 of the data's 3 classes" in message
    assert "flies, gnats" in message
    assert "ants, bees" in message
    assert "\n" not in message


def test_an_ambiguous_loose_name_is_not_guessed():
    with pytest.raises(DataError, match="crane"):
        match_classes(["Crane"], ["crane, bird", "crane, machine"])


def test_two_classes_may_not_share_an_output():
    with pytest.raises(DataError, match="are both the model's tench"):
        match_classes(["tench", "n01440764"], imagenet_labels(1000))


def test_a_model_without_labels_is_an_error():
    with pytest.raises(DataError, match="no labels"):
        match_classes(["ants"], ())


def test_cocos_names_and_ids_are_those_of_torchvision():
    from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

    theirs = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"]
    assert [name for name in theirs[1:] if name != "N/A"] == list(COCO)
    ninety = coco_labels(90)
    assert [n if n in COCO else "N/A" for n in ninety] == list(theirs[1:])
    assert ninety[11] == "unused 12"
    assert len(set(ninety)) == 90
    assert coco_labels(80) == COCO
    assert coco_labels(91) == coco_labels(2) == ()
