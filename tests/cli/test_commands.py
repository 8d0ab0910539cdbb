import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.cli.console import JsonList, Printer
from mobilenets.data.shapes import Shapes
from tests.quick import quick_export


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(3):
        Shapes(64).image(index).save(folder / f"{index}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much more")
    return folder


@pytest.fixture(scope="session")
def exported(checkpoint, tmp_path_factory) -> Path:
    from mobilenets.export import export_onnx
    from mobilenets.weights import load

    path = tmp_path_factory.mktemp("exported") / "shapes.onnx"
    with quick_export():
        export_onnx(load(checkpoint), path)
    return path


def test_export_writes_what_predict_and_eval_agree_on(call, checkpoint, exported, photos):
    ours = json.loads(call("predict", checkpoint, photos, "--top", 8, "--json").out)
    theirs = json.loads(call("predict", exported, photos, "--top", 8, "--json").out)
    assert [Path(one["image"]).name for one in ours] == ["0.png", "1.png", "2.png", "broken.jpg"]
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        scores = [{p["label"]: p["score"] for p in one["predictions"]} for one in (a, b)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)
        assert sum(scores[0].values()) == pytest.approx(1)


def test_a_broken_image_is_named_and_does_not_end_the_run(call, checkpoint, photos):
    done = call("predict", checkpoint, photos)
    assert done.status == 0
    assert "broken.jpg" in done.err
    assert "1 of 4 images could not be read" in done.err


def test_answers_for_programs_are_printed_as_they_come(call, checkpoint, photos, monkeypatch):
    """The same list as if it were printed at once, but nothing is kept until the end."""
    printed = []
    plain = JsonList.add
    monkeypatch.setattr(JsonList, "add", lambda self, one: (printed.append(one), plain(self, one)))
    done = call("predict", checkpoint, photos, "--json")
    assert done.out == json.dumps(printed, indent=2) + "\n"
    assert ["error" in one for one in printed] == [False, False, False, True]
    assert "broken.jpg" in done.err


def test_names_with_brackets_are_told_as_they_are(call, checkpoint, photos, tmp_path):
    """And are no markup of the table's."""
    image = tmp_path / "[bold]x.png"
    image.write_bytes(next(photos.glob("*.png")).read_bytes())
    assert image.name in call("predict", checkpoint, image, "--top", 1).out
    written = tmp_path / "m[v2].onnx"
    with quick_export():
        ran = call("export", checkpoint, "-o", written)
    assert ran.status == 0
    assert f"{written.name}: " in ran.out


def test_export_makes_its_folder_and_asks_before_it_overwrites(call, checkpoint, tmp_path, pressed):
    written = tmp_path / "new" / "deep" / "m.onnx"
    with quick_export():
        assert call("export", checkpoint, "-o", written).status == 0
        first = written.read_bytes()
        for more in ((), ("--json",)):
            refused = call("export", checkpoint, "-o", written, *more)
            assert refused.status == 2
            assert "m.onnx is there already; --force overwrites" in refused.err
        pressed("n")
        refused = call("export", checkpoint, "-o", written, "--batch", 1)
        assert (refused.status, written.read_bytes()) == (1, first)
        assert "Overwrite?" in refused.err
        pressed("y")
        assert call("export", checkpoint, "-o", written, "--batch", 1).status == 0
        assert written.read_bytes() != first
        assert call("export", checkpoint, "-o", written, "-f").status == 0
        assert written.read_bytes() == first
        assert call("export", checkpoint, "-o", tmp_path / "new" / "deep", "-f").status == 2


def test_an_export_that_fails_leaves_no_folder(call, checkpoint, tmp_path):
    assert call("export", checkpoint, "-o", tmp_path / "new" / "m.onnx", "--batch", 0).status == 2
    assert not (tmp_path / "new").exists()


def test_the_demo_overwrites_nobody_elses_files(call, tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("my own page")
    refused = call("demo", "--output", tmp_path)
    assert refused.status == 2
    assert "index.html is there already" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


@pytest.fixture
def pressed(monkeypatch):
    """Someone at a terminal who answers the next question with this key."""

    def press(key: str) -> None:
        answers = io.StringIO(f"{key}\n")
        answers.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", answers)
        monkeypatch.setattr(Printer, "is_terminal", True)

    return press


def test_answers_in_a_pipe_are_lines(call, checkpoint, photos, tmp_path):
    """Tabs between, the name in each; a long name is whole, and what breaks lines is a space."""
    image = tmp_path / f"{'long ' * 30}\tx :smile:.png"
    image.write_bytes(next(photos.glob("*.png")).read_bytes())
    done = call("predict", checkpoint, image, "--top", 2)
    first, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert first == ["image", "label", "score"]
    seen = json.loads(call("predict", checkpoint, image, "--top", 2, "--json").out)
    answers = seen[0]["predictions"]
    assert [row[0] for row in rows] == [" ".join(image.name.split())] * 2
    assert [row[1:] for row in rows] == [[a["label"], f"{a['score']:.3f}"] for a in answers]


def test_answers_on_a_terminal_are_a_table(call, checkpoint, photos, monkeypatch):
    monkeypatch.setattr(Printer, "is_terminal", True)
    rows = call("predict", checkpoint, next(photos.glob("*.png")), "--top", 2).out.splitlines()
    assert len(rows) == 4
    assert all(name in rows[0] for name in ("image", "label", "score"))


def test_a_list_of_commands_cuts_nothing(call):
    """As plain text, which help is where it is piped."""
    words = " ".join(call("--help").out.split())
    assert (
        "profile Parameters, multiply-adds and bytes of activations of a network, without " in words
    )
    assert "..." not in words.partition("Commands:")[2]


def test_where_torch_computes_is_said(call, checkpoint, exported, photos):
    """And the engine's is the CPU: there is nothing to say, and another device is refused."""
    image = photos / "0.png"
    assert "on cpu, " in call("predict", checkpoint, image, "--device", "cpu").err
    assert "on cpu" not in call("predict", exported, image).err
    for command in (("predict", checkpoint, image), ("eval", checkpoint, "shapes", "--limit", 2)):
        done = call(*command, "--json")
        answer = json.loads(done.out)
        one = answer[0] if isinstance(answer, list) else answer
        assert one["device"].startswith("cpu")
        assert "on cpu" not in done.err
    refused = call("predict", exported, image, "--device", "cuda")
    assert (refused.status, "runs on the CPU" in refused.err) == (2, True)
    refused = call("eval", checkpoint, "shapes", "--device", "gpu")
    assert (refused.status, "device must be auto, cpu" in refused.err) == (2, True)


def test_only_broken_images_are_an_error(call, checkpoint, photos):
    assert call("predict", checkpoint, photos / "broken.jpg").status == 1


def test_pictures_are_written_for_every_image_under_its_name(call, checkpoint, photos, tmp_path):
    (photos / "more").mkdir()
    shutil.copy(photos / "0.png", photos / "more" / "0.png")
    for _ in range(2):  # a second run replaces the first one's
        call("predict", checkpoint, photos, "--save-dir", tmp_path / "seen")
    names = sorted(path.name for path in (tmp_path / "seen").iterdir())
    assert names == ["0-2.jpg", "0.jpg", "1.jpg", "2.jpg"]
    with Image.open(tmp_path / "seen" / "1.jpg") as picture:
        assert picture.height > picture.width  # the band with the labels is below


def test_eval_measures_all_or_a_spread_of_the_data(call, checkpoint, exported):
    limited = json.loads(call("eval", checkpoint, "shapes", "--limit", 64, "--json").out)
    assert limited["images"] == 64
    assert 0 <= limited["top1"] <= limited["top5"] <= 1
    again = json.loads(call("eval", exported, "shapes", "--limit", 64, "--json").out)
    assert again["top1"] == limited["top1"]
    assert again["loss"] == pytest.approx(limited["loss"], rel=1e-4)
    assert "top1" in call("eval", checkpoint, "shapes", "--limit", 8).out


def test_broken_images_of_a_data_set_are_left_out_and_named(call, checkpoint, tmp_path):
    for name in Shapes(32).classes:
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / name / "a.png")
    (tmp_path / "heart" / "b.png").write_bytes(b"nothing")
    done = call("eval", checkpoint, tmp_path, "--split", "all", "--json")
    found = json.loads(done.out)
    assert found["images"] == 8
    assert [failure["image"] for failure in found["failures"]] == ["heart/b.png"]


def test_training_from_a_checkpoint_on_folders(call, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shapes = Shapes(32)
    for index in range(24):
        folder = tmp_path / "photos" / ("round" if index % 8 == 0 else f"other{index % 2}")
        folder.mkdir(parents=True, exist_ok=True)
        shapes.image(index).save(folder / f"{index}.png")
    done = call(
        *("train", "mobilenet_v2", "--from", checkpoint, "--data", "photos", "--epochs", 1),
        *("--set", "freeze_epochs=1", "--workers", 0, "--json"),
    )
    assert done.status == 0, done.err
    assert "a new head for 3 classes" in done.err
    found = json.loads(done.out)
    assert found["checkpoint"] == "runs/mobilenet_v2-photos/best.safetensors"
    run = tmp_path / "runs" / "mobilenet_v2-photos"
    kept = {"best.safetensors", "last.safetensors", "log.csv", "curves.png", "confusion.png"}
    assert kept < {path.name for path in run.iterdir()}
    seen = json.loads(call("eval", run / "best.safetensors", "photos", "--json").out)
    assert seen["images"] == 5  # a fifth of each class, as training held out

    again = call(
        *("train", "mobilenet_v2", "--from", checkpoint, "--data", "photos", "--epochs", 1),
        *("--set", "freeze_epochs=1", "--workers", 0, "--output", run),
    )
    assert again.status == 2
    assert "already holds a run" in again.err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("train", "mobilenet_v3", "--data", "shapes"), 2, "did you mean 'mobilenet_v2'"),
        (("train", "mobilenet_v2"), 2, "--data"),
        (("train", "mobilenet_v2", "--data", "shapes", "--device", "gpu"), 2, "device must be"),
        (("train", "mobilenet_v2", "--data", "shapes", "--extend", "2"), 2, "--extend is for a"),
        (("train", "mobilenet_v2", "--data", "nowhere"), 1, "nowhere: no such data folder"),
        (
            ("train", "mobilenet_v2", "--data", "shapes", "--recipe", "x"),
            2,
            "recipe must be one of",
        ),
        (("train", "mobilenet_v2", "--data", "shapes", "--set", "x"), 2, "must be NAME=VALUE"),
        (
            ("train", "mobilenet_v2", "--data", "shapes", "--set", "x=1"),
            2,
            "setting must be one of",
        ),
        (("train", "mobilenet_v2", "--data", "shapes", "--epochs", "0"), 2, "epochs must be a"),
        (("train", "mobilenet_v2", "--data", "shapes", "--width", "-1"), 2, "width must be a"),
        (("train", "mobilenet_v2", "--data", "shapes", "--knob", "x=1"), 2, "'x'"),
        (("train", "mobilenet_v2", "--data", "shapes", "--resolution", "0"), 2, "16 pixels"),
        (
            ("train", "mobilenet_v2", "--data", "shapes", "--resume", "--output", "empty"),
            1,
            "no run to resume",
        ),
        (("eval", "nothing.onnx", "shapes"), 1, "nothing.onnx: no such file"),
        (("eval", "nothing.pth", "shapes"), 1, "nothing.pth"),
        (("predict", "nothing.onnx", "nothing.jpg"), 1, "nothing.jpg"),
        (("export", "nothing.pth", "-o", "x.onnx"), 1, "nothing.pth"),
        (("export", "mobilenet_v1", "-o", "x.onnx", "--classes", "0"), 2, "classes must be"),
        (
            ("export", "mobilenet_v1", "-o", "x.onnx", "--classes", "3", "--knob", "classes=4"),
            2,
            "--classes 3 contradicts --knob classes=4",
        ),
        (("compile", "x.onnx", "--classes", "3"), 2, "classes is for a name or weights"),
        (("compile", "mobilnet_v2"), 2, "mobilnet_v2"),
        (("export", "mobilenet_v1"), 2, "-o"),
        (
            ("export", "mobilenet_v1", "-o", "x.onnx", "--knob", "output_stride=12"),
            2,
            "8, 16 or 32",
        ),
        (("export", "mobilenet_v1", "-o", "x.onnx", "--resolution", "0"), 2, "positive integer"),
        (("nonsense",), 2, "nonsense"),
        (("eval", "x.onnx", "shapes", "--limit", "many"), 2, "--limit"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(
    call, tmp_path, monkeypatch, arguments, status, message
):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.status == status
    assert message in done.err
    assert done.err.strip().count("\n") == 0
    assert "Traceback" not in done.err


def test_weights_of_another_width_or_network_are_refused(call, checkpoint, tmp_path):
    common = ("--data", "shapes", "--from", checkpoint, "--output", tmp_path / "run")
    for done in (
        call("train", "mobilenet_v1", *common),
        call("train", "mobilenet_v2", "--width", 0.5, *common),
    ):
        assert done.status == 1
        assert str(checkpoint) in done.err
        assert not (tmp_path / "run").exists()


def test_classes_of_another_data_set_are_refused(call, checkpoint, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    done = call("eval", checkpoint, tmp_path)
    assert done.status == 1
    assert "cat, dog" in done.err


def test_a_full_disk_is_one_line_and_leaves_nothing(call, tmp_path):
    with quick_export():
        done = call("export", "mobilenet_v1", "--width", 0.25, "-o", "/dev/full/x.onnx")
    assert done.status == 1
    assert "/dev/full" in done.err
