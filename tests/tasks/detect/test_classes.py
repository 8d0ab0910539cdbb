"""Which of a detector's labels is which class of a data set."""

import pytest

from mobilenets.errors import DataError
from mobilenets.runtime.labels import COCO, coco_labels
from mobilenets.tasks.detect.classes import match_detection_classes


def test_classes_of_objects_match_by_name():
    assert match_detection_classes(["toothbrush", "Person"], coco_labels(90)) == ([89, 0], "")
    assert match_detection_classes(["1", "0"], ["0", "1", "2"]) == ([1, 0], "")
    with pytest.raises(DataError, match="gnat"):
        match_detection_classes(["person", "gnat"], coco_labels(80))


def test_numbers_are_cocos_eighty_in_order():
    numbers = [str(i) for i in range(80)]
    for labels in (coco_labels(80), coco_labels(90)):
        outputs, note = match_detection_classes(numbers, labels)
        assert [labels[i] for i in outputs] == list(COCO)
        assert "COCO's 80" in note
    some, _ = match_detection_classes(["0", "16", "79"], coco_labels(90))
    assert some == [0, 17, 89]
    wordy = ["aeroplane" if name == "airplane" else name for name in COCO]
    assert match_detection_classes(["4", "5"], wordy)[0] == [4, 5]


def test_numbers_are_the_models_own_where_there_are_as_many():
    assert match_detection_classes(["0", "1"], ["ant", "bee"])[0] == [0, 1]
    assert "in order" in match_detection_classes(["0", "1"], ["ant", "bee"])[1]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [(["0", "1"], ("ant", "bee", "fly")), (["80"], COCO), (["1", "2"], ("ant", "bee"))],
)
def test_numbers_that_mean_nothing_are_an_error(classes, labels):
    with pytest.raises(DataError, match=r"plain numbers .* add a file of names") as caught:
        match_detection_classes(classes, labels)
    assert "\n" not in str(caught.value)


def test_numbers_say_nothing_to_a_model_without_labels():
    with pytest.raises(DataError, match="no labels"):
        match_detection_classes(["0"], ())
