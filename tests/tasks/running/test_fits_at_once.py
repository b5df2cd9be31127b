"""Two trainings in two threads of one process, and what a training leaves behind in it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import unspool
from unspool import Cell, Classifier, LanguageModel
from unspool.errors import TrainingError
from unspool.training import Progress, Reporter

SMALL: dict[str, Any] = {
    "hidden": 6,
    "embedding": 5,
    "epochs": 3,
    "dropout": 0.4,
    "batch_tokens": 40,
    "device": "cpu",
    "plan": False,
}


class NoisyState(NamedTuple):
    h: Tensor


class NoisyCell(Cell[NoisyState]):
    """A cell of a person's own that draws from all global generators."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = self.parameter(hidden_size, input_size)
        self.start = random.random() + float(np.random.rand())

    def initial_state(self, batch_size: int) -> NoisyState:
        return NoisyState(self.weight_ih.new_full((batch_size, self.hidden_size), self.start))

    def step(self, x: Tensor, state: NoisyState, *context: Tensor) -> tuple[Tensor, NoisyState]:
        noise = 1 + 0.1 * random.random() + 0.1 * float(np.random.randn()) if self.training else 1.0
        h = torch.tanh(F.linear(x, self.weight_ih) + noise * F.dropout(state.h, 0.3, self.training))
        return h, NoisyState(h)


class InStep(Reporter):
    """Makes runs in several threads take one update each, in turn."""

    interval = 0.0

    def __init__(self, barrier: Barrier) -> None:
        self.barrier = barrier

    def progress(self, progress: Progress) -> None:
        with suppress(BrokenBarrierError):  # the other run has come to its end
            self.barrier.wait(timeout=60)

    def finished(self, text: str) -> None:
        self.barrier.abort()


def global_state() -> list[Any]:
    name, keys, *rest = np.random.get_state()
    return [torch.get_rng_state().tolist(), random.getstate(), name, keys.tolist(), *rest, torch.get_num_threads()]


def disturb() -> None:
    """Leave global generators where nobody would look for them."""
    torch.rand(17), np.random.randn(3), random.gauss(0, 1)


def weights(task: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


def assert_same_weights(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


KINDS = {
    "lstm": {"weight_dropout": 0.2, "variational": True},
    "transformer": {"network": "transformer", "heads": 2, "hidden": 8, "attention_dropout": 0.2},
    "own cell": {"cell": NoisyCell},
}


@pytest.mark.parametrize("kind", KINDS)
def test_two_fits_at_once_end_in_the_weights_of_one_after_the_other(reviews, kind):
    def fit(seed: int, reporter: Reporter) -> dict[str, Tensor]:
        task = Classifier(**SMALL | KINDS[kind], seed=seed)
        return weights(task.fit(reviews, baselines=False, reporter=reporter))

    expected = [fit(seed, Reporter()) for seed in (1, 2)]
    assert not torch.equal(*(next(iter(each.values())) for each in expected))
    before = global_state()
    barrier = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(lambda seed: fit(seed, InStep(barrier)), (1, 2)))
    for one, other in zip(at_once, expected, strict=True):
        assert_same_weights(one, other)
    assert global_state() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_does_not_hang_on_what_the_caller_draws_and_resumes_in_another_thread(reviews, tmp_path, kind):
    settings = {**SMALL, **KINDS[kind], "seed": 4}
    whole = Classifier(**settings | {"epochs": 4}).fit(reviews, baselines=False, reporter=Reporter())
    disturb()
    Classifier(**settings | {"epochs": 2}).fit(reviews, out=tmp_path / "m", baselines=False, reporter=Reporter())
    disturb()
    resumed = Classifier(**settings | {"epochs": 4})
    options: dict[str, Any] = {"out": tmp_path / "m", "resume": True, "baselines": False, "reporter": Reporter()}
    thread = Thread(target=resumed.fit, args=(reviews,), kwargs=options)
    thread.start()
    thread.join()
    assert_same_weights(weights(resumed), weights(whole))


@pytest.mark.parametrize("kind", KINDS)
def test_the_callers_generators_and_threads_are_left_alone(reviews, tmp_path, kind):
    before = global_state()
    threads = torch.get_num_threads() + 1
    task = Classifier(**SMALL | KINDS[kind], threads=threads).fit(reviews, reporter=Reporter(), out=tmp_path / "m")
    assert global_state() == before
    own = KINDS[kind].get("cell")
    loaded = unspool.load(tmp_path / "m", cell=own)
    for model in (task, loaded):
        model.evaluate(reviews)
        model.predict(["a film of joy"])
        model.trace("a film of joy")
    assert global_state() == before


def test_generators_and_threads_are_as_before_after_a_failure(reviews):
    before = global_state()
    with pytest.raises(TrainingError, match=r"no longer finite|became"):
        Classifier(**SMALL | {"optimizer": "sgd", "clip": None}, learning_rate=1e38, threads=3).fit(
            reviews, baselines=False, reporter=Reporter()
        )
    assert global_state() == before


def test_a_seed_is_all_that_a_written_text_hangs_on(tmp_path):
    (tmp_path / "song.txt").write_text("the cat sat on the mat .\nthe dog sat on the log .\n" * 40)
    model = LanguageModel(hidden=6, embedding=5, epochs=1, batch_size=2, steps=8, device="cpu")
    model.fit(tmp_path / "song.txt", reporter=Reporter())
    before = global_state()
    first = model.generate("the", length=20, seed=5)
    assert global_state() == before
    disturb()
    assert model.generate("the", length=20, seed=5) == first


def test_the_number_of_threads_is_one_threads_own(reviews):
    inside: list[int] = []
    new: list[int] = []

    class Look(Reporter):
        def started(self, text: str, progress: Progress) -> None:
            inside.append(torch.get_num_threads())
            thread = Thread(target=lambda: new.append(torch.get_num_threads()))
            thread.start()
            thread.join()

    before = torch.get_num_threads()
    if "backend: OpenMP" not in torch.__config__.parallel_info():
        pytest.skip("this torch has one number of threads for the whole process")
    Classifier(**SMALL, threads=before + 2).fit(reviews, baselines=False, reporter=Look())
    assert (inside, torch.get_num_threads()) == ([before + 2], before)
    thread = Thread(target=lambda: new.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert new[0] == new[1] != before + 2
