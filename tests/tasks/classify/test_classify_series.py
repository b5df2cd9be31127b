"""Classification of series: layouts of the data, networks, masks and baselines."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

import unspool
from unspool import Classifier
from unspool.errors import DataError, ModelFolderError
from unspool.inputs import read_labelled
from unspool.inputs.series.reading import read_series
from unspool.settings import make
from unspool.tasks.classify.nearest_series import nearest_by_warping, warping_distances
from unspool.tasks.classify.settings import ClassifierSettings
from unspool.tasks.parts.calibration import Calibration
from unspool.tasks.parts.random_convolutions import RandomConvolutions, _ridge
from unspool.training import Reporter

SILENT = Reporter()
SMALL = {"hidden": 8, "channels": 12, "threads": 1, "batch_size": 8, "dropout": 0.0, "convolution_dropout": 0.0}


def waves(count=48, *, channels=2, seed=0, missing=0.0):
    """Two classes of noisy waves with different frequencies, of 12 to 30 steps."""
    generator = np.random.default_rng(seed)
    series, labels = [], []
    for place in range(count):
        steps = np.arange(generator.integers(12, 31))
        slow = place % 2 == 0
        phase = generator.uniform(0, 6)
        value = np.stack([np.sin((0.5 if slow else 1.1) * steps + phase + each) for each in range(channels)], 1)
        value = value + 0.2 * generator.normal(size=value.shape)
        value[generator.random(value.shape) < missing] = np.nan
        value[-1] = generator.normal(size=channels)
        series.append(value)
        labels.append("slow" if slow else "fast")
    return series, labels


def listed(value):
    return [[None if number != number else number for number in step] for step in value.tolist()]


@pytest.fixture(scope="module", params=["fcn", "lstm-fcn", "recurrent", "convolutional"])
def trained(request, tmp_path_factory):
    series, labels = waves(missing=0.1)
    folder = tmp_path_factory.mktemp("models") / "m"
    model = Classifier(**SMALL, network=request.param, cell="gru", epochs=25, learning_rate=1e-2, valid_fraction=0.2)
    test = waves(40, seed=1, missing=0.1)
    return model.fit(list(map(listed, series)), labels, test=(list(map(listed, test[0])), test[1]), out=folder,
                     reporter=SILENT), folder  # fmt: skip


def test_networks_learn_to_tell_waves_apart(trained):
    model, _ = trained
    assert model.record.metrics["test"]["accuracy"] >= 0.9
    assert set(model.record.baselines) == {"majority class", "linear", "nearest by DTW", "random convolutions"}
    assert model.record.baselines["random convolutions"]["accuracy"] >= 0.9


def test_a_series_is_classified_alone_as_in_a_batch(trained):
    model, folder = trained
    series = list(map(listed, waves(9, seed=2, missing=0.1)[0]))
    together = model.predict(series)
    for each, answer in zip(series, together, strict=True):
        alone = model.predict([each])[0]
        assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-5)
    loaded = unspool.load(folder).predict(series)
    assert [answer.probabilities for answer in loaded] == [answer.probabilities for answer in together]


def test_a_missing_number_is_masked(trained):
    model, _ = trained
    value = waves(1, seed=3)[0][0]
    value[4] = np.nan
    encoded = model.fitted.input.encode([value.astype(np.float32)], ["here"])
    features = encoded.features[0]
    assert features.shape[1] == 4
    assert (features[4] == [0, 0, 1, 1]).all()
    assert not features[:, 2:][np.arange(len(value)) != 4].any()


def test_a_trace_shows_each_step(trained):
    model, _ = trained
    trace = model.trace(listed(waves(1, seed=4)[0][0]))
    steps = len(waves(1, seed=4)[0][0])
    assert trace.tokens == tuple(str(step) for step in range(1, steps + 1))
    if model.settings.network.network in ("recurrent", "convolutional"):
        assert trace.array("layer 1 forward / h").shape == (steps, 8)
    with pytest.raises(DataError, match="1 channels came; expected 2"):
        model.predict(["1 2 3 4"])


# ---- layouts ---------------------------------------------------------------------------------------------------------


def read(path, **options):
    reader = read_labelled(str(path), settings=make(ClassifierSettings, {}), **options)
    return list(reader), reader.layout


def same(examples, series, labels):
    assert [each.labels for each in examples] == [(label,) for label in labels]
    for each, value in zip(examples, series, strict=True):
        assert np.allclose(each.value, value, equal_nan=True, atol=1e-6)


def test_every_layout_holds_the_same_series(tmp_path):
    series, labels = waves(4, missing=0.1)
    pairs = list(zip(series, labels, strict=True))
    lines = [json.dumps({"label": label, "series": listed(value)}) for value, label in pairs]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    same(read(tmp_path / "a.jsonl")[0], series, labels)

    parts = [":".join(",".join("?" if x != x else str(x) for x in column) for column in value.T) for value in series]
    rows = [f"{part}:{label}" for part, label in zip(parts, labels, strict=True)]
    head = [
        "# waves",
        "@problemName waves",
        "@timeStamps false",
        "@univariate false",
        "@classLabel true slow fast",
        "@data",
    ]
    (tmp_path / "a.ts").write_text("\n".join([*head, *rows]))
    same(read(tmp_path / "a.ts")[0], series, labels)

    table = ["id,step,x,y,label"]
    for number, (value, label) in enumerate(pairs):
        for step, row in enumerate(value):
            table.append(",".join([f"s{number}", str(step), *("" if x != x else str(x) for x in row), label]))
    (tmp_path / "a.csv").write_text("\n".join(table))
    examples, layout = read(tmp_path / "a.csv", input="series")
    assert layout.values == ("x", "y")
    same(examples, series, labels)

    for number, (value, label) in enumerate(pairs):
        folder = tmp_path / "classes" / label
        folder.mkdir(parents=True, exist_ok=True)
        body = [",".join("" if x != x else str(x) for x in row) for row in value]
        (folder / f"{number}.csv").write_text("\n".join(["x,y", *body]))
    examples, _ = read(tmp_path / "classes", input="series")
    order = [1, 3, 0, 2]
    same(examples, [series[place] for place in order], [labels[place] for place in order])


def test_numbered_columns_are_steps_and_other_columns_stay_numbers(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 12))
    head = ",".join(["label", *(f"t{step}" for step in range(12))])
    body = [",".join([str(number % 2), *map(str, row)]) for number, row in enumerate(values)]
    (tmp_path / "a.csv").write_text("\n".join([head, *body]))
    examples, layout = read(tmp_path / "a.csv")
    assert layout.input == "series"
    same(examples, values[..., None], [str(number % 2) for number in range(6)])
    (tmp_path / "b.csv").write_text("\n".join([head.replace("t", "pixel"), *body]))
    assert read(tmp_path / "b.csv", label="1")[1].input == "vectors"
    (tmp_path / "c.tsv").write_text("\n".join(line.replace(",", "\t") for line in body))
    examples, _ = read(tmp_path / "c.tsv", input="series", label="1")
    assert all(each.value.shape[0] in (11, 12) for each in examples)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"label": "a", "series": [[1, 2], [3]]}', "a.jsonl:3.*differ in their number of channels"),
        ('{"label": "a", "series": [[1, 2], [3, 1e999]]}', "a.jsonl:3"),
        ('{"label": "a", "series": [[null, null]]}', "a.jsonl:3.*no number in this series"),
        ('{"label": "a", "series": []}', "a.jsonl:3.*expected a list of numbers"),
    ],
)
def test_bad_series_are_refused_with_file_and_line(tmp_path, line, message):
    good = json.dumps({"label": "b", "series": [[1, 2], [3, 4]]})
    (tmp_path / "a.jsonl").write_text("\n".join([good, good, line]))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.jsonl")


def test_a_bad_row_among_series_to_predict_is_refused_with_file_and_line(tmp_path):
    (tmp_path / "a.csv").write_text("t1,t2,t3\n1,2,3\n4,5\n6,7,8\n")
    with pytest.raises(DataError, match=r"a\.csv:3: 2 cells, expected 3"):
        list(read_series(str(tmp_path / "a.csv"), columns=("t1", "t2", "t3")))


# ---- baselines -------------------------------------------------------------------------------------------------------


def plain_warping(one, other):
    table = np.full((len(one) + 1, len(other) + 1), np.inf)
    table[0, 0] = 0
    for i in range(len(one)):
        for j in range(len(other)):
            cost = np.square(one[i] - other[j]).sum()
            table[i + 1, j + 1] = cost + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return table[-1, -1]


def test_warping_distances_are_those_of_the_plain_loop():
    generator = np.random.default_rng(0)
    one = generator.normal(size=(9, 3)).astype(np.float32)
    others = [generator.normal(size=(steps, 3)).astype(np.float32) for steps in (1, 4, 9, 17)]
    for series in (one, one[:1]):
        assert warping_distances(series, others) == pytest.approx([plain_warping(series, each) for each in others])


def test_the_nearest_neighbour_of_japanese_vowels_is_as_published(data):
    """94.9 % on raw values without a window, as the data's own card says."""
    parts = []
    for name in ("train.jsonl", "test.jsonl"):
        rows = [json.loads(line) for line in (data("japanese_vowels") / name).read_text().splitlines()][::3]
        parts.append(([np.array(row["series"], np.float32) for row in rows], [row["label"] for row in rows]))
    (train, labels), (test, right) = parts
    predicted = nearest_by_warping(train, test)
    assert np.mean([labels[place] == label for place, label in zip(predicted, right, strict=True)]) > 0.85


def test_random_convolutions_ignore_padding_and_learn():
    series, labels = waves(40, seed=5)
    series = [value.astype(np.float32) for value in series]
    targets = np.array([label == "slow" for label in labels]).astype(np.int64)
    model = RandomConvolutions.learn(series[:20], targets[:20], 2)
    together = model.predict(series[20:])
    assert np.array_equal(together, [model.predict([each])[0] for each in series[20:]])
    assert (together == targets[20:]).mean() >= 0.9


def test_the_outputs_without_an_example_are_those_of_a_regression_without_it():
    random = np.random.default_rng(0)
    inputs, outputs = random.normal(size=(9, 14)), random.normal(size=(9, 2))
    fitted = _ridge(inputs, outputs)
    penalty = min(
        np.logspace(-3, 5, 17), key=lambda each: np.abs(_solved(inputs, outputs, each) - fitted.weights).max()
    )
    for place in range(9):
        others = np.arange(9) != place
        alone = inputs[place] @ _solved(inputs[others], outputs[others], penalty)
        assert np.allclose(fitted.unseen[place], alone, atol=1e-8)


def _solved(inputs, outputs, penalty):
    return np.linalg.solve(inputs.T @ inputs + penalty * np.eye(inputs.shape[1]), inputs.T @ outputs)


def test_random_convolutions_are_a_part_of_the_model_and_of_its_folder(trained, tmp_path):
    model, folder = trained
    values = [value.astype(np.float32) for value in waves(9, seed=7, missing=0.1)[0]]
    linear = model.fitted.linear
    assert isinstance(linear, RandomConvolutions)
    calibration = Calibration(temperature=1.7, linear=0.6)
    network = model._logits(model.model, model.fitted.input.encode(values, ["x"] * 9))
    again = unspool.load(folder)
    again.fitted.calibration = calibration
    logits = torch.from_numpy(network) / 1.7 + 0.6 * linear.logits(model.fitted.steps(values))
    names = again.fitted.labels.names
    for row, answer in zip(logits.softmax(-1).tolist(), again.predict(list(map(listed, values))), strict=True):
        assert answer.probabilities == pytest.approx(dict(zip(names, row, strict=True)), abs=1e-5)
    for change in ({"channels": 7}, {"longest": 0}):
        shutil.copytree(folder, tmp_path / "m", dirs_exist_ok=True)
        file = tmp_path / "m" / "vocabulary" / "convolutions.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
        with pytest.raises(ModelFolderError, match=r"convolutions\.json"):
            unspool.load(tmp_path / "m")


def test_gradients_reach_every_weight(trained):
    model, _ = trained
    encoded = model._encode(unspool.tasks.classify.data.LabelledExamples(
        [value.astype(np.float32) for value in waves(6, seed=6, missing=0.1)[0]], [("slow",), ("fast",)] * 3, ["x"] * 6,
        "series"))  # fmt: skip
    network = model.model.train()
    network.zero_grad()
    network.loss(encoded.batch(np.arange(6))).total.backward()
    silent = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    network.eval()
    assert silent == []
    assert torch.isfinite(network.output.weight.grad).all()
