import math

import numpy as np
import pytest
import torch
from torch import nn

from mobilenets.training.optimizer import (
    make_average,
    make_optimizer,
    make_schedule,
    parameter_groups,
)
from mobilenets.training.recipes import recipe

from .conftest import tiny_network


@pytest.mark.parametrize("decay_depthwise", [False, True])
def test_norms_biases_and_depthwise_kernels_are_not_decayed(decay_depthwise):
    model = tiny_network()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    made = recipe("paper_v2", decay_depthwise=decay_depthwise)
    decayed, spared = parameter_groups(model, made)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (4e-5, 0)
    found = {names[id(parameter)] for parameter in decayed["params"]}
    assert found.isdisjoint(names[id(parameter)] for parameter in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)

    def wanted(name: str) -> bool:
        if "norm" in name or name.endswith("bias"):
            return False
        return decay_depthwise or "depthwise" not in name

    assert found == {name for name in names.values() if wanted(name)}
    assert any("depthwise" in name for name in names.values())


def tensorflows_rmsprop(weight, gradients, rates, decay, momentum, wd):
    """TensorFlow's rule as its documentation has it, in double precision."""
    weight = weight.astype(np.float64)
    mean_square, moved = np.ones_like(weight), np.zeros_like(weight)
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + wd * weight
        mean_square = decay * mean_square + (1 - decay) * gradient**2
        moved = momentum * moved + rate * gradient / np.sqrt(mean_square + 1.0)
        weight = weight - moved
    return weight


@pytest.mark.parametrize("wd", [0.0, 0.1])
def test_rmsprop_is_tensorflows(wd):
    random = np.random.default_rng(0)
    weight = random.normal(size=(3, 4)).astype(np.float32)
    gradients = [random.normal(size=(3, 4)).astype(np.float32) * 3 for _ in range(6)]
    rates = [0.3, 0.3, 0.2, 0.2, 0.1, 0.1]
    model = nn.Linear(4, 3, bias=False)
    model.weight.data = torch.from_numpy(weight.copy())
    optimizer = make_optimizer(model, recipe("paper_v2", weight_decay=wd))
    for gradient, rate in zip(gradients, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    expected = tensorflows_rmsprop(weight, gradients, rates, 0.9, 0.9, wd)
    np.testing.assert_allclose(model.weight.detach().numpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_the_other_optimizers_are_torchs(name, kind):
    made = make_optimizer(tiny_network(), recipe("modern", optimizer=name, weight_decay=0.3))
    assert isinstance(made, kind)
    assert [group["weight_decay"] for group in made.param_groups] == [0.3, 0.0]
    assert {group["lr"] for group in made.param_groups} == {0.5}
    assert all(group.get("nesterov", True) for group in made.param_groups)


def test_a_step_in_one_pass_is_that_in_many():
    """In both orders of memory, as the loop has a network's kernels."""
    models = [tiny_network().to(memory_format=torch.channels_last) for _ in "12"]
    models[1].load_state_dict(models[0].state_dict())
    made = recipe("modern", optimizer="adamw", weight_decay=0.1, learning_rate=0.01)
    optimizers = [make_optimizer(model, made) for model in models]
    assert all(group["fused"] for group in optimizers[0].param_groups)
    for group in optimizers[1].param_groups:
        group["fused"] = False
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for step in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            model.eval()(images).sum().backward()  # gradients in the order that it gives them
            random = torch.Generator().manual_seed(step)
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.grad.copy_(torch.randn(parameter.shape, generator=random))
            optimizer.step()
            optimizer.zero_grad()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def rates(changes, steps_per_epoch, steps):
    made = recipe("modern", learning_rate=2.0, **changes)
    optimizer = make_optimizer(nn.Linear(2, 2), made)
    schedule = make_schedule(optimizer, made, steps_per_epoch)
    found = []
    for step in steps:
        schedule.step_update(step)
        assert len({group["lr"] for group in optimizer.param_groups}) == 1
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_a_cosine_after_its_warm_up():
    changes = {"epochs": 10, "warmup_epochs": 2}
    found = rates(changes, 5, range(50))
    assert found[0] == pytest.approx(0.02)  # a hundredth of the rate
    assert np.diff(found[:11]) == pytest.approx([(2.0 - 0.02) / 10] * 10)
    for step in (10, 17, 30, 49):
        expected = 2.0 * 0.5 * (1 + math.cos(math.pi * (step - 10) / 40))
        assert found[step] == pytest.approx(expected)


def test_a_staircase_by_epochs():
    changes = {"schedule": "staircase", "epochs": 10, "warmup_epochs": 0}
    found = rates({**changes, "decay_rate": 0.94, "decay_epochs": 2.5}, 4, range(40))
    assert found == pytest.approx([2.0 * 0.94 ** (step // 10) for step in range(40)])


def test_warm_up_by_epochs_or_by_steps_whichever_is_longer():
    changes = {"epochs": 10, "warmup_epochs": 2}
    assert rates({**changes, "warmup_steps": 10}, 5, range(50)) == rates(changes, 5, range(50))
    found = rates({**changes, "warmup_steps": 20}, 5, range(50))
    assert found.index(max(found)) == 20


def test_warm_up_takes_at_most_half_of_a_short_run():
    found = rates({"epochs": 2, "warmup_epochs": 5}, 4, range(8))
    assert found.index(max(found)) == 4
    assert max(found) == pytest.approx(2.0)
    assert found[-1] < 1.0


@pytest.mark.parametrize("schedule", ["cosine", "staircase"])
def test_a_rate_depends_on_the_step_alone(schedule):
    changes = {"schedule": schedule, "epochs": 6, "warmup_epochs": 1}
    steps = range(30)
    assert rates(changes, 5, steps)[17] == rates(changes, 5, [17])[0]
    assert rates(changes, 5, [29, 3, 17])[2] == rates(changes, 5, [17])[0]


class Counting(nn.Module):
    """A weight, a norm's statistics, and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.norm = nn.BatchNorm2d(2)


def test_the_average_is_the_recurrence_with_an_early_ramp():
    model = Counting()
    average = make_average(model, recipe("modern", ema_decay=0.5))
    expected = {}
    for step in range(12):
        with torch.no_grad():
            model.weight.copy_(torch.randn(3))
            model.norm.running_mean.copy_(torch.randn(2))
            model.norm.num_batches_tracked.fill_(10 + step)
        average.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step))
        assert (decay == 0.5) == (step >= 8)
        for name, value in (("weight", model.weight), ("mean", model.norm.running_mean)):
            new = value.detach().double()
            # Before the first step there is nothing to average with.
            expected[name] = decay * expected[name] + (1 - decay) * new if step else new
    torch.testing.assert_close(average.module.weight.double(), expected["weight"])
    torch.testing.assert_close(average.module.norm.running_mean.double(), expected["mean"])
    assert int(average.module.norm.num_batches_tracked) == 21
    assert not any(p is q for p, q in zip(average.parameters(), model.parameters(), strict=True))


def test_no_average_where_the_recipe_has_none():
    assert make_average(Counting(), recipe("modern", ema_decay=0)) is None
