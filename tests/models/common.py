"""What the tests of the networks share."""

import torch
from torch import nn

from mobilenets.models.network import Network
from mobilenets.tasks.classify.architecture.classifier import Classifier
from mobilenets.tasks.registry import build


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


def assert_is_its_list(network: Network, knobs: dict[str, object], sides: tuple[int, int]) -> None:
    """Hold a torch module to its list of layers: tensors' names and shapes, and every convolution.

    On the meta device, so nothing is allocated. `sides` are the image's height and width.
    """
    with torch.device("meta"):
        model = network.build(**knobs).eval()
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    counters = {name for name in found if name.endswith("num_batches_tracked")}
    assert {k: v for k, v in found.items() if k not in counters} == network.shapes(**knobs)
    seen = []

    def note(path: str) -> object:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            parts = ("kernel_size", "stride", "dilation")
            numbers = (getattr(module, part, (1,))[0] for part in parts)
            seen.append((path, tuple(output.shape[1:]), *numbers))

        return hook

    for path, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(note(path))
    model(torch.empty(1, 3, *sides, device="meta"))
    expected = []
    for layer in network.layers((3, *sides), **knobs):
        if layer.kind == "training":  # it does not run here
            continue
        weights = [name for name, shape in layer.tensors.items() if len(shape) > 1]
        for name in weights:
            path = name.removesuffix(".weight")
            expected.append((path, layer.output, layer.kernel, layer.stride, layer.dilation))
    assert seen == expected
