"""Files of which only the backbone is understood: predict names them, train takes them."""

import re
import warnings

import numpy as np
import pytest
import torch

from mobilenets.card import card_of
from mobilenets.errors import WeightsError
from mobilenets.inference import open_model
from mobilenets.tasks.registry import tasks
from mobilenets.training.run import Plan, start
from mobilenets.weights import identify, load
from tests.some import some
from tests.weights import keras_nets

LABELS = ("ant", "bee")


@pytest.fixture(scope="module")
def base():
    return keras_nets.network("MobileNetV2", 0.35, (96, 96), top=False)


def write(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras would rather write .keras
        model.save(path)
    return path


def teachable(base):
    """A head that no network of ours has: two hidden layers."""
    import keras as theirs

    layers = theirs.layers
    head = [layers.Dense(10, "relu", name="first"), layers.Dense(5, "relu", name="hidden")]
    head += [layers.Dense(2, "softmax", name="scores")]
    model = theirs.Sequential([base, layers.GlobalAveragePooling2D(), *head])
    return keras_nets.randomise(model)


@pytest.fixture(scope="module")
def file(base, tmp_path_factory):
    path = tmp_path_factory.mktemp("heads") / "teachable.h5"
    return write(teachable(base), path)


@pytest.fixture(scope="module")
def bare(base, tmp_path_factory):
    path = tmp_path_factory.mktemp("bare") / "no_top.h5"
    return write(base, path)


@pytest.mark.parametrize("call", [load, identify, open_model])
def test_a_head_that_is_none_of_ours_is_named_and_its_use_said(call, file):
    said = r"hidden.*scores.*mobilenet_v2, width 0\.35.*mobilenets train mobilenet_v2 --from"
    with pytest.raises(WeightsError, match=rf"^{re.escape(str(file))}: its head.*{said}"):
        call(file)


def test_a_file_without_a_classifier_is_called_so(bare):
    with pytest.raises(WeightsError, match=r"without a classifier|no classifier on its backbone"):
        load(bare)


@pytest.mark.parametrize(
    ("task", "name"),
    some(
        [
            ("classify", "mobilenet_v2"),
            ("detect", "ssdlite_mobilenet_v2"),
            ("segment", "deeplabv3_mobilenet_v2"),
        ],
        (0, 1),
    ),
)
def test_training_takes_the_backbone_of_any_use(task, name, file, base):
    said = []
    model, _ = start(Plan(name, file), tasks()[task], LABELS, said.append)
    assert any("the backbone alone" in line and "hidden" in line for line in said)
    assert any("left out" in line and "first, hidden, scores" in line for line in said)
    assert card_of(model).labels == LABELS
    x = np.random.default_rng(0).uniform(-1, 1, (1, 96, 96, 3)).astype(np.float32)
    theirs = np.asarray(base(x)) if task != "segment" else None
    with torch.no_grad():
        ours = model.eval().backbone(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    if theirs is not None:  # segmentation has no last convolution
        np.testing.assert_allclose(ours.numpy().transpose(0, 2, 3, 1), theirs, atol=2e-3)
    if task == "classify":
        assert card_of(model).preprocessing.size == (96, 96)


def test_another_backbone_is_refused_still(file):
    with pytest.raises(WeightsError, match="expected a network on mobilenet_v1"):
        start(Plan("mobilenet_v1", file), tasks()["classify"], LABELS)
