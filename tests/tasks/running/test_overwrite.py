"""`overwrite=True` replaces a model of ours, at the end of the new training, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import unspool
from unspool import Classifier
from unspool.errors import MachineError, UnfinishedTrainingWarning, UsageError
from unspool.tasks.running.model_folder import place_beside, take_place
from unspool.training import Reporter

SILENT = Reporter()
TINY: dict[str, Any] = {"hidden": 5, "embedding": 6, "dropout": 0.1, "batch_tokens": 40, "threads": 1}
TEXTS, LABELS = ["a joy", "dull", "warm", "wasted"] * 6, ["pos", "neg"] * 12


class StopAtTwo(Reporter):
    def validated(self, progress: Any, metrics: Any, improved: Any) -> None:
        if progress.epoch >= 2:
            raise RuntimeError("power cut")


def fit(out: Path, epochs: int = 3, reporter: Reporter = SILENT, **options: Any) -> Classifier:
    model = Classifier(**TINY, epochs=epochs, seed=epochs)
    return model.fit(TEXTS, LABELS, baselines=False, out=out, reporter=reporter, **options)


def bits(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    fit(tmp_path / "m", epochs=1)
    return tmp_path / "m"


def test_a_new_model_takes_the_place_of_the_old_one(old, tmp_path):
    before = bits(old)
    model = fit(old, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    assert bits(old) != before
    assert unspool.load(old).predict(TEXTS) == model.predict(TEXTS)
    assert unspool.load(old).settings.training.epochs == 3
    assert (old / "README.md").read_text().split("\n")[5] == "# m"
    assert "m.new" not in (old / "README.md").read_text()


def test_the_old_model_is_whole_until_the_new_one_is_finished(old, tmp_path):
    before = bits(old)
    said = unspool.load(old).predict(TEXTS)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(old, reporter=StopAtTwo(), overwrite=True)
    assert bits(old) == before
    assert unspool.load(old).predict(TEXTS) == said
    with pytest.warns(UnfinishedTrainingWarning, match="has not come to its end"):
        unspool.load(tmp_path / "m.new")
    fit(old, resume=True, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    fit(tmp_path / "whole")
    assert bits(old) == bits(tmp_path / "whole")


def test_a_training_that_failed_before_is_replaced_too(old, tmp_path):
    for _ in range(2):
        with pytest.raises(RuntimeError, match="power cut"):
            fit(old, reporter=StopAtTwo(), overwrite=True)
    fit(tmp_path / "m.new", overwrite=True, epochs=1)
    assert unspool.load(tmp_path / "m.new").settings.training.epochs == 1


def test_data_that_can_t_be_used_leave_the_old_model_and_nothing_else(old, tmp_path):
    before = bits(old)
    with pytest.raises(unspool.errors.DataError, match="1 label"):
        Classifier(**TINY).fit(TEXTS, ["one"] * 24, out=old, overwrite=True, reporter=SILENT)
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    assert bits(old) == before


@pytest.mark.parametrize("folder", ["new", "empty"])
def test_a_new_or_empty_folder_is_trained_in_itself(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    fit(tmp_path / folder, epochs=1, overwrite=True)
    assert unspool.load(tmp_path / folder).predict("a joy").label in ("pos", "neg")
    assert not place_beside(tmp_path / folder).exists()


def test_another_folder_s_content_is_never_replaced(old, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"only a model folder or a training is replaced: .*work is no model folder"):
        fit(tmp_path / "work", overwrite=True)
    (old / "thesis.txt").write_text("years of work")
    with pytest.raises(
        UsageError, match=r"m also holds thesis\.txt, which is not part of a model; move it away, or name another"
    ):
        fit(old, overwrite=True)
    (old / "thesis.txt").unlink()
    (tmp_path / "m.new").mkdir()
    (tmp_path / "m.new" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"m\.new is no model folder"):
        fit(old, overwrite=True)
    (tmp_path / "link").symlink_to(old)
    with pytest.raises(UsageError, match="link is a link or a file, and only a model folder is replaced"):
        fit(tmp_path / "link", overwrite=True)
    (tmp_path / "m.new" / "thesis.txt").unlink()
    (tmp_path / "m.new").rmdir()
    monkeypatch.chdir(old)
    with pytest.raises(UsageError, match="is the folder you work in, and can't be replaced"):
        fit(Path("."), overwrite=True)
    assert bits(old)


def test_without_overwrite_the_message_names_it(old):
    with pytest.raises(UsageError, match=r"is not empty; .*resume=True, replace the model in it with overwrite=True"):
        fit(old)


def test_a_swap_that_fails_puts_the_old_model_back(old, tmp_path):
    before = bits(old)
    with pytest.raises(MachineError, match=r"m can't be replaced: .*; the new model stands in .*gone"):
        take_place(tmp_path / "gone", old)
    assert bits(old) == before
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
