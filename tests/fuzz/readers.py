"""Every reader of the package, as the commands call it."""

import zlib
from pathlib import Path

import numpy as np


def _one_line(error: Exception) -> None:
    assert "\n" not in str(error), error


def weights(path: Path) -> None:
    """`identify`, and `load` as `train --from` and `predict` do."""
    from mobilenets.errors import InputError
    from mobilenets.weights import identify, load

    try:
        known = identify(path)
    except InputError:
        known = None
    card = load(path).card
    assert card == known, "identify and load differ"


def run_weights(path: Path) -> None:
    """`predict` on one image, where the file says it is small."""
    from mobilenets.inference import open_model

    session = open_model(path)
    _predict(session, path)


def onnx(path: Path) -> None:
    """`predict` on the engine; the compiler itself runs for few of them."""
    from mobilenets.engine.front.read import read_graph
    from mobilenets.errors import InputError
    from mobilenets.inference import open_session

    graph = None
    try:
        graph = read_graph(path)
    except InputError as error:
        _one_line(error)
    if graph is None or zlib.crc32(path.read_bytes()) % 8:
        return
    if sum(np.prod(tensor.shape, dtype=float) for tensor in graph.tensors.values()) > 1e6:
        return
    _predict(open_session(path, runtime="mobilenets", threads=1), path)


def onnx_by_card(path: Path) -> None:
    """`predict` of a file whose card is damaged."""
    from mobilenets.inference import open_session

    _predict(open_session(path, runtime="mobilenets", threads=1), path)


def _predict(session, path: Path) -> None:
    from PIL import Image

    from mobilenets.inference import predict
    from mobilenets.tasks.registry import task_of

    picture = path.parent / "asked.png"
    Image.new("RGB", (40, 30), (200, 100, 50)).save(picture)
    task = task_of(session.card)
    for answer in predict(session, [picture], task):
        if not answer.error:
            task.show.to_json(answer.decoded)


def image(path: Path) -> None:
    from mobilenets.errors import InputError
    from mobilenets.runtime.images import read_header, read_image

    picture = None
    try:
        picture = read_image(path)
    finally:
        try:
            header = read_header(path)
        except InputError:
            header = None
    assert header is not None, "read, but its header is not"
    assert picture.mode == "RGB"
    assert picture.size == header.size, (picture.size, header.size)


def mask(path: Path) -> None:
    from mobilenets.tasks.segment.formats.masks import read_mask

    read_mask(path)


def data(task_name: str):
    """`train`, `eval` and `data check` up to the network."""

    def read(root: Path) -> None:
        from mobilenets.errors import InputError
        from mobilenets.tasks.registry import tasks

        task = tasks()[task_name]
        for split in ("train", "val", "eval"):
            try:
                found = task.data.open_data(root, split)
            except InputError as error:
                _one_line(error)
                continue
            assert all(note.isprintable() for note in found.notes), found.notes
            for i in range(len(found)):
                found.name(i)
                try:
                    found.image(i)
                    found.target(i)
                except InputError as error:
                    _one_line(error)
        if task.has("check"):
            task.check.look(str(root), None, _no_bar)

    return read


def _no_bar(title: str, total: int):
    from contextlib import nullcontext

    return nullcontext(lambda done: None)


def state(folder: Path) -> None:
    from mobilenets.training.state import load_state

    load_state(folder, {"recipe": "a", "model": "b"})
