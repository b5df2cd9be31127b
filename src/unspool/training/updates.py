"""Weight update: forward and backward pass over accumulated batches, clipping, optimizer step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol, Self, cast

import torch
from torch import Tensor, nn

from unspool.errors import ModelFolderError, TrainingError
from unspool.training.averaging import Average
from unspool.training.distributed import HasLoss, World, flattened, parallel, rebuilt
from unspool.training.optimizers import make_optimizer
from unspool.training.random_state import RandomState
from unspool.training.settings import TrainingSettings

__all__ = ["Batch", "BatchSource", "Sums", "Updater"]


class Batch(Protocol):
    """Interface of a batch that the loop needs; the model needs more."""

    @property
    def size(self) -> int:
        """Number of tokens without padding."""

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""

    def shard(self, rank: int, world: int) -> Self | None:
        """Return the part of the batch for one process; None if it has no part."""


class BatchSource(Protocol):
    """Batches by epoch. The order is a function of the epoch's number, so that a run can resume inside an epoch."""

    def __len__(self) -> int:
        """Number of batches per epoch."""

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Any]:
        """Iterate over the batches of an epoch, from index `start` on."""


class Sums(NamedTuple):
    """Sums over the batches of one update, in this process."""

    total: Tensor
    """Loss in nats, a scalar on the device."""
    count: int  # type: ignore[assignment]
    """Number of targets."""
    tokens: int
    """Number of tokens without padding, over all processes."""


class Updater:
    """Compute gradients of a network and update its weights."""

    def __init__(
        self,
        model: nn.Module,
        source: BatchSource,
        settings: TrainingSettings,
        world: World,
        device: torch.device,
        random: RandomState,
    ) -> None:
        self.model, self.source, self.settings, self.world, self.device = model, source, settings, world, device
        self.optimizer = make_optimizer(model, settings)
        self.average = Average(model, settings)
        self.random = random
        self.carry: Any = None
        self.stored_carry: Sequence[Tensor] = ()
        """Flat carry of a resumed run, until the first batch shows its nesting."""
        self.learning_rate = settings.learning_rate
        self.per_epoch = math.ceil(len(source) / settings.accumulate)
        """Number of updates per epoch."""
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._network = parallel(model, world)
        self._batches: Iterator[Any] | None = None
        # The loss of a single batch in a single process is divided by its count before the backward pass. Otherwise
        # the gradients are divided once all counts are known.
        self._divides_late = settings.accumulate > 1 or world.size > 1

    def gradients(self, update: int, progress: float = 0.0) -> Sums:
        """Run the forward and the backward pass over the batches of one update.

        Args:
            update: Number of earlier updates.
            progress: Fraction of the training so far, between 0 and 1; also set on a network with an attribute
                `progress`.
        """
        if hasattr(self.model, "progress"):
            self.model.progress = progress  # type: ignore[assignment]
        epoch, position = divmod(update, self.per_epoch)
        start = position * self.settings.accumulate
        parts = min(self.settings.accumulate, len(self.source) - start)
        if position == 0:
            self._batches, self.carry, self.stored_carry = None, None, ()
        if self._batches is None:
            self._batches = iter(self.source.epoch(epoch, start=start))
        for parameter in self._parameters:
            parameter.grad = None
        sums = self._backward(self._next(epoch, start), last=parts == 1)
        for part in range(1, parts):
            more = self._backward(self._next(epoch, start + part), last=part == parts - 1)
            sums = Sums(sums.total + more.total, sums.count + more.count, sums.tokens + more.tokens)
        return sums

    def step(self, count: int, learning_rate: float, progress: float) -> Tensor | None:
        """Clip the gradients and update the weights.

        Args:
            count: Number of targets over all batches and processes.
            learning_rate: Learning rate of the update.
            progress: Fraction of the training so far, with this update, between 0 and 1.

        Returns:
            The gradient norm before clipping; None without clipping.
        """
        if self._divides_late:
            # DistributedDataParallel averages over the processes; the update needs the mean over all targets.
            gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
            torch._foreach_mul_(gradients, self.world.size / count)
        norm = None
        if self.settings.clip is not None:
            norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self.learning_rate = learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.step()
        self.average.update(progress)
        return norm

    def weights_are_finite(self) -> bool:
        """Return whether all weights and their average are finite; waits for the device."""
        tensors = [p.detach() for p in self._parameters] + list(self.average.tensors().values())
        return bool(torch.stack(torch._foreach_norm(tensors)).isfinite().all())

    def _next(self, epoch: int, index: int) -> Any:
        batch = next(cast(Iterator[Any], self._batches), None)
        if batch is None:
            promised = len(self.source)
            raise TrainingError(f"epoch {epoch + 1} has {index} batches, and the source announced {promised}")
        return batch

    def _backward(self, batch: Any, *, last: bool) -> Sums:
        tokens = batch.size
        if self.world.size > 1:
            batch = batch.shard(self.world.rank, self.world.size)
        if batch is not None and self.device.type != "cpu":
            batch = batch.to(self.device)
        if self.stored_carry:
            self._restore_carry(batch)
        with self._quiet(last):
            with self._precision():
                total, count, self.carry = self._network(batch, self.carry)
            if self._divides_late:
                total.backward()
            elif count:
                (total / count).backward()
        return Sums(total.detach(), count, tokens)

    def _quiet(self, last: bool) -> AbstractContextManager[Any]:
        """Exchange gradients with the other processes only at the last batch of an update."""
        if last or self.world.size == 1:
            return nullcontext()
        return cast(nn.parallel.DistributedDataParallel, self._network).no_sync()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _restore_carry(self, batch: Any) -> None:
        """Nest the stored carry like the model's own, taken from one batch; buffers and random numbers are restored."""
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        with self.random.unchanged(), self.random.used(), torch.no_grad(), self._precision():
            template = cast(HasLoss, self.model).loss(batch, None).carry
        for buffer, before in buffers:
            buffer.copy_(before)
        if len(flattened(template)) != len(self.stored_carry):
            stored, own = len(self.stored_carry), len(flattened(template))
            raise ModelFolderError(f"the checkpoint carries {stored} tensors between batches, this network {own}")
        # copied even on the same device: see `detached`
        self.carry = rebuilt(template, iter([tensor.to(self.device, copy=True) for tensor in self.stored_carry]))
        self.stored_carry = ()
