"""The update rules, in torch's fused form where the device has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from unspool.training.settings import TrainingSettings

__all__ = ["load_state", "make_optimizer", "state_tensors"]


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimizer of the settings; only weights of two or more dimensions decay.

    The fused forms compute each weight by itself, so their results do not hang on how the work is divided.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    shared: dict[str, Any] = {"lr": settings.learning_rate, "fused": fused}
    made: torch.optim.Optimizer
    if settings.optimizer == "sgd":
        made = torch.optim.SGD(groups, momentum=settings.momentum, **shared)
    else:
        adam = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        made = adam(groups, betas=(settings.beta1, settings.beta2), eps=settings.epsilon, **shared)
    # the fused forms don't count what they write, and whoever keeps packed weights goes by that count
    made.register_step_post_hook(lambda *_: increment_version(parameters))
    return made


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer remembers, named `index/key` by the weight's place."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{key}": value
        for index, slots in state.items()
        for key, value in slots.items()
        if isinstance(value, Tensor)
    }


def load_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimizer back what `state_tensors` named; rates and decays stay as they are.

    Raises:
        ValueError: If a tensor has another shape than its weight: the fused forms would read beyond it.
    """
    state: dict[int, dict[str, Tensor]] = {}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for name, tensor in tensors.items():
        index, key = name.split("/")
        if tensor.dim() and tensor.shape != weights[int(index)].shape:
            expected = tuple(weights[int(index)].shape)
            raise ValueError(f"{key} of weight {index} has shape {tuple(tensor.shape)}, expected {expected}")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
