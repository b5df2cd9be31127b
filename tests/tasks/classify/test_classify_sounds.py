"""Classification of sounds, from files and from memory: trained, resumed, scored, inspected and served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unspool
from sound_samples import sweep, sweeps, wav_bytes, write_wav
from unspool import Classifier
from unspool.data import FeatureFrames, Recording
from unspool.errors import DataError
from unspool.training import Reporter

SILENT = Reporter()
SMALL = {
    "cell": "gru",
    "hidden": 12,
    "audio.convolutions.channels": 12,
    "epochs": 10,
    "learning_rate": 0.01,
    "batch_size": 8,
    "seed": 1,
    "plan": False,
    "device": "cpu",
    "threads": 1,
}
AUGMENTED = {"shift": 20, "noise": 0.1, "speed": 0.1, "time_masks": 1, "band_masks": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sounds")
    lines = {"train": "path\tlabel\n", "test": "path\tlabel\n"}
    for part, count, seed in (("train", 36, 0), ("test", 18, 1)):
        for number, (pair, label) in enumerate(zip(*sweeps(count, seed), strict=True)):
            write_wav(place / part / label / f"{number}.wav", *pair)
            lines[part] += f"{part}/{label}/{number}.wav\t{label}\n"
    for part, text in lines.items():
        (place / f"{part}.tsv").write_text(text)
    return place


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "m"
    fit = Classifier(**SMALL).fit(folder / "train.tsv", valid=folder / "test.tsv", out=out, reporter=SILENT)
    assert fit.record.metrics["valid"]["accuracy"] >= 0.9  # a rising and a falling chirp differ in order alone
    assert fit.record.metrics["valid"]["accuracy"] > fit.record.baselines["linear"]["accuracy"]
    return unspool.load(out)


def test_a_loaded_model_scores_and_labels_files(model, folder):
    scores = model.evaluate(folder / "test.tsv")
    assert scores["accuracy"] == model.record.metrics["valid"]["accuracy"]
    assert model.evaluate(folder / "test") == scores  # the folders of the labels
    pairs, labels = sweeps(18, 1)
    assert model.evaluate(pairs, labels)["accuracy"] == scores["accuracy"]
    paths = [str(folder / "test" / label / f"{number}.wav") for number, label in enumerate(labels)]
    named = model.predict(paths)
    assert [each.text for each in named] == paths
    assert np.mean([each.label == label for each, label in zip(named, labels, strict=True)]) == scores["accuracy"]
    assert model.predict(paths[4]) == named[4]
    loud = model.predict((pairs[4][0], 8000)).probabilities
    assert loud == pytest.approx(named[4].probabilities, abs=0.02)


def test_recordings_of_another_rate_are_labelled_alike(model, folder):
    pairs, labels = sweeps(18, 1)
    from unspool.data.resampling import resample

    others = [(resample(samples, rate, 16_000), 16_000) for samples, rate in pairs]
    assert [each.label for each in model.predict(others)] == [each.label for each in model.predict(pairs)]
    assert model.score_notes(others, labels) == [
        "18 of 18 recordings have another sample rate than 8,000 Hz and were resampled"
    ]


def test_data_in_memory_train_as_files_do(folder, tmp_path):
    rows = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()[1:]]
    paths, labels = [str(folder / path) for path, _ in rows], [label for _, label in rows]
    sounds = [Recording(unspool.data.read_sound(path).samples, 8000) for path in paths]
    pairs = [(sound.samples, sound.rate) for sound in sounds]
    settings = {**SMALL, "epochs": 1}
    models = [
        Classifier(**settings).fit(train, targets, valid=folder / "test.tsv", baselines=False, reporter=SILENT)
        for train, targets in ((folder / "train.tsv", None), (paths, labels), (sounds, labels), (pairs, labels))
    ]
    for other in models[1:]:
        assert other.record.metrics == models[0].record.metrics
    assert models[2].record.data["train"]["sha256"] == models[3].record.data["train"]["sha256"]


def test_a_resumed_training_with_augmentation_ends_with_the_same_bits(folder, tmp_path):
    settings = {**SMALL, **AUGMENTED, "epochs": 3, "dropout": 0.2}

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
    for name in ("model.safetensors", "vocabulary/audio.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    with pytest.raises(DataError, match="the train data are not those"):
        Classifier(**{**settings, "epochs": 5}).fit(
            folder / "test.tsv", out=tmp_path / "cut", resume=True, baselines=False, reporter=SILENT
        )


def test_a_changed_recording_behind_the_same_table_is_noticed(folder, tmp_path):
    pairs, labels = sweeps(12)
    for number, pair in enumerate(pairs):
        write_wav(tmp_path / f"{number}.wav", *pair)
    table = tmp_path / "train.tsv"
    table.write_text("path\tlabel\n" + "".join(f"{n}.wav\t{label}\n" for n, label in enumerate(labels)))
    settings = {**SMALL, "epochs": 1}
    Classifier(**settings).fit(table, out=tmp_path / "m", baselines=False, reporter=SILENT)
    write_wav(tmp_path / "3.wav", sweep("tone", 77))
    with pytest.raises(DataError, match="the train data are not those"):
        Classifier(**{**settings, "epochs": 2}).fit(
            table, out=tmp_path / "m", resume=True, baselines=False, reporter=SILENT
        )


def test_views_of_a_sound_have_a_time_for_each_step(model, folder):
    path = str(folder / "test" / "up" / "1.wav")
    trace = model.trace(path)
    assert trace.tokens[:3] == ("0.00s", "0.02s", "0.04s")
    assert len(trace.tokens) == len(trace.arrays["layer 1 forward / update"])
    assert trace.prediction["label"] == model.predict(path).label
    measured = model.gradients(path)
    assert tuple(measured.tokens) == trace.tokens
    edited = model.trace(path, edits=["layer 1 forward / h = zero @ 2"])
    assert edited.prediction["probabilities"] != trace.prediction["probabilities"]
    assert "3 convolutions of 12, then bidirectional gru, 1 layer of 12" in model.describe()["summary"]


@pytest.mark.parametrize("setting", [{"network": "recurrent"}, {"network": "transformer", "heads": 2}], ids=str)
def test_other_networks_learn_too(folder, setting, tmp_path):
    settings = {**SMALL, **setting, "epochs": 2}
    fit = Classifier(**settings).fit(folder / "train.tsv", out=tmp_path / "m", baselines=False, reporter=SILENT)
    path = str(folder / "test" / "up" / "1.wav")
    assert unspool.load(tmp_path / "m").predict(path) == fit.predict(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"audio.convolutions.channels": 7},
        {"audio.convolutions.kernel": 3},
        {"audio.convolutions.dilations": "1,1,1"},
        {"audio.convolutions.strides": "3,1,1"},
        {"audio.convolutions.convolution_dropout": 0.5},
    ],
    ids=str,
)
def test_every_setting_of_the_convolutions_changes_the_training(folder, changes):
    def nats(settings: dict[str, Any]) -> float:
        fit = Classifier(**{**SMALL, "epochs": 1, **settings})
        fit.fit(folder / "train.tsv", valid=folder / "test.tsv", baselines=False, reporter=SILENT)
        return float(fit.record.metrics["valid"]["nats"])

    assert nats(changes) != nats({})


def test_several_labels_of_a_sound(folder, tmp_path):
    table = tmp_path / "a.tsv"
    names = {"tone": "flat", "up": "moving,rising", "down": "moving,falling"}
    rows = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()[1:]]
    table.write_text("path\tlabels\n" + "".join(f"{folder / path}\t{names[label]}\n" for path, label in rows))
    fit = Classifier(**SMALL, several=True).fit(table, baselines=False, reporter=SILENT)
    assert fit.classes_[0] == "moving"
    assert set(fit.classes_) == {"moving", "flat", "falling", "rising"}


def test_bad_sounds_are_counted_with_skip_bad(folder, tmp_path):
    write_wav(tmp_path / "silent.wav", np.zeros(900))
    rows = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()[1:]]
    text = "path\tlabel\n" + "".join(f"{folder / path}\t{label}\n" for path, label in rows)
    (tmp_path / "a.tsv").write_text(text + "silent.wav\tup\nmissing.wav\tup\n")
    with pytest.raises(DataError, match=r"a\.tsv:38: .*silent\.wav: the recording is silent"):
        Classifier(**SMALL).fit(tmp_path / "a.tsv", reporter=SILENT)
    fit = Classifier(**{**SMALL, "epochs": 1}, skip_bad=True)
    fit.fit(tmp_path / "a.tsv", baselines=False, reporter=SILENT)
    assert fit.skipped == 2
    with pytest.raises(DataError, match=r"text 2: int came; expected a path"):
        fit.predict([str(folder / "test" / "up" / "1.wav"), 3])


def test_short_clips_of_bytes_are_values_too(model):
    x = sweep("up", 5)
    one, other = model.predict(wav_bytes(x, bits=32, kind=3)), model.predict((x, 8000))
    assert one.probabilities == other.probabilities


def test_a_training_plans_augmentation_unless_the_settings_are_passed(folder):
    def settings_of(source: Any, labels: Any = None, **values: Any) -> Any:
        fit = Classifier(**{"epochs": 1, "hidden": 5, "seed": 1, "device": "cpu", "threads": 1, **values})
        return fit.fit(source, labels, baselines=False, reporter=SILENT).settings

    planned = settings_of(folder / "train.tsv", noise=0.3)
    assert (planned.network.cell, planned.network.network) == ("gru", "convolutional")
    audio = planned.audio
    assert (audio.speed, audio.noise, audio.equalizer, audio.time_masks, audio.band_masks) == (0.15, 0.3, 10.0, 1, 1)
    assert settings_of(folder / "train.tsv", features="cepstra").audio.equalizer == 0
    generator = np.random.default_rng(0)
    frames = [FeatureFrames(generator.normal(size=(9, 4)).astype(np.float32)) for _ in range(8)]
    assert settings_of(frames, list("abababab")).audio.speed == 0
    assert not settings_of(folder / "train.tsv", plan=False).audio.augments
