"""What becomes of batch normalisation in training: frozen, or one batch over all processes."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _Sum(torch.autograd.Function):
    """The sum over all processes, in each; and of the gradients that come back.

    torch has one of its own, by a name that differs between versions.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, on any device.

    torch's own SyncBatchNorm runs on accelerators only. Same parameters and names as BatchNorm2d.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, D102 - torch's name
        if not self.training:
            return super().forward(input)
        x = input.float()  # sums of squares need more digits than half precision has
        count = torch.tensor([x.numel() / x.shape[1]], device=x.device)
        local = torch.cat([x.sum((0, 2, 3)), x.square().sum((0, 2, 3)), count])
        total = cast(Tensor, _Sum.apply(local))
        channels = input.shape[1]
        n = total[-1]
        mean = total[:channels] / n
        variance = (total[channels:-1] / n - mean.square()).clamp_min(0)
        with torch.no_grad():
            momentum = self.momentum or 0.0
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (n / (n - 1).clamp_min(1)), momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        out: Tensor = x * scale[:, None, None] + shift[:, None, None]
        return out.to(input.dtype)


def share_statistics(model: nn.Module, device: torch.device) -> nn.Module:
    """Make every batch normalisation see the global batch, where there are several processes."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return model
    if device.type != "cpu":
        return cast(nn.Module, cast(Any, nn.SyncBatchNorm).convert_sync_batchnorm(model))
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm2d  # same parameters, buffers and names
    return model


def set_momentum(model: nn.Module, momentum: float | None) -> None:
    """Set the momentum of every norm's running statistics; None leaves each as it is."""
    for module in model.modules():
        if momentum is not None and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = momentum


def freeze_statistics(model: nn.Module) -> None:
    """Normalise with the running statistics and leave them be; call it after `train()`."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
