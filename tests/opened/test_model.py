"""`mobilenets.open`: the same answers from any form of a model and of an image."""

import csv
import io
import itertools
import json
import math
from statistics import NormalDist

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import mobilenets
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError, InputError
from mobilenets.evaluation import evaluate, spread
from mobilenets.tasks.registry import tasks
from tests.quick import quick_export


@pytest.fixture(scope="module", params=["onnx", "checkpoint", "module"])
def model(files, request):
    return mobilenets.open(getattr(files, request.param), threads=1)


def by_hand(files, path) -> np.ndarray:
    """The scores of a file by ONNX Runtime and Pillow, written out."""
    image = Image.open(path).convert("RGB").resize((48, 48), Image.Resampling.BILINEAR)
    values = (np.asarray(image, np.float32) / 255 - 0.5) / 0.5
    session = onnxruntime.InferenceSession(str(files.onnx), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": values.transpose(2, 0, 1)[None]})
    scores = np.exp(logits[0] - logits[0].max())
    return scores / scores.sum()


def test_an_answer_is_what_a_plain_program_gives(files, model):
    expected = by_hand(files, files.picture)
    answer = model.predict(files.picture, top=8)
    np.testing.assert_allclose(
        np.array(answer.scores)[np.argsort(answer.indices)], expected, atol=1e-5
    )
    assert answer.label == Shapes(48).classes[int(expected.argmax())] == answer.labels[0]
    assert answer.score == answer.scores[0] == pytest.approx(expected.max(), abs=1e-5)
    assert [one.label for one in answer] == answer.labels
    assert len(answer) == 8
    assert json.loads(json.dumps(answer.to_json()))[0]["label"] == answer.label
    assert answer.path == files.picture
    assert "0.png" in repr(answer)
    assert answer.label in repr(answer)


def test_an_image_is_the_same_however_it_is_given(files):
    model = mobilenets.open(files.onnx, threads=1)
    path = files.picture
    pixels = np.asarray(Image.open(path).convert("RGB"))
    given = [
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        io.BytesIO(path.read_bytes()),
        Image.open(path),
        Image.open(path).convert("RGBA"),
        pixels,
        pixels[:, ::-1][:, ::-1],
        pixels / 255,
        (pixels / 255).astype(np.float32),
        pixels.astype(np.float64),
    ]
    expected = model.predict(path)
    for one in given:
        answer = model.predict(one)
        assert answer.to_json() == expected.to_json(), type(one)
        assert answer.draw().tobytes() == expected.draw().tobytes()
    assert [one.to_json() for one in model.predict([*given[:4], *given[5:8]])][
        -1
    ] == expected.to_json()
    grey = np.asarray(Image.open(path).convert("L"))
    as_file = model.predict(Image.open(path).convert("L"))
    assert model.predict(grey).to_json() == as_file.to_json()
    assert model.predict(grey[..., None]).to_json() == as_file.to_json()


def test_a_turned_photo_is_upright_as_a_file_and_as_an_image(files):
    model = mobilenets.open(files.onnx, threads=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(files.picture).crop((0, 0, 60, 40)).save(file, "PNG", exif=exif)
    as_bytes = model.predict(file.getvalue())
    assert as_bytes.image.size == (40, 60)
    assert model.predict(Image.open(file)).to_json() == as_bytes.to_json()


def test_many_images_in_their_order(files):
    model = mobilenets.open(files.onnx, threads=1)
    folder = files.picture.parent
    paths = sorted(folder.iterdir())
    each = [model.predict(path).to_json() for path in paths]
    for given in (paths, tuple(paths), folder, str(folder), f"{folder}/*.png", np.array(paths)):
        answers = model.predict(given)
        assert isinstance(answers, list)
        assert [answer.to_json() for answer in answers] == each
    batch = np.stack([np.asarray(Image.open(path)) for path in paths])
    assert [answer.to_json() for answer in model.predict(batch)] == each
    assert model.predict([]) == []


def test_an_iterator_is_read_as_it_is_needed(files):
    model = mobilenets.open(files.onnx, threads=1)
    taken = itertools.count()
    endless = ((next(taken) and files.picture) or files.picture for _ in itertools.count())
    answers = model.predict(endless, batch_size=2)
    assert [next(answers).path for _ in range(5)] == [files.picture] * 5
    answers.close()
    assert next(taken) < 30


def test_a_broken_image_is_an_error_or_an_answer_that_says_so(files, tmp_path):
    model = mobilenets.open(files.onnx, threads=1)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.jpg: not an image"):
        model.predict(broken)
    with pytest.raises(DataError, match="gone"):
        model.predict([files.picture, tmp_path / "gone.jpg"])
    with pytest.raises(DataError, match="the image's bytes: the file is empty"):
        model.predict(b"")
    good, bad = model.predict([files.picture, broken], errors="keep")
    assert (good.error, bad.path) == ("", broken)
    assert "broken.jpg" in bad.error
    assert bad._repr_png_() is None
    assert "not an image" in repr(bad)
    for use in (lambda: bad.label, bad.to_json, bad.draw):
        with pytest.raises(DataError, match="broken"):
            use()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "got NoneType"),
        (3, "got int"),
        ({"a": 1}, "got dict"),
        ([3], "got int"),
        (np.zeros((3, 8, 8), np.uint8), r"array\.transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 2), np.uint8), r"got \(8, 8, 2\)"),
        (np.zeros((0, 8, 3), np.uint8), r"got \(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int64), "must be uint8, or floats from 0 to 1, got int64"),
        (np.full((8, 8, 3), -0.5), r"from -0.5 to -0.5; values that are prepared"),
        (np.full((8, 8, 3), 1.5), r"float64 from 1.5 to 1.5"),
        (np.full((8, 8), np.nan), "from nan to nan"),
    ],
)
def test_what_is_no_image_is_refused_in_words(files, given, words):
    with pytest.raises(ValueError, match=words):
        mobilenets.open(files.onnx, threads=1).predict(given)


def test_arguments_out_of_range_and_misspelt_ones(files):
    model = mobilenets.open(files.onnx, threads=1)
    for arguments, words in (
        ({"top": 0}, "top must be a positive integer, got 0"),
        ({"threshold": 2}, "threshold must be a number from 0 to 1, got 2"),
        ({"batch_size": -1}, "batch_size must be"),
        ({"errors": "ignore"}, "errors must be 'raise' or 'keep', got 'ignore'"),
    ):
        with pytest.raises(ValueError, match=words):
            model.predict(files.picture, **arguments)
    with pytest.raises(TypeError, match="no argument 'treshold'; did you mean 'threshold'"):
        model.predict(files.picture, treshold=0.5)
    with pytest.raises(TypeError, match="no argument 'splitt'; did you mean 'split'"):
        model.evaluate("shapes", splitt="val")
    with pytest.raises(TypeError, match="did you mean 'threads'"):
        mobilenets.compile(files.onnx, thread=1)
    with pytest.raises(ValueError, match="option thread; did you mean 'threads'"):
        mobilenets.open(files.onnx, thread=1)
    with pytest.raises(ValueError, match="split must be one of eval, train"):
        model.evaluate("shapes", split="vall")
    with pytest.raises(AttributeError, match="no 'lable'; did you mean 'label'"):
        _ = model.predict(files.picture).lable


def test_a_threshold_that_hides_all_says_what_was_best(files):
    model = mobilenets.open(files.onnx, threads=1)
    answer = model.predict(files.picture, threshold=1)
    assert (answer.label, answer.score, answer.labels, len(answer)) == (None, None, [], 0)
    assert answer
    assert answer.hidden == pytest.approx(by_hand(files, files.picture).max(), abs=1e-5)
    assert "nothing" in repr(answer)


def test_a_model_is_measured_as_the_function_measures_it(model):
    found = model.evaluate("shapes", split="val", limit=40)
    data = tasks()["classify"].data.open_data("shapes", "val")
    indices = spread(len(data), 40)
    expected = evaluate(model.session, data, tasks()["classify"], indices=indices)
    assert found.results["top1"] == pytest.approx(expected.results["top1"])
    assert found.results["images"] == 40
    own = model.evaluate(Shapes(48, "val", length=24))
    assert own.results["images"] == 24


def test_what_a_model_says_of_itself(files, model):
    assert model.task == "classify"
    assert model.labels == Shapes(48).classes == model.info.labels
    assert "mobilenet_v2" in repr(model)
    assert "8 labels, 48 x 48" in repr(model)
    text = repr(model.info)
    assert "width=0.35" in text
    assert "8: " in text
    assert "<table>" in model.info._repr_html_()
    json.dumps(model.info.to_dict())
    assert (
        model.profile().madds
        == mobilenets.profile("mobilenet_v2", width=0.35, classes=8, resolution=48).madds
    )


def test_a_model_is_exported_and_a_finished_one_is_not(files, tmp_path):
    model = mobilenets.open(files.checkpoint, threads=1)
    assert set(model.module.state_dict()) == set(files.module.state_dict())
    with quick_export():
        written = model.export(tmp_path / "again.onnx", softmax=True)
    assert written.path == tmp_path / "again.onnx"
    again = mobilenets.open(written.path, threads=1).predict(files.picture)
    assert again.scores == pytest.approx(model.predict(files.picture).scores, abs=1e-5)
    with pytest.raises(ValueError, match="did you mean 'softmax'"):
        model.export(tmp_path / "b.onnx", softmaxx=True)
    finished = mobilenets.open(files.onnx, threads=1)
    with pytest.raises(InputError, match=r"an \.onnx file already"):
        finished.export(tmp_path / "c.onnx")
    with pytest.raises(InputError, match="no torch module"):
        _ = finished.module


def test_a_networks_name_costs_and_exports_but_does_not_guess():
    model = mobilenets.open("mobilenet_v2", width=0.35, classes=4)
    assert model.profile().madds == mobilenets.profile("mobilenet_v2", width=0.35, classes=4).madds
    with pytest.raises(ValueError, match="mobilenet_v2 has random weights"):
        model.predict(np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match="no argument 'widht'; did you mean 'width'"):
        mobilenets.open("mobilenet_v2", widht=0.35)
    with pytest.raises(ValueError, match="random weights"):
        model.evaluate("shapes")


def test_what_cannot_be_opened(files, tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        mobilenets.open(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match="no such file"):
        mobilenets.open(tmp_path / "gone.onnx")
    with pytest.raises(ValueError, match="card"):
        mobilenets.open(3)
    with pytest.raises(ValueError, match=r"did you mean 'mobilenet_v2_1\.0_224\.google'"):
        mobilenets.open("mobilenet_v2_1.0_224.googel")
    with pytest.raises(ValueError, match=r"runtime is for \.onnx files"):
        mobilenets.open(files.checkpoint, runtime="onnxruntime")


class Squares:
    """A data set of one's own: three pictures, two classes."""

    classes, notes = ("circle", "square"), ()

    def __len__(self):
        return 3

    def image(self, i):
        return Shapes(48, "val").image(i)

    def target(self, i):
        return i % 2

    def name(self, i):
        return f"picture {i}"


def test_evaluate_gives_intervals_and_draws_the_worst(files, tmp_path):
    model = mobilenets.open(files.onnx, threads=1)
    data = Shapes(48, "val", length=24)
    found = model.evaluate(data, save_dir=tmp_path / "wrong", worst=2)
    right = found.results["top1"] * 24
    share, z = right / 24, NormalDist().inv_cdf(0.975)
    middle = (share + z**2 / 48) / (1 + z**2 / 24)  # Wilson's, from its formula
    half = z * math.sqrt(share * (1 - share) / 24 + z**2 / (4 * 24**2)) / (1 + z**2 / 24)
    assert found.intervals.results["top1"] == pytest.approx((middle - half, middle + half))
    said = json.loads(json.dumps(found.to_json()))
    assert said["intervals"]["top1"]["low"] == pytest.approx(middle - half)
    assert set(said["by_class"]) == set(data.classes)
    assert f"top1 {found.results['top1']:.4f}" in repr(found)
    assert len(list((tmp_path / "wrong" / "worst").iterdir())) == 2
    with (tmp_path / "wrong" / "images.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["result"] == "wrong" for row in rows) == 24 - round(right)
    with pytest.raises(ValueError, match="threshold is for save_dir"):
        model.evaluate(data, threshold=0.5)
    with pytest.raises(ValueError, match="worst must be a positive integer, got 0"):
        model.evaluate(data, save_dir=tmp_path / "wrong", worst=0)


def test_a_data_set_of_ones_own_is_measured_and_drawn(files, tmp_path):
    model = mobilenets.open(mobilenets.load(files.checkpoint, labels=Squares.classes))
    found = model.evaluate(Squares(), save_dir=tmp_path / "wrong")
    assert found.results["images"] == 3
    page = (tmp_path / "wrong" / "index.html").read_text(encoding="utf-8")
    assert "measured on 3 of 3 images: the images of a data set in memory; Squares, all" in page
    assert "picture 0" in page
