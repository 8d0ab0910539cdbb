"""A file of ours that was opened before is opened without the library that reads ONNX."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobilenets.card import KEY, ModelCard, Preprocessing
from mobilenets.inference import open_session

HEAVY = ("onnx", "google.protobuf", "llvmlite", "rich", "importlib.metadata", "tempfile")
LOOK = f"""
import sys
from mobilenets.inference import open_session
session = open_session(sys.argv[1])
print(session.card.labels, *[name for name in {HEAVY!r} if name in sys.modules], sep="|")
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """The mean of each channel, with a card or without one."""
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))

    def make(labels: tuple[str, ...] = (), shape=("N", 3, 8, 8)):
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["image"], ["means"]),
                helper.make_node("Flatten", ["means"], ["scores"]),
            ],
            "g",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (shape[0], 3))],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        if labels:
            card = ModelCard(
                "", task="classify", labels=labels, preprocessing=Preprocessing((8, 8))
            )
            helper.set_model_props(model, {KEY: card.to_json()})
        onnx.save(model, tmp_path / "m.onnx")
        return tmp_path / "m.onnx"

    return make


def look(path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, path], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr


def test_the_second_time_nothing_heavy_is_imported(write):
    path = write(("a", "b", "c"))
    assert look(path).startswith("('a', 'b', 'c')|onnx|google.protobuf|llvmlite")
    assert look(path) == "('a', 'b', 'c')"


def test_it_answers_as_the_first_time(write):
    path = write(("a", "b", "c"), (1, 3, None, None))
    images = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    first, second = open_session(path), open_session(path)
    assert first.card == second.card
    assert np.array_equal(first(images)["logits"], second(images)["logits"])
    with pytest.raises(ValueError, match="batch must have shape"):
        second(images[:, :2])


def test_another_file_at_its_place_is_read(write):
    open_session(write(("a", "b", "c")))
    assert open_session(write(("d", "e", "f"))).card.labels == ("d", "e", "f")


def test_of_a_file_without_a_card_nothing_is_kept(write):
    """What is said of it follows from this version's rules."""
    path = write()
    look(path)
    assert "|onnx|" in look(path)
