"""One model, several threads: every trace and prediction is the one that a single thread gives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from unspool import Classifier, LanguageModel, Translator
from unspool.training import Reporter

THREADS = 4
ROUNDS = 12


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
    }
    data |= {"demanding": "labels.tsv", "attentive": "pairs.tsv"}
    for name, task in tasks.items():
        task.fit(str(folder / data[name]), baselines=False, reporter=Reporter())
    return tasks, texts


@pytest.mark.parametrize("name", ["classifier", "demanding", "translator", "attentive", "writer"])
def test_traces_and_predictions_of_many_threads_are_those_of_one(models, name):
    tasks, texts = models
    model = tasks[name]
    predict = getattr(model, "predict", None)
    if name == "writer":
        predict = lambda batch: [model.generate(batch[0], length=12, seed=1)]  # noqa: E731
    inputs = [" ".join(text.split()[: 2 + number % 5]) for number, text in enumerate(texts[: THREADS * 2])]
    expected_traces = [model.trace(text) for text in inputs]
    expected = [predict([text]) for text in inputs]

    def trace(start: int) -> list[tuple[int, Any]]:
        return [(number, model.trace(inputs[number])) for number in rotated(start)]

    def answer(start: int) -> list[tuple[int, Any]]:
        return [(number, predict([inputs[number]])) for number in rotated(start)]

    def rotated(start: int) -> list[int]:
        return [(start + step) % len(inputs) for step in range(ROUNDS)]

    calls: list[Callable[[], Any]] = [lambda start=start: trace(start) for start in range(THREADS)]
    calls += [lambda start=start: answer(start) for start in range(THREADS)]
    results = in_threads(calls)
    for traces in results[:THREADS]:
        for number, actual in traces:
            assert actual == expected_traces[number]
    for answers in results[THREADS:]:
        for number, actual in answers:
            assert actual == expected[number]
