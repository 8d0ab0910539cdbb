"""What becomes of batch normalisation in training: frozen, or one batch over all processes."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes, on any device.

    torch's own SyncBatchNorm runs on accelerators only. Same parameters and names as BatchNorm2d.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, D102 - torch's name
        if not self.training:
            return super().forward(input)
        count = torch.tensor([input.numel() / input.shape[1]], device=input.device)
        local = torch.cat([input.sum((0, 2, 3)), input.square().sum((0, 2, 3)), count])
        total = cast(Any, all_reduce)(local)
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
            self.running_var.lerp_(variance * (n / (n - 1)), momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        out: Tensor = input * scale[:, None, None] + shift[:, None, None]
        return out


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


def is_folded(model: nn.Module) -> bool:
    """Whether the norms only carry a bias: statistics folded away, as in files for devices."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    ones = (norm.weight for norm in norms)
    zeros = (norm.running_mean for norm in norms if norm.running_mean is not None)
    return bool(norms) and not any((w != 1).any() for w in ones) and not any(z.any() for z in zeros)


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
