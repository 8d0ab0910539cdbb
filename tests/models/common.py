"""What the tests of the networks share."""

import torch
from torch import nn

from mobilenets.models.classifier import Classifier
from mobilenets.models.zoo import build


def scramble(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random norms: as initialised, an untrained network's outputs vanish in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.3, 1.5, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
    return model


def network(name: str, **knobs: object) -> Classifier:
    """In eval mode, in float64, with weights that make every layer matter."""
    torch.manual_seed(0)
    model = build(name, **knobs)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in")
    return scramble(model).double().eval()


def images(*size: int, count: int = 2) -> torch.Tensor:
    height, width = size * 2 if len(size) == 1 else size
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64) * 2 - 1
