"""The device a setting names."""

from __future__ import annotations

import torch

from unspool.errors import MachineError

__all__ = ["choose_device"]


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """The device of a name as `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`.

    Args:
        name: The setting; `auto` is CUDA where there is one.
        local_rank: Which of this machine's devices this process takes where the name does not number one.

    Raises:
        MachineError: If this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        return device
    kind = getattr(torch, device.type)
    have = kind.device_count() if kind.is_available() else 0
    index = device.index if device.index is not None else local_rank
    if index >= have:
        found = f"{have} {device.type} device{'' if have == 1 else 's'}"
        raise MachineError(f"device = {name}: this machine has {found} that torch {torch.__version__} can use; try cpu")
    return torch.device(device.type, index)
