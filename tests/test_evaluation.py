import weakref
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.folders import open_classification
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.evaluation import evaluate, spread
from mobilenets.export import export_onnx
from mobilenets.inference import TorchSession, open_model, open_session, predict
from mobilenets.tasks.answer import Answer
from mobilenets.tasks.registry import build, tasks
from mobilenets.tasks.values import Defaults
from mobilenets.weights.sources.own import save
from tests.quick import quick_export

TASK = tasks()["classify"]
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


class Painted:
    """A session that knows colours: its classes are the channels, `shift` places off."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.batches: list[int] = []
        self.card = ModelCard(
            "", labels=("red", "green", "blue"), preprocessing=Preprocessing((32, 32))
        )

    def __call__(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        assert batch.shape[1:] == (3, 32, 32)
        assert batch.dtype == np.float32
        self.batches.append(len(batch))
        return {"logits": np.roll(batch.mean((2, 3)), self.shift, 1)}


@pytest.fixture
def painted(tmp_path) -> Path:
    """Seven images of each colour, in folders."""
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for index in range(7):
            Image.new("RGB", (40, 36), colour).save(tmp_path / name / f"{index}.png")
    return tmp_path


def dataset(folder: Path):
    return open_classification(folder, "all")


def test_a_session_that_is_always_right_and_one_that_never_is(painted):
    right = evaluate(Painted(), dataset(painted), TASK, batch_size=4)
    assert (right.results["top1"], right.results["top5"], right.results["images"]) == (1, 1, 21)
    np.testing.assert_array_equal(right.evaluator.confusion[:, :3], 7 * np.eye(3))
    # Logits of a pure colour are (1, -1, -1): the cross entropy by hand.
    expected = -np.log(np.e / (np.e + 2 / np.e))
    assert right.results["loss"] == pytest.approx(expected, rel=1e-5)
    wrong = evaluate(Painted(1), dataset(painted), TASK, batch_size=4)
    assert (wrong.results["top1"], wrong.results["top5"]) == (0, 1)
    assert right.failures == wrong.failures == []


def test_every_image_passes_once_and_progress_counts_them(painted):
    session, counted = Painted(), []
    evaluate(session, dataset(painted), TASK, batch_size=4, progress=counted.append)
    assert session.batches == [4, 4, 4, 4, 4, 1]
    assert sum(counted) == 21


def test_some_images_of_the_data(painted):
    found = evaluate(Painted(), dataset(painted), TASK, indices=[0, 8, 20])
    assert found.results["images"] == 3
    assert found.evaluator.confusion.trace() == 3


def test_broken_images_are_counted_and_named(painted):
    for name in ("blue/3.png", "red/0.png"):
        (painted / name).write_bytes(b"no picture")
    counted: list[int] = []
    found = evaluate(Painted(), dataset(painted), TASK, batch_size=4, progress=counted.append)
    assert [name for name, _ in found.failures] == ["blue/3.png", "red/0.png"]
    assert all(name in why for name, why in found.failures)
    assert (found.results["images"], found.results["top1"]) == (19, 1)
    assert sum(counted) == 21


def test_data_without_a_readable_image_is_an_error(painted):
    for path in painted.glob("*/*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of 21 images could be read; the first: .*0\.png"):
        evaluate(Painted(), dataset(painted), TASK)


def test_classes_that_the_model_does_not_know_are_refused(painted):
    (painted / "blue").rename(painted / "mauve")
    with pytest.raises(DataError, match="mauve"):
        evaluate(Painted(), dataset(painted), TASK)


def test_a_limit_spreads_over_sorted_data():
    assert spread(10, None) == list(range(10))
    assert spread(10, 99) == list(range(10))
    for length, limit in ((1000, 7), (13, 12), (5, 1), (100, 4)):
        found = spread(length, limit)
        assert found == spread(length, limit)
        assert len(found) == limit
        for part, index in enumerate(found):
            assert length * part // limit <= index < length * (part + 1) // limit
    with pytest.raises(ValueError, match="limit must be a positive integer, got 0"):
        spread(5, 0)


@pytest.mark.parametrize("turn", [2, 8, 20])
def test_a_limit_spreads_over_data_whose_classes_take_turns(turn):
    shares = np.bincount([index % turn for index in spread(10_000, 1000)], minlength=turn) / 1000
    assert np.abs(shares * turn - 1).max() < 0.5


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """The same network as a checkpoint and as ONNX, with a background class in front."""
    import torch

    torch.manual_seed(0)
    labels = ("background", *Shapes(48).classes)
    arguments = {"width": 0.25, "classes": 9}
    model = build("mobilenet_v2", **arguments)
    with torch.no_grad():  # norms with statistics: outputs that differ from image to image
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        images = torch.stack([torch.from_numpy(np.array(Shapes(48).image(i))) for i in range(16)])
        model.train()(images.permute(0, 3, 1, 2) / 127.5 - 1)
    model.eval()
    model.card = ModelCard(
        "mobilenet_v2", arguments, labels=labels, preprocessing=Preprocessing((48, 48))
    )
    folder = tmp_path_factory.mktemp("files")
    save(model, folder / "m.safetensors")
    with quick_export():
        export_onnx(model, folder / "m.onnx")
    return folder / "m.safetensors", folder / "m.onnx"


def test_torch_and_onnx_measure_the_same(files):
    data = Shapes(48, "val", length=40)
    ours, theirs = (evaluate(open_model(path), data, TASK, batch_size=16) for path in files)
    assert isinstance(open_model(files[0]), TorchSession)
    np.testing.assert_array_equal(ours.evaluator.confusion, theirs.evaluator.confusion)
    assert ours.results == pytest.approx(theirs.results, rel=1e-4)
    assert len({tuple(row) for row in ours.evaluator.confusion.T.tolist()}) > 2  # not one answer


def test_predictions_come_in_the_order_of_the_files(files, tmp_path):
    paths = []
    for index in (4, 0, 3, 1, 2, 5):
        paths.append(tmp_path / f"{index}.png")
        if index in (0, 2):
            paths[-1].write_bytes(b"no picture")
        else:
            Shapes(48).image(index).save(paths[-1])
    counted: list[int] = []
    session = open_session(files[1])
    seen = list(predict(session, paths, TASK, top=3, batch_size=2, progress=counted.append))
    assert [one.path for one in seen] == paths
    assert [bool(one.error) for one in seen] == [False, True, False, False, True, False]
    assert sum(counted) == 6
    for one in seen:
        if one.error:
            assert one.decoded is None
            assert one.path.name in one.error
            continue
        [alone] = predict(session, [one.path], TASK, top=3)
        assert [p.label for p in alone.decoded] == [p.label for p in one.decoded]
        scores = [p.score for p in one.decoded]
        assert scores == pytest.approx([p.score for p in alone.decoded], abs=1e-5)
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


def test_options_of_weights_are_honoured_or_refused(tmp_path):
    model = TASK.network.build("mobilenet_v2", ("a", "b"), {"width": 0.25})
    save(model, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="no use of a network has an option foo"):
        open_model(tmp_path / "m.safetensors", foo=False)
    with pytest.raises(ValueError, match="output_stride is to segment, mobilenet_v2 is to"):
        open_model(tmp_path / "m.safetensors", output_stride=0)
    with pytest.raises(ValueError, match="option must be one of"):
        export_onnx(model, tmp_path / "m.onnx", foo=False)


class Big:
    """A use whose answers are large, as masks are, and counts how many of them are kept."""

    name = "big"
    defaults = Defaults(batch=2)
    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()

    @staticmethod
    def answer_of(decoded, given):
        return Answer(decoded, given, None)

    class read:  # noqa: N801
        @staticmethod
        def decode(outputs, card, sizes, **options):
            found = [Mask(size) for size in sizes]
            Big.alive.update(found)
            return found


class Mask:
    def __init__(self, size):
        self.size = size


def test_answers_are_not_kept(painted):
    """`predict` of thousands of masks takes the memory of a batch or two."""
    most = 0
    for one in predict(Painted(), sorted(painted.glob("*/*.png")), Big):
        assert one.decoded.size == (40, 36)
        most = max(most, len(Big.alive))
    assert most <= 2
