"""One temperature for a classifier's probabilities: the fit, the file, and where it is applied."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import unspool
from unspool import Classifier
from unspool.errors import ModelFolderError
from unspool.tasks.parts.calibration import (
    Calibration,
    fit_calibration,
    fit_temperature,
    load_calibration,
    mean_nats,
    save_calibration,
)
from unspool.tasks.parts.metrics import expected_calibration_error
from unspool.training import Reporter

TINY = {"hidden": 6, "embedding": 5, "epochs": 4, "device": "cpu", "seed": 1, "ngrams": False}


def drawn(temperature: float, count: int = 4000, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels drawn by the probabilities that these scores have at a temperature."""
    chance = np.random.default_rng(3)
    logits = chance.normal(size=(count, labels)) * 3
    shares = np.exp(logits / temperature)
    shares /= shares.sum(axis=1, keepdims=True)
    return logits, np.array([chance.choice(labels, p=row) for row in shares])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_drew_the_labels_is_fitted(temperature):
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.06)


def test_with_several_labels_the_sigmoid_takes_the_place_of_the_softmax():
    chance = np.random.default_rng(4)
    logits = chance.normal(size=(3000, 5)) * 4
    targets = (chance.random(logits.shape) < 1 / (1 + np.exp(-logits / 2))).astype(np.float32)
    assert fit_temperature(logits, targets) == pytest.approx(2, rel=0.06)


def test_examples_that_are_all_right_give_no_extreme_temperature():
    logits = np.eye(2)[np.arange(60) % 2] * 4
    temperature = fit_temperature(logits, np.arange(60) % 2)
    assert 0.2 < temperature < 1


def test_calibration_error_is_the_gap_between_confidence_and_share_of_right_answers():
    # bins of width 1/15: 0.95 twice, one right (gap 0.45); 0.55 twice, both right (gap 0.45); 0.7 once, wrong (gap 0.7)
    error = expected_calibration_error([0.95, 0.95, 0.55, 0.55, 0.7], [True, False, True, True, False])
    assert error == pytest.approx((2 * 0.45 + 2 * 0.45 + 0.7) / 5)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0


def test_a_temperature_survives_its_file_to_the_bit_and_one_needs_none(tmp_path):
    save_calibration(Calibration(1.3700000000000003), tmp_path)
    assert load_calibration(tmp_path) == Calibration(1.3700000000000003, 0.0)
    assert (tmp_path / "calibration.json").read_text() == '{"temperature":1.3700000000000003}\n'
    save_calibration(Calibration(2.0, 0.30000000000000004), tmp_path)
    assert load_calibration(tmp_path) == Calibration(2.0, 0.30000000000000004)
    save_calibration(Calibration(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert load_calibration(tmp_path) == Calibration()


@pytest.mark.parametrize(
    "text",
    ["{", '{"temperature": 0.0}', '{"temperature": -1.5}', '{"temperature": "hot"}', "[]", '{"linear": -1}'],
)
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(ModelFolderError, match=r"calibration\.json is damaged"):
        load_calibration(tmp_path)


class Notes(Reporter):
    """Collects what is said."""

    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def write(path, count, *, wrong=0.0, several=False):
    """Texts whose label one word tells; a share of the labels is wrong."""
    draw = random.Random(7)
    lines = ["text\tlabel"]
    for _ in range(count):
        word = draw.choice(["fine", "dull"])
        right = {"fine": "yes", "dull": "no"}[word]
        label = right if draw.random() >= wrong else {"yes": "no", "no": "yes"}[right]
        labels = f"{label},{draw.choice(['big', 'small'])}" if several else label
        lines.append(f"{word} {draw.choice('abcdefgh')} {draw.choice('ijklmnop')}\t{labels}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A calibrated classifier, its folder, its validation data and what was said."""
    folder = tmp_path_factory.mktemp("calibrated")
    notes = Notes()
    valid = write(folder / "valid.tsv", 120, wrong=0.3)
    task = Classifier(**{**TINY, "epochs": 15}, learning_rate=0.1, validate_every=15)
    task.fit(write(folder / "train.tsv", 60), valid=valid, out=folder / "model", reporter=notes, baselines=False)
    return task, folder / "model", valid, notes.lines


def test_training_calibrates_and_says_both_errors(fitted):
    task, _, _, lines = fitted
    assert task.fitted.calibration.temperature > 1.5
    (line,) = [line for line in lines if "temperature" in line]
    assert f"temperature {task.fitted.calibration.temperature:.3g}; expected calibration error" in line
    before, after = (float(line.split()[-at].rstrip(",")) for at in (4, 2))
    assert after < 0.1 < before
    assert after == pytest.approx(task.record.metrics["valid"]["calibration_error"], abs=6e-4)


def test_predict_trace_and_evaluate_apply_it_alike_and_leave_accuracy(fitted):
    task, _, valid, _ = fitted
    text = "fine b k"
    at_temperature, scores = task.predict([text])[0].probabilities, task.evaluate(valid)
    assert task.trace(text).prediction["probabilities"] == pytest.approx(at_temperature, rel=1e-5)
    before, task.fitted.calibration = task.fitted.calibration, Calibration()
    try:
        plain, plain_scores = task.predict([text])[0].probabilities, task.evaluate(valid)
    finally:
        task.fitted.calibration = before
    odds, plain_odds = (np.log(shares["yes"] / shares["no"]) for shares in (at_temperature, plain))
    assert odds == pytest.approx(plain_odds / before.temperature, rel=1e-4)
    assert scores["accuracy"] == plain_scores["accuracy"]
    assert scores["nats"] < plain_scores["nats"]


def test_the_folder_holds_the_temperature(fitted):
    task, folder, _, _ = fitted
    loaded = unspool.load(folder)
    assert loaded.fitted.calibration == task.fitted.calibration
    assert loaded.predict(["dull c m"]) == task.predict(["dull c m"])
    (folder / "vocabulary" / "calibration.json").rename(folder / "aside.json")
    try:  # as a folder that was saved before there was calibration
        assert unspool.load(folder).fitted.calibration == Calibration()
    finally:
        (folder / "aside.json").rename(folder / "vocabulary" / "calibration.json")


def test_a_resumed_training_ends_with_the_same_temperature(fitted, tmp_path):
    data = {"train": write(tmp_path / "train.tsv", 60), "valid": write(tmp_path / "valid.tsv", 120, wrong=0.3)}
    options = {**TINY, "learning_rate": 0.05, "schedule": "constant", "warmup": 0}
    whole = Classifier(**options).fit(**data, baselines=False, reporter=Reporter())
    Classifier(**{**options, "epochs": 2}).fit(**data, out=tmp_path / "m", baselines=False, reporter=Reporter())
    resumed = Classifier(**options)
    resumed.fit(**data, out=tmp_path / "m", resume=True, baselines=False, reporter=Reporter())
    assert resumed.fitted.calibration == whole.fitted.calibration
    assert resumed.record.metrics == whole.record.metrics


@pytest.mark.parametrize(
    ("valid", "options"), [(120, {"calibrate": False}), (49, {}), (None, {"valid_fraction": 0.0})], ids=str
)
def test_no_temperature_where_it_is_off_or_too_few_examples_validate(tmp_path, valid, options):
    task = Classifier(**{**TINY, "epochs": 1}, **options)
    path = None if valid is None else write(tmp_path / "valid.tsv", valid)
    task.fit(write(tmp_path / "train.tsv", 60), valid=path, baselines=False, reporter=Reporter())
    assert task.fitted.calibration == Calibration()


def test_several_labels_are_calibrated_too(tmp_path):
    task = Classifier(**TINY, several=True, threshold=0.5, learning_rate=0.05)
    valid = write(tmp_path / "valid.tsv", 120, wrong=0.3, several=True)
    train = write(tmp_path / "train.tsv", 60, several=True)
    task.fit(train, valid=valid, baselines=False, reporter=Reporter())
    scores = task.evaluate(valid)
    assert task.fitted.calibration.temperature != 1
    task.fitted.calibration = Calibration()
    plain = task.evaluate(valid)
    assert {name: scores[name] for name in ("micro_f1", "exact_match")} == {
        name: plain[name] for name in ("micro_f1", "exact_match")
    }
    assert 0 < scores["calibration_error"] < 1


@pytest.mark.parametrize("several", [False, True])
def test_the_better_of_two_models_gets_the_larger_share(several):
    chance = np.random.default_rng(5)
    good = chance.normal(size=(2000, 3)) * 3
    if several:
        targets = (chance.random(good.shape) < 1 / (1 + np.exp(-good))).astype(np.float32)
    else:
        targets = np.array([chance.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in good])
    bad = good + chance.normal(size=good.shape) * 12
    for network, linear in ((good, bad), (bad, good)):
        found = fit_calibration(network, linear, targets)
        mixed = mean_nats(network * found.network + linear * found.linear, targets)
        alone = [mean_nats(each / fit_temperature(each, targets), targets) for each in (network, linear)]
        assert mixed <= min(alone) + 1e-6
        shares = np.array([found.network, found.linear]) * [np.std(network), np.std(linear)]
        assert (shares[0] > 3 * shares[1]) == (network is good)


def test_two_models_with_errors_of_their_own_are_better_together():
    chance = np.random.default_rng(6)
    truth = chance.normal(size=(2000, 3)) * 3
    targets = truth.argmax(1)
    one, other = (truth + chance.normal(size=truth.shape) * 3 for _ in range(2))
    found = fit_calibration(one, 5 * other, targets)
    mixed = mean_nats(one * found.network + 5 * other * found.linear, targets)
    assert mixed < 0.9 * min(mean_nats(each / fit_temperature(each, targets), targets) for each in (one, other))


def test_mean_nats_is_the_cross_entropy_of_torch():
    logits, targets = drawn(1.0, count=50)
    ours = mean_nats(logits, targets)
    theirs = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets))
    assert ours == pytest.approx(float(theirs))
    several = (targets[:, None] == np.arange(4)).astype(np.float32)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logits), torch.from_numpy(several).double(), reduction="sum"
    )
    assert mean_nats(logits, several) == pytest.approx(float(theirs) / 50)


def test_the_linear_model_decides_with_the_network_and_is_saved(tmp_path):
    valid, train = write(tmp_path / "valid.tsv", 120, wrong=0.3), write(tmp_path / "train.tsv", 60)
    task = Classifier(**{**TINY, "ngrams": True, "epochs": 1}, learning_rate=1e-5)  # the network learns nothing
    task.fit(train, valid=valid, out=tmp_path / "m", reporter=Reporter(), baselines=False)
    assert task.fitted.calibration.linear > 0
    assert task.record.metrics["valid"]["accuracy"] > 0.6
    loaded = unspool.load(tmp_path / "m")
    assert loaded.predict(["dull c m", "fine"]) == task.predict(["dull c m", "fine"])
    assert loaded.trace("fine b k").prediction["probabilities"] == pytest.approx(
        task.predict(["fine b k"])[0].probabilities, rel=1e-5
    )


@pytest.mark.parametrize("options", [{"calibrate": False}, {"valid_fraction": 0.0}], ids=str)
def test_without_validation_network_and_linear_model_count_alike(tmp_path, options):
    task = Classifier(**{**TINY, "ngrams": True, "epochs": 1}, **options)
    task.fit(write(tmp_path / "train.tsv", 60), baselines=False, reporter=Reporter())
    assert task.fitted.calibration == Calibration(temperature=2.0, linear=0.5)
