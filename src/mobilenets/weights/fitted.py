"""Networks of ours that a torch user changed by hand: read as what they are, or refused."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build, networks, task_for
from mobilenets.weights.containers.heads import Row
from mobilenets.weights.heads import labels_of, note, numbered
from mobilenets.weights.infer import check_shapes, expected_shapes, infer

if TYPE_CHECKING:
    from torch import nn

Weights = dict[str, NDArray[Any]]
NUMBERED = (
    "its classes are called class 0 to class {}; mobilenets.save(model, path, labels=[...]) or "
    "model.card = model.card.replace(labels=(...)) names them"
)
ADVICE = "torch.save(model.state_dict(), path) keeps any network, mobilenets.save ours"


def settle(
    card: ModelCard,
    tensors: Mapping[str, NDArray[Any]],
    layers: Mapping[str, Row],
    labels: Sequence[str] | None = None,
) -> tuple[ModelCard, Weights]:
    """The card that fits these tensors, and the tensors by our names.

    A head of another size, or a row of layers that is one of ours in effect, becomes the card's;
    `labels` are the names of its classes, else those of the card if they are as many, else
    numbers. `layers` are what `carded.layers_of` says.
    WeightsError for what is none of ours.
    """
    names = head_names(card, layers)
    found = {_renamed(name, names): value for name, value in tensors.items()}
    for name in names.values():
        if f"{name}.weight" in found:  # a layer without a bias has one of 0
            outputs = found[f"{name}.weight"].shape[0]
            found.setdefault(f"{name}.bias", np.zeros(outputs, np.float32))
    arguments = _arguments(card, found)
    check_shapes({k: v.shape for k, v in found.items()}, card.architecture, arguments)
    settled = card.replace(arguments=arguments)
    if labels is not None:
        return _named(settled, labels_of(None, labels) or ()), found
    return _labelled(settled, changed=card.arguments != arguments), found


def head_names(card: ModelCard, layers: Mapping[str, Row]) -> dict[str, str]:
    """Paths of the head's layers -> our names, as the network's use understands them."""
    task = task_for(card.architecture)
    part = task.part("weights") if task.has("weights") else None
    understand = getattr(part, "head_names", None)
    found: dict[str, str] = understand(layers) if understand is not None else {}
    return found


def _renamed(tensor: str, names: Mapping[str, str]) -> str:
    path, dot, leaf = tensor.rpartition(".")
    return f"{names[path]}{dot}{leaf}" if path in names else tensor


def _arguments(card: ModelCard, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The card's arguments, with those of the head as the tensors have them."""
    own = dict(card.arguments)
    wanted = expected_shapes(card.architecture, own)
    if all(name in wanted and wanted[name] == t.shape for name, t in tensors.items()):
        return own
    name, inferred = infer(tensors)
    if name != card.architecture:
        raise WeightsError(f"its tensors are those of a {name}, its card says {card.architecture}")
    knobs = networks()[name][1].own_knobs
    body = {k: v for k, v in own.items() if k not in knobs}
    head = {k: v for k, v in inferred.items() if k in knobs}
    for arguments in ({**own, **head}, {**body, **head}):
        shapes = expected_shapes(name, arguments)
        if all(shapes.get(k) == t.shape for k, t in tensors.items() if k in shapes):
            return arguments
    return {**own, **head}


def _named(card: ModelCard, labels: tuple[str, ...]) -> ModelCard:
    """With these labels; WeightsError unless they are as many as the outputs."""
    outputs = card.arguments.get("classes", len(labels))
    if len(labels) not in (outputs, outputs + (outputs == 1)):  # one output is two classes
        raise WeightsError(f"labels must be as many as its {outputs} outputs, got {len(labels)}")
    return card if labels == card.labels else card.replace(labels=labels, results={}, kept={})


def _labelled(card: ModelCard, *, changed: bool) -> ModelCard:
    """With labels that are as many as the outputs: its own, else numbers if these `changed`."""
    outputs = card.arguments.get("classes")
    if outputs is None or not (changed or card.labels):
        return card
    if not changed or len(card.labels) in (outputs, outputs + (outputs == 1)):
        return _named(card, card.labels)
    part = task_for(card.architecture).part("weights")
    finish = getattr(part, "finish", None)
    card = (
        _named(card, numbered(outputs))
        if outputs > 1
        else card.replace(labels=(), results={}, kept={})
    )
    finished: ModelCard = card if finish is None else finish(card, "")
    return finished


def as_built(
    model: "nn.Module", labels: Sequence[str] | None = None, *, strict: bool = True
) -> "nn.Module":
    """The network as our constructor builds it, its card true: `model` itself where it is that.

    Wrappers of torch are taken off. A head that is one in effect, such as `Sequential(Dropout,
    Linear)`, becomes ours, and labels that do not fit are numbered. A network whose card names none
    of ours stays as it is. `labels` are the names of its classes. ValueError, which says what to
    do, for what our constructor cannot build: it would be another network when it is loaded.
    Without `strict` there may be other layers than ours, and only its card is made true.
    """
    import torch

    from mobilenets.models.modules.carded import layers_of, structure

    model = unwrapped(model)
    card = card_of(model)
    if card.architecture not in networks() or not networks()[card.architecture][1].trainable:
        return model
    try:
        state = {
            name: value.detach().cpu().float().numpy()
            for name, value in model.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        settled, found = settle(card, state, layers_of(model), labels)
        with torch.device("meta"):
            made = build(card.architecture, **settled.arguments)
        same = found.keys() == state.keys() and settled.arguments == card.arguments
        changed = () if same else head_names(card, layers_of(model)).values()
        if strict:
            check_structure(structure(model), made, changed)
        if labels is None and settled.labels not in ((), card.labels):
            note(f"its head is new: {NUMBERED.format(len(settled.labels) - 1)}")
        if same or not strict:
            if settled != card:
                set_card(model, settled)
            return model
    except (WeightsError, TypeError, ValueError) as error:
        why = str(error)
        what = f"model is not the {card.architecture} of its card"
        raise ValueError(why if why.startswith("labels") else f"{what}: {why}; {ADVICE}") from error
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in found.items()}
    counters = {k for k in made.state_dict() if k.endswith("num_batches_tracked")}
    tensors |= {name: torch.zeros((), dtype=torch.long) for name in counters}
    made.load_state_dict(tensors, assign=True)
    set_card(made, settled)
    return made.train(model.training)


def card_as_built(model: "nn.Module") -> ModelCard:
    """The card of a network of ours as it is now, whatever was changed by hand since it was built.

    One that has none gets it from its constructor's arguments. Nothing of the model is changed.
    ValueError, which says why, for a module that is no network of ours, or not any more.
    """
    from mobilenets.models.modules.carded import layers_of

    model = unwrapped(model)
    card = getattr(model, "card", None) or getattr(model, "built", None)
    if not isinstance(card, ModelCard) or card.architecture not in networks():
        kind = type(model).__name__
        raise ValueError(f"model must be a network of ours, or a file of one, got a {kind}")
    if not networks()[card.architecture][1].trainable:
        return card
    shapes = {
        name: np.broadcast_to(np.float32(0), tuple(value.shape))  # takes no memory
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    try:
        return settle(card, shapes, layers_of(model))[0]
    except WeightsError as error:
        what = f"model is not the {card.architecture} that it was"
        raise ValueError(f"{what}: {error}; export it and profile the file") from error


def unwrapped(model: "nn.Module") -> "nn.Module":
    """Without what torch.compile, DataParallel, DistributedDataParallel or an average add."""
    from torch import nn

    while True:
        inner = model.__dict__["_modules"].get("_orig_mod")
        if inner is None and getattr(model, "card", None) is None:
            inner = model.__dict__["_modules"].get("module")
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def check_structure(
    theirs: Mapping[str, str], made: "nn.Module", but: Iterable[str], what: str = "the network"
) -> None:
    """WeightsError where a layer is not as our constructor made it, apart from those `but`.

    `theirs` is what `carded.structure` says of the other network.
    """
    from mobilenets.models.modules.carded import structure

    left_out = set(but)
    for path, ours in structure(made).items():
        if path.split(".")[0] not in left_out and theirs.get(path) != ours:
            raise WeightsError(f"{path or what} is {theirs.get(path, 'not there')}, not {ours}")
