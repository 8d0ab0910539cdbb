"""Peak memory of `predict` and `eval` of many images: it does not grow with their number.

Makes the images (one file under many names), runs a command in a process of its own, and prints
the peak of its resident memory. `masks`: predict --json of a segmentation network. `boxes`: eval
of a detector. Example: `python bench/memory.py masks boxes --images 100 1000`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mobilenets.export import export_onnx
from mobilenets.export.source import open_source
from mobilenets.runtime.labels import coco_labels

WIDTH, HEIGHT = 1600, 1200
NETWORKS = {
    "masks": ("deeplabv3_mobilenet_v2", {"width": 0.35, "classes": 21}, 129),
    "boxes": ("ssdlite_mobilenet_v2", {"width": 0.35, "classes": 80}, 96),
}
PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=open("/dev/null", "wb")).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def write_images(folder: Path, count: int, *, boxes: bool) -> None:
    """One photograph under `count` names; with `boxes` seven objects in each, as YOLO has them."""
    random = np.random.default_rng(0)
    side = (320, 240) if boxes else (WIDTH, HEIGHT)
    small = Image.fromarray(random.integers(0, 255, (12, 16, 3), np.uint8))
    folder.mkdir()
    (folder / "images").mkdir()
    first = folder / "images" / "0.jpg"
    small.resize(side, Image.Resampling.BICUBIC).save(first)
    for i in range(1, count):
        os.link(first, folder / "images" / f"{i}.jpg")
    if boxes:
        (folder / "labels").mkdir()
        names = list(coco_labels(80))
        (folder / "data.yaml").write_text(f"names: {json.dumps(names)}\n")
        for i in range(count):
            rows = np.column_stack([random.integers(0, 80, 7), random.uniform(0.3, 0.6, (7, 4))])
            text = "".join(
                f"{int(row[0])} {' '.join(f'{v:.4f}' for v in row[1:])}\n" for row in rows
            )
            (folder / "labels" / f"{i}.txt").write_text(text)


def measure(command: list[str]) -> tuple[float, float]:
    """The peak of a command's resident memory in MB, and its seconds."""
    began = time.monotonic()
    call = [sys.executable, "-c", PEAK, sys.executable, "-m", "mobilenets", *command]
    ran = subprocess.run(call, check=True, capture_output=True, text=True)
    status, peak = ran.stdout.split()
    if status != "0":
        raise SystemExit(ran.stderr)
    return float(peak), time.monotonic() - began


def main() -> None:
    """Make, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="+", choices=list(NETWORKS))
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000])
    options = parser.parse_args()
    for what in options.what:
        with tempfile.TemporaryDirectory() as place:
            name, knobs, size = NETWORKS[what]
            model = Path(place) / "model.onnx"
            export_onnx(open_source(name, resolution=size, knobs=knobs), model)
            for count in options.images:
                data = Path(place) / str(count)
                write_images(data, count, boxes=what == "boxes")
                command = ["predict", str(model), str(data), "--json"]
                if what == "boxes":
                    command = ["eval", str(model), str(data), "--split", "all", "--json"]
                peak, seconds = measure(command)
                print(f"{what}, {count} images: {peak:.0f} MB at most, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
