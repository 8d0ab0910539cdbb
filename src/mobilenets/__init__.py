"""The MobileNets, exact: train, evaluate, cost, export and run small vision models.

>>> model = mobilenets.open("photos.onnx")  # any model file, or a published name
>>> model.predict("cat.jpg").label  # a path, bytes, a Pillow image, an array, or many of them
'cat'
>>> model.evaluate("photos"), model.profile(), model.features("cat.jpg", "blocks.13.expand")
>>> module = mobilenets.load("net.tflite")  # anyone's weights as a torch module
>>> mobilenets.profile("mobilenet_v2", width=0.35).madds  # what a network costs
>>> mobilenets.train("mobilenet_v2", "photos", weights="mobilenet_v2_1.0_224.google").open()

Names are imported when first used: what needs no torch never loads it.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobilenets.card import ModelCard, Preprocessing
    from mobilenets.cost import profile
    from mobilenets.engine import compile  # noqa: A004
    from mobilenets.evaluation import evaluate
    from mobilenets.export import export_onnx
    from mobilenets.inference import open_session
    from mobilenets.models.modules.norms import unfold
    from mobilenets.opened import Model, open  # noqa: A004
    from mobilenets.tasks.answer import Answer
    from mobilenets.tasks.attributes.architecture.several import (
        attributes_mobilenet_v1,
        attributes_mobilenet_v2,
    )
    from mobilenets.tasks.classify.architecture.classifier import mobilenet_v1, mobilenet_v2
    from mobilenets.tasks.detect.architecture.ssd import (
        ssd_mobilenet_v1,
        ssd_mobilenet_v2,
        ssdlite_mobilenet_v1,
        ssdlite_mobilenet_v2,
    )
    from mobilenets.tasks.embed.architecture.embedding import (
        embedding_mobilenet_v1,
        embedding_mobilenet_v2,
    )
    from mobilenets.tasks.geolocate.architecture.planet import (
        planet_mobilenet_v1,
        planet_mobilenet_v2,
    )
    from mobilenets.tasks.registry import task_of
    from mobilenets.tasks.segment.architecture.deeplab import (
        deeplabv3_mobilenet_v1,
        deeplabv3_mobilenet_v2,
    )
    from mobilenets.training import train
    from mobilenets.training.known.new_classes import learn
    from mobilenets.weights import identify, load
    from mobilenets.weights.sources.own import save

_HOMES = {
    "Answer": "tasks.answer",
    "Model": "opened",
    "ModelCard": "card",
    "Preprocessing": "card",
    "attributes_mobilenet_v1": "tasks.attributes.architecture.several",
    "attributes_mobilenet_v2": "tasks.attributes.architecture.several",
    "compile": "engine",
    "deeplabv3_mobilenet_v1": "tasks.segment.architecture.deeplab",
    "deeplabv3_mobilenet_v2": "tasks.segment.architecture.deeplab",
    "embedding_mobilenet_v1": "tasks.embed.architecture.embedding",
    "embedding_mobilenet_v2": "tasks.embed.architecture.embedding",
    "evaluate": "evaluation",
    "export_onnx": "export",
    "identify": "weights",
    "learn": "training.known.new_classes",
    "load": "weights",
    "mobilenet_v1": "tasks.classify.architecture.classifier",
    "mobilenet_v2": "tasks.classify.architecture.classifier",
    "open": "opened",
    "open_session": "inference",
    "planet_mobilenet_v1": "tasks.geolocate.architecture.planet",
    "planet_mobilenet_v2": "tasks.geolocate.architecture.planet",
    "profile": "cost",
    "save": "weights.sources.own",
    "ssd_mobilenet_v1": "tasks.detect.architecture.ssd",
    "ssd_mobilenet_v2": "tasks.detect.architecture.ssd",
    "ssdlite_mobilenet_v1": "tasks.detect.architecture.ssd",
    "ssdlite_mobilenet_v2": "tasks.detect.architecture.ssd",
    "task_of": "tasks.registry",
    "train": "training",
    "unfold": "models.modules.norms",
}

__all__ = [
    "Answer",
    "Model",
    "ModelCard",
    "Preprocessing",
    "attributes_mobilenet_v1",
    "attributes_mobilenet_v2",
    "compile",
    "deeplabv3_mobilenet_v1",
    "deeplabv3_mobilenet_v2",
    "embedding_mobilenet_v1",
    "embedding_mobilenet_v2",
    "evaluate",
    "export_onnx",
    "identify",
    "learn",
    "load",
    "mobilenet_v1",
    "mobilenet_v2",
    "open",
    "open_session",
    "planet_mobilenet_v1",
    "planet_mobilenet_v2",
    "profile",
    "save",
    "ssd_mobilenet_v1",
    "ssd_mobilenet_v2",
    "ssdlite_mobilenet_v1",
    "ssdlite_mobilenet_v2",
    "task_of",
    "train",
    "unfold",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mobilenets' has no attribute {name!r}")
    value = getattr(import_module(f"mobilenets.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


_ON_TORCH = ("training", "export", "tasks", "models")
"""Where the homes of names begin that need torch as soon as they are imported."""
_WITHOUT = ("Answer", "task_of")


def __dir__() -> list[str]:
    """Every name; where torch is not installed, those that need none: `help` imports them all."""
    names = set(__all__)
    if find_spec("torch") is None:
        names -= {k for k, home in _HOMES.items() if home.startswith(_ON_TORCH)} - {*_WITHOUT}
    return sorted({*globals(), *names})
