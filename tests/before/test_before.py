"""What an earlier version wrote is read, run and resumed as that version did it.

README.md says which version, and how the files were made. Only the command line and the names in
`mobilenets.__all__` are used here, which later versions keep; and the function that draws images
for `--limit`, in whose place stands that version's.
"""

import csv
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mobilenets
from mobilenets.inference import open_model
from tests.some import some

from .inputs import COMMANDS, EXPORTED, RUNS, WEIGHTS, asked, batch, sample, summary, write_inputs

ARCHIVE = Path(__file__).with_name("files.tar.xz")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The folder in which the commands were run then."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(folder, filter="data")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def expected(files) -> dict[str, Any]:
    """What all of it gave then."""
    return json.loads((files / "expected.json").read_text())


@pytest.fixture(autouse=True)
def there(files, monkeypatch) -> None:
    """In that folder, on the CPU, with compiled networks kept for this file's tests alone."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("MOBILENETS_CACHE", str(files / "compiled"))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def header(path: Path) -> dict[str, Any]:
    """The card in a checkpoint, read byte by byte."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["mobilenets"])


def close(found: Any, before: list[float]) -> None:
    """An output, given by itself or alone under its name, is what it was."""
    if isinstance(found, Mapping):
        (found,) = found.values()
    np.testing.assert_allclose(
        sample(found), before, rtol=1e-3, atol=1e-3 * max(map(abs, before)), strict=True
    )


def alike(found: Any, before: Any, *, least: float = 1e-3, where: str = "") -> None:
    """The same names, texts and counts, and numbers nearly the same; `least` is of those near 0.

    Names that came later may stand among them.
    """
    if isinstance(before, dict):
        assert [name for name in found if name in before] == list(before), where
        for name, value in before.items():
            alike(found[name], value, least=least, where=f"{where} {name}")
    elif isinstance(before, list):
        assert len(found) == len(before), where
        for index, value in enumerate(before):
            alike(found[index], value, least=least, where=f"{where} {index}")
    elif isinstance(before, float):
        assert found == pytest.approx(before, rel=1e-3, abs=least), where
    else:
        assert found == before, where


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_checkpoint_gives_what_it_gave(files, expected, name):
    path = files / "weights" / f"{name}.safetensors"
    written = header(path)
    card = mobilenets.identify(path)
    assert (card.architecture, card.task) == (written["architecture"], written["task"])
    assert card.arguments == written["arguments"]
    assert list(card.labels) == written["labels"]
    assert json.loads(json.dumps(asdict(card.preprocessing))) == written["preprocessing"]
    images = batch(*card.preprocessing.size)
    with torch.inference_mode():
        close(
            mobilenets.load(path)(torch.from_numpy(images)).numpy(),
            expected["weights"][name]["load"],
        )
    close(open_model(path)(images), expected["weights"][name]["open_model"])


@pytest.mark.parametrize("name", EXPORTED)
def test_a_deployed_file_gives_what_it_gave(files, expected, name):
    session = mobilenets.open_session(files / "onnx" / f"{name}.onnx", threads=1)
    assert bool(session.note) == (name == "detections")  # suppression is ONNX Runtime's
    close(session(batch(*session.card.preprocessing.size)), expected["onnx"][name])


def evenly(length: int, limit: int | None) -> list[int]:
    """The images of `--limit` as that version took them; others are drawn now."""
    count = min(length, limit or length)
    return [index * length // count for index in range(count)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_answers_as_it_did(call, expected, command, monkeypatch):
    monkeypatch.setattr("mobilenets.evaluation.spread", evenly)
    ran = call(*asked(command))
    assert ran.status == 0, ran.err
    alike(json.loads(ran.out), expected["commands"][" ".join(command)])


SAME = [name for name in RUNS if name != "segment-shapes"]
"""Runs whose data are as they were: other scenes are drawn now."""


@pytest.mark.parametrize("name", some(SAME, (1, 2, 3, 4)))
def test_an_interrupted_run_goes_on_to_where_it_led(call, files, expected, tmp_path, name):
    before, folder = expected["runs"][name], tmp_path / "run"
    shutil.copytree(files / "runs" / name, folder)
    ran = call(*asked(("train", *RUNS[name].command)), "--resume", "--output", folder)
    assert ran.status == 0, ran.err
    answer = json.loads(ran.out)
    assert answer.pop("checkpoint") == str(folder / "best.safetensors")
    alike(answer, before["answer"])
    assert sorted(path.name for path in folder.iterdir()) == before["files"]
    with (folder / "log.csv").open() as file:
        for row, old in zip(csv.DictReader(file), before["log"], strict=True):
            assert row.keys() >= old.keys()  # an epoch of before has not all figures of today
            alike(*({key: float(one[key]) for key in old} for one in (row, old)))
    for checkpoint in ("best.safetensors", "last.safetensors"):
        mobilenets.load(folder / checkpoint)
    state = mobilenets.load(folder / "last.safetensors").state_dict()
    tensors = {name: state[name].numpy() for name in before["last"]}
    alike(summary(tensors), before["last"], least=1e-4)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("classify-shapes", "label_smoothing=0.3"),
        ("classify-taught", "crop_scale=0.9"),
        ("detect-coco", "box_weight=3"),
        ("segment-folders", "scale_least=0.9"),
    ],
)
def test_a_run_does_not_go_on_with_another_setting(call, files, name, setting):
    folder = files / "runs" / name
    command = ("train", *RUNS[name].command, "--set", setting)
    ran = call(*asked(command), "--resume", "--output", folder)
    assert ran.status == 1
    (error,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    word = setting.split("=")[0].replace("_", " ")
    assert f"cannot be resumed with a changed {word}" in error
    assert ran.err.splitlines()[-1] == error


def test_compiled_networks_of_before_do_no_harm(files, expected, monkeypatch):
    """Neither as they were kept, nor under the name that this version gives to the same network."""
    old = files / "cache" / "engine"
    old.chmod(0o700)
    (entry,) = old.iterdir()

    def check(folder: Path) -> list[Path]:
        monkeypatch.setenv("MOBILENETS_CACHE", str(folder))
        with mobilenets.compile(path, threads=1, shape=(1, 3, 32, 32)) as net:
            close(net(batch(32, 32)), expected["onnx"]["probabilities"])
        return list((folder / "engine").iterdir())

    path = files / "onnx" / "probabilities.onnx"
    assert entry in check(old.parent)
    for mine in check(files / "made anew"):
        shutil.copyfile(entry, mine)
    check(files / "made anew")


def test_the_files_stay_small():
    assert ARCHIVE.stat().st_size < 200_000
