"""Warnings about a run: each appears where it should, and only there."""

import json
import os
import time

import numpy as np
import pytest

from unspool.errors import for_command_line
from unspool.training.folder_lock import lock_folder
from unspool.training.run_log import RunLog
from unspool.training.run_warnings import run_warnings

LINES = 100


def written(folder, scores=(), losses=None, **columns):
    """Write the log of a run of 100 lines, by default a healthy one, with validations at equal distances."""
    (folder / "training").mkdir()
    settings = {"training": {"clip": 1.0, "epochs": 10}}
    (folder / "unspool.json").write_text(json.dumps({"complete": False, "settings": settings}))
    losses = np.linspace(3, 1, LINES) if losses is None else losses
    standard = {"gradient_norm": 0.5, "clipped": 0.1, "learning_rate": 0.01, "tokens_per_second": 1000.0} | columns
    lines, best = [], np.inf
    for update in range(1, LINES + 1):
        values = {name: value[update - 1] if isinstance(value, list) else value for name, value in standard.items()}
        record = {"kind": "train", "update": update, "loss": losses[update - 1], "seconds": update * 0.1, **values}
        lines.append(json.dumps(record))
        if scores and update % (LINES // len(scores)) == 0:
            score = scores[update // (LINES // len(scores)) - 1]
            lines.append(
                json.dumps({"kind": "validation", "update": update, "nats": score, "best": bool(score < best)})
            )
            best = min(best, score)
    (folder / "training" / "log.jsonl").write_text("\n".join(lines) + "\n")
    return RunLog(folder)


def kinds(run):
    return [warning.kind for warning in run_warnings(run)]


def test_a_healthy_run_has_no_warnings(tmp_path):
    assert kinds(written(tmp_path, [2.0, 1.5, 1.3, 1.2, 1.1])) == []


def test_overfitting_names_the_best_validation(tmp_path):
    (warning,) = run_warnings(written(tmp_path, [2.0, 1.5, 1.6, 1.7, 1.8]))
    assert (warning.kind, warning.update) == ("overfitting", 40)
    assert "has not improved in 3 validations since update 40" in warning.text
    assert "--dropout" in for_command_line(warning.cure)


def test_two_worse_validations_are_not_overfitting_yet(tmp_path):
    assert kinds(written(tmp_path, [2.0, 1.5, 1.4, 1.7, 1.8])) == []


def test_a_loss_that_rises_with_the_score_is_not_overfitting(tmp_path):
    assert kinds(written(tmp_path, [1.0, 1.5, 1.6, 1.7, 1.8], np.linspace(1, 3, LINES))) == []


def test_a_flat_score_and_loss(tmp_path):
    losses = np.concatenate([np.linspace(3, 1, 20), np.full(80, 1.0)])
    run = written(tmp_path, [2.0, 1.5, *np.linspace(1.4, 1.3999, 5)], losses)
    assert kinds(run) == ["flat"]


def test_numbers_that_are_not_finite(tmp_path):
    losses = [1.0] * 60 + [None] + [1.0] * 39
    run = written(tmp_path, [2.0, 1.5, 1.4, None, 1.2][:3], losses)
    (warning,) = run_warnings(run)
    assert (warning.kind, warning.update) == ("not finite", 61)
    assert warning.text == "the training loss is not finite at update 61"
    assert "--learning-rate" in for_command_line(warning.cure)


@pytest.mark.parametrize("norms", [{"clipped": 0.97}, {"clipped": None, "gradient_norm": 7.0}], ids=str)
def test_clipping_of_nearly_all_updates(tmp_path, norms):
    run = written(tmp_path, **norms)
    (warning,) = run_warnings(run)
    assert warning.kind == "clipped"
    assert "exceeds clip = 1 in" in warning.text


def test_a_learning_rate_of_zero_long_before_the_end(tmp_path):
    rates = [0.01 * max(0.0, 1 - update / 60) for update in range(LINES)]
    (warning,) = run_warnings(written(tmp_path, learning_rate=rates))
    assert (warning.kind, warning.update) == ("no learning rate", 61)


def test_a_cosine_that_ends_with_the_run_is_fine(tmp_path):
    rates = [0.005 * (1 + np.cos(np.pi * update / LINES)) for update in range(LINES)]
    assert kinds(written(tmp_path, learning_rate=rates)) == []


def test_a_training_that_slows_down(tmp_path):
    (warning,) = run_warnings(written(tmp_path, tokens_per_second=[1000.0] * 90 + [300.0] * 10))
    assert warning.text == "training has slowed down from 1,000 to 300 tokens per second"


def test_a_running_training_that_falls_silent(tmp_path):
    run = written(tmp_path)
    with lock_folder(tmp_path):
        assert kinds(run) == []
        past = time.time() - 500
        os.utime(run.path, (past, past))
        assert kinds(run) == ["silent"]
    assert kinds(run) == []
