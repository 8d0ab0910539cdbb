"""Write `files.tar.xz`, the files that this version leaves behind.

    python -m tests.before.make FOLDER

`FOLDER` must be new; the archive comes to lie beside this script. It is meant for the commit that
README.md names and uses its insides; later versions only read what it made.
"""

import contextlib
import csv
import hashlib
import io
import json
import lzma
import os
import shutil
import signal
import sys
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
import torch
from mobilenets.models.layers import ConvNormAct
from mobilenets.models.zoo import build
from torch import nn

import mobilenets
from mobilenets.card import TORCHVISION, ModelCard, Preprocessing
from mobilenets.cli import main
from mobilenets.data.shapes import CLASSES
from mobilenets.training.loop import Trainer

from .inputs import (
    COMMANDS,
    EXPORTED,
    KINDS,
    RUNS,
    WEIGHTS,
    asked,
    batch,
    sample,
    summary,
    write_inputs,
)

ARCHIVE = Path(__file__).with_name("files.tar.xz")
ALIVE = 2
"""Channels of each layer that are not 0; they stay 0 in training, and take no room."""
TINY = {"width": 0.02}
THIN = {**TINY, "divisor": 1}
SHAPES, SCENES = CLASSES, ("background", *CLASSES)
THINGS, MASKS = KINDS, ("ground", *KINDS)
SQUASH = Preprocessing((64, 64), "squash")
PAD = Preprocessing((33, 49), "pad", interpolation="bicubic")


class Made(NamedTuple):
    """A checkpoint: a network with weights of few values, and its card."""

    network: str
    arguments: dict[str, Any]
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    alive: int = ALIVE


MADE = {
    "mobilenet_v1": Made("mobilenet_v1", TINY, SHAPES, Preprocessing((32, 32))),
    "mobilenet_v1-knobs": Made(
        "mobilenet_v1",
        {**TINY, "shallow": True, "separable": False, "padding": "keras", "output_stride": 16},
        SHAPES,
        Preprocessing((33, 47), "torchvision", order="BGR", interpolation="nearest"),
    ),
    "mobilenet_v2": Made(
        "mobilenet_v2",
        {**TINY, "finegrained": False},
        SHAPES,
        Preprocessing((32, 32), "torchvision", 0.9, "lanczos", TORCHVISION.mean, TORCHVISION.std),
    ),
    "mobilenet_v2-knobs": Made(
        "mobilenet_v2",
        {
            "width": 0.05,
            "divisor": 1,
            "finegrained": False,
            "expansion": 3,
            "shortcut": "expansion",
            "linear_bottleneck": False,
            "padding": "symmetric",
            "early_strides": (1, 2),
            "norm_eps": 1e-5,
            "norm_momentum": 0.1,
            "dropout": 0.3,
        },
        (),
        Preprocessing((32, 40)),
        alive=8,
    ),
    "ssd_mobilenet_v1": Made(
        "ssd_mobilenet_v1", {**TINY, "scores": "softmax", "head_kernel": 3}, SHAPES, SQUASH, 1
    ),
    "ssd_mobilenet_v2": Made("ssd_mobilenet_v2", {**TINY, "head_kernel": 1}, SHAPES, SQUASH),
    "ssdlite_mobilenet_v1": Made("ssdlite_mobilenet_v1", TINY, SHAPES, SQUASH),
    "ssdlite_mobilenet_v2": Made(
        "ssdlite_mobilenet_v2", {**TINY, "padding": "symmetric"}, SHAPES, SQUASH
    ),
    "deeplabv3_mobilenet_v1": Made("deeplabv3_mobilenet_v1", {**TINY, "aspp": True}, SCENES, PAD),
    "deeplabv3_mobilenet_v2": Made(
        "deeplabv3_mobilenet_v2", {**THIN, "output_stride": 8}, SCENES, PAD
    ),
    "student": Made(
        "mobilenet_v1", {**TINY, "shallow": True}, THINGS, Preprocessing((32, 32)), alive=2
    ),
    "teacher": Made("mobilenet_v1", TINY, THINGS, Preprocessing((32, 32))),
    "boxes": Made("ssd_mobilenet_v1", TINY, THINGS, Preprocessing((32, 32), "squash"), 1),
    "boxes-padded": Made("ssd_mobilenet_v1", TINY, THINGS, Preprocessing((48, 48), "pad"), 1),
    "masks": Made("deeplabv3_mobilenet_v1", TINY, MASKS, Preprocessing((33, 33), "pad"), 2),
    "scenes": Made("deeplabv3_mobilenet_v1", TINY, SCENES, Preprocessing((33, 33), "pad"), 2),
}
EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "logits": ("mobilenet_v2", {}),
    "probabilities": ("mobilenet_v1", {"softmax": True, "batch": 1}),
    "boxes": ("ssdlite_mobilenet_v1", {}),
    "detections": ("ssdlite_mobilenet_v1", {"nms": True, "batch": 2}),
    "logits-of-pixels": ("deeplabv3_mobilenet_v2", {}),
    "classes-of-pixels": ("deeplabv3_mobilenet_v1", {"argmax": True, "batch": 1}),
}


def make_network(made: Made, seed: int) -> nn.Module:
    """Weights of few values, most of them 0, and the norms' statistics of noise, rounded."""
    arguments = {**made.arguments, "classes": len(made.labels) or 5}
    model = build(made.network, **arguments)
    random = np.random.RandomState(seed)
    units = [module for module in model.modules() if isinstance(module, ConvNormAct)]
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                fill(module, name, made.alive, random)
        for unit in units:
            shape = unit.norm.weight.shape
            unit.norm.weight.copy_(torch.from_numpy(random.choice([0.75, 1.0, 1.25], shape)))
            unit.norm.bias.copy_(torch.from_numpy(random.choice([0.25, 0.5, 0.75], shape)))
            unit.norm.momentum, unit.kept = 1.0, unit.norm.momentum
        height, width = made.preprocessing.size
        model.train()(torch.from_numpy(np.concatenate([batch(height, width)] * 2)))
        for unit in units:
            unit.norm.momentum = unit.kept
            unit.norm.running_mean.copy_(rounded(unit.norm.running_mean))
            unit.norm.running_var.copy_(rounded(unit.norm.running_var).clamp_min(0.125))
            if not isinstance(unit.act, nn.Identity):  # what it gives is 0, and learns nothing
                unit.conv.weight[made.alive :] = 0
                for values in (unit.norm.weight, unit.norm.bias, unit.norm.running_mean):
                    values[made.alive :] = 0
                unit.norm.running_var[made.alive :] = 1
    card = {"task": TASK[made.network.split("_")[0]], "source": "tests/before/make.py"}
    model.card = ModelCard(made.network, arguments, labels=made.labels, **card)
    model.card = model.card.replace(preprocessing=made.preprocessing)
    return model.eval()


TASK = {"mobilenet": "classify", "ssd": "detect", "ssdlite": "detect", "deeplabv3": "segment"}


def fill(module: nn.Conv2d | nn.Linear, name: str, alive: int, random: Any) -> None:
    """Plus or minus a power of 2, and 0 for what comes from a dead channel."""
    weight = module.weight
    fan = min(weight[0].numel(), alive * weight[0, 0].numel() if weight.ndim > 2 else alive)
    scale = 2.0 ** round(-np.log2(max(fan, 1)) / 2)
    values = random.choice([-1.0, 1.0], weight.shape) * scale
    if name == "classifier":  # of few values two classes would be the same here and there
        values *= random.uniform(0.5, 2, weight.shape)
    if weight.shape[1] > 3:
        block = 256 if name == "project.conv" else weight.shape[1]  # branches side by side
        values[:, np.arange(weight.shape[1]) % block >= alive] = 0
    weight.copy_(torch.from_numpy(values))
    if module.bias is not None:  # no two scores are equal
        module.bias.copy_(torch.from_numpy(random.randint(-64, 64, len(weight)) / 64))


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Two binary digits behind the first."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 8) / 8, exponent)


def call(*arguments: str) -> Any:
    """The command line in this process: what it answers in JSON; its errors are ours."""
    sys.argv = ["mobilenets", *asked(arguments)]
    answer = io.StringIO()
    with contextlib.redirect_stdout(answer):
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise InterruptedError(arguments) from None
    return json.loads(answer.getvalue())


def train(name: str, *more: str, output: str) -> Any:
    return call("train", *RUNS[name].command, "--output", output, *more)


def interrupted(name: str, output: str) -> None:
    """Train, and press Ctrl-C while the step at which the run is to stop is at hand."""
    plain = Trainer.train_step

    def pressed(run: Trainer, *given: Any) -> float:
        if run.step + 1 == RUNS[name].stop:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(run, *given)

    Trainer.train_step = pressed
    try:
        train(name, output=output)
    except InterruptedError:
        return
    finally:
        Trainer.train_step = plain
    raise AssertionError(f"{name} was not interrupted")


def reached(name: str) -> dict[str, Any]:
    """What a run ends with, of its own accord and resumed, which is the same bit for bit."""
    interrupted(name, f"runs/{name}")
    for file in Path("runs", name, "tensorboard").iterdir():  # no machine's name in it
        file.rename(file.with_name("events.out.tfevents.0.before"))
    shutil.copytree(f"runs/{name}", f"done/{name}")
    answer = train(name, "--resume", output=f"done/{name}")
    train(name, output=f"whole/{name}")
    for file in ("best.safetensors", "last.safetensors", "log.csv"):
        content = Path("done", name, file).read_bytes()
        assert content == Path("whole", name, file).read_bytes(), f"{name}: another {file}"
    assert Path(answer.pop("checkpoint")) == Path("done", name, "best.safetensors")
    tensors = safetensors.numpy.load(Path("done", name, "last.safetensors").read_bytes())
    return {
        "answer": answer,
        "files": sorted(path.name for path in Path("done", name).iterdir()),
        "log": list(csv.DictReader(Path("done", name, "log.csv").open())),
        "last": summary(tensors),
        "sha256": digest(tensors),
    }


def digest(tensors: dict[str, np.ndarray]) -> str:
    """Of names and values, in the order of the names."""
    found = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        found.update(name.encode() + values.tobytes())
    return found.hexdigest()


def make() -> None:
    """Everything, in the folder that we are in."""
    assert (tuple(MADE), tuple(EXPORTS)) == (WEIGHTS, EXPORTED)
    expected: dict[str, Any] = {"weights": {}, "onnx": {}, "commands": {}, "runs": {}}
    for folder in ("weights", "onnx", "runs", "done", "whole"):
        Path(folder).mkdir()
    write_inputs(Path())
    for seed, (name, made) in enumerate(MADE.items()):
        path = f"weights/{name}.safetensors"
        mobilenets.save(make_network(made, seed), path)
        images = batch(*made.preprocessing.size)
        with torch.inference_mode():
            raw = mobilenets.load(path)(torch.from_numpy(images)).numpy()
        expected["weights"][name] = {
            "load": sample(raw),
            "open_model": sample(mobilenets.inference.open_model(path)(images)),
        }
    for name, (source, options) in EXPORTS.items():
        path = f"onnx/{name}.onnx"
        model = mobilenets.load(f"weights/{source}.safetensors")
        mobilenets.export_onnx(model, path, **options)
        cache = Path("cache").resolve() if name == "probabilities" else "off"
        os.environ["MOBILENETS_CACHE"] = str(cache)
        session = mobilenets.open_session(path, threads=1)
        expected["onnx"][name] = sample(session(batch(*MADE[source].preprocessing.size)))
    for command in COMMANDS:
        expected["commands"][" ".join(command)] = call(*command)
    for name in RUNS:
        expected["runs"][name] = reached(name)
    Path("expected.json").write_text(json.dumps(expected))


def pack(archive: Path) -> None:
    """The folder that we are in, without what is drawn again; no times, no names of people."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    kept = ("weights", "onnx", "runs", "cache", "expected.json")
    with tarfile.open(archive, "w:xz", preset=9 | lzma.PRESET_EXTREME) as tar:
        for name in kept:
            for path in [Path(name), *sorted(Path(name).rglob("*"))]:
                tar.add(path, recursive=False, filter=plain)


if __name__ == "__main__":
    torch.set_num_threads(1)  # as the tests: the order of sums is part of the result
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    os.chdir(target)
    make()
    pack(ARCHIVE)
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size} bytes")  # noqa: T201
