"""The random number generators of a training run, which a checkpoint stores and a resumed run continues."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unspool.randomness import draw_from, keep_global_state, lend

__all__ = ["RandomState", "runs_other_code", "seeded"]

_DRAWS_NOTHING = {
    *(nn.Bilinear, nn.Conv1d, nn.Embedding, nn.Identity, nn.LayerNorm, nn.Linear),
    *(nn.ModuleDict, nn.ModuleList, nn.ParameterDict, nn.ParameterList, nn.Sequential),
}


class RandomState:
    """Generators of torch, Python and NumPy that belong to one run.

    Args:
        device: Where the run trains; a device other than the CPU has one more generator.
        lends: Whether `used` lends these generators to torch, Python and NumPy as their global ones. Code that takes no
            generator then draws from the run, and such runs in several threads take turns. Otherwise `used` leaves
            global generators alone, and Unspool's own layers draw from the run.
    """

    def __init__(self, device: torch.device, *, lends: bool = False) -> None:
        self.lends = lends
        self._torch = [torch.Generator()]
        if device.type != "cpu":
            self._torch.append(torch.Generator(device))
        self._python: Any = random.Random(0).getstate()
        self._numpy: Any = np.random.RandomState(0).get_state()

    def seed(self, number: int, *, rank: int = 0) -> None:
        """Start all generators from one number; processes of one run draw different numbers."""
        mixed = random.Random(f"{number} {rank}")  # text is hashed, so that near numbers and high bits all tell
        self._seed(mixed.getrandbits(64), mixed.getrandbits(32), mixed.getrandbits(63))

    def seed_alike(self, number: int) -> None:
        """Start each generator from this very number, as `torch.manual_seed(number)` and its like do."""
        self._seed(number, number % 2**32, number)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let this thread draw from the run."""
        if not self.lends:
            with draw_from(self._torch):
                yield
            return
        with draw_from(()), self._lent(), lend(self._torch):
            yield

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Whatever is drawn inside, the run draws the same numbers afterwards."""
        tensors, record = self.capture()
        try:
            yield
        finally:
            self.restore(tensors, record)

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state of all generators, as tensors and plain values."""
        version, words, gauss = self._python
        name, keys, position, has_gauss, cached = self._numpy
        tensors = {_name(generator): generator.get_state() for generator in self._torch}
        tensors["python"] = torch.tensor(words, dtype=torch.int64)
        tensors["numpy"] = torch.from_numpy(keys.astype(np.int64))
        record = {"python": [version, gauss], "numpy": [name, int(position), int(has_gauss), float(cached)]}
        return tensors, record

    def restore(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Put all generators back to where `capture` found them; a device that had none keeps its own."""
        version, gauss = record["python"]
        self._python = (version, tuple(tensors["python"].tolist()), gauss)
        name, position, has_gauss, cached = record["numpy"]
        self._numpy = (name, tensors["numpy"].numpy().astype(np.uint32), position, has_gauss, cached)
        for generator in self._torch:
            if _name(generator) in tensors:
                generator.set_state(tensors[_name(generator)])

    def _seed(self, python: int, numpy: int, torch: int) -> None:
        self._python, self._numpy = random.Random(python).getstate(), np.random.RandomState(numpy).get_state()
        for generator in self._torch:
            generator.manual_seed(torch)

    @contextmanager
    def _lent(self) -> Iterator[None]:
        """Let the global generators of Python and NumPy continue those of the run."""
        with keep_global_state():
            random.setstate(self._python)
            np.random.set_state(self._numpy)
            try:
                yield
            finally:
                self._python, self._numpy = random.getstate(), np.random.get_state()


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Start the global generators from a number, for code that initialises weights; afterwards they are as before.

    One thread at a time, since initialisations take no generator.
    """
    state = RandomState(torch.device("cpu"), lends=True)
    state.seed_alike(number)
    with state.used():
        yield


def runs_other_code(model: nn.Module, *others: object) -> bool:
    """Whether a run calls code that is not Unspool's, which may draw from global generators.

    Args:
        model: The network; each of its modules is looked at.
        others: What else the run calls: its source of batches, its validation.
    """
    kinds = {type(module) for module in model.modules()} - _DRAWS_NOTHING
    return any(not _is_ours(each) for each in (*kinds, *others) if each is not None)


def _is_ours(code: object) -> bool:
    return str(getattr(code, "__module__", "")).partition(".")[0] == "unspool"


def _name(generator: torch.Generator) -> str:
    """The name of a generator's state in a checkpoint."""
    return "torch" if generator.device.type == "cpu" else generator.device.type
