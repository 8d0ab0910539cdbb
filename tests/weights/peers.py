"""Networks of other libraries with random weights, and the comparison with ours."""

import torch

import mobilenets.weights


def randomise(model, seed=0):
    """Random everything, the norms' statistics too, near what their inputs really have."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                uniform(module.weight, 0.5, 1.5)
                uniform(module.bias, -0.5, 0.8)
                uniform(module.running_mean, -0.2, 0.2)
                uniform(module.running_var, 0.5, 1.5)
            elif isinstance(module, torch.nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan) ** 0.5, generator=generator)
            elif isinstance(module, torch.nn.Linear):
                module.weight.normal_(0, 0.1, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0, 1, generator=generator)
    return model.eval()


def assert_same(path, peer, size=(97, 97), **options):
    """Load `path` and hold its outputs to those of `peer`, a function of a batch; the model."""
    ours = mobilenets.weights.load(path, **options)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = peer(x), ours(x)
    assert found.shape == expected.shape
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-4, f"differs by {error:.2e}"
    assert expected.std(dim=0).max() > 1e-3  # that the two images differ at all
    assert mobilenets.weights.identify(path) == ours.card
    return ours
