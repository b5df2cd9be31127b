"""One model, many threads: every trace and prediction is the one that a single thread gives, bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor
from torch.nn import functional as F

from unspool import Algorithm, Cell, Classifier, LanguageModel, Translator
from unspool.cells import ElmanState
from unspool.training import Reporter

TRACERS, PREDICTORS = 8, 4
ROUNDS = 8
EXERCISES = ["101 110", "001", "111 010 100", "110 001"]


class FadingCell(Cell[ElmanState]):
    """A custom cell with a gate of its own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih, self.bias = self.parameter(2 * hidden_size, input_size), self.parameter(2 * hidden_size)
        self.weight_hh = self.parameter(2 * hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> ElmanState:
        return ElmanState(h=self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: ElmanState) -> tuple[Tensor, ElmanState]:
        f, n = (F.linear(x, self.weight_ih, self.bias) + F.linear(state.h, self.weight_hh)).chunk(2, dim=-1)
        fade = f.sigmoid()
        h = fade * state.h + (1 - fade) * n.tanh()
        self.record(fade=fade)
        return h, ElmanState(h)


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run every call in a thread of its own, all at once; the results, or the first exception."""
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(calls))

    def work(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concurrent")
    texts = [f"word{i % 7} then word{i % 5} and word{i % 3} again" for i in range(40)]
    (folder / "labels.tsv").write_text("".join(f"{t}\t{'even' if i % 2 else 'odd'}\n" for i, t in enumerate(texts)))
    (folder / "pairs.tsv").write_text("".join(f"{t}\t{' '.join(reversed(t.split()))}\n" for t in texts))
    (folder / "novel.txt").write_text("\n".join(texts) * 5)
    small = {"hidden": 16, "epochs": 1, "seed": 3}
    data = {"classifier": "labels.tsv", "translator": "pairs.tsv", "writer": "novel.txt"}
    tasks = {
        "classifier": Classifier(cell="lstm", layers=2, **small),
        "demanding": Classifier(cell="gru", backend="native", **small),
        "translator": Translator(network="transformer", heads=2, **small),
        "attentive": Translator(network="additive", cell="gru", **small),
        "writer": LanguageModel(cell="gru", units="character", **small),
        "attention": Classifier(network="transformer", heads=2, **small),
        "own": Classifier(cell=FadingCell, layers=2, bidirectional=True, **small),
        "states": Translator(network="initial", cell=FadingCell, **small),
        "machine": Algorithm(cell="ntm(slots=6, width=4)", examples=32, max_length=3, width=3, **small),
    }
    tasks["machine"].fit("copy", baselines=False, reporter=Reporter())
    data |= {"demanding": "labels.tsv", "attention": "labels.tsv", "own": "labels.tsv"}
    data |= {"attentive": "pairs.tsv", "states": "pairs.tsv"}
    for name in data:
        tasks[name].fit(str(folder / data[name]), baselines=False, reporter=Reporter())
    return tasks, texts


NAMES = ["classifier", "demanding", "translator", "attentive", "writer", "attention", "own", "states", "machine"]


@pytest.mark.parametrize("name", NAMES)
def test_traces_and_predictions_of_many_threads_are_those_of_one(models, name):
    tasks, texts = models
    model = tasks[name]
    predict = getattr(model, "predict", None)
    if name == "writer":
        predict = lambda batch: [model.generate(batch[0], length=12, seed=1)]  # noqa: E731
    inputs = [" ".join(text.split()[: 2 + number % 5]) for number, text in enumerate(texts[:8])]
    if name == "machine":
        inputs = EXERCISES * 2
    expected_traces = [model.trace(text) for text in inputs]
    expected = [predict([text]) for text in inputs]

    def trace(start: int) -> list[tuple[int, Any]]:
        return [(number, model.trace(inputs[number])) for number in rotated(start)]

    def answer(start: int) -> list[tuple[int, Any]]:
        return [(number, predict([inputs[number]])) for number in rotated(start)]

    def rotated(start: int) -> list[int]:
        return [(start + step) % len(inputs) for step in range(ROUNDS)]

    calls: list[Callable[[], Any]] = [lambda start=start: trace(start) for start in range(TRACERS)]
    calls += [lambda start=start: answer(start) for start in range(PREDICTORS)]
    results = in_threads(calls)
    for traces in results[:TRACERS]:
        for number, actual in traces:
            assert actual == expected_traces[number]
    for answers in results[TRACERS:]:
        for number, actual in answers:
            assert actual == expected[number]


@pytest.mark.parametrize("name", ["classifier", "own", "states", "attention"])
def test_edits_and_gradients_of_one_thread_reach_no_other(models, name):
    tasks, texts = models
    model, text = tasks[name], texts[0]
    expected = model.trace(text)
    edit = "layer 1 / self-attention head 1 = zero @ 2" if name == "attention" else f"{expected.places[0]} / h = 0 @ 2"
    fork = model.fork(text, [edit])
    assert fork.original == expected != fork.edited
    calls: list[Callable[[], Any]] = [lambda: [model.trace(text) for _ in range(ROUNDS)]] * 4
    calls += [lambda: [model.fork(text, [edit]).edited for _ in range(ROUNDS)]] * 3
    if name != "attention":
        norms = model.gradients(text).record()
        calls.append(lambda: [model.gradients(text).record() for _ in range(2)])
    results = in_threads(calls)
    assert all(trace == expected for traces in results[:4] for trace in traces)
    assert all(trace == fork.edited for traces in results[4:7] for trace in traces)
    assert all(record == norms for records in results[7:] for record in records)
