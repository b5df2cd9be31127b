"""Comparisons of networks: what is trained, how it is counted, and what the result says."""

from __future__ import annotations

import json
import math
import statistics
from functools import partial
from typing import Any

import pytest
from torch import Tensor

import unspool
from unspool import Classifier, LanguageModel
from unspool.cells import GRUCell, LSTMCell
from unspool.errors import CellError, Interrupted, SettingError, UsageError
from unspool.tasks import Comparison, Run
from unspool.tasks.intervals import mean_interval, student_t
from unspool.training import Reporter

TINY: dict[str, Any] = {"hidden": 4, "embedding": 5, "epochs": 2, "threads": 1, "baselines": False}
SILENT = Reporter()
PAIRS = [("a joy", "pos"), ("a bore", "neg"), ("what a gem", "pos"), ("such a mess", "neg"), ("joy", "pos")] * 6


class RatedCell(GRUCell):
    def __init__(self, input_size: int, hidden_size: int, rate: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.rate = rate

    def step(self, x: Tensor, state: Any, *context: Tensor) -> Any:
        return super().step(self.rate * x, state)


class BrokenCell(LSTMCell):
    def step(self, x: Tensor, state: Any, *context: Tensor) -> Any:
        raise CellError("BrokenCell can't step")


class NanCell(GRUCell):
    """Fails with some seeds only: where its first weight starts above zero."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.factor = math.nan if self.weight_hh[0, 0] > 0 else 1.0

    def step(self, x: Tensor, state: Any, *context: Tensor) -> Any:
        output, after = super().step(x, state)
        return self.factor * output, after


@pytest.mark.parametrize(
    ("degrees", "t"),
    [(1, 12.7062047), (2, 4.30265273), (4, 2.77644511), (9, 2.26215716), (10, 2.22813885), (99, 1.98421695)],
)
def test_student_t_is_that_of_the_tables(degrees, t):
    assert student_t(degrees) == pytest.approx(t, rel=1e-8)


def test_an_interval_of_a_mean():
    interval = mean_interval([0.5, 0.7, 0.9])
    assert interval.mean == pytest.approx(0.7)
    assert interval.half_width == pytest.approx(4.30265273 * 0.2 / math.sqrt(3), rel=1e-7)
    assert str(interval) == "0.7 ± 0.5"
    assert mean_interval([0.25]) == (0.25, None, 1)
    assert str(mean_interval([0.25])) == "0.25"
    assert math.isnan(mean_interval([0.25, math.nan]).mean)


def made(scores: dict[str, list[float | None]], **changes: Any) -> Comparison:
    """A comparison with the accuracies that each network has with seeds 3, 4 ...; None where it failed."""
    runs = [
        Run(name, seed, {"accuracy": value, "nats": 1 - value}, 10, 5, 1.0, 100.0)
        if value is not None
        else Run(name, seed, {}, 0, 0, 0.0, 0.0, "the loss became nan")
        for name, values in scores.items()
        for seed, value in enumerate(values, 3)
    ]
    count = max(map(len, scores.values()))
    values: dict[str, Any] = {
        "task": "classify", "scored_on": "test", "metric": "accuracy", "higher_is_better": True,
        "networks": tuple(scores), "seeds": tuple(range(3, 3 + count)), "runs": tuple(runs),
        "baselines": {"majority": {"accuracy": 0.5}},
    }  # fmt: skip
    return Comparison(**{**values, **changes})


def test_differences_are_paired_by_seed():
    result = made({"a": [0.5, 0.75, 0.875], "b": [0.625, 0.875, None], "c": [0.25, None, None]})
    assert result.best == "b"
    difference = result.difference("a")
    assert difference.observations == 2  # the seeds of both
    assert difference.mean == -0.125
    assert difference.half_width == pytest.approx(0)
    assert result.interval("a").half_width > 0.4  # though each varies much
    assert result.difference("c", "a") == (-0.25, None, 1)
    assert result.difference("b", "a", "nats").mean == -0.125
    assert made({"a": [0.5], "b": [None]}).difference("b") is None
    assert made({"a": [0.5, 0.5], "b": [0.75, 0.7]}, metric="nats", higher_is_better=False).best == "b"


def test_the_table_counts_failures_and_names_the_best():
    result = made({"a": [0.5, 0.75], "b": [0.875, None]})
    head, rows = result.table()
    assert head[:5] == ["on test", "accuracy", "nats", "accuracy, to the best", "seeds"]
    assert rows[0][:5] == ["a", "0.625 ± 1.6", "0.375 ± 1.6", "-0.375", "2"]
    assert rows[1][:5] == ["b", "0.875", "0.125", "best", "1 of 2"]
    assert rows[2] == ["majority", "0.5", "", "", "", "", "", "", ""]
    lines = str(result).splitlines()
    assert lines[-1] == "b, seed 4, failed: the loss became nan"
    assert "Student's t" in lines[-2]
    assert repr(result) == str(result)
    assert [run.network for run in result.failures] == ["b"]


def test_a_single_run_each_is_a_plain_table():
    result = made({"a": [0.5], "b": [0.75]})
    assert result.table()[0] == ["on test", "accuracy", "nats", "weights", "updates", "seconds", "tokens/s"]
    assert result.table()[1][0] == ["a", "0.5", "0.5", "10", "5", "1.0", "100"]
    assert result.note() == ""


def test_the_record_is_json_with_every_run():
    record = json.loads(json.dumps(made({"a": [0.5, math.nan], "b": [0.75, None]}).record(), allow_nan=False))
    assert record["seeds"] == [3, 4]
    a, b = record["networks"]
    assert a["scores"] == {"accuracy": None, "nats": None}
    assert a["runs"][0]["scores"]["accuracy"] == 0.5
    assert (b["runs_finished"], b["runs_failed"]) == (1, 1)
    assert b["runs"][1]["failure"] == "the loss became nan"
    assert b["difference_to_best"] == {"mean": 0.0, "half_width": None, "observations": 1}


def test_names_of_scores_and_networks_are_checked():
    result = made({"lstm": [0.5], "gru": [0.75]})
    with pytest.raises(UsageError, match=r"there is no network 'lstn' \(did you mean 'lstm'\?\)"):
        result.scores("lstn")
    with pytest.raises(UsageError, match=r"there is no score 'acuracy' \(did you mean 'accuracy'\?\)"):
        result.interval("gru", "acuracy")


def test_each_run_is_the_training_that_fit_makes():
    result = unspool.compare(
        Classifier, PAIRS, networks=["bag", "LSTM", RatedCell], seeds=2, seed=5, reporter=SILENT, **TINY
    )
    own = f"{__name__}:RatedCell"
    assert result.networks == ("bag", "lstm", own)
    assert [(run.seed, run.network) for run in result.runs] == [
        (seed, name) for seed in (5, 6) for name in ("bag", "lstm", own)
    ]
    settings = {**TINY, "patience": None, "plan": False, "ngrams": False}
    del settings["baselines"]
    for network, more in (("bag", {"network": "bag"}), ("lstm", {"cell": "lstm"}), (own, {"cell": RatedCell})):
        for seed in (5, 6):
            task = Classifier(seed=seed, **settings, **more).fit(PAIRS, reporter=SILENT, baselines=False)
            assert result.scores(network)[seed] == task.record.metrics["valid"]["accuracy"]
            assert result.scores(network, "nats")[seed] == task.record.metrics["valid"]["nats"]
    assert len(set(result.scores("lstm", "nats").values())) == 2
    assert result.scored_on == "valid"
    mean = statistics.fmean(result.scores(own, "nats").values())
    assert result.interval(own, "nats").mean == pytest.approx(mean)


def test_networks_can_be_settings_and_options():
    networks = {
        "small": {"hidden": 3},
        "wide": {"hidden": 6, "cell": "gru"},
        "rated": {"cell": RatedCell, "cell_options": {"rate": 0.5}},
        "same": partial(RatedCell, rate=0.5),
        "bag": "bag",
    }
    result = unspool.compare("classify", PAIRS, networks=networks, seeds=[7], reporter=SILENT, test=PAIRS[:4], **TINY)
    weights = {run.network: run.weights for run in result.runs}
    assert list(weights) == list(networks)
    assert len({weights["small"], weights["wide"], weights["rated"], weights["bag"]}) == 4
    assert result.scores("rated", "nats") == result.scores("same", "nats")
    assert result.scored_on == "test"
    names = [f"{__name__}:RatedCell(rate=0.5)", f"{__name__}:RatedCell(rate=2)", f"{__name__}:RatedCell( rate=2 )"]
    result = unspool.compare("classify", PAIRS, networks=names, reporter=SILENT, **TINY)
    assert result.networks == (f"{__name__}:RatedCell(rate=0.5)", f"{__name__}:RatedCell(rate=2)")
    assert result.scores(result.networks[0], "nats") != result.scores(result.networks[1], "nats")


def test_data_are_what_fit_takes_iterators_too():
    texts, labels = zip(*PAIRS, strict=True)
    arguments: dict[str, Any] = {"networks": ["bag"], "seeds": 2, "reporter": SILENT, **TINY}
    expected = unspool.compare("classify", PAIRS, valid=PAIRS[:6], **arguments).scores("bag", "nats")
    valid = (iter(texts[:6]), iter(labels[:6]))
    assert (
        unspool.compare("classify", iter(texts), list(labels), valid=valid, **arguments).scores("bag", "nats")
        == expected
    )
    assert len(set(expected.values())) == 2


def test_runs_that_fail_are_counted_and_the_others_go_on():
    told: list[Comparison] = []
    result = unspool.compare(
        "classify", PAIRS, networks=["bag", NanCell, BrokenCell], seeds=4, bidirectional=False, reporter=SILENT,
        on_run=told.append, **TINY,
    )  # fmt: skip
    bag, own, broken = result.rows
    assert (bag["runs_finished"], bag["runs_failed"]) == (4, 0)
    assert 1 <= own["runs_failed"] <= 3
    assert own["runs_failed"] + own["runs_finished"] == 4
    assert broken["runs_failed"] == 4
    assert {run.failure for run in result.failures if "Broken" in run.network} == {"BrokenCell can't step"}
    assert [len(each.runs) for each in told] == list(range(1, 13))
    with pytest.raises(CellError, match="can't step"):
        unspool.compare("classify", PAIRS, networks=[BrokenCell], seeds=2, reporter=SILENT, **TINY)


def test_ctrl_c_leaves_what_was_finished_to_on_run(monkeypatch):
    unbroken = Classifier.fit

    def fit(self: Classifier, *data: Any, **options: Any) -> Any:
        if self.settings.network.cell == "gru" and self.settings.training.seed == 1:
            raise Interrupted("stopped")
        return unbroken(self, *data, **options)

    monkeypatch.setattr(Classifier, "fit", fit)
    told: list[Comparison] = []
    with pytest.raises(Interrupted, match="stopped while gru, seed 1 was trained; 2 of 4 runs were finished before"):
        unspool.compare(
            "classify", PAIRS, networks=["gru", "lstm"], seeds=2, reporter=SILENT, on_run=told.append, **TINY
        )
    assert [run.network for run in told[-1].runs] == ["gru", "lstm"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"networks": []}, UsageError, "networks names nothing to compare"),
        ({"networks": ["gru", "lstn"]}, UsageError, r"there is no cell 'lstn' \(did you mean 'lstm'\?\)"),
        ({"networks": ["ntm(slot=3)"]}, SettingError, "has no option 'slot'"),
        ({"networks": {"a": {"hiden": 3}}}, SettingError, "there is no setting 'hiden'"),
        ({"networks": [3]}, CellError, "is not a cell"),
        ({"cell": "gru"}, UsageError, "cell is what networks differ in"),
        ({"seeds": 0}, SettingError, "seeds=0: expected between 1 and 1,000"),
        ({"seeds": [1.5]}, SettingError, "expected a number of seeds"),
        ({"seed": -1}, SettingError, "seed"),
        ({"epocs": 1}, SettingError, r"there is no setting 'epocs' \(did you mean 'epochs'\?\)"),
    ],
)
def test_what_cant_be_compared_is_refused_before_training(monkeypatch, changes, error, message):
    monkeypatch.setattr(Classifier, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(error, match=message):
        unspool.compare("classify", PAIRS, **changes)


def test_tasks_are_found_by_name_and_class():
    with pytest.raises(UsageError, match=r"there is no task 'clasify' \(did you mean 'classify'\?\)"):
        unspool.compare("clasify", PAIRS)
    with pytest.raises(UsageError, match="is no task: expected a class"):
        unspool.compare(LSTMCell, PAIRS)  # type: ignore[arg-type]
    text = "the cat sat on the mat .\n" * 80
    result = unspool.compare(
        LanguageModel, text, networks=["gru"], seeds=2, hidden=4, embedding=4, epochs=1, steps=10, batch_size=4,
        threads=1, baselines=True, reporter=SILENT,
    )  # fmt: skip
    assert (result.metric, result.higher_is_better) == ("nats", False)
    assert list(result.baselines) == ["Kneser-Ney 6-gram"]
    assert result.interval("gru").observations == 2
