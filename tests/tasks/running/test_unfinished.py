"""Trainings that are stopped at every stage: what is left, what is said, and how the best weights so far are used."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import unspool
from pair_samples import MEMORY, entries, write_entries
from unspool import Assistant, Classifier
from unspool.errors import Interrupted, ModelFolderError, UnfinishedTrainingWarning
from unspool.tasks.classify.fitted import FittedClassifier
from unspool.tasks.running.model_folder import read_record
from unspool.training import Progress, Reporter

SMALL: dict[str, Any] = {"hidden": 5, "embedding": 6, "epochs": 6, "batch_tokens": 40, "device": "cpu", "plan": False}
SILENT = Reporter()


class StopAfter(Reporter):
    """Sends a signal once so many epochs have been validated."""

    interval = 0.0

    def __init__(self, epoch: float, number: int = signal.SIGINT) -> None:
        self.epoch, self.number = epoch, number

    def progress(self, progress: Progress) -> None:
        if progress.epoch > self.epoch:
            self.epoch = float("inf")
            signal.raise_signal(self.number)


def stop_at_once(*_: Any, **__: Any) -> Any:
    signal.raise_signal(signal.SIGINT)
    pytest.fail("the signal was not heard at once")


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("model.safetensors")} | {
        path.name: path.read_bytes() for path in (folder / "vocabulary").iterdir()
    }


def broken_off(kind: Any, settings: dict[str, Any], data: Path, folder: Path, epoch: float) -> str:
    with pytest.raises(Interrupted) as stopped:
        kind(**settings).fit(data, out=folder, baselines=False, reporter=StopAfter(epoch))
    return str(stopped.value)


def test_the_best_weights_so_far_are_used_and_training_goes_on_to_the_same_bits(reviews, tmp_path):
    folder = tmp_path / "m"
    said = broken_off(Classifier, SMALL, reviews, folder, 3.5)
    assert said.startswith("stopped; all is saved up to update ")
    assert f"with: unspool.load({str(folder)!r}); go on with: fit(..., out={str(folder)!r}, resume=True)" in said
    (best,) = (folder / "training").glob("best-*.safetensors")
    with pytest.warns(UnfinishedTrainingWarning, match=r"m has not come to its end: .* \(after epoch [1-3]: nats"):
        model = unspool.load(folder)
    for name, tensor in load_file(best).items():
        assert torch.equal(model.model.state_dict()[name], tensor)
    assert isinstance(model, Classifier)
    assert len(model.predict(["a film of joy"])) == 1
    assert model.trace("a joy").tokens == ("a", "joy")
    assert model.record is not None
    assert model.record.metrics["valid"].keys() == {"accuracy", "macro_f1", "nats"}
    assert f"nats {model.record.metrics['valid']['nats']:.4g}" in said
    assert model.evaluate(reviews)["accuracy"] > 0
    Classifier(**SMALL).fit(reviews, out=folder, resume=True, baselines=False, reporter=SILENT)
    Classifier(**SMALL).fit(reviews, out=tmp_path / "whole", baselines=False, reporter=SILENT)
    assert all_bytes(folder) == all_bytes(tmp_path / "whole")
    unspool.load(folder)  # without a warning


def test_an_assistant_is_calibrated_when_it_is_opened_early(tmp_path):
    data, settings = write_entries(tmp_path / "pairs.jsonl", entries()), {**MEMORY, "epochs": 4}
    said = broken_off(Assistant, settings, data, tmp_path / "m", 2.5)
    assert "use the best weights so far (first " in said
    with pytest.warns(UnfinishedTrainingWarning):
        model = unspool.load(tmp_path / "m")
    assert isinstance(model, Assistant)
    assert model.ask("the way to mend a tyre").answer == "Find the hole and patch it."
    assert model.matcher is not None
    whole = Assistant(**settings).fit(data, out=tmp_path / "whole", baselines=False, reporter=SILENT)
    resumed = Assistant(**settings).fit(data, out=tmp_path / "m", resume=True, baselines=False, reporter=SILENT)
    assert whole.matcher is not None
    assert resumed.matcher is not None
    assert resumed.matcher.confidence == whole.matcher.confidence
    assert all_bytes(tmp_path / "m") == all_bytes(tmp_path / "whole")


def test_before_the_first_validation_there_is_nothing_to_use(reviews, tmp_path):
    said = broken_off(Classifier, SMALL, reviews, tmp_path / "m", 0.1)
    assert "best weights" not in said
    with pytest.raises(ModelFolderError, match=r"m holds no weights yet: .*; go on with: fit\(.*resume=True\)"):
        unspool.load(tmp_path / "m")


def test_a_longer_training_broken_off_gives_the_better_weights_where_it_has_some(reviews, tmp_path):
    folder = tmp_path / "m"
    first = Classifier(**SMALL | {"epochs": 1, "learning_rate": 1e-4}).fit(reviews, out=folder, reporter=SILENT)
    settings = {**SMALL, "epochs": 40, "learning_rate": 1e-2, "patience": 1000}
    options: dict[str, Any] = {"out": folder, "resume": True, "allow": ["learning_rate"], "baselines": False}
    with pytest.raises(Interrupted, match="stopped; all is saved"):
        Classifier(**settings).fit(reviews, reporter=StopAfter(1.2), **options)
    unspool.load(folder)  # nothing better yet: the weights of the first end
    with pytest.raises(Interrupted, match="use the best weights so far"):
        Classifier(**settings).fit(reviews, reporter=StopAfter(30), **options)
    with pytest.warns(UnfinishedTrainingWarning) as warned:
        better = unspool.load(folder)
    assert "after epoch 1:" not in str(warned[0].message)
    assert any(not torch.equal(a, b) for a, b in zip(better.model.parameters(), first.model.parameters(), strict=True))
    (best,) = (folder / "training").glob("best-*.safetensors")
    tensors = load_file(best)
    best.unlink()
    header = {"unspool": json.dumps({"update": 999, "epoch": 30.0, "metrics": {"accuracy": 1.0}})}
    save_file({name: torch.cat([tensor, tensor]) for name, tensor in tensors.items()}, best, metadata=header)
    unspool.load(folder)  # of another shape, as where a vocabulary has grown: the weights that fit it


def test_best_weights_of_an_earlier_version_tell_their_update(reviews, tmp_path):
    broken_off(Classifier, SMALL, reviews, tmp_path / "m", 2.5)
    (best,) = (tmp_path / "m" / "training").glob("best-*.safetensors")
    header = {"unspool": json.dumps({"format": 1, "update": 7, "metrics": {"accuracy": 0.5}})}
    save_file(load_file(best), best, metadata=header)
    with pytest.warns(UnfinishedTrainingWarning, match=r"\(after update 7: accuracy 0.5\)"):
        unspool.load(tmp_path / "m")
    best.write_bytes(best.read_bytes()[:100])
    with pytest.raises(ModelFolderError, match=r"best-\d+.safetensors: damaged"):
        unspool.load(tmp_path / "m")


# Signals outside of the loop

STAGES: dict[str, tuple[str, str]] = {
    "_read": ("nothing", "stopped before training began; nothing is kept, so start again as before"),
    "_learn": ("nothing", "stopped before training began; nothing is kept, so start again as before"),
    "_baselines": ("begun", "stopped before the first update; go on with: fit(..., out={!r}, resume=True)"),
    "_finish": (
        "trained",
        "stopped; all updates so far are saved; use the best weights so far with: unspool.load({!r})",
    ),
    "_final_score": ("trained", "stopped; all updates so far are saved; use the best weights so far with: "),
    "fitted.save": ("nothing", "stopped before training began; nothing is kept, so start again as before"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_at_any_stage_leaves_nothing_or_what_can_go_on(reviews, tmp_path, monkeypatch, stage, number):
    folder, (left, sentence) = tmp_path / "m", STAGES[stage]
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    def stop(*_: Any, **__: Any) -> Any:
        signal.raise_signal(number)
        pytest.fail("the signal was not heard at once")

    with monkeypatch.context() as patch:
        if stage == "fitted.save":
            patch.setattr(FittedClassifier, "save", stop)
        else:
            patch.setattr(Classifier, stage, stop)
        with pytest.raises(Interrupted) as stopped:
            Classifier(**SMALL).fit(reviews, out=folder, reporter=SILENT)
    assert str(stopped.value).startswith(sentence.format(str(folder)))
    assert stopped.value.exit_code == 130
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert folder.exists() == (left != "nothing")
    if left == "begun":
        with pytest.raises(ModelFolderError, match="holds no weights yet"):
            unspool.load(folder)
    if left == "trained":
        with pytest.warns(UnfinishedTrainingWarning):
            unspool.load(folder)
    Classifier(**SMALL).fit(reviews, out=folder, resume=left != "nothing", reporter=SILENT)
    Classifier(**SMALL).fit(reviews, out=tmp_path / "whole", reporter=SILENT)
    assert all_bytes(folder) == all_bytes(tmp_path / "whole")
    records = [read_record(each) for each in (folder, tmp_path / "whole")]
    assert records[0].metrics == records[1].metrics
    assert records[0].baselines == records[1].baselines


def test_without_a_folder_nothing_is_kept(reviews, monkeypatch):
    monkeypatch.setattr(Classifier, "_baselines", stop_at_once)
    with pytest.raises(Interrupted, match=r"^stopped; nothing is kept, since no folder was named"):
        Classifier(**SMALL).fit(reviews, reporter=SILENT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_shell_had_ignored_is_heard(reviews, tmp_path, number):
    handler = signal.signal(number, signal.SIG_IGN)
    try:
        with pytest.raises(Interrupted, match="all is saved up to update"):
            Classifier(**SMALL).fit(reviews, out=tmp_path / "m", reporter=StopAfter(1.5, number))
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, handler)


def test_a_closed_terminal_stops_a_training_unless_nohup_says_not_to(reviews, tmp_path):
    stop: Callable[[], Reporter] = lambda: StopAfter(1.5, signal.SIGHUP)  # noqa: E731
    with pytest.raises(Interrupted, match="all is saved up to update"):
        Classifier(**SMALL).fit(reviews, out=tmp_path / "m", reporter=stop())
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Classifier(**SMALL).fit(reviews, out=tmp_path / "m", resume=True, reporter=stop())
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, handler)
