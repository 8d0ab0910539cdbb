"""HDF5 files that lead round in circles, outside, or to more than fits: one line, at once."""

import io
import json
import resource
import time
import zipfile

import h5py
import numpy as np
import pytest

from mobilenets.errors import WeightsError
from mobilenets.weights import load
from tests.fuzz import keras


def refused(path, message):
    start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB
    assert time.process_time() - start < 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A network as Keras 3 stores its weights, and as its older format does."""
    folder = tmp_path_factory.mktemp("whole")
    keras.h5(folder)
    with zipfile.ZipFile(keras.keras3(folder)) as archive:
        (folder / "m.weights.h5").write_bytes(archive.read("model.weights.h5"))
    return folder


def changed(whole, tmp_path, name, change):
    path = tmp_path / name
    path.write_bytes((whole / name).read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


@pytest.mark.every
def test_links_in_a_circle_are_walked_once(whole, tmp_path):
    def circle(file):
        file["layers"]["again"] = file["layers"]  # a hard link to its own group
        file["layers"]["soft"] = h5py.SoftLink("/")

    path = changed(whole, tmp_path, "m.weights.h5", circle)
    assert load(path).card == load(whole / "m.weights.h5").card


def test_links_without_end_are_refused(whole, tmp_path):
    def endless(file):
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")

    refused(changed(whole, tmp_path, "m.weights.h5", endless), "is a link to a link")


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5"])
def test_links_and_numbers_outside_are_named_and_never_opened(whole, tmp_path, name):
    other = tmp_path / "other.h5"
    h5py.File(other, "w").close()
    (tmp_path / "secret.bin").write_bytes(bytes(1 << 20))
    names = []
    with h5py.File(whole / name) as file:
        file.visititems(lambda n, v: names.append(n) if isinstance(v, h5py.Dataset) else None)

    def link(file):
        del file[names[0]]
        file[names[0]] = h5py.ExternalLink(str(other), "/x")

    def outside(file):
        shape = file[names[0]].shape
        del file[names[0]]
        raw = [(str(tmp_path / "secret.bin"), 0, int(np.prod(shape)) * 4)]
        file.create_dataset(names[0], shape, "f4", external=raw)

    def virtual(file):
        layout = h5py.VirtualLayout(file[names[0]].shape, "f4")
        layout[:] = h5py.VirtualSource(str(other), "x", file[names[0]].shape)
        del file[names[0]]
        file.create_virtual_dataset(names[0], layout)

    refused(changed(whole, tmp_path, name, link), "is a link to another file, .other.h5")
    refused(changed(whole, tmp_path, name, outside), "are in another file, which is not read")
    refused(changed(whole, tmp_path, name, virtual), "are in another file, which is not read")


@pytest.mark.parametrize(("count", "kind"), [(1 << 27, "f4"), (1 << 27, "i1"), (1 << 27, "f2")])
def test_a_dataset_that_claims_more_than_a_network_weighs(whole, tmp_path, count, kind):
    """By what it takes in memory, as floats: bytes on disk are four times as many there."""

    def huge(file):
        file.create_dataset("layers/conv2d/vars/9", (count,), kind, chunks=(64,))

    path = changed(whole, tmp_path, "m.weights.h5", huge)
    refused(path, "take 53. MB, and no MobileNet's take more than 268")


def test_a_larger_network_is_not_called_damaged(tmp_path):
    """VGG-16 has 553 MB: none of it is read to say that it is too much."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        names = [f"block{i}_conv1" for i in range(4)]
        for name in names:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0"]
            group.create_dataset(f"{name}/kernel:0", (3, 3, 2048, 2048), chunks=(3, 3, 8, 8))
        file.attrs["layer_names"] = names
    refused(path, "m.h5: its weights take 604 MB, and no MobileNet's take more than 268")


def test_a_keras_archive_that_inflates(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps({}))
        with archive.open("model.weights.h5", "w", force_zip64=True) as part:
            for _ in range(257):
                part.write(bytes(1 << 20))
    assert path.stat().st_size < 2 << 20
    refused(path, "model.weights.h5 claims more than 268435456 bytes")
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        zeros = file.create_dataset("layers/conv2d/vars/0", (1 << 27,), "f4", compression="gzip")
        assert zeros.chunks
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", held.getvalue())
    refused(path, "take 537 MB, and no")
