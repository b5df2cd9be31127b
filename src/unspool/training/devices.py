"""Choice of the torch device from the setting `device`."""

from __future__ import annotations

import torch

from unspool.errors import MachineError

__all__ = ["choose_device"]


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """Return the device of a name: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`.

    Args:
        name: The setting; `auto` is CUDA if available, else the CPU.
        local_rank: Index of the device for this process if the name has no index.

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
        devices = f"{have} {device.type} device{'' if have == 1 else 's'} that torch {torch.__version__} can use"
        raise MachineError(f"device = {name}: this machine has {devices}; try cpu")
    return torch.device(device.type, index)
