"""What the kept files were made from and are tried with: drawn by arithmetic, always the same.

`make.py` and `test_before.py` share this. Nothing here imports the package, so that both see the
same data whatever becomes of it.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 40
KINDS = ("bar", "block")
"""Classes of what is drawn: wider than high, or not."""
IMAGES = 24
HELD = 8
"""Images for validation, where the data says which they are."""
SAMPLE = 24
"""Numbers that are kept of an output at most."""


class Run(NamedTuple):
    """A command that trains, and the optimizer step after which it was interrupted."""

    command: tuple[str, ...]
    stop: int


def run(command: str, settings: str, stop: int) -> Run:
    """The words of a command, and after them settings of the recipe, each with `--set`."""
    added = (word for one in settings.split() for word in ("--set", one))
    return Run((*command.split(), *added), stop)


RUNS = {
    "classify-shapes": run(
        "mobilenet_v2 --data shapes --width 0.01 --resolution 32 --knob divisor=1 --knob "
        "finegrained=false --knob expansion=1 --epochs 2 --batch-size 64 --learning-rate 0.1",
        "policy=flip crop_scale=0.5 erasing=0.25 mixup=0.4 cutmix=0.5 train_scale=1 "
        "label_smoothing=0.2 warmup_epochs=0.5 dropout=0.1 ema_decay=0 schedule=staircase "
        "decay_rate=0.9",
        stop=126,
    ),
    "classify-taught": run(
        "mobilenet_v1 --from weights/student.safetensors --data folders --teacher "
        "weights/teacher.safetensors --recipe paper_v1 --epochs 3 --batch-size 8 --learning-rate "
        "0.02",
        "teacher_weight=0.7 teacher_temperature=3 seed=5 ema_decay=0.9 decay_epochs=1 accumulate=2",
        stop=4,
    ),
    "detect-coco": run(
        "ssd_mobilenet_v1 --from weights/boxes.safetensors --data coco --epochs 4 --batch-size 8 "
        "--learning-rate 0.05",
        "policy=ssd zoom_out=2 box_weight=2 negatives=4 warmup_epochs=0 clip_norm=5 ema_decay=0",
        stop=5,
    ),
    "detect-yolo": run(
        "ssd_mobilenet_v1 --from weights/boxes-padded.safetensors --data yolo --recipe paper_ssd "
        "--epochs 2 --batch-size 6",
        "optimizer=sgd momentum=0 focal_gamma=2 focal_alpha=0.4 negative_nms=0.9 norm=frozen",
        stop=3,
    ),
    "segment-folders": run(
        "deeplabv3_mobilenet_v1 --from weights/masks.safetensors --data masks --epochs 3 "
        "--batch-size 8 --learning-rate 0.05",
        "class_weights=balanced optimizer=sgd momentum=0 ema_decay=0",
        stop=3,
    ),
    "segment-shapes": run(
        "deeplabv3_mobilenet_v1 --from weights/scenes.safetensors --data shapes --recipe "
        "paper_deeplab --resolution 33 --epochs 2 --batch-size 64",
        "class_weights=0.5,1,2,1,1,1,1,1,3 policy=deeplab_colours scale_least=0.75 scale_most=1.5 "
        "scale_step=0 poly_power=0.8",
        stop=30,
    ),
}
WEIGHTS = (
    *("mobilenet_v1", "mobilenet_v1-knobs", "mobilenet_v2", "mobilenet_v2-knobs"),
    *("ssd_mobilenet_v1", "ssd_mobilenet_v2", "ssdlite_mobilenet_v1", "ssdlite_mobilenet_v2"),
    *("deeplabv3_mobilenet_v1", "deeplabv3_mobilenet_v2"),
    *("student", "teacher", "boxes", "boxes-padded", "masks", "scenes"),
)
"""Checkpoints; the last row is what the runs start from."""
EXPORTED = (
    *("logits", "probabilities", "boxes", "detections", "logits-of-pixels", "classes-of-pixels"),
)
PICTURE = "picture.png"
COMMANDS = (
    ("predict", "weights/mobilenet_v1.safetensors", PICTURE),
    ("predict", "weights/mobilenet_v1-knobs.safetensors", PICTURE),
    ("predict", "weights/mobilenet_v2.safetensors", PICTURE, "--top", "3"),
    ("predict", "weights/mobilenet_v2-knobs.safetensors", PICTURE),
    ("predict", "weights/ssd_mobilenet_v1.safetensors", PICTURE, "--threshold", "0.1"),
    ("predict", "weights/ssdlite_mobilenet_v2.safetensors", PICTURE, "--top", "5"),
    ("predict", "weights/deeplabv3_mobilenet_v1.safetensors", PICTURE, "--output-stride", "8"),
    ("predict", "weights/deeplabv3_mobilenet_v2.safetensors", PICTURE, "--multi-scale"),
    ("predict", "onnx/probabilities.onnx", PICTURE),
    ("predict", "onnx/boxes.onnx", PICTURE, "--top", "5"),
    ("predict", "onnx/detections.onnx", PICTURE, "--top", "5"),
    ("predict", "onnx/logits-of-pixels.onnx", PICTURE),
    ("predict", "onnx/classes-of-pixels.onnx", PICTURE),
    ("eval", "weights/mobilenet_v2.safetensors", "shapes", "--limit", "30"),
    ("eval", "onnx/logits.onnx", "shapes", "--limit", "30"),
)
"""What is asked of the files; the whole answer is kept. `eval` on the built-in scenes cannot be
compared: other scenes are drawn now."""


def asked(command: tuple[str, ...]) -> tuple[str, ...]:
    """A command as it is run: on one thread, which decides the order of sums, and for programs."""
    threads = ("--threads", "1") if command[0] != "train" else ("--workers", "0")
    return (*command, *threads, "--json")


class Thing(NamedTuple):
    """What is drawn in a picture: its class, and its edges in pixels."""

    kind: str
    left: int
    top: int
    right: int
    bottom: int


def batch(height: int, width: int) -> np.ndarray:
    """Two inputs for a network, (2, 3, height, width) float32 from -1 to 1."""
    random = np.random.RandomState(height * 1000 + width)
    return (random.randint(0, 257, (2, 3, height, width)) / 128 - 1).astype(np.float32)


def draw(number: int) -> tuple[Image.Image, Thing]:
    """Picture `number`: coarse noise, and one thing on it."""
    random = np.random.RandomState(number)
    noise = random.randint(0, 160, (HEIGHT // 8, WIDTH // 8, 3))
    pixels = noise.repeat(8, 0).repeat(8, 1).astype(np.uint8)
    kind = KINDS[number % len(KINDS)]
    width, height = (24, 8) if kind == "bar" else (16, 20)
    left, top = int(random.randint(0, WIDTH - width)), int(random.randint(0, HEIGHT - height))
    pixels[top : top + height, left : left + width] = random.randint(160, 256, 3)
    return Image.fromarray(pixels), Thing(kind, left, top, left + width, top + height)


def write_inputs(folder: Path) -> None:
    """The picture that is looked at, and data sets as people have them, under `folder`."""
    draw(1000)[0].save(folder / PICTURE)
    boxes: dict[str, list[tuple[str, Thing]]] = {"train": [], "val": []}
    for number in range(IMAGES):
        image, thing = draw(number)
        part = "val" if number >= IMAGES - HELD else "train"
        name = f"{number}.png"
        boxes[part].append((name, thing))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[thing.top : thing.bottom, thing.left : thing.right] = 1 + KINDS.index(thing.kind)
        put(image, folder / "folders" / thing.kind / name)
        put(image, folder / "coco" / part / name)
        put(image, folder / "yolo" / "images" / name)
        put(image, folder / "masks" / "images" / part / name)
        put(Image.fromarray(mask), folder / "masks" / "masks" / part / name)
        write(folder / "yolo" / "labels" / f"{number}.txt", yolo(thing))
    write(folder / "yolo" / "classes.txt", "\n".join(KINDS))
    write(folder / "masks" / "classes.txt", "\n".join(("ground", *KINDS)))
    for part, things in boxes.items():
        write(folder / "coco" / "annotations" / f"instances_{part}.json", json.dumps(coco(things)))


def put(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def sides(thing: Thing) -> tuple[int, int]:
    """(width, height) in pixels."""
    return thing.right - thing.left, thing.bottom - thing.top


def yolo(thing: Thing) -> str:
    """Its class and box as YOLO has it: centre and sides in shares of the image."""
    x, y = (thing.left + thing.right) / 2 / WIDTH, (thing.top + thing.bottom) / 2 / HEIGHT
    width, height = sides(thing)
    return f"{KINDS.index(thing.kind)} {x} {y} {width / WIDTH} {height / HEIGHT}\n"


def coco(things: list[tuple[str, Thing]]) -> dict[str, Any]:
    """COCO's JSON for (file name, thing)."""
    size = {"width": WIDTH, "height": HEIGHT}
    return {
        "images": [{"id": i, "file_name": name, **size} for i, (name, _) in enumerate(things)],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1 + KINDS.index(thing.kind),
                "bbox": [thing.left, thing.top, *sides(thing)],
                "area": sides(thing)[0] * sides(thing)[1],
                "iscrowd": 0,
            }
            for i, (_, thing) in enumerate(things)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(KINDS, 1)],
    }


def sample(values: np.ndarray) -> list[float]:
    """Some of an output's numbers, spread over it, and the mean of their sizes."""
    flat = np.asarray(values, np.float64).ravel()
    step = max(len(flat) // SAMPLE, 1) | 1
    return [short(value) for value in (np.abs(flat).mean(), *flat[::step])]


def summary(tensors: dict[str, np.ndarray]) -> dict[str, float]:
    """A number for each tensor that depends on every value and its place: a mean along a wave."""
    found = {}
    for name, values in sorted(tensors.items()):
        flat = np.asarray(values, np.float64).ravel()
        found[name] = short((flat * (1.5 + np.cos(np.arange(len(flat))))).mean())
    return found


def short(value: float) -> float:
    """Five digits, fewer than the tolerance of any comparison needs."""
    return float(f"{value:.5g}")
