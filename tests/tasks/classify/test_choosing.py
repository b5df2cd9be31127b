"""The validation score that selects the best weights, and the message about networks that overfit."""

import json
import random

import pytest

from unspool import Classifier
from unspool.training import Reporter

OPTIONS = {"hidden": 8, "embedding": 8, "epochs": 12, "device": "cpu", "learning_rate": 0.03, "plan": False}


def rows(count, seed):
    """Texts whose label one word tells; a fifth of the labels is wrong, so that a network overfits."""
    draw = random.Random(seed)
    for _ in range(count):
        word, other = draw.choice([("fine", "yes"), ("dull", "no")]), draw.choice("abcdefgh")
        label = word[1] if draw.random() > 0.2 else draw.choice(["yes", "no"])
        yield f"{word[0]} {other} {draw.randint(0, 99)}", label


def validations(folder):
    lines = [json.loads(line) for line in (folder / "training" / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "validation"]


@pytest.mark.parametrize(("by", "score", "best"), [("nats", "nats", min), ("score", "accuracy", max)])
@pytest.mark.parametrize("several", [False, True])
def test_the_best_weights_are_those_of_the_chosen_score(tmp_path, by, score, best, several):
    score = "micro_f1" if several and score == "accuracy" else score
    task = Classifier(**OPTIONS, choose_by=by, several=several, patience=None, ngrams=False, calibrate=False)
    data, held_out = list(rows(120, 1)), list(rows(80, 2))
    if several:
        data, held_out = ([(text, [label]) for text, label in each] for each in (data, held_out))
    task.fit(data, valid=held_out, out=tmp_path / "m", reporter=Reporter(), baselines=False)
    scores = [line[score] for line in validations(tmp_path / "m")]
    assert len(scores) == 12
    assert len(set(scores)) > 3
    assert task.record.training["best_epoch"] == scores.index(best(scores)) + 1
    assert task.record.metrics["valid"][score] == pytest.approx(best(scores), rel=1e-3)
    assert task.main_score == (("micro_f1" if several else "accuracy"), True)


def advice(caplog):
    """Return the warning that a simple method does as well as the network."""
    return next(record.message for record in caplog.records if "does as well as this network" in record.message)


def test_who_overfits_is_not_advised_to_train_longer(caplog):
    draw = random.Random(3)
    data = [
        (f"{draw.choice('abcdefghijklmnop')} {draw.choice('qrstuvw')}", draw.choice(["yes", "no"])) for _ in range(200)
    ]
    task = Classifier(**OPTIONS, patience=None, ngrams=False).fit(data[:120], valid=data[120:], reporter=Reporter())
    best, epochs = task.record.training["best_epoch"], task.record.training["epochs"]
    assert best <= 0.7 * epochs
    assert f"the best weights came after epoch {best:.3g} of {epochs:.3g}, so more epochs will not help" in advice(
        caplog
    )


def test_who_still_improves_is_advised_to_train_longer(caplog):
    task = Classifier(**{**OPTIONS, "learning_rate": 1e-4, "epochs": 2}, ngrams=False)
    task.fit(list(rows(120, 1)), valid=list(rows(80, 2)), reporter=Reporter())
    assert task.record.training["best_epoch"] == 2
    assert "more data, more epochs or a smaller learning_rate may change that" in advice(caplog)
