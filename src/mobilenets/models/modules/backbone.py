"""What V1 and V2 share: a stem, blocks in a row, and taps on any of them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mobilenets.models.bodies import MobileNet
from mobilenets.models.modules.layers import InvertedResidual, Norm


class Backbone(nn.Module):
    """A stem, blocks, and a last convolution (nothing for V1): images in, one feature map out.

    (N, 3, H, W) -> (N, `channels`, ceil(H / 32), ceil(W / 32)) at output stride 32.
    """

    name = ""
    """What networks that stand on it call it."""

    def __init__(
        self, stem: nn.Module, blocks: Sequence[nn.Module], last: nn.Module, channels: int
    ):
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.last = last
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.taps(x, ())["last"]

    def taps(self, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The feature maps called `names`, and always `last`, from one pass.

        A name is a module's path: `stem`, `blocks.12`, `last`, or `blocks.13.expand` for the
        expanded tensor inside a block, which SSD reads. Raises ValueError for any other.
        """
        unknown = set(names) - set(self.tap_names())
        if unknown:
            raise ValueError(f"tap must be one of {self.tap_names()}, got {sorted(unknown)[0]!r}")
        found: dict[str, Tensor] = {}

        def keep(name: str, value: Tensor) -> Tensor:
            if name in names:
                found[name] = value
            return value

        x = keep("stem", self.stem(x))
        carried: Tensor | None = None  # an expansion that the next block adds to its own
        for index, block in enumerate(self.blocks):
            name = f"blocks.{index}"
            if isinstance(block, InvertedResidual) and (
                f"{name}.expand" in names or carried is not None or block.passes_expansion
            ):
                expanded = block.expand(x)
                if carried is not None:
                    expanded = expanded + carried
                carried = expanded if block.passes_expansion else None
                x = block.reduce(x, keep(f"{name}.expand", expanded))
            else:
                x = block(x)
            keep(name, x)
        found["last"] = self.last(x)
        return found

    def tap_names(self) -> list[str]:
        """Every name that `taps` knows, in the order of the network."""
        names = ["stem"]
        for index, block in enumerate(self.blocks):
            if isinstance(block, InvertedResidual) and not isinstance(block.expand, nn.Identity):
                names.append(f"blocks.{index}.expand")
            names.append(f"blocks.{index}")
        return [*names, "last"]

    def set_channel_groups(self, groups: int) -> None:
        """Run every inverted residual in `groups` channel groups (paper 2, section 5.1)."""
        if not (isinstance(groups, int) and groups > 0):
            raise ValueError(f"groups must be a positive integer, got {groups!r}")
        for block in self.blocks:
            if isinstance(block, InvertedResidual):
                block.channel_groups = groups


class Headless(nn.Module):
    """A backbone without a head, of a file whose head is not read: other networks take it.

    (N, 3, H, W) -> (N, channels, H / 32, W / 32): the last map.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        found: Tensor = self.backbone(x)
        return found


def of_every_layer(body: MobileNet) -> dict[str, Any]:
    """Arguments that all layers of a body have: padding, norm and activation."""
    norm = Norm(body.norm_eps, body.norm_momentum)
    return {"padding": body.padding, "norm": norm, "activation": body.rectifier}
