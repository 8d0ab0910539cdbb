"""All subjects: weights, deployed files, images, data sets, and what a run leaves behind."""

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image, features

from tests.fuzz import mutate, readers, tensors
from tests.fuzz.subjects import Damage, Subject, in_bytes, in_tree

ASSETS = Path(os.environ.get("MOBILENETS_ASSETS", Path(__file__).parents[3] / "shared/assets"))
SMALL = 0.05
State = dict[str, Any]


def torchvision_state() -> State:
    import torchvision

    return torchvision.models.mobilenet_v2(width_mult=SMALL, num_classes=2).state_dict()


def port_state(name: str) -> Callable[[], State]:
    def make() -> State:
        from tests.weights import test_ports as ports

        peers = {"marvis": ports.FlatV1, "kuangliu": ports.Cifar}
        model = peers[name]() if name in peers else ports.FlatV2(name)
        return model.state_dict()

    return make


def timm_state(name: str) -> Callable[[], State]:
    def make() -> State:
        import timm

        return timm.create_model(name, num_classes=2).state_dict()

    return make


def hf_folder(folder: Path) -> Path:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    config = MobileNetV2Config(depth_multiplier=0.35, id2label={0: "cat", 1: "dog"})
    root = folder / "hf"
    MobileNetV2ForImageClassification(config).save_pretrained(root)
    pre = {"crop_size": {"height": 160, "width": 160}, "size": {"shortest_edge": 192}}
    pre |= {"resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_rescale": True}
    (root / "preprocessor_config.json").write_text(json.dumps(pre))
    return root


def timm_folder(folder: Path) -> Path:
    import timm

    root = folder / "timm"
    root.mkdir()
    model = timm.create_model("mobilenetv2_035", num_classes=2)
    safetensors.torch.save_file(model.state_dict(), root / "model.safetensors")
    config = {"architecture": "mobilenetv2_035", "num_classes": 2, "label_names": ["a", "b"]}
    config["model_args"] = {"pad_type": "same", "bn_eps": 1e-3, "output_stride": 16}
    config["pretrained_cfg"] = {"input_size": [3, 96, 96], "mean": [0.5] * 3, "crop_pct": 0.9}
    config["pretrained_cfg"] |= {"crop_mode": "center", "interpolation": "bilinear"}
    (root / "config.json").write_text(json.dumps(config))
    return root


def named_folder(folder: Path) -> Path:
    """Weights without names of classes, and files beside that have them."""
    root = folder / "named"
    root.mkdir()
    torch.save(torchvision_state(), root / "pytorch_model.bin")
    numbers = {"0": "cat", "1": "dog"}
    (root / "config.json").write_text(json.dumps({"id2label": numbers}))
    (root / "class_indices.json").write_text(json.dumps(numbers))
    (root / "labels.json").write_text(json.dumps(["cat", "dog"]))
    return root


def beside(rng: random.Random, seed: Path, folder: Path) -> Path:
    """A hub's folder whose JSON is damaged; the weights are linked, not copied."""
    root = folder / "hub"
    root.mkdir()
    names = sorted(path.name for path in seed.glob("*.json"))
    chosen = rng.choice(names)
    for path in seed.iterdir():
        if path.name == chosen:
            (root / path.name).write_bytes(mutate.json_bytes(rng, path.read_bytes()))
        else:
            (root / path.name).symlink_to(path)
    return root


def pickled(make: Callable[[], State]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(make(), folder / "w.pth")
        return folder / "w.pth"

    return write


def legacy(make: Callable[[], State]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(make(), folder / "w.pth", _use_new_zipfile_serialization=False)
        return folder / "w.pth"

    return write


def as_safetensors(make: Callable[[], State]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        safetensors.torch.save_file(make(), folder / "w.safetensors")
        return folder / "w.safetensors"

    return write


def renamed(rng: random.Random, seed: Path, folder: Path) -> Path:
    """A pickle of other names, shapes and kinds."""
    tensors.write_pickle(rng, torch.load(seed, weights_only=True), folder / "w.pth")
    return folder / "w.pth"


def reshaped(rng: random.Random, seed: Path, folder: Path) -> Path:
    """The same as safetensors."""
    state = torch.load(seed, weights_only=True)
    tensors.write_safetensors(rng, state, folder / "w.safetensors")
    return folder / "w.safetensors"


def inside_zip(choose: str, damage: Callable[[random.Random, bytes], bytes]) -> Damage:
    """Damage to a member whose checksum is right again, and to the bytes of the zip itself."""

    def change(rng: random.Random, seed: Path, folder: Path) -> Path:
        path = folder / seed.name
        if rng.random() < 0.2:
            path.write_bytes(mutate.damaged(rng, seed.read_bytes()))
            return path
        with zipfile.ZipFile(seed) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name.endswith(choose):
                    data = damage(rng, data)
                if rng.random() < 0.01:
                    name = rng.choice(["x", "../x", name + "x"])
                new.writestr(name, data)
        return path

    return change


def own_folder(architecture: str, **arguments: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from mobilenets.card import card_of, set_card
        from mobilenets.tasks.registry import task_for
        from mobilenets.weights.sources.own import save

        torch.manual_seed(0)
        model = task_for(architecture).network.build(architecture, ("cat", "dog"), arguments)
        card = card_of(model)
        small = card.preprocessing.__class__((32, 32), card.preprocessing.resize)
        outputs = list(task_for(architecture).outputs.form(model.eval(), card).card.outputs)
        set_card(model, card.replace(preprocessing=small, outputs=tuple(outputs)))
        save(model, folder / "best.safetensors")
        return folder / "best.safetensors"

    return write


def other_card(rng: random.Random, seed: Path, folder: Path) -> Path:
    """Our checkpoint with a damaged card; now and then with other tensors too."""
    from mobilenets.card import KEY

    state = safetensors.torch.load_file(seed)
    with safetensors.safe_open(seed, framework="np") as file:
        card = file.metadata()[KEY]
    path = folder / seed.name
    if rng.random() < 0.2:
        tensors.write_safetensors(rng, state, path, {KEY: card})
        return path
    text = mutate.json_bytes(rng, card.encode()).decode("utf-8", "replace")
    safetensors.torch.save_file(state, path, {KEY: text})
    return path


def run_folder(folder: Path) -> Path:
    state = {"fingerprint": {"recipe": "a", "model": "b"}, "model": {"w": torch.zeros(3)}}
    state |= {"optimizer": {"state": {0: {"step": 3}}}, "epoch": 3, "best": 0.5}
    torch.save(state, folder / "state.pt")
    return folder / "state.pt"


def other_run(rng: random.Random, seed: Path, folder: Path) -> Path:
    if rng.random() < 0.5:
        inside_zip("data.pkl", mutate.damaged)(rng, seed, folder)
    else:
        odd = rng.choice([[1], 3, None, {}, {"fingerprint": [1]}, {"fingerprint": {"recipe": 1}}])
        torch.save(odd, folder / "state.pt")
    return folder


def picture(side: int = 24) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (side, side + 7, 3), np.uint8)
    return Image.fromarray(values)


IMAGES: dict[str, dict[str, Any]] = {
    "a.jpg": {"quality": 60},
    "p.jpg": {"progressive": True, "icc_profile": b"x" * 200},
    "a.png": {},
    "grey16.png": {},
    "palette.png": {},
    "a.gif": {"save_all": True},
    "a.webp": {"lossless": True},
    "a.bmp": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "deflate.tif": {"compression": "tiff_adobe_deflate"},
    "jpeg.tif": {"compression": "jpeg"},
    "a.ppm": {},
}
if features.check("avif"):
    IMAGES["a.avif"] = {}


def image_file(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        made = picture()
        options = dict(IMAGES[name])
        if name == "grey16.png":
            made = Image.fromarray(np.asarray(made.convert("L")).astype(np.uint16) * 257)
        elif name in ("palette.png", "a.gif"):
            made = made.quantize(20)
        if name == "a.gif":
            options["append_images"] = [made.rotate(90), made.rotate(180)]
        exif = Image.Exif()
        exif[0x0112] = 6
        if name in ("a.jpg", "a.webp", "a.png", "a.tif"):
            options["exif"] = exif
        made.save(folder / name, **options)
        return folder / name

    return write


def asset(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        shutil.copy(ASSETS / "weights" / name, folder / name)
        return folder / name

    return write


def state_subjects(
    name: str, make: Callable[[], State], weight: int, *, heavy: bool = False
) -> list[Subject]:
    """A state dict in each container: what it holds damaged, and its bytes."""
    read = readers.weights
    zipped = inside_zip("data.pkl", mutate.damaged)
    return [
        Subject(f"{name}.names", pickled(make), renamed, read, 3 * weight, heavy),
        Subject(f"{name}.header", pickled(make), reshaped, read, 2 * weight, heavy),
        Subject(f"{name}.pkl", pickled(make), zipped, read, weight, heavy),
        Subject(f"{name}.legacy", legacy(make), in_bytes(3000), read, weight, heavy),
        Subject(f"{name}.safetensors", as_safetensors(make), in_bytes(3000), read, weight, heavy),
    ]


def weights_subjects() -> list[Subject]:
    found = state_subjects("torchvision", torchvision_state, 3)
    for port in ("tonylins", "d-li14", "marvis", "kuangliu"):
        found += state_subjects(port, port_state(port), 1)
    for name in ("mobilenetv2_035", "mobilenetv1_100"):
        found += state_subjects(f"timm-{name}", timm_state(name), 1, heavy=True)[:2]
    found += [
        Subject("hf.json", hf_folder, beside, readers.weights, 4, True),
        Subject("timm.json", timm_folder, beside, readers.weights, 4, True),
        Subject("named.json", named_folder, beside, readers.weights, 2),
    ]
    small = {"width": SMALL}
    for name in ("mobilenet_v2", "ssd_mobilenet_v1", "deeplabv3_mobilenet_v2"):
        seed = own_folder(name, **small)
        found.append(Subject(f"own-{name}.card", seed, other_card, readers.run_weights, 2))
        found.append(Subject(f"own-{name}.bytes", seed, in_bytes(2500), readers.weights, 1))
    found.append(Subject("run.state", run_folder, other_run, readers.state, 1))
    for name in (
        "mobilenet_v1_0.25_96_vww_float.tflite",
        "mobilenet_v1_0.25_96_person_int8.tflite",
        "ssd_mobilenet_v1_coco_quant.tflite",
        "deeplabv3_mobilenet_v2_0.5_257.tflite",
    ):
        if (ASSETS / "weights" / name).is_file():
            from tests.fuzz.tflite import damage

            found.append(Subject(name, asset(name), damage, readers.weights, 3, True))
    return found


def image_subjects() -> list[Subject]:
    found = [Subject(name, image_file(name), in_bytes(400), readers.image, 3) for name in IMAGES]
    masks = ("palette.png", "grey16.png")
    return found + [
        Subject(f"mask-{name}", image_file(name), in_bytes(400), readers.mask, 2) for name in masks
    ]


def subjects() -> dict[str, Subject]:
    """All of them by name."""
    from tests.fuzz.data import data_subjects
    from tests.fuzz.graphs import graph_subjects
    from tests.fuzz.keras import keras_subjects

    every = weights_subjects() + image_subjects() + data_subjects() + graph_subjects()
    every += keras_subjects()
    assert len({one.name for one in every}) == len(every)
    return {one.name: one for one in every}


__all__ = ["in_tree", "subjects"]
