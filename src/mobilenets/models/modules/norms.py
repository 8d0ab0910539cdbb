"""Batch normalisation that was folded into the weights, as files for devices have it.

Such a norm is one bias: it says nothing of the images that the network learned from. In training
mode torch would subtract the batch's mean and divide by its deviation, which the folded network
never did, and nothing of what it knows would be left. So it gets statistics first, and the scale
and shift that undo them: what the network computes stays what it was.
"""

from collections.abc import Iterable
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.1
"""Of the statistics once they are there, torch's own: what is trained on after unfolding sees few
images, and the papers' 0.003 would follow them for thousands of steps."""
LENGTH = 2.0
"""What a filter's length is brought up to. Folding leaves many of .2 and less. Behind a norm of the
batch's statistics a step of rate r turns a filter by about r / length**2, so that small ones would
forget all at rates that are usual, and recipes learn too slowly with much longer ones
(docs/weights.md has what was measured)."""
MOST = 1024.0
"""A filter is not made longer than by this: one that is almost 0 is one that was not used."""


class FoldedNorm(nn.BatchNorm2d):
    """A norm that finds its statistics while it is trained, and is an ordinary one from then on.

    The first `images` images in training mode are normalised as in evaluation, and measured. Then
    mean, variance, scale and shift are set so that evaluation stays the same, and the class becomes
    torch's. Among several processes it stays frozen: each would measure other images.
    """

    images = 64
    sums: "ChannelSums"

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if not self.training:
            return super().forward(x)
        if not _several_processes():
            self.sums.add(x.detach())
            if self.sums.images >= self.images:
                self.settle()
                return nn.BatchNorm2d.forward(self, x)
        # Copies: another pass may set them before this one's gradients are there.
        values = (self.running_mean, self.running_var, self.weight, self.bias)
        mean, variance, weight, bias = (cast(Tensor, value).clone() for value in values)
        return F.batch_norm(x, mean, variance, weight, bias, eps=self.eps)

    def settle(self) -> None:
        """Take what was measured, and be torch's norm."""
        set_statistics(self, *self.sums.result())
        self.momentum = MOMENTUM
        be_ordinary(self)

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if not is_folded(self):  # the weights of one that has its statistics
            be_ordinary(self)


class ChannelSums:
    """The sum and the sum of squares of each channel, on the CPU in double precision."""

    def __init__(self) -> None:
        self.images = self.count = 0
        self.total: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> None:
        """Count a batch of maps, (N, C, H, W)."""
        x = x.double()
        self.total = self.total + x.sum((0, 2, 3)).cpu()
        self.squares = self.squares + x.square().sum((0, 2, 3)).cpu()
        self.count += x.numel() // x.shape[1]
        self.images += x.shape[0]

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel."""
        mean = cast(Tensor, self.total) / self.count
        variance = cast(Tensor, self.squares) / self.count - mean.square()
        return mean, variance.clamp_min(0)


def is_folded(norm: nn.BatchNorm2d) -> bool:
    """Whether a norm carries a bias and nothing else; one just built has not even that."""
    return (
        bool(norm.bias.any())
        and not (norm.weight != 1).any()
        and not (norm.running_mean is not None and norm.running_mean.any())
    )


def folded_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The norms that carry a bias and nothing else, as those read from files for devices do."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and is_folded(m)]


@torch.no_grad()
def lengthen(model: nn.Module) -> None:
    """Make short filters longer where a folded norm follows, which divides by as much.

    By powers of two, so that what the network computes stays the same but for the last bit.
    """
    folded, before = set(folded_norms(model)), None
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module in folded and before is not None:
            assert module.running_var is not None
            length = before.weight.flatten(1).norm(dim=1)
            variance = module.running_var.double() + module.eps
            wanted = torch.exp2((LENGTH / length).log2().round()).clamp_min(1)
            factor = torch.minimum(wanted, (MOST / variance.sqrt()).to(wanted))
            factor = torch.where(length > 0, factor, torch.ones_like(length))
            before.weight.mul_(factor.view(-1, 1, 1, 1))
            module.running_var.copy_(variance * factor.double().square() - module.eps)
        if not [*module.children()]:
            before = module if type(module) is nn.Conv2d and module.bias is None else None


def prepare_folded(model: nn.Module) -> int:
    """Make every folded norm one that finds its statistics in training; how many there are."""
    norms = folded_norms(model)
    lengthen(model)
    for norm in norms:
        norm.__class__ = FoldedNorm  # same parameters, buffers and names
        norm.__dict__["sums"] = ChannelSums()
    return len(norms)


def be_ordinary(norm: nn.BatchNorm2d) -> None:
    """Make a `FoldedNorm` torch's own norm; any other stays what it is."""
    if type(norm) is FoldedNorm:
        del norm.__dict__["sums"]
        norm.__class__ = nn.BatchNorm2d  # type: ignore[assignment]


@torch.no_grad()
def set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Give a norm other statistics, and the scale and shift that undo them."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # What the norm did so far, as one scale and shift, and then what undoes the statistics.
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).cpu().double()
    shift = norm.bias.cpu().double() - norm.running_mean.cpu().double() * scale
    norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(shift + scale * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


@torch.no_grad()
def unfold(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Give folded norms the statistics of real images; the outputs stay what they were.

    Each norm gets the mean and variance of what reaches it over `batches` of (N, 3, H, W), and the
    scale and shift that undo them. Then it can be trained like any other. A model without folded
    norms stays as it is. Returns `model`.
    """
    found = {norm: ChannelSums() for norm in folded_norms(model)}

    def measure(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        found[cast(nn.BatchNorm2d, norm)].add(inputs[0])

    hooks = [norm.register_forward_pre_hook(measure) for norm in found]
    training = {module: module.training for module in model.modules()}
    model.eval()
    for images in batches if found else ():
        model(images)
    for hook in hooks:
        hook.remove()
    for module, mode in training.items():
        module.training = mode
    for norm, sums in found.items():
        if not sums.count:
            raise ValueError("unfold needs one batch of images at least, got none")
        set_statistics(norm, *sums.result())
        be_ordinary(norm)
    return model


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
