"""Random number generators of a training run, stored in checkpoints and continued by a resumed run."""

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
        device: Device of the run; a device other than the CPU has a generator of its own.
        lends: Whether `used` installs these generators as the global ones of torch, Python and NumPy. Code that takes
            no generator then draws from the run; such runs in several threads take turns. Otherwise global generators
            stay as they are, and only Unspool's own layers draw from the run.
    """

    def __init__(self, device: torch.device, *, lends: bool = False) -> None:
        self.lends = lends
        self._torch = [torch.Generator()]
        if device.type != "cpu":
            self._torch.append(torch.Generator(device))
        self._python: Any = random.Random(0).getstate()
        self._numpy: Any = np.random.RandomState(0).get_state()

    def seed(self, number: int, *, rank: int = 0) -> None:
        """Seed all generators from one number; each process of a run draws different numbers."""
        mixed = random.Random(f"{number} {rank}")  # hashed as text, so that near seeds and high bits differ too
        self._seed(mixed.getrandbits(64), mixed.getrandbits(32), mixed.getrandbits(63))

    def seed_alike(self, number: int) -> None:
        """Seed each generator with exactly this number, like `torch.manual_seed(number)`."""
        self._seed(number, number % 2**32, number)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let this thread draw from the generators of the run."""
        if not self.lends:
            with draw_from(self._torch):
                yield
            return
        with draw_from(()), self._lend_python_and_numpy(), lend(self._torch):
            yield

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Restore the generators at the end of the context."""
        tensors, record = self.capture()
        try:
            yield
        finally:
            self.restore(tensors, record)

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the state of all generators, as tensors and plain values."""
        version, words, gauss = self._python
        name, keys, position, has_gauss, cached = self._numpy
        tensors = {_name(generator): generator.get_state() for generator in self._torch}
        tensors["python"] = torch.tensor(words, dtype=torch.int64)
        tensors["numpy"] = torch.from_numpy(keys.astype(np.int64))
        record = {"python": [version, gauss], "numpy": [name, int(position), int(has_gauss), float(cached)]}
        return tensors, record

    def restore(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Restore the state that `capture` returned; a device without a stored state keeps its own."""
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
    def _lend_python_and_numpy(self) -> Iterator[None]:
        """Install the generators of the run as the global ones of Python and NumPy inside the context."""
        with keep_global_state():
            random.setstate(self._python)
            np.random.set_state(self._numpy)
            try:
                yield
            finally:
                self._python, self._numpy = random.getstate(), np.random.get_state()


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Seed the global generators inside the context, for code that initialises weights; restore them afterwards.

    Threads take turns, since initialisations take no generator.
    """
    state = RandomState(torch.device("cpu"), lends=True)
    state.seed_alike(number)
    with state.used():
        yield


def runs_other_code(model: nn.Module, *others: object) -> bool:
    """Return whether a run calls code from outside Unspool, which may draw from global generators.

    Args:
        model: The network; the check covers each of its modules.
        others: Other objects that the run calls: its source of batches, its validation.
    """
    kinds = {type(module) for module in model.modules()} - _DRAWS_NOTHING
    return any(not _is_ours(each) for each in (*kinds, *others) if each is not None)


def _is_ours(code: object) -> bool:
    return str(getattr(code, "__module__", "")).partition(".")[0] == "unspool"


def _name(generator: torch.Generator) -> str:
    """Return the name of a generator's state in a checkpoint."""
    return "torch" if generator.device.type == "cpu" else generator.device.type
