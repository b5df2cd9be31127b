"""Distributed training: the processes that `torchrun` starts, their collectives, and gradient averaging."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, NoReturn, Protocol, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from unspool.errors import MachineError
from unspool.models.loss import Loss

__all__ = ["HasLoss", "LossModule", "World", "detached", "flattened", "join", "leave", "parallel", "rebuilt"]

_PATIENCE = timedelta(hours=24)  # other ranks wait this long while rank 0 validates


_DEFAULTS = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


class World:
    """The processes of one run and their collectives on the host, through gloo; a single process needs none."""

    def __init__(
        self, rank: int = 0, size: int = 1, local_rank: int = 0, group: dist.ProcessGroup | None = None
    ) -> None:
        self.rank, self.size, self.local_rank, self._group = rank, size, local_rank, group

    @classmethod
    def current(cls) -> World:
        """Return the joined world; before `join`, rank and size from the environment, without a process group."""
        if _world is not None:
            return _world
        rank, size, local = (int(os.environ.get(name, d)) for name, d in _DEFAULTS.items())
        return cls(rank, size, local)

    @property
    def first(self) -> bool:
        """Whether this process has rank 0, which validates, writes and reports."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Sum each number over the processes, in float64."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self._group)
        return total.tolist()

    def share(self, record: Any) -> Any:
        """Broadcast a plain value from rank 0 to all processes; the values of other ranks are ignored."""
        if self.size == 1:
            return record
        content = json.dumps(record).encode() if self.first else b""
        length = torch.tensor([len(content)])
        dist.broadcast(length, src=0, group=self._group)
        data = torch.zeros(int(length), dtype=torch.uint8)
        if self.first:
            data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        dist.broadcast(data, src=0, group=self._group)
        return json.loads(bytes(data.tolist()))

    def gather(self, content: bytes) -> list[bytes]:
        """Gather the bytes of every process on every process, in the order of ranks."""
        if self.size == 1:
            return [content]
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(content)]), group=self._group)
        longest = max(int(length) for length in lengths)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        parts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
        dist.all_gather(parts, padded, group=self._group)
        return [part[: int(length)].numpy().tobytes() for part, length in zip(parts, lengths, strict=True)]

    def wait(self) -> None:
        """Wait until every process has called this method."""
        if self.size > 1:
            self.sum([0.0])


_world: World | None = None


def join(device: Literal["cpu", "cuda"] = "cpu") -> World:
    """Join the process group of `torchrun`; without torchrun, the world is this process alone.

    Args:
        device: Backend of the gradient exchange: NCCL for `cuda`, gloo for `cpu`.

    Raises:
        MachineError: If the processes can't connect to each other.
    """
    global _world
    if _world is not None:
        return _world
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        return World()
    try:
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device == "cuda" else "gloo")
        group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise MachineError(f"the processes of this run can't connect to each other: {error}") from error
    local_rank = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    _world = World(dist.get_rank(), dist.get_world_size(), local_rank, group)
    return _world


def leave(code: int = 0) -> NoReturn:
    """Exit this process; for the command line, after it has written everything.

    In a run of several processes, the ordinary exit of the interpreter may abort in gloo's threads, and torchrun would
    report a failure. This function skips it.

    Args:
        code: Exit code. With 0 and 130 the processes wait for each other first.
    """
    global _world
    if not dist.is_initialized():
        sys.exit(code)
    with contextlib.suppress(RuntimeError):
        if _world is not None and code in (0, 130):
            _world.wait()
        dist.destroy_process_group()
    _world = None
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class HasLoss(Protocol):
    """Interface of a model that the loop can train, besides `nn.Module`."""

    def loss(self, batch: Any, carry: Any = None) -> Loss:
        """Return the loss of a batch, and the carry for the next one."""


class LossModule(nn.Module):
    """Module whose `forward` is the `loss` of a model, for `DistributedDataParallel`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # A loss that reaches no weight still needs a backward pass; no optimizer updates this parameter.
        self.anchor = nn.Parameter(torch.zeros((), device=next(model.parameters()).device))

    def forward(self, batch: Any, carry: Any = None) -> Loss:
        """Return the loss of this process's part of a batch; zero for no part (`None`)."""
        if batch is None:
            return Loss(self.anchor * 0, 0, carry)
        total, count, carry = cast(HasLoss, self.model).loss(batch, carry)
        if not total.requires_grad:
            total = total + self.anchor * 0
        return Loss(total, count, detached(carry))


def parallel(model: nn.Module, world: World) -> nn.Module:
    """Wrap the model's loss as a module; gradients are averaged over the processes if there are several."""
    module = LossModule(model)
    if world.size == 1:
        return module
    # Batches reach different weights (clusters of a softmax, an empty part). With find_unused_parameters the gradient
    # buckets are never rebuilt either, so a resumed run sums gradients in the same order.
    return nn.parallel.DistributedDataParallel(module, find_unused_parameters=True)


def detached(carry: Any) -> Any:
    """Detach a carry from its autograd graph, and copy each tensor into contiguous memory of its own.

    Some libraries choose the order of a sum by strides and alignment (MKL on AMD processors, for example). A view of a
    larger tensor could then give other bits than the same numbers from a checkpoint.
    """
    own = [tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in flattened(carry)]
    return rebuilt(carry, iter(own))


def flattened(carry: Any) -> list[Tensor]:
    """Return the tensors of a carry, in order."""
    if isinstance(carry, Tensor):
        return [carry]
    if isinstance(carry, Mapping):
        return [tensor for value in carry.values() for tensor in flattened(value)]
    if isinstance(carry, tuple | list):
        return [tensor for value in carry for tensor in flattened(value)]
    return []


def rebuilt(template: Any, tensors: Any) -> Any:
    """Return a carry nested as `template`, with tensors from an iterator over `flattened` ones."""
    if isinstance(template, Tensor):
        return next(tensors)
    if isinstance(template, Mapping):
        return {key: rebuilt(value, tensors) for key, value in template.items()}
    if isinstance(template, tuple) and hasattr(template, "_fields"):
        return type(template)(*(rebuilt(value, tensors) for value in template))
    if isinstance(template, tuple | list):
        return type(template)(rebuilt(value, tensors) for value in template)
    return template
