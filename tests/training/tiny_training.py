"""Networks and data small enough to train in milliseconds, for the tests of the loop."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.models.loss import Loss
from unspool.training import TrainingSettings, fit

VOCABULARY = 11


@dataclass(frozen=True)
class Piece:
    """Ids and targets, (time, batch) each, or one target a column, (batch,); -100 is no target."""

    ids: Tensor
    targets: Tensor

    @property
    def size(self) -> int:
        return self.ids.numel()

    def to(self, device: torch.device) -> Self:
        return replace(self, ids=self.ids.to(device), targets=self.targets.to(device))

    def shard(self, rank: int, world: int) -> Self | None:
        if self.ids.shape[1] <= rank:
            return None
        return replace(self, ids=self.ids[:, rank::world], targets=self.targets[..., rank::world])


class State(NamedTuple):
    h: Tensor
    seen: tuple[Tensor, list[Tensor]]


class TinyLanguageModel(nn.Module):
    """A recurrent network with tied weights, dropout, a buffer, and noise from Python and NumPy."""

    def __init__(self, dropout: float = 0.2, noise: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.rnn = nn.GRU(6, 6)
        self.softmax = nn.Linear(6, VOCABULARY)
        self.softmax.weight = self.embedding.weight
        self.dropout, self.noise = nn.Dropout(dropout), noise
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.carries: list[Any] = []

    def loss(self, batch: Piece, carry: State | None = None) -> Loss:
        self.carries.append(carry)
        inputs = self.dropout(self.embedding(batch.ids))
        if self.training:
            self.batches += 1
            if self.noise:
                inputs = inputs * (1 + 0.1 * random.random() + 0.1 * float(np.random.rand()))
        outputs, h = self.rnn(inputs, None if carry is None else carry.h)
        logits = self.softmax(self.dropout(outputs))
        total = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
        steps = h.new_tensor(len(batch.ids))
        state = State(h, (steps if carry is None else carry.seen[0] + steps, [h[0, :, 0]]))
        return Loss(total, int((batch.targets != -100).sum()), state)


class TinyClassifier(nn.Module):
    """An averaged bag; rows of the embedding and `rare` are reached by some batches alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 5)
        self.readout = nn.Linear(5, 3)
        self.rare = nn.Linear(5, 3, bias=False)

    def loss(self, batch: Piece, carry: None = None) -> Loss:
        bag = self.embedding(batch.ids).mean(0)
        logits = self.readout(bag)
        sevens = (batch.ids == 7).any(0)
        if sevens.any():
            logits = logits + self.rare(bag) * sevens[:, None]
        return Loss(F.cross_entropy(logits, batch.targets, reduction="sum"), len(batch.targets))


class Windows:
    """Windows of running text; the last one shorter, with a target that is none."""

    def __init__(self, batches: int = 7, steps: int = 5, columns: int = 4, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        text = torch.randint(VOCABULARY, (batches * steps - 2, columns), generator=generator).cumsum(0) % VOCABULARY
        following = text.roll(-1, 0)
        following[-1, -1] = -100
        self.pieces = [Piece(a, b) for a, b in zip(text.split(steps), following.split(steps), strict=True)]
        self.before: Callable[[int, int], None] = lambda epoch, index: None
        """Called before each batch; tests stop the run here."""

    def __len__(self) -> int:
        return len(self.pieces)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Piece]:
        for index in range(start, len(self.pieces)):
            self.before(number, index)
            yield self.pieces[index]


class Ragged(Windows):
    """Sequences with one label, in batches of unlike sizes (one has a single column); shuffled by epoch."""

    def __init__(self, columns: tuple[int, ...] = (5, 1, 3, 4, 2, 7)) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.pieces = []
        for index, width in enumerate(columns):
            ids = torch.randint(VOCABULARY, (2 + index, width), generator=generator)
            self.pieces.append(Piece(ids, ids.sum(0) % 3))

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Piece]:
        order = torch.randperm(len(self.pieces), generator=torch.Generator().manual_seed(number)).tolist()
        for index in range(start, len(order)):
            self.before(number, index)
            yield self.pieces[order[index]]


class Crash(Exception):
    """A process that dies."""


def crash_at(epoch: int, index: int) -> Callable[[int, int], None]:
    """For `Windows.before`: die before that batch."""

    def before(*position: int) -> None:
        if position == (epoch, index):
            raise Crash

    return before


def mean_loss(source: Windows) -> Callable[[nn.Module], Mapping[str, float]]:
    """Validation: nats per target over all of a source's batches."""

    def validate(model: nn.Module) -> Mapping[str, float]:
        losses = [model.loss(piece) for piece in source.pieces]
        return {"nats": float(sum(loss.total for loss in losses)) / sum(loss.count for loss in losses)}

    return validate


def language_model(**arguments: Any) -> TinyLanguageModel:
    torch.manual_seed(5)
    return TinyLanguageModel(**arguments)


def classifier() -> TinyClassifier:
    torch.manual_seed(6)
    return TinyClassifier()


def train(model: nn.Module, source: Windows, folder: Path, *, resume: bool = False, **settings: Any) -> Any:
    """`fit` with validation on the training data, on the CPU."""
    arguments: dict[str, Any] = {"validate": mean_loss(source), "metric": "nats", "higher_is_better": False}
    for name in ("validate", "metric", "higher_is_better", "reporter", "allow", "resume_with", "shorten"):
        if name in settings:
            arguments[name] = settings.pop(name)
    training = TrainingSettings(**{"device": "cpu", "learning_rate": 0.02, **settings})
    return fit(model, source, training, folder=folder, resume=resume, **arguments)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_bits(actual: nn.Module | dict[str, Tensor], expected: nn.Module | dict[str, Tensor]) -> None:
    a = actual.state_dict() if isinstance(actual, nn.Module) else actual
    b = expected.state_dict() if isinstance(expected, nn.Module) else expected
    assert a.keys() == b.keys()
    differing = [name for name in a if not torch.equal(a[name], b[name])]
    assert not differing, f"these differ: {differing}"
