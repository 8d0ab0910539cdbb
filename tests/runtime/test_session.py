import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobilenets.card import INCEPTION, KEY, TORCHVISION, ModelCard, Preprocessing, one_output
from mobilenets.errors import InputError, WeightsError
from mobilenets.inference import open_session
from mobilenets.runtime.labels import imagenet_labels
from tests.outputs import only

RNG = np.random.default_rng(0)
BATCH = RNG.normal(size=(5, 3, 8, 6)).astype(np.float32)
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path) -> Make:
    """Writes a graph: mean over height and width, then a matrix to `classes` outputs."""

    def write(
        shape=("N", 3, 8, 6), classes=4, *, tail=(), card=None, out=None, kind=TensorProto.FLOAT
    ):
        axes = [1, 2] if shape[3] == 3 else [2, 3]
        channels = 3 if shape[3] == 3 else shape[1]
        weight = np.arange(channels * classes, dtype=np.float32).reshape(-1, classes) / classes
        nodes = [
            helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "weight"], ["y0"]),
        ]
        for i, op in enumerate(tail):
            nodes.append(helper.make_node(op, [f"y{i}"], [f"y{i + 1}"]))
        last = f"y{len(tail)}"
        output = helper.make_tensor_value_info(last, TensorProto.FLOAT, out or (shape[0], classes))
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("image", kind, shape)],
            [output],
            [
                numpy_helper.from_array(np.array(axes, np.int64), "axes"),
                numpy_helper.from_array(weight, "weight"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        if card is not None:
            helper.set_model_props(model, {KEY: card})
        onnx.save(model, tmp_path / "m.onnx")
        return tmp_path / "m.onnx"

    return write


def wanted(batch: np.ndarray, classes: int = 4) -> np.ndarray:
    weight = np.arange(3 * classes, dtype=np.float32).reshape(3, classes) / classes
    return batch.mean((2, 3)) @ weight


def test_outputs_are_those_of_the_graph_for_any_number_of_images(make):
    session = open_session(make(), threads=1)
    for count in (1, 2, 5):
        outputs = only(session(BATCH[:count]))
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, wanted(BATCH[:count]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fixed", [1, 2, 3, 8])
def test_a_fixed_batch_is_split_and_filled_up(make, fixed):
    session = open_session(make((fixed, 3, 8, 6)))
    np.testing.assert_allclose(only(session(BATCH)), wanted(BATCH), rtol=1e-5, atol=1e-6)


def test_channels_last_is_fed_as_it_wants(make):
    session = open_session(make(("N", 8, 6, 3)))
    np.testing.assert_allclose(only(session(BATCH)), wanted(BATCH), rtol=1e-5, atol=1e-6)
    assert session.card.preprocessing.size == (8, 6)
    assert session.card.preprocessing.mean == INCEPTION.mean
    assert "does not say" in session.card.source


@pytest.mark.parametrize(
    ("classes", "tail", "meaning"),
    [
        (4, (), "logits"),
        (4, ("Softmax",), "probabilities"),
        (4, ("Sigmoid",), "independent probabilities"),
        (1, ("Sigmoid",), "independent probabilities"),
        (1, (), "independent logits"),
    ],
)
def test_the_last_operator_says_what_the_scores_are(make, classes, tail, meaning):
    assert open_session(make(classes=classes, tail=tail)).card.output.meaning == meaning


def test_answers_without_scores_are_refused_by_their_operator(make):
    with pytest.raises(WeightsError, match="from an operator argmax, is no classifier's scores"):
        open_session(make(tail=("ArgMax",), out=("N", 1)))


def test_our_own_card_comes_back(make):
    card = ModelCard(
        "mobilenet_v2",
        {"width": 0.35},
        labels=("a", "b", "c", "d"),
        preprocessing=Preprocessing((8, 6), "pad", order="BGR"),
        outputs=one_output("probabilities"),
        results={"top1": 0.5},
    )
    assert open_session(make(card=card.to_json())).card == card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "metadata is damaged"),
        ('{"version": 99}', "does not read"),
        ("[]", "metadata is damaged"),
    ],
)
def test_a_damaged_card_is_an_error(make, text, message):
    with pytest.raises(WeightsError, match=message):
        open_session(make(card=text))


@pytest.mark.parametrize(("classes", "first"), [(1000, "tench"), (1001, "background"), (7, None)])
def test_a_foreign_file_gets_a_card_from_its_shapes(make, classes, first):
    card = open_session(make(("N", 3, 160, 128), classes)).card
    assert card.architecture == ""
    assert card.labels == imagenet_labels(classes)
    assert (card.labels[0] if card.labels else None) == first
    assert card.preprocessing == Preprocessing(
        (160, 128), "torchvision", mean=TORCHVISION.mean, std=TORCHVISION.std
    )
    assert card.output.meaning == "logits"


def test_free_sides_mean_224_and_free_outputs_are_counted_by_running(make):
    session = open_session(make(("N", 3, "H", "W"), 1000, out=("N", "C")))
    assert session.card.preprocessing.size == (224, 224)
    assert len(session.card.labels) == 1000
    assert only(session(BATCH)).shape == (5, 1000)


@pytest.mark.parametrize(
    ("tail", "outputs"),
    [
        (("Softmax",), "probabilities"),
        (("Softmax", "Identity"), "probabilities"),
        (("Softmax", "Log"), "logits"),
        (("Identity",), "logits"),
    ],
)
def test_a_final_softmax_is_seen(make, tail, outputs):
    assert open_session(make(tail=tail)).card.output.meaning == outputs


def test_a_wrong_batch_is_named(make):
    session = open_session(make())
    for shape in ((1, 3, 8, 7), (1, 4, 8, 6), (3, 8, 6)):
        with pytest.raises(ValueError, match=r"batch must have shape .*8, 6.*, got"):
            session(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (("N", 1, 8, 8), TensorProto.FLOAT, "3 colour channels"),
        (("N", 3, 8, 8), TensorProto.INT8, r"needs one input, float32, float16 or uint8"),
    ],
)
def test_what_is_no_image_classifier_is_an_error(make, shape, kind, message):
    path = make(shape)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = kind
    if kind != TensorProto.FLOAT:
        cast = helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT)
        model.graph.node[0].input[0] = "real"
        model.graph.node.insert(0, cast)
    onnx.save(model, path)
    with pytest.raises(WeightsError, match=message):
        open_session(path)


def test_damaged_files_are_one_line_that_names_them(make, tmp_path):
    whole = make().read_bytes()
    cases = {
        "empty.onnx": b"",
        "cut.onnx": whole[: len(whole) // 2],
        "text.onnx": b"<html>not found</html>",
        "noise.onnx": RNG.bytes(500),
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError) as caught:
            open_session(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match=r"gone\.onnx: no such file"):
        open_session(tmp_path / "gone.onnx")
    with pytest.raises(ValueError, match="threads must be positive, got 0"):
        open_session(tmp_path / "m.onnx", threads=0)


def test_without_onnx_runtime_the_message_says_what_to_install(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="ONNX Runtime: pip install "):
        open_session(make(), runtime="onnxruntime")
    session = open_session(make())
    assert session.runs_on == "mobilenets"
    assert session.note.endswith(
        "does not say how its input is prepared; taken as torchvision does"
    )


def test_operators_that_the_engine_lacks_go_to_onnx_runtime(make, monkeypatch):
    path = make(tail=("Erf",))
    session = open_session(path)
    assert session.runs_on == "onnxruntime"
    assert session.note.startswith(f"{path} runs on ONNX Runtime, not on the engine: node ")
    assert "operator Erf is not supported; " in session.note
    from_other = open_session(path, runtime="onnxruntime")(BATCH)
    np.testing.assert_array_equal(only(session(BATCH)), only(from_other))
    with pytest.raises(WeightsError, match="Erf"):
        open_session(path, runtime="mobilenets")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match="Erf"):
        open_session(path)
    with pytest.raises(ValueError, match="runtime must be"):
        open_session(path, runtime="tensorrt")


def rows(path: Path, tail: int, card: ModelCard | None = None) -> Path:
    """The graph's outputs as (N, classes / tail, tail), as a detector's are."""
    model = onnx.load(path)
    shape = numpy_helper.from_array(np.array([0, -1, tail], np.int64), "rows")
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("Reshape", ["y0", "rows"], ["out"]))
    del model.graph.output[:]
    sizes = ("N", None, None)
    model.graph.output.append(helper.make_tensor_value_info("out", TensorProto.FLOAT, sizes))
    if card is not None:
        helper.set_model_props(model, {KEY: card.to_json()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("runtime", ["mobilenets", "onnxruntime"])
@pytest.mark.parametrize("fixed", ["N", 2])
def test_a_detectors_rows_keep_their_shape(make, runtime, fixed):
    size = Preprocessing((8, 6), "squash")
    card = ModelCard(
        "ssd", task="detect", labels=("a",), preprocessing=size, outputs=one_output("boxes")
    )
    session = open_session(rows(make((fixed, 3, 8, 6), 15), 5, card), runtime=runtime)
    found = only(session(BATCH))
    assert found.shape == (5, 3, 5)
    np.testing.assert_allclose(found, wanted(BATCH, 15).reshape(5, 3, 5), rtol=1e-5, atol=1e-6)


def test_a_foreign_file_with_rows_is_no_classifier(make):
    with pytest.raises(WeightsError, match=r"its output out \(1, 3, 5\) is no classifier's scores"):
        open_session(rows(make(classes=15), 5))
    path = rows(make(classes=15), 15)  # one row is a classifier's
    assert only(open_session(path)(BATCH)).shape == (5, 15)


def test_the_whole_path_from_file_to_prediction_never_imports_torch(make):
    card = ModelCard("", labels=("a", "b", "c", "d"), preprocessing=Preprocessing((8, 6)))
    code = f"""
import sys
sys.modules["torch"] = None
from mobilenets.data.folders import open_classification
from mobilenets.runtime.batches import read_batches
from mobilenets.tasks.classify.read import decode
from mobilenets.tasks.classify.show import annotate
from mobilenets.runtime.preprocess import preprocess
from mobilenets.inference import open_session
session = open_session({str(make(card=card.to_json()))!r})
data = open_classification("shapes", "val")
read = lambda i: preprocess(data.image(i), session.card.preprocessing)
(batch,) = read_batches(range(3), read, 4)
rows = decode(session(batch.inputs), session.card, [], top=2, threshold=0.0)
annotate(data.image(0), rows[0])
print(len(rows), rows[0][0].label)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "3"


@pytest.mark.parametrize("extra", ["scalar", "words"])
def test_outputs_that_nobody_asked_for_are_left_alone(make, tmp_path, extra):
    """A second output of another kind: of a graph with a fixed batch, which runs in parts."""
    graph = onnx.load(make((2, 3, 8, 6)))
    kinds = {"scalar": TensorProto.FLOAT, "words": TensorProto.STRING}
    if extra == "scalar":
        made = helper.make_node("ReduceMax", ["x"], ["extra"], keepdims=0)
    else:
        words = helper.make_tensor("words", TensorProto.STRING, (1,), [b"cat"])
        made = helper.make_node("Constant", [], ["extra"], value=words)
    made.input[:] = [graph.graph.input[0].name] if extra == "scalar" else []
    graph.graph.node.append(made)
    shape = () if extra == "scalar" else (1,)
    graph.graph.output.append(helper.make_tensor_value_info("extra", kinds[extra], shape))
    onnx.save(graph, tmp_path / "two.onnx")
    session = open_session(tmp_path / "two.onnx", runtime="onnxruntime")
    np.testing.assert_allclose(only(session(BATCH)), wanted(BATCH), rtol=1e-5, atol=1e-6)


def test_many_images_run_side_by_side_and_give_the_same(make):
    """Whether that was said before, or a call has as many."""
    path = make()
    images = RNG.normal(size=(9, 3, 8, 6)).astype(np.float32)
    for session in (open_session(path, threads=2, many=True), open_session(path, threads=2)):
        for count in (9, 1, 3):
            found = only(session(images[:count]))
            assert np.allclose(found, wanted(images[:count]), atol=1e-5)
