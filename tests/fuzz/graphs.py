"""ONNX files: their bytes, their fields, weights beside them, and cards."""

import random
import shutil
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from onnx import external_data_helper, helper, numpy_helper

from tests.engine.front.test_hostile_onnx import plain
from tests.fuzz import mutate, readers
from tests.fuzz.subjects import Subject, in_bytes


def model_of(nodes, taken, given, weights) -> onnx.ModelProto:
    """`nodes` from x to y, tensors of floats with these shapes."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, taken)],
        [value("y", onnx.TensorProto.FLOAT, given)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def whole(folder: Path) -> Path:
    (folder / "m.onnx").write_bytes(plain().SerializeToString())
    return folder / "m.onnx"


def with_side_file(folder: Path) -> Path:
    root = folder / "side"
    root.mkdir()
    model = plain()
    external_data_helper.convert_model_to_external_data(model, location="m.data", size_threshold=0)
    onnx.save_model(model, root / "m.onnx")
    return root / "m.onnx"


def quantized(folder: Path) -> Path:
    """A convolution between integers, as quantizers write it."""
    weights = {
        "w": np.ones((4, 3, 3, 3), np.int8),
        "s": np.float32(0.1),
        "z": np.int8(0),
        "ws": np.full(4, 0.1, np.float32),
        "wz": np.zeros(4, np.int8),
        "b": np.zeros(4, np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("Conv", ["d", "wd", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    onnx.save_model(model_of(nodes, [1, 3, 8, 8], [1, 4], weights), folder / "q.onnx")
    return folder / "q.onnx"


def carded(folder: Path) -> Path:
    import torch

    from mobilenets.card import Preprocessing, card_of
    from mobilenets.tasks.registry import task_for

    weights = np.ones((2, 3, 1, 1), np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    model = model_of(nodes, ["n", 3, 16, 16], ["n", 2], {"w": weights})
    torch.manual_seed(0)
    made = task_for("mobilenet_v1").network.build("mobilenet_v1", ("a", "b"), {"width": 0.05})
    card = card_of(made).replace(preprocessing=Preprocessing((16, 16)))
    helper.set_model_props(model, {"mobilenets": card.to_json()})
    onnx.save_model(model, folder / "card.onnx")
    return folder / "card.onnx"


def other_card(rng: random.Random, seed: Path, folder: Path) -> Path:
    model = onnx.load(seed)
    text = mutate.json_bytes(rng, model.metadata_props[0].value.encode())
    model.metadata_props[0].value = text.decode("utf-8", "replace")
    onnx.save_model(model, folder / seed.name)
    return folder / seed.name


def fields(rng: random.Random, seed: Path, folder: Path) -> Path:
    """Some fields of the protobuf are others, missing, or there twice; what lies beside too."""
    for path in seed.parent.iterdir():
        if path != seed:
            if rng.random() < 0.3:
                (folder / path.name).write_bytes(mutate.damaged(rng, path.read_bytes()))
            elif rng.random() < 0.95:
                shutil.copy(path, folder / path.name)
    model = onnx.load(seed, load_external_data=False)
    for _ in range(rng.choice([1, 1, 2, 4])):
        _change(rng, model)
    (folder / seed.name).write_bytes(model.SerializePartialToString())
    return folder / seed.name


def _change(rng: random.Random, message) -> None:
    """Walk down to some field, and change it."""
    while True:
        there = [(field, value) for field, value in message.ListFields()]
        if not there:
            return
        field, value = rng.choice(there)
        values = None if isinstance(value, (str, bytes, int, float)) else value
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if values is not None and hasattr(values, "add"):
                if rng.random() < 0.15:
                    del values[rng.randrange(len(values))]
                    return
                if rng.random() < 0.1:
                    values.add().CopyFrom(rng.choice(list(values)))
                    return
                message = rng.choice(list(values))
            else:
                message = value
            continue
        if values is not None:
            place = rng.randrange(len(values))
            if rng.random() < 0.2:
                del values[place]
                return
            if rng.random() < 0.1:
                values.append(values[place])
                return
            values[place] = _other(rng, field, values[place])
        else:
            setattr(message, field.name, _other(rng, field, value))
        return


def _other(rng: random.Random, field, value):
    if isinstance(value, str):
        words = ["", "x", "y", "c", "w", "Conv", "Clip", "Relu", "Pad", "../x", "/etc/passwd", "0"]
        return rng.choice([*words, value + "x", "\n", "location", "ArgMax", "Softmax"])
    if isinstance(value, bytes):
        return mutate.damaged(rng, value) if value else b"x"
    if isinstance(value, float):
        return rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e30])
    if field.type == FieldDescriptor.TYPE_ENUM:
        return rng.choice([*field.enum_type.values_by_number, value])
    limit = 2**31 - 1 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 2**63 - 1
    odd = [0, 1, 2, 3, 5, 7, 16, -1, -2, 255, 10**6, 2**31 - 1, 2**32, 2**62, value + 1, value - 1]
    return max(min(rng.choice(odd), limit), -limit if field.cpp_type != 3 else 0)


def graph_subjects() -> list[Subject]:
    return [
        Subject("onnx.bytes", whole, in_bytes(), readers.onnx, 10),
        Subject("onnx.fields", whole, fields, readers.onnx, 20),
        Subject("onnx-side.fields", with_side_file, fields, readers.onnx, 10),
        Subject("onnx-int8.fields", quantized, fields, readers.onnx, 10),
        Subject("onnx-card", carded, other_card, readers.onnx_by_card, 3),
    ]
