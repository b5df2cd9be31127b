"""The processes of one run, as `torchrun` starts them; one process alone is the same with nobody to ask."""

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

_PATIENCE = timedelta(hours=24)  # the others wait while rank 0 validates


_TOLD = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


class World:
    """The processes that train together, and what they tell each other through the host's memory."""

    def __init__(
        self, rank: int = 0, size: int = 1, local_rank: int = 0, group: dist.ProcessGroup | None = None
    ) -> None:
        self.rank, self.size, self.local_rank, self._group = rank, size, local_rank, group

    @classmethod
    def current(cls) -> World:
        """The joined world; before that, who this process is by what `torchrun` told it, with nobody to talk to yet."""
        if _joined is not None:
            return _joined
        rank, size, local = (int(os.environ.get(name, d)) for name, d in _TOLD.items())
        return cls(rank, size, local)

    @property
    def first(self) -> bool:
        """Whether this process is the one that validates, writes and talks."""
        return self.rank == 0

    def sum(self, values: list[float]) -> list[float]:
        """Each number summed over the processes, in float64."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self._group)
        return total.tolist()

    def share(self, record: Any) -> Any:
        """Rank 0's plain value, everywhere; what other ranks give is not looked at."""
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
        """Every process's bytes, in the order of ranks, on every process."""
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
        """Return once every process has come here."""
        if self.size > 1:
            self.sum([0.0])


_joined: World | None = None


def join(device: Literal["cpu", "cuda"] = "cpu") -> World:
    """Join the run that `torchrun` started this process for; alone, the world is this process.

    Args:
        device: `cuda` exchanges gradients through NCCL, `cpu` through gloo.

    Raises:
        MachineError: If the processes do not find each other.
    """
    global _joined
    if _joined is not None:
        return _joined
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        return World()
    try:
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device == "cuda" else "gloo")
        group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise MachineError(f"the processes of this run did not find each other: {error}") from error
    local_rank = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    _joined = World(dist.get_rank(), dist.get_world_size(), local_rank, group)
    return _joined


def leave(code: int = 0) -> NoReturn:
    """End this process; for the command line, after all is written.

    A worker of several must not go through the interpreter's ordinary end: gloo's threads may abort there, and torchrun
    would report a failure after all work was done.

    Args:
        code: The exit code; 0 and 130 are reached by all processes together, which wait for each other first.
    """
    global _joined
    if not dist.is_initialized():
        sys.exit(code)
    with contextlib.suppress(RuntimeError):
        if _joined is not None and code in (0, 130):
            _joined.wait()
        dist.destroy_process_group()
    _joined = None
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class HasLoss(Protocol):
    """What the loop asks of a model, besides being a module."""

    def loss(self, batch: Any, carry: Any = None) -> Loss:
        """The loss of a batch, and the state for the next one."""


class LossModule(nn.Module):
    """A model's `loss` as `forward`, which is what `DistributedDataParallel` wraps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # Where no weight is reached there is still something to go backwards from; no optimizer knows it.
        self.anchor = nn.Parameter(torch.zeros((), device=next(model.parameters()).device))

    def forward(self, batch: Any, carry: Any = None) -> Loss:
        """The loss of this process's part of a batch; none of it (`None`) is a loss of zero that reaches no weight."""
        if batch is None:
            return Loss(self.anchor * 0, 0, carry)
        total, count, carry = cast(HasLoss, self.model).loss(batch, carry)
        if not total.requires_grad:
            total = total + self.anchor * 0
        return Loss(total, count, detached(carry))


def parallel(model: nn.Module, world: World) -> nn.Module:
    """The model's loss as one module; gradients are averaged over the processes where there are several."""
    module = LossModule(model)
    if world.size == 1:
        return module
    # Which weights a batch reaches differs between batches (clusters of a softmax, an empty part), and a layout of
    # gradients that is never rebuilt sums them in the same order after a resume.
    return nn.parallel.DistributedDataParallel(module, find_unused_parameters=True)


def detached(carry: Any) -> Any:
    """A carried state without its history, each tensor in memory of its own, as a checkpoint gives it back.

    Libraries choose how to sum by strides and by where memory begins (MKL on AMD's processors, for one): a part of a
    larger tensor may give other bits than the same numbers read from a file.
    """
    own = [tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in flattened(carry)]
    return rebuilt(carry, iter(own))


def flattened(carry: Any) -> list[Tensor]:
    """The tensors of a carried state, in order."""
    if isinstance(carry, Tensor):
        return [carry]
    if isinstance(carry, Mapping):
        return [tensor for value in carry.values() for tensor in flattened(value)]
    if isinstance(carry, tuple | list):
        return [tensor for value in carry for tensor in flattened(value)]
    return []


def rebuilt(template: Any, tensors: Any) -> Any:
    """A carried state shaped as `template`, with tensors from an iterator of `flattened` ones."""
    if isinstance(template, Tensor):
        return next(tensors)
    if isinstance(template, Mapping):
        return {key: rebuilt(value, tensors) for key, value in template.items()}
    if isinstance(template, tuple) and hasattr(template, "_fields"):
        return type(template)(*(rebuilt(value, tensors) for value in template))
    if isinstance(template, tuple | list):
        return type(template)(rebuilt(value, tensors) for value in template)
    return template
