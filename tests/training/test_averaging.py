import pytest
import torch
from torch import nn

from unspool.training import TrainingSettings
from unspool.training.averaging import Average, triggers


def walk(average: Average, model: nn.Linear, updates: int) -> list[torch.Tensor]:
    """Move the weights at random, in float64, telling the average each time."""
    seen = []
    for update in range(1, updates + 1):
        model.weight.data.normal_()
        seen.append(model.weight.detach().clone())
        average.update(update / updates)
    return seen


def made(**settings) -> tuple[nn.Linear, Average]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2, bias=False, dtype=torch.float64)
    return model, Average(model, TrainingSettings(**settings))


def test_ema_remembers_by_its_decay_which_warms_up():
    model, average = made(average="ema", decay=0.7)
    seen = walk(average, model, 40)
    mean = seen[0]
    for n, weight in enumerate(seen[1:], start=1):
        decay = min(0.7, (1 + n) / (10 + n))
        mean = decay * mean + (1 - decay) * weight
    torch.testing.assert_close(average.tensors()["weight"], mean)


def test_tail_is_the_mean_over_the_last_part():
    model, average = made(average="tail", tail=0.25)
    seen = walk(average, model, 20)
    assert average.updates == 5
    torch.testing.assert_close(average.tensors()["weight"], torch.stack(seen[-5:]).mean(0))


def test_asgd_is_the_mean_since_it_was_triggered():
    model, average = made(average="asgd")
    walk(average, model, 6)
    assert average.tensors() == {}
    average.triggered = True
    seen = walk(average, model, 7)
    torch.testing.assert_close(average.tensors()["weight"], torch.stack(seen).mean(0))


def test_the_model_gets_its_own_weights_back_to_the_bit():
    model, average = made(average="ema")
    own = walk(average, model, 5)[-1]
    with average.applied():
        assert torch.equal(model.weight, average.tensors()["weight"])
        assert not torch.equal(model.weight, own)
    assert torch.equal(model.weight, own)
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert torch.equal(model.weight, own)
    average.apply()
    assert torch.equal(model.weight, average.tensors()["weight"])


def test_no_average_costs_no_memory_and_changes_nothing():
    model, average = made()
    own = walk(average, model, 3)[-1]
    with average.applied():
        assert torch.equal(model.weight, own)
    assert average.tensors() == {}


@pytest.mark.parametrize(
    ("history", "length", "expected"),
    [
        ([5.0], 1, False),
        ([5.0, 6.0], 1, False),  # nothing is old enough yet
        ([5.0, 4.0, 4.5], 1, False),  # better than all but the last
        ([5.0, 4.0, 5.5], 1, True),
        ([5.0, 4.0, 3.0, 4.5, 4.6], 3, False),
        ([5.0, 4.0, 3.0, 4.5, 4.6], 2, True),
    ],
)
def test_averaging_is_triggered_where_validation_stands_still(history, length, expected):
    assert triggers(history, length, higher_is_better=False) is expected
    assert triggers([-value for value in history], length, higher_is_better=True) is expected


def test_statistics_of_normalisation_are_averaged_with_the_weights():
    torch.manual_seed(1)
    model = nn.BatchNorm1d(3).double()
    average = Average(model, TrainingSettings(average="tail", tail=0.99))
    seen = []
    for update in range(1, 6):
        model(torch.randn(7, 3, dtype=torch.float64) * update)
        seen.append(model.running_var.clone())
        average.update(update / 5)
    own, mean = model.running_var.clone(), torch.stack(seen).mean(0)
    with average.applied():
        torch.testing.assert_close(model.running_var, mean)
    torch.testing.assert_close(model.running_var, own)
    assert not torch.allclose(own, mean)
    assert "num_batches_tracked" not in average.tensors()  # a count, not a mean
