"""Every option of every operator of a TFLite file: honoured as by LiteRT, or refused by name."""

import flatbuffers
import numpy as np
import pytest

from mobilenets.errors import WeightsError
from mobilenets.weights import load
from tests.weights import keras_nets
from tests.weights.test_keras_config import model_of
from tests.weights.test_tflite_says import assert_same_answers, softmax, write

OPTIONS = {
    "fusedActivationFunction": (0, 1, 2, 3),
    "padding": (0, 1),
    "strideW": (1, 2),
    "strideH": (1, 2),
    "dilationWFactor": (2,),
    "dilationHFactor": (2,),
    "filterWidth": (1,),
    "filterHeight": (1,),
    "depthMultiplier": (2,),
    "beta": (2.0,),
    "alpha": (0.1,),
    "keepDims": (True, False),
    "weightsFormat": (1,),
    "newShape": ([-1],),
}
"""Other values than a file may have. What is not here changes no answer."""
SILENT = {"asymmetricQuantizeInputs", "quantizedBiasType", "potScaleInt16", "keepNumDims"}
"""How a number is computed or laid out, never which."""


MEANT = {"beta": "beta of 2", "weightsFormat": "shuffled", "dilationWFactor": "strides"}
"""Words of refusals."""


def pooled(k, x):
    return k.Dense(3, activation="softmax")(k.Flatten()(k.AveragePooling2D(1)(x)))


@pytest.fixture(scope="module", params=[softmax, pytest.param(pooled, marks=pytest.mark.every)])
def data(request):
    return keras_nets.convert(model_of(head=request.param))


def to_one(pixels):
    return pixels / 127.5 - 1


def unpacked(data):
    from tensorflow.lite.python.schema_py_generated import Model, ModelT

    return ModelT.InitFromObj(Model.GetRootAsModel(data, 0))


def changes(data):
    """(operator, option, value) of each change to the first two operators of each kind."""
    seen = {}
    for place, operator in enumerate(unpacked(data).subgraphs[0].operators):
        seen[operator.opcodeIndex] = seen.get(operator.opcodeIndex, 0) + 1
        if seen[operator.opcodeIndex] > 2 or operator.builtinOptions is None:
            continue
        for name, value in vars(operator.builtinOptions).items():
            assert name in OPTIONS or name in SILENT, (name, value)
            yield from ((place, name, other) for other in OPTIONS.get(name, ()) if other != value)


def changed(data, place, name, value):
    """The file with one option changed."""
    model = unpacked(data)
    setattr(model.subgraphs[0].operators[place].builtinOptions, name, value)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def runs(path):
    """Whether LiteRT runs the file at all."""
    try:
        keras_nets.interpret(path, np.zeros((1, 32, 32, 3), np.float32))
    except (RuntimeError, ValueError):
        return False
    return True


def assert_honoured(path):
    """The file's answers are LiteRT's, or it is refused in one line, or LiteRT refuses it."""
    try:
        load(path)
    except WeightsError as error:
        return str(error)
    if runs(path):
        assert_same_answers(path, to_one)
    return ""


def test_some_options_are_honoured_or_named(data, tmp_path):
    """The last of each: the first are those of layers, which other tests have."""
    last = {name: (place, name, value) for place, name, value in changes(data)}
    for place, name, value in last.values():
        path = write(tmp_path / "a.tflite", changed(data, place, name, value))
        assert MEANT.get(name, "") in assert_honoured(path)


@pytest.mark.every
def test_every_option_is_honoured_or_named(data, tmp_path):
    found = [
        assert_honoured(write(tmp_path / "a.tflite", changed(data, place, name, value)))
        for place, name, value in changes(data)
    ]
    assert len(found) > 30
    assert 4 < found.count("") < 15
    assert not any("\n" in line for line in found)
