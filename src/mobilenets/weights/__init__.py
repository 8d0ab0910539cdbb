"""Weights that others published, or we trained, as our networks.

WEIGHTS, here and on the command line, is a file, a folder as the hubs make them, or the name of
a published checkpoint. What a file is, its content decides, never its name.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mobilenets.card import ModelCard, card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.files import absent
from mobilenets.tasks.registry import build, network_of, networks, task_for
from mobilenets.weights.containers.arrays import plain
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.parts import networks_in, no_network
from mobilenets.weights.containers.pickle import StoredState, is_pickle, read_pickle
from mobilenets.weights.containers.safetensors import is_safetensors, read_safetensors
from mobilenets.weights.fetch import fetch
from mobilenets.weights.heads import (
    FOLDED,
    check_knobs,
    labels_of,
    note,
    with_head,
    with_knobs,
)
from mobilenets.weights.names import with_names_beside, with_words
from mobilenets.weights.others import seems, seems_folder
from mobilenets.weights.published import PUBLISHED, Published
from mobilenets.weights.sources import huggingface, own, ports, timm, torchvision

if TYPE_CHECKING:
    from torch import nn

__all__ = ["identify", "load", "look", "read"]

FAMILY = (
    (own.ours, own.convert),
    (torchvision.matches, torchvision.convert),
    (timm.matches, timm.convert),
    (huggingface.matches, huggingface.convert),
    (ports.matches, ports.convert),
)
"""Sources of state dicts, in the order in which they are asked."""

IN_FOLDER = ("best.safetensors", "model.safetensors", "pytorch_model.bin", "model.json")
"""What a folder is searched for."""

SUFFIXES = {".safetensors", ".pth", ".pt", ".tar", ".bin", ".h5", ".hdf5", ".keras", ".tflite"}
SUFFIXES |= {".json", ".onnx"}
"""A WEIGHTS that ends so was meant as a file."""


def load(
    weights: str | Path,
    *,
    classes: int | None = None,
    labels: Sequence[str] | None = None,
    architecture: str | None = None,
    backbone: str | None = None,
    width: float | None = None,
    partial: bool = False,
    say: Callable[[str], None] | None = None,
    **knobs: Any,
) -> "nn.Module":
    """The network in WEIGHTS, in eval mode, with its `card`: a torch module that trains as it is.

    `classes=5`, or `labels=[...]` with their names, gives it a new head, with random weights,
    unless the file has these very labels. Then `architecture` may be any network on the same body:
    a detector on a classifier's, say. `knobs` are arguments of its constructor, those that the
    weights do not decide: `dropout=0.5`. ::

        model = mobilenets.load("mobilenet_v2_1.0_224.google", labels=["cat", "dog"])

    Without these two, `architecture` is what the caller expects, and so are `backbone`,
    such as `mobilenet_v2`, of a network of any task, and `width`. With `partial`, a file of which
    only the backbone is understood gives a `Headless`. `say` gets a line for what was left out of a
    file and what is new; without it they are logged, as `mobilenets`, on standard error, and so is
    that norms were folded away: training mode measures their statistics (`unfold`).
    Raises WeightsError where the file is not that, is damaged, or is nothing that we read;
    FileNotFoundError; ValueError for an unknown name or argument; InputError where a name cannot
    be fetched.
    """
    asked = labels_of(classes, labels)
    tell = note if say is None else say
    if asked is None:
        model = _load(weights, architecture, backbone, width, tell, partial=partial)
        card = card_of(model)
        check_knobs(card.architecture, knobs, card, None, weights)
        model = with_knobs(model, knobs)
    else:
        backbone = network_of(architecture).backbone if architecture is not None else backbone
        model = _load(weights, None, backbone, width, tell, partial=True)
        name = architecture or card_of(model).architecture
        model, new = with_head(name, model, asked, knobs, new=labels is None)
        if new:
            tell(f"{weights}: {new}")
        model.eval()
    from mobilenets.models.modules.norms import prepare_folded

    if prepare_folded(model) and say is None:
        note(f"{weights}: {FOLDED}")
    return model


def _load(
    weights: str | Path,
    architecture: str | None,
    backbone: str | None,
    width: float | None,
    say: Callable[[str], None],
    *,
    partial: bool,
) -> "nn.Module":
    """The network in WEIGHTS as it is there."""
    import torch

    path, published = _locate(weights)
    foreign = read(path)
    card = _card(foreign.card, published)
    _expect(path, card, architecture, width, backbone)
    if not partial:
        _whole(path, foreign)
    elif foreign.unread:
        say(f"of {path} the backbone alone is taken: {foreign.unread}")
    for line in foreign.notes:
        say(f"{path}: {line}")
    try:
        with torch.device("meta"):  # shapes alone: random weights would be drawn for nothing
            model = _build(foreign)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path}: its header asks for another network ({error})") from error
    counters = {name for name in model.state_dict() if name.endswith("num_batches_tracked")}
    state = {name: torch.from_numpy(array) for name, array in foreign.tensors.items()}
    state |= {name: torch.zeros((), dtype=torch.long) for name in counters}
    model.load_state_dict(state, strict=True, assign=True)
    set_card(model, card)
    return model.eval()


def _build(foreign: Foreign) -> "nn.Module":
    """The network that these weights are of, or the backbone without a head; with random ones."""
    if not foreign.unread:
        return build(foreign.card.architecture, **foreign.card.arguments)
    from mobilenets.models.modules.bodies import headless

    last = any(name.startswith("backbone.last.") for name in foreign.tensors)
    return headless(foreign.card.architecture, foreign.card.arguments, last=last)


def _whole(path: Path, foreign: Foreign) -> None:
    """WeightsError for a file of which only the backbone is understood."""
    if foreign.unread:
        card = foreign.card
        width = card.arguments.get("width", 1.0)
        raise WeightsError(
            f"{path}: {foreign.unread}, so it gives no answers here; its backbone is read "
            f"({card.architecture}, width {width:g}): `mobilenets train {card.architecture} "
            f"--from {path}` takes it"
        )


class Stored(NamedTuple):
    """What WEIGHTS is: a file, what kind of file, and what is in it."""

    path: Path
    published: Published | None
    """Its entry of the list, where it was named so."""
    container: str
    """What wrote such files, in words."""
    content: Foreign
    """Of a checkpoint of ours, and of other safetensors, the tensors are not read."""

    @property
    def card(self) -> ModelCard:
        """Its card, with what only the publisher's list knows."""
        return _card(self.content.card, self.published)


def look(weights: str | Path) -> Stored:
    """What WEIGHTS is, also where the backbone alone is understood.

    Torch is needed only where the file is a pickle; errors as `load`.
    """
    path, published = _locate(weights)
    return Stored(path, published, *_look_at(path))


def identify(weights: str | Path) -> ModelCard:
    """The card of WEIGHTS. Torch is needed only where the file is a pickle; errors as `load`."""
    found = look(weights)
    _whole(found.path, found.content)
    return found.card


def read(path: Path) -> Foreign:
    """Card and weights of a file, in our names; WeightsError for what is not recognised."""
    _, reader = _reader(path)
    found = reader(path)
    if reader is not own.read:
        found = with_names_beside(found, path)
    return replace(found, card=_finished(found))


def _look_at(path: Path) -> tuple[str, Foreign]:
    """What kind of file it is, and what is in it; the tensors only where they have to be read."""
    container, reader = _reader(path)
    if reader is own.read:
        return container, Foreign(_with_task(own.read_card(path)), {})
    if reader is _read_safetensors:
        found = _convert(path, StoredState(read_safetensors(path, values=False)))
    else:
        found = reader(path)
    found = with_names_beside(found, path)
    return container, replace(found, card=_finished(found))


def _identify_file(path: Path) -> ModelCard:
    _, found = _look_at(path)
    _whole(path, found)
    return found.card


def _finished(found: Foreign) -> ModelCard:
    """The card with its use, and its outputs as that use has them where the reader left it open."""
    card = _with_task(found.card)
    task = task_for(card.architecture)
    weights = task.part("weights") if task.has("weights") else None
    finish = getattr(weights, "finish", None)
    finished: ModelCard = card if finish is None or found.unread else finish(card, found.scores)
    return finished


def _with_task(card: ModelCard) -> ModelCard:
    """The card with the use of its network, which readers of other people's files leave open."""
    return card if card.task else card.replace(task=task_for(card.architecture).name)


def _reader(path: Path) -> tuple[str, Callable[[Path], Foreign]]:
    """What kind of file has this content, in words, and the function that reads it."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise WeightsError(f"{path}: is empty")
    if why := absent(head):
        raise WeightsError(f"{path}: {why}")
    if is_safetensors(path):
        if own.matches(path):
            return "a checkpoint of mobilenets (safetensors)", own.read
        return "safetensors", _read_safetensors
    if is_pickle(path):
        return "what torch.save writes", _read_pickle
    from mobilenets.weights.containers.hdf5 import is_hdf5
    from mobilenets.weights.containers.tfjs import is_tfjs
    from mobilenets.weights.containers.tflite.file import is_tflite
    from mobilenets.weights.sources import keras, tflite

    others = (
        ("a Keras file", is_hdf5, keras.read),
        ("TFLite", is_tflite, tflite.read),
        ("TensorFlow.js", is_tfjs, keras.read_tfjs),
    )
    for container, matches, reader in others:
        if matches(path):
            return container, reader
    if path.suffix.lower() == ".onnx":
        raise WeightsError(
            f"{path}: an ONNX file is a finished program, not weights; predict and eval take it"
        )
    what = seems(path)
    raise WeightsError(
        f"{path}: {f'seems to be {what}, ' if what else ''}not weights that mobilenets reads "
        "(safetensors, a PyTorch state dict, Keras HDF5, TFLite, TensorFlow.js)"
    )


def _read_safetensors(path: Path) -> Foreign:
    foreign = _convert(path, StoredState(read_safetensors(path)))
    return replace(foreign, tensors=plain(foreign.tensors))


def _read_pickle(path: Path) -> Foreign:
    foreign = _convert(path, read_pickle(path))
    return replace(foreign, tensors=plain(foreign.tensors))


def _convert(path: Path, stored: StoredState) -> Foreign:
    """Ask the sources in turn, by names and shapes, of each network that may be in the file."""
    if described := own.from_state(stored, path):
        return described
    parts = list(networks_in(stored.tensors))
    try:
        for matches, convert in FAMILY:
            for part in parts:
                if matches(part.tensors):
                    found = convert(part.tensors, path, part.aside)
                    return with_words(found, stored, part.note)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    raise WeightsError(f"{path}: {no_network(stored.tensors)}")


def _locate(weights: str | Path) -> tuple[Path, Published | None]:
    """The file that WEIGHTS means; a published name is fetched."""
    path = Path(weights)
    if path.is_dir():
        for name in IN_FOLDER:
            if (path / name).is_file():
                return path / name, None
        names = f"{', '.join(IN_FOLDER[:-1])} or model.json"
        raise WeightsError(f"{path}: {seems_folder(path)} without {names}")
    if path.exists():
        return path, None
    name = str(weights)
    if name in PUBLISHED and (packaged := PUBLISHED[name].packaged):
        return packaged, None
    if name in PUBLISHED:
        return fetch(PUBLISHED[name], check=_claim(PUBLISHED[name])), PUBLISHED[name]
    if path.name != name or path.suffix in SUFFIXES:
        raise FileNotFoundError(f"{path}: no such file")
    if name in networks():
        own = [one.name for one in PUBLISHED.values() if one.architecture == name]
        such = f"; its published ones have names such as {own[0]}" if own else ""
        raise ValueError(
            f"{name} is a network without weights{such}; `mobilenets models --pretrained` lists "
            "what is published"
        )
    near = difflib.get_close_matches(name, PUBLISHED, 1, cutoff=0.5)
    guess = f"; did you mean {near[0]!r}?" if near else ";"
    raise ValueError(
        f"weights must be a file, a folder or a published name, got {name!r}{guess} "
        f"`mobilenets models --pretrained` lists the names"
    )


def _claim(published: Published) -> Callable[[Path], None]:
    """A check that a file is the network that its publisher names."""
    return lambda path: _expect(path, _identify_file(path), published.architecture, published.width)


def _expect(
    path: Path,
    card: ModelCard,
    architecture: str | None,
    width: float | None,
    backbone: str | None = None,
) -> None:
    found = card.architecture, card.arguments.get("width", 1.0)
    expected = architecture or found[0], found[1] if width is None else width
    if backbone is not None and network_of(card.architecture).backbone != backbone:
        raise WeightsError(
            f"{path}: expected a network on {backbone}, but the file is a {card.architecture}"
        )
    if found != expected:
        raise WeightsError(
            f"{path}: expected {expected[0]} of width {expected[1]:g}, "
            f"but the file is a {found[0]} of width {found[1]:g}"
        )


def _card(card: ModelCard, published: Published | None) -> ModelCard:
    """With what only the publisher's list knows: resolution and accuracy."""
    if published is None:
        return card
    size = (published.resolution, published.resolution)
    return card.replace(
        preprocessing=replace(card.preprocessing, size=size),
        source=f"{published.source}: {published.url}",
        results={} if published.top1 is None else {"top1": published.top1},
    )
