"""Our checkpoint: one .safetensors whose header says all that is needed to use it."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.numpy

from mobilenets.card import KEY, ModelCard, card_of
from mobilenets.errors import WeightsError
from mobilenets.files import replace_file
from mobilenets.tasks.registry import networks
from mobilenets.weights.containers.arrays import plain
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.safetensors import metadata, read_safetensors
from mobilenets.weights.infer import check_shapes

if TYPE_CHECKING:
    from torch import nn


def save(model: "nn.Module", path: str | Path) -> None:
    """Write a model and its card, atomically: a full disk leaves what was there before.

    The bytes depend on weights and card alone. Weights are float32; the norms' batch counters
    are left out, since nothing here reads them. A card without a task gets that of its
    architecture. Raises ValueError for a model without a card,
    OSError if the file cannot be written.
    """
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
