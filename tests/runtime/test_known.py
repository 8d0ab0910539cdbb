"""What start-up leaves out: the library that reads ONNX of a file opened before, and others."""

import subprocess
import sys
from importlib.metadata import requires

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from mobilenets.card import KEY, ModelCard, Preprocessing
from mobilenets.inference import open_session
from tests.some import some

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


BY_TYPER = set() if any("pydantic" in line for line in requires("typer") or ()) else {"pydantic"}
"""Where it was installed by hand in a version that needs it, that is imported."""
UNUSED = {
    *HEAVY,
    "concurrent.futures",
    "mobilenets.data.drawing",
    "mobilenets.data.inventory",
    "mobilenets.data.listing",
    "mobilenets.engine.ir.graph",
    "mobilenets.models.bodies",
    "mobilenets.saved",
    "numpy.random",
    "PIL.ImageDraw",
    "PIL.TiffImagePlugin",
    "secrets",
    *BY_TYPER,
} - ({"importlib.metadata", "tempfile"} if not BY_TYPER else set())
"""What `predict` of one image has no use for, the file's code being in the cache."""


def imported(*words: object) -> set[str]:
    """The modules that a command imports; its output goes to a pipe."""
    code = (
        "import sys\n"
        "from mobilenets.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end\n"
        "import gc\n"
        "assert gc.isenabled(), 'garbage is not looked for'\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("kind", some(["jpg", "png", "webp"]))
def test_predict_of_one_image_imports_what_it_uses(write, tmp_path, kind):
    path, image = write(("a", "b", "c")), tmp_path / f"one.{kind}"
    Image.new("RGB", (9, 9)).save(image)
    assert "onnx" in imported("predict", path, image)
    for options in ((), ("--json",)):
        assert not imported("predict", path, image, *options) & UNUSED


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("models --help", {"rich", "mobilenets.models.bodies"}),
        ("predict --help", {"rich", "mobilenets.models.bodies"}),
        ("profile mobilenet_v2 --json", {"rich"}),
    ],
)
def test_what_needs_no_arrays_imports_none(words, more):
    assert not imported(*words.split()) & {"numpy", "PIL", "onnx", "llvmlite", *more, *BY_TYPER}
