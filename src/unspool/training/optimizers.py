"""Optimizers: AdamW, Adam and SGD, in torch's fused form where the device has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from unspool.training.settings import TrainingSettings

__all__ = ["load_state", "make_optimizer", "state_tensors"]


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Make the optimizer of the settings; weight decay applies to weights of two or more dimensions.

    The fused forms compute each weight by itself, so results do not depend on how threads divide the work.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    shared: dict[str, Any] = {"lr": settings.learning_rate, "fused": fused}
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=settings.momentum, **shared)
    else:
        adam = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        optimizer = adam(groups, betas=(settings.beta1, settings.beta2), eps=settings.epsilon, **shared)
    # fused optimizers do not raise version counters, which caches of packed weights rely on
    optimizer.register_step_post_hook(lambda *_: increment_version(parameters))
    return optimizer


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state tensors, with names `index/key` by the position of the weight."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{key}": value
        for index, slots in state.items()
        for key, value in slots.items()
        if isinstance(value, Tensor)
    }


def load_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load the tensors of `state_tensors` into the optimizer; learning rate and weight decay do not change.

    Raises:
        ValueError: If a tensor has another shape than its weight; a fused optimizer would read beyond it.
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
