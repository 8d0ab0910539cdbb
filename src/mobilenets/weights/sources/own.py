"""Our checkpoint: one .safetensors whose header says all that is needed to use it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.numpy

from mobilenets.card import KEY, ModelCard, card_of
from mobilenets.errors import WeightsError
from mobilenets.files import replace_file
from mobilenets.tasks.registry import build, networks
from mobilenets.weights.containers.arrays import Arrays, plain
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.parts import preference
from mobilenets.weights.containers.pickle import StoredState
from mobilenets.weights.containers.safetensors import metadata, read_safetensors
from mobilenets.weights.fitted import as_built, check_structure, head_names, settle
from mobilenets.weights.infer import check_shapes, infer

if TYPE_CHECKING:
    from torch import nn

STEM = "backbone.stem.conv.weight"
UNSAID = (
    "tensors of ours without a card: padding, epsilon, activation and how images are prepared are "
    "taken to be our constructors' own; mobilenets.save writes them down"
)


def save(model: "nn.Module", path: str | Path, *, labels: Sequence[str] | None = None) -> None:
    """Write a model and its card, atomically: a full disk leaves what was there before.

    The bytes depend on weights and card alone. Weights are float32; the norms' batch counters
    are left out, since nothing here reads them. A card without a task gets that of its
    architecture. With a head put in by hand the card follows it: `labels` are its classes, else
    they are numbered. ::

        model.classifier = torch.nn.Linear(1280, 2)
        ...
        mobilenets.save(model, "pets.safetensors", labels=["cat", "dog"])

    Raises ValueError for a model without a card, for one that its card's constructor cannot build
    and for labels that are not as many as the outputs; OSError if the file cannot be written.
    """
    model = as_built(model, labels)
    card = card_of(model)
    if not card.task and card.architecture in networks():
        card = card.replace(task=networks()[card.architecture][0].name)
    tensors = {
        name: value.detach().to("cpu").float().contiguous().numpy()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    # One key only: the library writes several in an order that changes from run to run.
    data = safetensors.numpy.save(tensors, {KEY: card.to_json()})
    replace_file(Path(path), lambda temporary: temporary.write_bytes(data))


def matches(path: Path) -> bool:
    """Whether a safetensors file is one of ours."""
    return KEY in metadata(path)


def read_card(path: str | Path) -> ModelCard:
    """The card in a checkpoint's header; the weights are not read.

    Raises WeightsError for a file that is damaged or not ours.
    """
    text = metadata(Path(path)).get(KEY)
    if text is None:
        raise WeightsError(f"{path}: has no {KEY} metadata, so mobilenets did not write it")
    return ModelCard.from_json(text, path)


def read(path: Path) -> Foreign:
    """Card and weights; WeightsError unless they fit each other."""
    card = read_card(path)
    tensors = read_safetensors(path)
    try:
        _check(card)
        check_shapes({k: v.shape for k, v in tensors.items()}, card.architecture, card.arguments)
    except (WeightsError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: its weights do not fit its header ({error})") from error
    return Foreign(card, plain(tensors))


def _check(card: ModelCard) -> None:
    if card.architecture not in networks():
        raise WeightsError(f"architecture is {card.architecture!r}, which is no network of ours")
    width = card.arguments.get("width", 1.0)
    if not (math.isfinite(width) and 0 < width <= 16):
        raise WeightsError(f"width must be above 0 and at most 16, got {width!r}")


def from_state(stored: StoredState, path: Path) -> Foreign | None:
    """A state dict of ours with its card, as torch.save keeps it; None where there is none.

    WeightsError where card and weights are not of one network of ours.
    """
    if not stored.described:
        return None
    import torch  # what describes layers is a pickle of torch's: it is there

    starts = {f"{prefix}." if prefix else "": said for prefix, said in stored.described.items()}
    for start in sorted(starts, key=preference):
        said = starts[start]
        inside = {k[len(start) :]: v for k, v in stored.tensors.items() if k.startswith(start)}
        if STEM not in inside:
            continue
        card = ModelCard.from_json(said.card, path)
        try:
            _check(card)
            settled, found = settle(card, inside, said.layers)
            with torch.device("meta"):
                made = build(card.architecture, **settled.arguments)
            changed = (
                head_names(card, said.layers).values() if found.keys() != inside.keys() else ()
            )
            check_structure(said.structure, made, changed)
        except (WeightsError, TypeError, ValueError) as error:
            raise WeightsError(f"{path}: its weights do not fit its card ({error})") from error
        left_out = tuple(k for k in stored.tensors if not k.startswith(start))
        remarks: tuple[str, ...] = ()
        if settled.labels != card.labels:
            remarks = ("its head is not that of its card: its classes are numbered",)
        return Foreign(settled, plain(found), left_out=left_out, remarks=remarks)
    return None


def ours(tensors: Mapping[str, Any]) -> bool:
    """Whether a state dict without a card has our names."""
    return any(
        {f"{start}stem.conv.weight", f"{start}stem.norm.weight"} <= tensors.keys()
        for start in ("backbone.", "")
    ) and any(name.endswith("blocks.0.depthwise.conv.weight") for name in tensors)


def convert(tensors: Arrays, path: Path, aside: Arrays) -> Foreign:
    """A network of ours by its tensors; what they do not show is as our constructors have it."""
    if STEM not in tensors:  # a body's own
        tensors = {f"backbone.{name}": value for name, value in tensors.items()}
    shapes = {k: v.shape for k, v in tensors.items()}
    if all(name.startswith("backbone.") for name in tensors):
        body, arguments = infer(tensors)
        card = ModelCard(body, arguments, source=f"a state dict: {path.name}")
        why = "it has no classifier on its backbone"
        return Foreign(card, dict(tensors), why, tuple(aside), (UNSAID,))
    name, arguments = infer(tensors)
    check_shapes(shapes, name, arguments)
    card = ModelCard(name, arguments, source=f"a state dict: {path.name}")
    return Foreign(card, dict(tensors), left_out=tuple(aside), remarks=(UNSAID,))
