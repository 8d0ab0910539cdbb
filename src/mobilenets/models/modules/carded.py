"""Networks that carry a card, which follows what a torch user does to them."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torch import nn

from mobilenets.card import KEY, ModelCard
from mobilenets.models.network import Network

HEAD = "classifier"
"""The layer that gives the classes, in networks that have one such layer."""


class Carded(nn.Module):
    """A network with a card.

    With another head its labels are no longer true: they become numbers. A state dict has the card
    and the kinds of the head's layers in its metadata, which `torch.save` keeps and
    `load_state_dict` does not look at.
    """

    card: ModelCard | None = None
    """What the weights are and how to feed them; None for a network just built."""
    built: ModelCard | None = None
    """What its constructor was asked for: the network's name and the arguments."""

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get("_modules", {}).get(name)
        if name == HEAD and self.card is not None and isinstance(value, nn.Module):
            new = old is not None and all(module is not old for module in value.modules())
            labels = tuple(f"class {i}" for i in range(len(self.card.labels)))
            self.card = self.card.replace(labels=labels, results={}, kept={}) if new else self.card
        super().__setattr__(name, value)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As torch has it, with the card in its metadata."""
        found = super().state_dict(*args, **kwargs)
        metadata = getattr(found, "_metadata", None)
        if self.card is not None and metadata is not None:
            prefix = kwargs.get("prefix", "").removesuffix(".")
            said = {"card": self.card.to_json(), "layers": layers_of(self)}
            said["structure"] = structure(self)
            metadata.setdefault(prefix, {})[KEY] = said
        return found


Made = TypeVar("Made", bound=Carded)


def remembering(made: Made, network: Network, knobs: Mapping[str, Any]) -> Made:
    """A module just built, which knows from now on what it was built from."""
    made.built = ModelCard(network.name, dict(knobs))
    return made


def layers_of(network: nn.Module) -> dict[str, list[tuple[str, str]]]:
    """Of every part that is one layer, or a row of them: (path, kind) of each, as it runs."""
    return {
        name: list(_row(name, part))
        for name, part in network.named_children()
        if type(part) is nn.Sequential or not any(part.children())
    }


def _row(path: str, module: nn.Module) -> Iterator[tuple[str, str]]:
    if type(module) is not nn.Sequential:
        yield path, type(module).__name__
        return
    for name, child in module.named_children():
        yield from _row(f"{path}.{name}", child)


def structure(network: nn.Module) -> dict[str, str]:
    """What each layer is, by its path: what tells one from another of the same tensors."""
    return {path: _described(module) for path, module in network.named_modules()}


def _described(module: nn.Module) -> str:
    name = type(module).__name__
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return f"a norm of epsilon {module.eps:g}"
    if isinstance(module, (nn.Dropout, nn.Identity)):
        return "nothing in evaluation"
    if type(module).__module__.startswith("torch."):
        return f"{name}({module.extra_repr().replace('inplace=True', '').rstrip(', ')})"
    hidden = {"training", "channel_groups"}
    plain = {k: v for k, v in vars(module).items() if isinstance(v, (bool, int, float, str, tuple))}
    values = [f"{k}={v}" for k, v in sorted(plain.items()) if k[0] != "_" and k not in hidden]
    return f"{name}({', '.join(values)})"
