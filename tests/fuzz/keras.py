"""Keras' files: HDF5 by bytes and by what it holds, `.keras` archives, TensorFlow.js models."""

import io
import json
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.fuzz import mutate, readers
from tests.fuzz.subjects import Subject, in_bytes


def _variables() -> dict[str, dict[str, np.ndarray]]:
    """A small MobileNetV1 in the names of Keras applications: stem 8, 13 blocks, 2 classes."""
    rows = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    rows = [max(n // 4, 8) for n in rows]
    norm = ("gamma", "beta", "moving_mean", "moving_variance")

    def normed(c: int) -> dict[str, np.ndarray]:
        return {name: np.full(c, 0.5, np.float32) for name in norm}

    layers: dict[str, dict[str, np.ndarray]] = {"conv1": {"kernel": np.ones((3, 3, 3, 8), "f4")}}
    layers["conv1_bn"] = normed(8)
    c = 8
    for i, n in enumerate(rows, 1):
        layers[f"conv_dw_{i}"] = {"depthwise_kernel": np.ones((3, 3, c, 1), "f4")}
        layers[f"conv_dw_{i}_bn"] = normed(c)
        layers[f"conv_pw_{i}"] = {"kernel": np.ones((1, 1, c, n), "f4")}
        layers[f"conv_pw_{i}_bn"] = normed(n)
        c = n
    layers["conv_preds"] = {"kernel": np.ones((1, 1, c, 2), "f4"), "bias": np.zeros(2, "f4")}
    return layers


def _v1_variables() -> dict[str, dict[str, np.ndarray]]:
    """The same with the channels of width .25."""
    layers = _variables()
    channels = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    c = 8
    for i, n in enumerate(channels, 1):
        layers[f"conv_dw_{i}"]["depthwise_kernel"] = np.ones((3, 3, c, 1), "f4")
        layers[f"conv_pw_{i}"]["kernel"] = np.ones((1, 1, c, n), "f4")
        for name, size in ((f"conv_dw_{i}_bn", c), (f"conv_pw_{i}_bn", n)):
            layers[name] = {key: np.full(size, 0.5, "f4") for key in layers[name]}
        c = n
    layers["conv_preds"]["kernel"] = np.ones((1, 1, c, 2), "f4")
    return layers


def h5(folder: Path) -> Path:
    layers = _v1_variables()
    path = folder / "m.h5"
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [name.encode() for name in layers]
        for name, values in layers.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in values]
            for key, value in values.items():
                group[f"{name}/{key}:0"] = value
    return path


def keras3(folder: Path) -> Path:
    layers = _v1_variables()
    held = io.BytesIO()
    counts: dict[str, int] = {}
    with h5py.File(held, "w") as file:
        for name, values in layers.items():
            kind = "batch_normalization" if name.endswith("_bn") else "conv2d"
            kind = "depthwise_conv2d" if "depthwise_kernel" in values else kind
            number = counts.get(kind, 0)
            counts[kind] = number + 1
            group = file.create_group(f"layers/{kind}{f'_{number}' if number else ''}/vars")
            for i, value in enumerate(values.values()):
                group[str(i)] = value
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.3.3"}))
        archive.writestr("config.json", "null")
        archive.writestr("model.weights.h5", held.getvalue())
    return folder / "m.keras"


def saved(name: str) -> Callable[[Path], Path]:
    """A network of Keras' own, saved whole: its configuration is read layer by layer."""

    def write(folder: Path) -> Path:
        from tests.weights import keras_nets, test_tfjs

        model = keras_nets.network("MobileNet", 0.25, (32, 32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras' own
            if name == "model.json":
                (folder / "whole").mkdir()
                return test_tfjs.write(folder / "whole", model).parent
            model.save(folder / name)
        return folder / name

    return write


def tfjs(folder: Path) -> Path:
    root = folder / "tfjs"
    root.mkdir()
    manifest, data = [], b""
    layers = _v1_variables()
    for name, values in layers.items():
        for key, value in values.items():
            manifest.append({"name": f"{name}/{key}", "shape": value.shape, "dtype": "float32"})
            data += value.tobytes()
    (root / "g1.bin").write_bytes(data)
    groups = [{"paths": ["g1.bin"], "weights": manifest}]
    content = {"format": "layers-model", "modelTopology": None}
    (root / "model.json").write_text(json.dumps({**content, "weightsManifest": groups}))
    return root


class Reached:
    """The names of a file that lead to an object; a circle of links leads to none."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file

    def __contains__(self, name: object) -> bool:
        try:
            return name in self.file
        except RuntimeError:  # too many links
            return False


def other_h5(rng: random.Random, path: Path) -> None:
    """Objects renamed, deleted, linked, reshaped; attributes changed."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for name in mutate.some_left(rng, names, Reached(file), (1, 1, 2, 3)):
            match rng.randrange(9):
                case 0:
                    del file[name]
                case 1:
                    new = name + rng.choice(["x", "_1", "/x"])
                    if new not in file and not name.startswith(new) and "/x" not in new:
                        file.move(name, new)
                case 2:
                    del file[name]
                    file[name] = rng.choice(
                        [
                            h5py.SoftLink("/nowhere"),
                            h5py.SoftLink("/"),
                            h5py.SoftLink(f"/{name}"),
                            h5py.ExternalLink("other.h5", "/x"),
                        ]
                    )
                case 3:
                    del file[name]
                    values = [np.zeros(()), np.zeros((0,)), np.zeros((3, 3, 1)), "text"]
                    values += [np.arange(4), np.ones((1, 1, 8, 8), "f2"), np.array([b"x"])]
                    file[name] = rng.choice(values)
                case 4:
                    del file[name]
                    huge = tuple(
                        rng.choice([(2**20, 2**20), (2**32,), (2**62,), (1, 1, 2**16, 2**12)])
                    )
                    file.create_dataset(name, huge, "f4", chunks=tuple(min(n, 64) for n in huge))
                case 5:
                    del file[name]
                    file.create_group(name)
                case _:
                    node = file[name] if rng.random() < 0.7 else file
                    keys = list(node.attrs)
                    if keys:
                        key = rng.choice(keys)
                        old = node.attrs[key]
                        if isinstance(old, str) and rng.random() < 0.8:
                            changed = mutate.json_bytes(rng, old.encode())
                            node.attrs[key] = changed.decode("utf-8", "replace").replace("\0", "")
                        elif isinstance(old, np.ndarray) and len(old) and rng.random() < 0.7:
                            kept = [
                                bytes(v) if isinstance(v, bytes) else str(v).encode() for v in old
                            ]
                            kept[rng.randrange(len(kept))] = rng.choice([b"x", b"", *kept])
                            node.attrs[key] = rng.choice([kept, kept[1:], kept + kept[:1]])
                        else:
                            node.attrs[key] = rng.choice([0, "x", [1, 2], b"\xff", 1.5])


def h5_fields(rng: random.Random, seed: Path, folder: Path) -> Path:
    shutil.copy(seed, folder / seed.name)
    other_h5(rng, folder / seed.name)
    return folder / seed.name


def keras_fields(rng: random.Random, seed: Path, folder: Path) -> Path:
    path = folder / seed.name
    with zipfile.ZipFile(seed) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    kind = rng.randrange(4)
    if kind == 0:
        members["config.json"] = mutate.json_bytes(rng, members["config.json"])
    elif kind == 1:
        inner = folder / "inner.h5"
        inner.write_bytes(members["model.weights.h5"])
        other_h5(rng, inner)
        members["model.weights.h5"] = inner.read_bytes()
        inner.unlink()
    elif kind == 2:
        name = rng.choice(list(members))
        members[name] = mutate.damaged(rng, members[name], 2000)
    else:
        del members[rng.choice(list(members))]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    if rng.random() < 0.15:
        path.write_bytes(mutate.damaged(rng, path.read_bytes()))
    return path


def tfjs_fields(rng: random.Random, seed: Path, folder: Path) -> Path:
    for path in seed.iterdir():
        data = path.read_bytes()
        if path.suffix == ".json":
            data = mutate.json_bytes(rng, data)
        elif rng.random() < 0.2:
            data = mutate.cut(rng, data)
        (folder / path.name).write_bytes(data)
    return folder / "model.json"


def keras_subjects() -> list[Subject]:
    read = readers.weights
    return [
        Subject("h5.bytes", h5, in_bytes(20000), read, 6),
        Subject("h5.fields", h5, h5_fields, read, 4),
        Subject("keras.fields", keras3, keras_fields, read, 4),
        Subject("tfjs.fields", tfjs, tfjs_fields, read, 4),
        Subject("h5-whole.fields", saved("m.h5"), h5_fields, read, 10, True),
        Subject("keras-whole.fields", saved("m.keras"), keras_fields, read, 12, True),
        Subject("tfjs-whole.fields", saved("model.json"), tfjs_fields, read, 8, True),
    ]
