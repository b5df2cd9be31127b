"""Classification of images, from files and from memory: trained, resumed, scored, inspected."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import unspool
from image_samples import LABELS, many_stripes, stripes, write_image
from unspool import Classifier
from unspool.data import Images, image_of
from unspool.errors import DataError, UsageError
from unspool.training import Reporter

SILENT = Reporter()
SMALL = {
    "image.residual.widths": "6,8",
    "pooling": "mean",
    "epochs": 6,
    "learning_rate": 0.02,
    "batch_size": 8,
    "seed": 1,
    "plan": False,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("images")
    lines = {"train": "path\tlabel\n", "test": "path\tlabel\n"}
    for part, count, seed in (("train", 36, 0), ("test", 18, 1)):
        for number, (pixels, label) in enumerate(zip(*many_stripes(count, seed), strict=True)):
            write_image(place / part / label / f"{number}.png", pixels)
            lines[part] += f"{part}/{label}/{number}.png\t{label}\n"
    for part, text in lines.items():
        (place / f"{part}.tsv").write_text(text)
    return place


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "m"
    fit = Classifier(**SMALL).fit(folder / "train.tsv", valid=folder / "test.tsv", out=out, reporter=SILENT)
    assert fit.record.metrics["valid"]["accuracy"] >= 0.9  # stripes of a random phase
    assert fit.record.metrics["valid"]["accuracy"] > fit.record.baselines["linear"]["accuracy"]
    return unspool.load(out)


def test_a_loaded_model_scores_and_labels_files(model, folder):
    scores = model.evaluate(folder / "test.tsv")
    assert scores["accuracy"] == model.record.metrics["valid"]["accuracy"]
    assert model.evaluate(folder / "test") == scores  # the folders of the labels
    images, labels = many_stripes(18, 1)
    assert model.evaluate(images, labels) == scores
    assert model.evaluate(np.stack(images), labels) == scores
    paths = [str(folder / "test" / label / f"{number}.png") for number, label in enumerate(labels)]
    named = model.predict(paths)
    assert [each.text for each in named] == paths
    assert np.mean([each.label == label for each, label in zip(named, labels, strict=True)]) == scores["accuracy"]
    assert model.predict(paths[4]).probabilities == pytest.approx(named[4].probabilities, abs=1e-6)
    for value in (images[4], images[4][:, :, 0], image_of(images[4], "x")):
        assert model.predict(value).probabilities == pytest.approx(named[4].probabilities, abs=1e-6)


def test_data_in_memory_train_as_files_do(folder):
    images, labels = many_stripes(36)
    rows = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()[1:]]
    paths = [str(folder / path) for path, _ in rows]
    settings = {**SMALL, "epochs": 1}
    models = [
        Classifier(**settings).fit(train, targets, valid=folder / "test.tsv", baselines=False, reporter=SILENT)
        for train, targets in ((folder / "train.tsv", None), (paths, labels), (images, labels))
    ]
    for other in models[1:]:
        assert other.record.metrics == models[0].record.metrics


def test_a_resumed_training_with_augmentation_ends_with_the_same_bits(folder, tmp_path):
    settings = {**SMALL, "move": 2, "flip": True, "random_crop": 0.2, "epochs": 3, "dropout": 0.2, "average": "ema"}

    class Stop(Reporter):
        def validated(self, progress: Any, metrics: Any, improved: Any) -> None:
            if progress.epoch >= 2:
                raise RuntimeError("power cut")

    def fit(name: str, reporter: Reporter, **more: Any) -> Classifier:
        train = Classifier(**settings)
        return train.fit(folder / "train.tsv", out=tmp_path / name, baselines=False, reporter=reporter, **more)

    fit("whole", SILENT)
    with pytest.raises(RuntimeError, match="power cut"):
        fit("cut", Stop())
    fit("cut", SILENT, resume=True)
    for name in ("model.safetensors", "vocabulary/images.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    with pytest.raises(DataError, match="the train data are not those"):
        Classifier(**settings).fit(
            folder / "test.tsv", out=tmp_path / "cut", resume=True, baselines=False, reporter=SILENT
        )


@pytest.mark.parametrize("network", ["recurrent", "transformer", "feedforward"])
def test_every_network_learns_and_traces(folder, network):
    more = {"recurrent": {"cell": "gru", "scan": "rows"}, "transformer": {"heads": 2, "patch": 2}}.get(network, {})
    settings = {**SMALL, **more, "network": network, "hidden": 16, "learning_rate": 0.01, "feedforward": 32}
    fit = Classifier(**settings, dropout=0.0).fit(
        folder / "train.tsv", valid=folder / "test.tsv", baselines=False, reporter=SILENT
    )
    assert fit.record.metrics["valid"]["nats"] < 1.0  # log 3 is 1.1
    trace = fit.trace(stripes("down", 5))
    assert trace.tokens == fit.fitted.input.positions(None)
    assert fit.picture_maps(stripes("down", 5)).maps.keys() == {f"saliency of {trace.prediction['label']}"}


def test_the_plan_depends_on_the_network(folder):
    settings = {"epochs": 1, "seed": 1, "device": "cpu", "threads": 1, "hidden": 8}
    fit = Classifier(**settings).fit(folder / "train.tsv", baselines=False, reporter=SILENT)
    assert (fit.settings.network.network, fit.settings.training.learning_rate) == ("convolutional", 0.01)
    fit = Classifier(**settings, network="feedforward").fit(folder / "train.tsv", baselines=False, reporter=SILENT)
    assert (fit.settings.training.learning_rate, fit.settings.network.layers) == (0.002, 2)


# ---- several labels --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several():
    images, labels = many_stripes(120)
    both = [[label, "bright"] if place % 2 else [label] for place, label in enumerate(labels)]
    lit = [image // 2 + 120 * (place % 2) for place, image in enumerate(images)]
    settings = {**SMALL, "several": True, "valid_fraction": 0.5, "epochs": 3, "batch_size": 16}
    fit = Classifier(**settings).fit([image.astype(np.uint8) for image in lit], both, baselines=False, reporter=SILENT)
    return fit, [image.astype(np.uint8) for image in lit], both


def test_thresholds_of_several_labels_come_from_validation_data(several, tmp_path):
    model, images, _ = several
    thresholds = model.fitted.thresholds
    assert thresholds.shape == (4,)
    assert len(set(thresholds.tolist())) > 1
    (predicted,) = model.predict(images[:1])
    chosen = dict(zip(model.classes_, thresholds, strict=True))
    assert set(predicted.labels) == {name for name, share in predicted.probabilities.items() if share >= chosen[name]}
    model.save(tmp_path / "m")
    assert unspool.load(tmp_path / "m").predict(images) == model.predict(images)


def test_a_threshold_of_the_user_counts_for_all_labels(several):
    _, images, labels = several
    settings = {**SMALL, "several": True, "epochs": 1, "threshold": 0.01}
    model = Classifier(**settings).fit(images[:24], labels[:24], baselines=False, reporter=SILENT)
    assert model.fitted.thresholds is None
    assert len(model.predict(images[0]).labels) == 4


def test_scores_by_label_are_those_of_the_predictions(several, model, folder):
    multi, images, labels = several
    by_label = multi.score_labels(images, labels)
    predicted = [set(each.labels) for each in multi.predict(images)]
    right = sum("bright" in each and "bright" in gold for each, gold in zip(predicted, labels, strict=True))
    assert by_label["bright"]["recall"] == right / 60
    assert by_label["bright"]["precision"] == right / sum("bright" in each for each in predicted)
    assert np.mean([each["f1"] for each in by_label.values()]) == pytest.approx(
        multi.evaluate(images, labels)["macro_f1"], abs=1e-6
    )
    single = model.score_labels(folder / "test.tsv")
    assert sum(each["support"] for each in single.values()) == 18


# ---- views -----------------------------------------------------------------------------------------------------------


def test_saliency_is_the_derivative_of_the_score(model):
    value = model.fitted.input.value(stripes("down", 3), "x")
    batch = model.fitted.input.encode([value], [""]).batch(np.array([0]))
    place = model.fitted.labels.id("across")
    maps = model.picture_maps(stripes("down", 3), target="across").maps
    assert list(maps) == ["saliency of across", "stage 1 / norm", "stage 2 / norm"]
    step = 1e-2

    def score(y: int, x: int, change: float) -> float:
        values = batch.values.clone()
        values[0, 0, y, x] += change
        return float(model.model(Images(values, batch.steps)).logits[0, place].detach())

    largest = np.unravel_index(maps["saliency of across"].argmax(), (10, 13))
    slope = (score(*largest, step) - score(*largest, -step)) / (2 * step)
    assert maps["saliency of across"][largest] == pytest.approx(abs(slope), rel=0.05)
    with pytest.raises(UsageError, match="there is no label 'acros'"):
        model.picture_maps(stripes("down", 3), target="acros")


def test_confusions_are_counted_and_the_surest_mistakes_come_first(model):
    images, labels = many_stripes(30, 2)
    wrong = [LABELS[(LABELS.index(label) + (place % 5 == 0)) % 3] for place, label in enumerate(labels)]
    confusion = model.confusion(images, wrong, most=2)
    predicted = [each.label for each in model.predict(images)]
    for row, right in enumerate(confusion.labels):
        for column, answer in enumerate(confusion.labels):
            pairs = sum((one, other) == (right, answer) for one, other in zip(wrong, predicted, strict=True))
            assert confusion.counts[row, column] == pairs
    for (row, column), worst in confusion.worst.items():
        assert row != column
        assert len(worst) == min(2, confusion.counts[row, column])
        shares = [each.probability for each in worst]
        assert shares == sorted(shares, reverse=True)
        place = int(worst[0].where.split()[-1]) - 1
        np.testing.assert_array_equal(worst[0].picture, images[place])


def test_a_confusion_matrix_is_written_with_its_pictures(model, folder, tmp_path):
    images, labels = many_stripes(12, 2)
    confusion = model.confusion(images, labels[1:] + labels[:1])
    for suffix in (".html", ".json", ".csv"):
        confusion.save(tmp_path / f"a{suffix}")
    assert (tmp_path / "a.html").read_text().count("data:image/png;base64,") == sum(map(len, confusion.worst.values()))
    assert json.loads((tmp_path / "a.json").read_text())["counts"] == confusion.counts.tolist()
    with pytest.raises(UsageError, match="one label for each example"):
        Classifier(**{**SMALL, "several": True, "epochs": 1}).fit(
            images, [[each] for each in labels], baselines=False, reporter=SILENT
        ).confusion(images, labels)
