import copy

import pytest
import torch
from torch import nn

from mobilenets.models.modules.norms import LENGTH, folded_norms, prepare_folded, unfold
from mobilenets.tasks.registry import build
from mobilenets.training.norms import freeze_statistics, set_momentum


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def folded(name: str = "mobilenet_v2", **arguments: object) -> nn.Module:
    """A network as it comes from a file for devices: norms that only add a bias."""
    torch.manual_seed(0)
    model = build(name, width=0.25, classes=5, **arguments).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):  # trained kernels: outputs of no particular scale
                module.weight.mul_(torch.rand(len(module.weight), 1, 1, 1) * 3 + 0.5)
        for norm in norms(model):
            norm.running_var.fill_(1 - norm.eps)  # the root of 1: the norm multiplies by nothing
            norm.bias.normal_(0, 0.5)
    return model


NETWORKS = [
    ("mobilenet_v2", {"padding": "same"}, (64, 64)),
    ("mobilenet_v2", {"padding": "symmetric"}, (65, 97)),
    ("mobilenet_v1", {"padding": "same"}, (97, 65)),
]


@pytest.mark.parametrize(("name", "arguments", "size"), NETWORKS)
def test_unfolding_leaves_the_outputs_and_gives_the_statistics_of_the_images(name, arguments, size):
    model = folded(name, **arguments)
    before = copy.deepcopy(model)
    batches = [torch.randn(4, 3, *size) for _ in range(3)]
    unfold(model, batches)

    for images in (batches[0], torch.randn(2, 3, *size)):
        expected, found = before(images), model(images)
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()

    # One pass over all images: what reaches each norm has the statistics that it now holds.
    seen: dict[nn.Module, torch.Tensor] = {}
    for norm in norms(model):
        norm.register_forward_pre_hook(lambda norm, args: seen.update({norm: args[0].detach()}))
    model(torch.cat(batches))
    for norm in norms(model):
        variance, mean = torch.var_mean(seen[norm].double(), (0, 2, 3), correction=0)
        scale = variance.max().sqrt()
        assert (norm.running_mean - mean).abs().max() <= 1e-3 * (scale + mean.abs().max())
        torch.testing.assert_close(
            norm.running_var.double(), variance, rtol=1e-2, atol=1e-3 * float(variance.max())
        )


def test_a_network_trains_on_as_it_was_only_when_unfolded():
    """With the batch's own statistics a folded network is another one, an unfolded one is not."""
    torch.manual_seed(1)
    images = torch.randn(16, 3, 64, 64)
    plain, unfolded = folded(dropout=0.0), folded(dropout=0.0)
    expected = plain(images)
    unfold(unfolded, [images])
    scale = expected.abs().max()
    assert (unfolded.train()(images) - expected).abs().max() <= 1e-3 * scale
    assert (plain.train()(images) - expected).abs().max() > 0.05 * scale


def test_folded_norms_are_recognised():
    model = folded()
    assert folded_norms(model) == norms(model)
    unfold(model, [torch.randn(2, 3, 64, 64)])
    assert not folded_norms(model)
    assert not folded_norms(nn.Linear(2, 2))
    assert not folded_norms(build("mobilenet_v2", width=0.25))
    trained = folded()
    trained.backbone.stem.norm.weight.data[0] = 0.9
    assert folded_norms(trained) == norms(trained)[1:]
    shifted = folded()
    shifted.backbone.stem.norm.running_mean[0] = 0.1
    assert folded_norms(shifted) == norms(shifted)[1:]


def test_short_filters_are_made_longer_and_the_network_stays_what_it_was():
    model = folded(dropout=0.0)
    kept, conv = copy.deepcopy(model), model.backbone.stem.conv
    for one in (kept, model):
        filters = one.backbone.stem.conv.weight.data
        filters[0], filters[1], filters[2] = 0, 1e-6 * filters[1], 100 * filters[2]
    assert prepare_folded(model) == len(norms(model))
    images = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(model(images), kept(images), rtol=1e-5, atol=1e-6)
    lengths = conv.weight.detach().flatten(1).norm(dim=1)
    before = kept.backbone.stem.conv.weight.detach().flatten(1).norm(dim=1)
    assert lengths[0] == 0
    assert lengths[1:3].tolist() == [before[1] * 1024, before[2]]
    near = (lengths[3:] / LENGTH).log2().abs() <= 0.5
    assert (near | ((before[3:] > LENGTH) & (lengths == before)[3:])).all()
    assert (lengths > before).any()
    again = copy.deepcopy(model)
    prepare_folded(again)
    assert torch.equal(again.backbone.stem.conv.weight, conv.weight)


def test_frozen_statistics_are_used_and_kept_while_scale_and_shift_learn():
    model = folded(dropout=0.0)
    images = torch.randn(4, 3, 64, 64)
    expected = model(images).detach()
    kept = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    freeze_statistics(model)
    found = model(images)
    torch.testing.assert_close(found.detach(), expected)
    found.square().sum().backward()
    assert all(torch.equal(value, kept[name]) for name, value in model.named_buffers())
    assert all(norm.weight.grad.abs().sum() > 0 for norm in norms(model))
    assert model.training
    assert model.dropout.training


def test_momentum_is_set_on_every_norm_or_none():
    model = folded()
    before = {norm.momentum for norm in norms(model)}
    set_momentum(model, None)
    assert {norm.momentum for norm in norms(model)} == before
    set_momentum(model, 0.25)
    assert {norm.momentum for norm in norms(model)} == {0.25}
