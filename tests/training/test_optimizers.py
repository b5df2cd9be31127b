import pytest
import torch
from torch import nn

from unspool.training import TrainingSettings
from unspool.training.optimizers import load_state, make_optimizer, state_tensors


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def step(net: nn.Module, optimizer: torch.optim.Optimizer, times: int) -> None:
    for index in range(times):
        optimizer.zero_grad()
        net(torch.linspace(index, 1, 6).view(2, 3)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize(
    "settings", [{"optimizer": "adamw"}, {"optimizer": "adam"}, {"optimizer": "sgd", "momentum": 0.5}]
)
def test_a_restored_optimizer_goes_on_to_the_same_bits(settings):
    training = TrainingSettings(learning_rate=0.1, **settings)
    net = model()
    optimizer = make_optimizer(net, training)
    step(net, optimizer, 3)
    kept, weights = (
        {k: v.clone() for k, v in state_tensors(optimizer).items()},
        {k: v.clone() for k, v in net.state_dict().items()},
    )
    step(net, optimizer, 3)
    other = model()
    other.load_state_dict(weights)
    again = make_optimizer(other, training)
    load_state(again, kept)
    step(other, again, 3)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_only_matrices_decay():
    net = model()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = make_optimizer(net, TrainingSettings(learning_rate=0.1, weight_decay=0.5))
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for old, new in zip(before, net.parameters(), strict=True):
        torch.testing.assert_close(new, old * (0.95 if old.dim() == 2 else 1.0))


def test_frozen_weights_are_left_out():
    net = model()
    net[0].requires_grad_(False)
    groups = make_optimizer(net, TrainingSettings()).param_groups
    assert sum(len(group["params"]) for group in groups) == 2


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_step_counts_as_written(optimizer):
    net = model()
    rule = make_optimizer(net, TrainingSettings(optimizer=optimizer))
    versions = [parameter._version for parameter in net.parameters()]
    for _ in range(2):
        step(net, rule, 1)
        before, versions = versions, [parameter._version for parameter in net.parameters()]
        assert all(new > old for new, old in zip(versions, before, strict=True))
