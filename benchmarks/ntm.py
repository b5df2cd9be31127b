"""Speed of a Neural Turing Machine on the copy task: Unspool against the same network as a plain torch program.

    python benchmarks/ntm.py --length 20 --batch 8 --hidden 100
    python benchmarks/ntm.py --public ../pytorch-ntm       # a checkout of github.com/loudinthecloud/pytorch-ntm, too

Ours and the plain program have the same weights and see the same exercises; their losses and gradients are compared
before anything is timed. The public program is a network of the same sizes with other details (its memory and its
controller's state start elsewhere, what it adds is not squashed, no product brings the reads into the output): only its
time is taken.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from measure import Disagreement, interleaved
from torch import Tensor, nn

from unspool.cells import NTMCell
from unspool.data import Copy, Exercise
from unspool.layers import Recurrent
from unspool.models import StepwiseModel

CLOSE = 1e-3
"""Largest difference of a gradient, relative to the largest of its weight: float32, and two ways to take a cosine."""


class PlainHead(nn.Module):
    """One head, a layer for each of its parameters, as such programs are usually written."""

    def __init__(self, hidden: int, width: int, shifts: int, *, writes: bool) -> None:
        super().__init__()
        self.key, self.strength, self.gate = nn.Linear(hidden, width), nn.Linear(hidden, 1), nn.Linear(hidden, 1)
        self.shifts, self.sharpening = nn.Linear(hidden, shifts), nn.Linear(hidden, 1)
        self.reach = shifts // 2
        self.writing = nn.Linear(hidden, 2 * width) if writes else None

    def forward(self, h: Tensor, memory: Tensor, before: Tensor) -> Tensor:
        """Where to look, (batch, slots)."""
        key = torch.tanh(self.key(h)).unsqueeze(1)
        similarity = F.cosine_similarity(memory + 1e-16, key + 1e-16, dim=-1)
        content = F.softmax(F.softplus(self.strength(h)) * similarity, dim=1)
        gate = torch.sigmoid(self.gate(h))
        mixed = gate * content + (1 - gate) * before
        shifts = F.softmax(self.shifts(h), dim=1)
        moved = torch.zeros_like(mixed)
        for place in range(shifts.shape[1]):
            moved = moved + torch.roll(mixed, place - self.reach, dims=1) * shifts[:, place : place + 1]
        powered = moved ** (1 + F.softplus(self.sharpening(h)))
        return powered / (powered.sum(dim=1, keepdim=True) + 1e-16)


class PlainNTM(nn.Module):
    """A reading and a writing head, an LSTM, and the loop over time, on the weights of a model of ours."""

    def __init__(self, source: StepwiseModel) -> None:
        super().__init__()
        cell = source.encoder.layers[0][0]  # type: ignore[index]
        assert isinstance(cell, NTMCell)
        self.slots, self.width, self.hidden = cell.slots, cell.width, cell.hidden_size
        self.lstm = nn.LSTMCell(cell.controller.input_size, self.hidden)
        self.lstm.load_state_dict(cell.controller.state_dict())
        shifts = cell._parts[3]
        self.reader = PlainHead(self.hidden, self.width, shifts, writes=False)
        self.writer = PlainHead(self.hidden, self.width, shifts, writes=True)
        rows = list(zip(cell.weight_heads.split(1), cell.bias_heads.split(1), strict=True))
        for head in (self.reader, self.writer):
            for layer in (head.key, head.strength, head.gate, head.shifts, head.sharpening):
                _fill(layer, [rows.pop(0) for _ in range(layer.out_features)])
        assert self.writer.writing is not None
        _fill(self.writer.writing, rows)
        self.reads = nn.Linear(self.width, self.hidden, bias=False)
        self.output = nn.Linear(self.hidden, source.output.out_features)
        with torch.no_grad():
            self.reads.weight.copy_(cell.weight_reads)
        self.output.load_state_dict(source.output.state_dict())

    def forward(self, inputs: Tensor) -> Tensor:
        """Answers, (time, batch, outputs)."""
        batch = inputs.shape[1]
        memory = torch.full((batch, self.slots, self.width), 1e-6)
        reading = writing = F.one_hot(torch.zeros(batch, dtype=torch.long), self.slots).float()
        h, c, read = torch.zeros(batch, self.hidden), torch.zeros(batch, self.hidden), torch.zeros(batch, self.width)
        outputs = []
        assert self.writer.writing is not None
        for x in inputs:
            h, c = self.lstm(torch.cat([x, read], dim=1), (h, c))
            reading, writing = self.reader(h, memory, reading), self.writer(h, memory, writing)
            erase, add = self.writer.writing(h).chunk(2, dim=1)
            erased = torch.bmm(writing.unsqueeze(2), torch.sigmoid(erase).unsqueeze(1))
            memory = memory * (1 - erased) + torch.bmm(writing.unsqueeze(2), torch.tanh(add).unsqueeze(1))
            read = torch.bmm(reading.unsqueeze(1), memory).squeeze(1)
            outputs.append(self.output(h + self.reads(read)))
        return torch.stack(outputs)

    def loss(self, batch: Exercise) -> Tensor:
        """Summed cross-entropy, as ours."""
        said = self(batch.inputs)[batch.counted]
        return F.binary_cross_entropy_with_logits(said, batch.targets[batch.counted], reduction="sum")


def _fill(layer: nn.Linear, rows: Sequence[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.cat([weight for weight, _ in rows]))
        layer.bias.copy_(torch.cat([bias for _, bias in rows]))


def agree(ours: StepwiseModel, plain: PlainNTM, batch: Exercise) -> None:
    """Compare losses, and the gradients of the controller and the output layer.

    Raises:
        Disagreement: If they differ.
    """
    pairs = []
    for loss, model in ((ours.loss(batch).total, ours), (plain.loss(batch), plain)):
        loss.backward()
        weights = {name.rpartition("layers.0.0.")[2]: weight for name, weight in model.named_parameters()}
        names = ("controller", "output.weight") if model is ours else ("lstm", "output.weight")
        found = [weight.grad for name, weight in sorted(weights.items()) if name.startswith(names)]
        pairs.append([loss.detach(), *found])
        model.zero_grad()
    for one, other in zip(*pairs, strict=True):
        if (one - other).abs().max() > CLOSE * other.abs().max():
            raise Disagreement(f"the plain program computes something else: {(one - other).abs().max():.3g}")


class PublicNTM(nn.Module):
    """The network of a public program, fed the way its own training does: step by step."""

    def __init__(self, folder: str, hidden: int, slots: int, width: int) -> None:
        super().__init__()
        sys.path.insert(0, folder)
        try:
            network = importlib.import_module("ntm.aio").EncapsulatedNTM
        except ImportError as error:
            raise SystemExit(f"ntm.py: {folder}: {error}; expected a checkout of pytorch-ntm") from None
        self.network = network(9, 8, hidden, 1, 1, slots, width)

    def loss(self, batch: Exercise) -> Tensor:
        """Summed cross-entropy, as ours."""
        self.network.init_sequence(batch.inputs.shape[1])
        said = torch.stack([self.network(x)[0] for x in batch.inputs])
        return F.binary_cross_entropy(said[batch.counted], batch.targets[batch.counted], reduction="sum")


def updater(model: nn.Module, loss: Callable[[Exercise], Tensor], batch: Exercise) -> Callable[[], None]:
    """One update: loss, gradients, clipping, Adam."""
    weights = list(model.parameters())
    optimizer = torch.optim.Adam(weights, lr=1e-4)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(batch).backward()
        nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()

    return update


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, time, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("length", 20), ("batch", 8), ("hidden", 100), ("slots", 128), ("width", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--public", metavar="FOLDER", help="a checkout of pytorch-ntm to measure beside")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    stack = Recurrent(f"ntm(slots={chosen.slots}, width={chosen.width})", 9, chosen.hidden)
    ours = StepwiseModel(stack, 8)
    plain = PlainNTM(ours)
    batch = Copy().draw(np.random.default_rng(0), chosen.batch, chosen.length)
    agree(ours, plain, batch)
    runs = {
        "unspool": updater(ours, lambda batch: ours.loss(batch).total, batch),
        "plain torch": updater(plain, plain.loss, batch),
    }
    if chosen.public:
        public = PublicNTM(chosen.public, chosen.hidden, chosen.slots, chosen.width)
        runs["pytorch-ntm"] = updater(public, public.loss, batch)
    times = interleaved(runs, chosen.repeats)
    steps = 2 * chosen.length + 1
    print(f"copy, {chosen.length} vectors, batch {chosen.batch}, {chosen.hidden} units, {chosen.slots} slots")
    print("\n| program | update | steps a second | of plain torch |\n|---|---:|---:|---:|")
    for name, timing in times.items():
        ratio = times["plain torch"].median / timing.median
        print(f"| {name} | {timing} | {steps / timing.median:,.0f} | {ratio:.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
