"""Sounds as input: found in tables and folders, standardised, augmented in training alone, and encoded."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from sound_samples import sweep, sweeps, wav_bytes, write_mfc, write_wav
from unspool.data import Bucketed, FeatureFrames, Layout, Recording
from unspool.data.resampling import resample
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs import INPUTS, read_labelled
from unspool.inputs.audio.augmentation import change_samples, mask_features
from unspool.inputs.audio.entry import read_sound_paths
from unspool.inputs.audio.features import features_of as features_of_all
from unspool.inputs.audio.fitted import FittedAudio
from unspool.inputs.audio.settings import AudioSettings, ConvolutionSettings
from unspool.inputs.augmentation import generator_for
from unspool.tasks.classify.settings import ClassifierSettings


def features_of(samples: torch.Tensor, rate: int, chosen: AudioSettings) -> torch.Tensor:
    (only,) = features_of_all([samples], rate, chosen)
    return only


def recordings(count: int = 6) -> list[Recording]:
    pairs, _ = sweeps(count)
    return [Recording(samples, rate, f"{place}.wav") for place, (samples, rate) in enumerate(pairs)]


def settings(network: str = "convolutional", **audio: object) -> ClassifierSettings:
    return ClassifierSettings().replace(
        **{"network.network": network, "network.cell": "gru", "network.hidden": 5, "network.dropout": 0.0},
        **{f"audio.{name}": value for name, value in audio.items()},
    )


def learned(values: list | None = None, **audio: object) -> FittedAudio:
    return FittedAudio.learn(recordings() if values is None else values, ("path",), settings(**audio))


# ---- tables and folders ----------------------------------------------------------------------------------------------


def folder(place, count: int = 6):
    for number, (pair, label) in enumerate(zip(*sweeps(count), strict=True)):
        write_wav(place / label / f"{number}.wav", *pair)
    return place


def test_a_folder_of_class_folders_gives_its_files_with_the_folders_as_labels(tmp_path):
    reader = read_labelled(folder(tmp_path / "data"))
    rows = list(reader)
    assert [(row.labels, row.value.name[-len("tone/0.wav") :]) for row in rows][:3] == [
        (("down",), "/down/2.wav"[-10:]),
        (("down",), "/down/5.wav"[-10:]),
        (("tone",), "tone/0.wav"),
    ]
    assert (reader.layout.input, reader.layout.values) == ("audio", ("audio",))
    assert_allclose(rows[2].value.samples, sweep("tone", 0), atol=1e-4)


@pytest.mark.parametrize(
    ("header", "columns"), [("path\tlabel\n", ("path",)), ("file\tdigit\n", ("file",)), ("", ("1",))]
)
def test_the_paths_of_a_table_are_relative_to_its_folder(tmp_path, monkeypatch, header, columns):
    folder(tmp_path / "data")
    monkeypatch.chdir("/")
    table = tmp_path / "data" / "train.tsv"
    table.write_text(header + "up/1.wav\trising\n./down/../down/2.wav\tfalling\n")
    reader = read_labelled(tmp_path / "data")  # a table beside the recordings is the data
    assert [(row.where, row.labels) for row in reader] == [
        (f"{table}:{1 + bool(header)}", ("rising",)),
        (f"{table}:{2 + bool(header)}", ("falling",)),
    ]
    assert reader.layout.values == columns


def test_bad_sounds_name_line_and_file_or_are_left_out(tmp_path):
    write_wav(tmp_path / "good.wav", sweep("up", 1))
    write_wav(tmp_path / "silent.wav", np.zeros(500))
    table = tmp_path / "train.tsv"
    table.write_text(
        "path\tlabel\n" + "good.wav\ta\n" * 3 + "silent.wav\ta\nmissing.wav\tb\nnotes.txt\tb\n\tb\ngood.wav\t\n"
    )
    with pytest.raises(DataError) as caught:
        list(read_labelled(table))
    assert str(caught.value).startswith(f"{table}:5: {tmp_path}/silent.wav: the recording is silent: every sample is 0")
    reader = read_labelled(table, skip_bad=True)
    assert len(list(reader)) == 3
    messages = [str(error) for error in reader.bad]
    assert reader.skipped == 5
    assert "missing.wav: no such file" in messages[1]
    assert "notes.txt: no such file" in messages[2]
    assert "column 'path' is empty; expected the path of a sound" in messages[3]
    assert "column 'label' holds '' or nothing" in messages[4] or "expected one label" in messages[4]


def test_the_longest_sound_is_a_setting(tmp_path):
    table = tmp_path / "a.tsv"
    write_wav(tmp_path / "good.wav", sweep("up", 1))
    table.write_text("path\tlabel\ngood.wav\ta\n")
    with pytest.raises(DataError, match=r"good\.wav: the sound is 0\.\d seconds long; expected at most 0\.05"):
        list(read_labelled(table, settings=settings(longest=0.05)))


def test_a_table_with_several_other_columns_needs_the_label_named(tmp_path):
    write_wav(tmp_path / "good.wav", sweep("up", 1))
    table = tmp_path / "a.tsv"
    table.write_text("path\tspeaker\tdigit\ngood.wav\tx\t7\n")
    with pytest.raises(DataError, match="can't tell which column holds the label among path, speaker, digit"):
        list(read_labelled(table))
    assert [row.labels for row in read_labelled(table, label="digit")] == [("7",)]
    assert [row.labels for row in read_labelled(table, column="path", label="2")] == [("x",)]


def test_texts_that_mention_files_are_texts():
    from unspool.data import Row

    texts = ["play a.wav now", "stop it", "c.wav"]
    rows = [Row(f"a:{n}", {"text": text, "label": "x"}) for n, text in enumerate(texts)]
    assert INPUTS["audio"].find(rows, None, None, None, Layout()) is None


def test_sounds_without_labels_come_from_files_folders_lists_and_tables(tmp_path):
    place = folder(tmp_path / "data")
    one = str(place / "up" / "1.wav")
    (tmp_path / "list.txt").write_text("data/up/1.wav\n\ndata/up/4.wav\n")
    (tmp_path / "table.tsv").write_text("path\tlabel\ndata/up/1.wav\tup\n")
    assert [row.value for row in read_sound_paths([one])] == [one]
    assert len(list(read_sound_paths(place))) == 6
    lines = list(read_sound_paths(tmp_path / "list.txt"))
    assert [line.is_blank for line in lines] == [False, True, False]
    assert lines[2].value == str(place / "up" / "4.wav")
    assert [row.value for row in read_sound_paths(tmp_path / "table.tsv")] == [one]


# ---- the fitted input ------------------------------------------------------------------------------------------------


def test_features_are_standardised_by_the_training_data(tmp_path):
    values = recordings()
    fitted = learned(values)
    frames = np.concatenate(fitted.encode(values, [""] * 6).features)
    assert_allclose(frames.mean(0), 0, atol=1e-4)
    assert_allclose(frames.std(0), 1, atol=1e-4)
    level = values[1].samples / np.float32(10 * np.sqrt(np.mean(values[1].samples ** 2)))
    raw = features_of(torch.from_numpy(level), 8000, AudioSettings()).numpy()
    assert_allclose(fitted.features_of(values[1]), (raw - fitted.mean) / fitted.deviation, atol=1e-5)
    fitted.save(tmp_path)
    again = FittedAudio.load(tmp_path, settings())
    assert (again.rate, again.reduction) == (8000, 2)
    assert_array_equal(again.features_of(values[1]), fitted.features_of(values[1]))


def test_centred_features_have_no_mean_in_any_sound():
    fitted = learned(center=True)
    for features in fitted.encode(recordings(), [""] * 6).features:
        assert_allclose((features * fitted.deviation).mean(0), 0, atol=1e-4)


def test_loudness_does_not_matter_unless_it_is_asked_for():
    value = recordings()[0]
    soft = Recording(0.01 * value.samples, 8000)
    assert_allclose(learned().features_of(soft), learned().features_of(value), atol=1e-3)
    plain = learned(level=False)
    change = (plain.features_of(value) - plain.features_of(soft)) * plain.deviation
    assert_allclose(change[:, 5:30], 2 * np.log(100), atol=0.05)


def test_other_rates_are_resampled_to_the_most_frequent_one():
    values = recordings()
    other = Recording(resample(values[0].samples, 8000, 16000), 16000)
    fitted = learned([*values, other])
    assert fitted.rate == 8000
    assert fitted.notes([*values, other]) == [
        "1 of 7 recordings has another sample rate than 8,000 Hz and was resampled"
    ]
    assert fitted.notes(values) == []
    near, far = fitted.features_of(other), fitted.features_of(values[0])
    assert_allclose(near[:, 5:30], far[:, 5:30], atol=0.2)
    assert learned(rate=4000).rate == 4000


def test_a_damaged_file_of_the_model_folder_is_refused(tmp_path):
    learned().save(tmp_path)
    path = tmp_path / "audio.json"
    good = path.read_text()
    with pytest.raises(ModelFolderError, match="reduction = 2 contradicts the settings"):
        FittedAudio.load(tmp_path, settings("recurrent"))
    for old, new in [
        ('"deviation":[', '"deviation":[1.0,'),
        ('"rate":8000', '"rate":-1'),
        ('"mean":[', '"mean":[1e99,'),
    ]:
        assert old in good
        path.write_text(good.replace(old, new))
        with pytest.raises(ModelFolderError, match=r"audio\.json"):
            FittedAudio.load(tmp_path, settings())


def test_feature_files_are_sequences_of_their_own_size(tmp_path):
    generator = np.random.default_rng(1)
    values = [FeatureFrames(generator.normal(3, 2, size=(n, 13)).astype(np.float32), f"{n}") for n in (9, 4, 6)]
    fitted = learned(values)
    assert (fitted.rate, fitted.input_size, fitted.hop) == (0, 13, 0.01)
    assert_allclose(np.concatenate(fitted.encode(values, [""] * 3).features).mean(0), 0, atol=1e-5)
    path = write_mfc(tmp_path / "a.mfc", values[0].values)
    assert_array_equal(fitted.features_of(fitted.value(str(path), "here")), fitted.features_of(values[0]))
    with pytest.raises(DataError, match="here: a recording came, and the model was trained on feature files"):
        fitted.value((sweep("up", 1), 8000), "here")
    with pytest.raises(DataError, match="here: 12 features a frame came; expected 13"):
        fitted.value(FeatureFrames(values[0].values[:, :12]), "here")
    with pytest.raises(DataError, match="here: features came, and the model was trained on recordings"):
        learned().value(str(path), "here")
    with pytest.raises(DataError, match="3 feature files and 6 recordings came; expected one of both kinds"):
        learned([*values, *recordings()])
    with pytest.raises(DataError, match="features of 5, 13 values a frame came"):
        learned([*values, FeatureFrames(values[0].values[:, :5])])
    with pytest.raises(SettingError, match="shift, noise, speed and equalizer change recordings"):
        learned(values, speed=0.1)


def test_a_server_takes_base64_and_no_paths(tmp_path):
    import base64

    path = write_wav(tmp_path / "a.wav", sweep("up", 1))
    fitted = learned()
    assert fitted.value(str(path), "text 1").name == str(path)
    fitted.refuse_files()
    for attempt in (str(path), path, "/etc/passwd", "é"):
        with pytest.raises(DataError, match=r"no Base64|no WAV file"):
            fitted.value(attempt, "text 1")
    sent = fitted.value(base64.b64encode(path.read_bytes()).decode(), "text 1")
    assert_array_equal(sent.samples, learned().value(str(path), "x").samples)


def test_one_sound_is_told_from_several():
    fitted, x = learned(), sweep("up", 1)
    assert all(map(fitted.is_one, ["a.wav", (x, 8000), Recording(x, 8000), wav_bytes(x)]))
    assert not any(map(fitted.is_one, [["a.wav", "b.wav"], [(x, 8000)], ("a.wav", "b.wav")]))


# ---- the encoder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["convolutional", "recurrent", "transformer"])
@pytest.mark.parametrize("strides", ["2,1,1", "1,3,2"])
def test_states_of_a_batch_are_those_of_each_sound_and_their_lengths_shrink(network, strides):
    torch.manual_seed(1)
    chosen = settings("auto", **{"convolutions.strides": strides, "convolutions.channels": 7}).replace(
        **{"network.hidden": 8, "network.heads": 2, "network.feedforward": 11, "network.network": network}
    )
    values = recordings(5)
    fitted = FittedAudio.learn(values, ("path",), chosen)
    assert fitted.reduction == {"recurrent": 1}.get(network, 2 if strides == "2,1,1" else 6)
    encoder = fitted.encoder(chosen.network, "gru")
    encoder.embedding.eval()
    encoder.stack.eval()

    def states(frames):
        vectors = encoder.embedding(frames)
        assert vectors.shape[:2] == (int(frames.lengths.max()), len(frames.lengths))
        return encoder.stack(vectors, frames.lengths).outputs

    encoded = fitted.encode(values, [""] * 5)
    frames = encoded.batch(np.arange(5))
    assert frames.lengths.tolist() == encoded.lengths.tolist()
    assert frames.lengths.tolist() == [len(fitted.positions(value)) for value in values]
    steps = torch.arange(len(frames.values))[:, None]
    frames.values[steps >= frames.frames] = torch.nan  # padding never changes a result
    together = states(frames)
    assert together.shape[2] == encoder.size
    for place, value in enumerate(values):
        alone = states(fitted.encode([value], [""]).batch(np.array([0])))
        assert_close(together[: len(alone), place], alone[:, 0], rtol=1e-4, atol=1e-5)


def test_positions_are_times():
    fitted = learned(**{"convolutions.strides": "3,1,1", "hop": 20.0})
    assert fitted.positions(recordings()[0])[:4] == ("0.00s", "0.06s", "0.12s", "0.18s")


def test_networks_for_other_inputs_are_refused():
    with pytest.raises(SettingError, match="network = bag does not read sounds"):
        learned().encoder(SimpleNamespace(network="bag"), "gru")


# ---- augmentation ----------------------------------------------------------------------------------------------------

AUGMENTED = {"shift": 50.0, "noise": 0.2, "speed": 0.15, "equalizer": 6.0, "time_masks": 1, "band_masks": 1}


def batches(fitted: FittedAudio, values: list[Recording], epoch: int, start: int = 0) -> list[np.ndarray]:
    source = Bucketed(fitted.encode(values, [""] * len(values)), batch_tokens=40, seed=3)
    return [batch.values.numpy() for batch in source.epoch(epoch, start=start)]


def test_augmentation_follows_from_seed_epoch_and_example_alone():
    values = recordings()
    fitted = learned(values, **AUGMENTED)
    first = batches(fitted, values, 4)
    for ours, again in zip(first[2:], batches(fitted, values, 4, start=2), strict=True):
        assert_array_equal(ours, again)  # a resumed training sees the same
    assert not any(a.shape == b.shape and np.array_equal(a, b) for a in first for b in batches(fitted, values, 5))
    other = FittedAudio.learn(values, (), settings(**AUGMENTED).replace(seed=9))
    assert not any(a.shape == b.shape and np.array_equal(a, b) for a in first for b in batches(other, values, 4))


def test_evaluation_sees_no_augmentation():
    values = recordings()
    plain, changed = learned(values), learned(values, **AUGMENTED)
    indices = np.arange(6)
    one, other = (fitted.encode(values, [""] * 6).batch(indices).values for fitted in (plain, changed))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", AUGMENTED)
def test_every_kind_of_augmentation_changes_the_batches(name):
    values = recordings()
    fitted = learned(values, **{name: AUGMENTED[name]})
    plain = batches(learned(values), values, 1)
    changed = batches(fitted, values, 1)
    assert any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(plain, changed, strict=True))


def test_speed_changes_length_and_pitch():
    t = np.arange(4000) / 8000
    tone = np.sin(2 * np.pi * 500 * t).astype(np.float32)
    seen = set()
    for index in range(40):
        changed = change_samples(tone, 8000, AudioSettings(speed=0.15), generator_for(1, 0, index))
        factor = len(tone) / len(changed)
        seen.add(round(factor, 2))
        peak = np.abs(np.fft.rfft(changed[200:-200])).argmax() * 8000 / (len(changed) - 400)
        assert abs(peak - 500 * factor) < 8
    assert seen == {0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15}


def test_noise_and_shift_stay_within_their_limits():
    x = recordings()[0].samples
    power = np.sqrt(np.mean(x**2))
    levels = [change_samples(x, 8000, AudioSettings(noise=0.5), generator_for(1, 0, i)) - x for i in range(50)]
    ratios = np.array([np.sqrt(np.mean(noise**2)) / power for noise in levels])
    assert ratios.max() < 0.55
    assert 0.004 < ratios.min() < 0.01
    assert ratios.max() > 0.4
    shifts = [len(change_samples(x, 8000, AudioSettings(shift=20), generator_for(1, 0, i))) - len(x) for i in range(50)]
    assert -160 <= min(shifts) < -120
    assert 120 < max(shifts) <= 160


def test_an_equalizer_boosts_and_cuts_bands_in_every_frame_alike():
    value = recordings()[0]
    fitted = learned(equalizer=6.0, deltas=1)
    encoded = fitted.encode([value], [""])
    plain = encoded.features[0]
    changes = np.stack([encoded.in_epoch(n).batch(np.array([0])).values[:, 0].numpy() - plain for n in range(60)])
    changes *= fitted.deviation * 10 / np.log(10)  # decibels, (epochs, frames, features)
    assert_allclose(changes, np.broadcast_to(changes[:, :1], changes.shape), atol=1e-3)
    assert_allclose(changes[:, :, 40:], 0, atol=1e-3)
    gains = changes[:, 0, :40]
    assert 5 < np.abs(gains).max() <= 6.001
    assert np.abs(np.diff(gains, 2)).max() > 0.1  # bends at edges
    assert gains.std(0).min() > 1


def test_masks_cover_whole_frames_and_bands_with_their_deltas():
    ones = np.ones((50, 3 * 12), np.float32)
    widths, heights = set(), set()
    for index in range(200):
        masked = mask_features(ones, 12, AudioSettings(time_masks=1, time_width=6), generator_for(2, 0, index))
        rows = np.flatnonzero(masked.sum(1) == 0)
        assert masked.sum() == (50 - len(rows)) * 36
        assert len(rows) == 0 or np.ptp(rows) == len(rows) - 1
        widths.add(len(rows))
        masked = mask_features(ones, 12, AudioSettings(band_masks=1, band_width=4), generator_for(2, 0, index))
        hidden = (masked == 0).all(0).reshape(3, 12)
        assert (hidden == hidden[0]).all()
        assert (masked == 0).sum() == 50 * hidden.sum()
        heights.add(int(hidden[0].sum()))
    assert widths == set(range(7))
    assert heights == set(range(5))
    assert (ones == 1).all()


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 4000},
        {"features": "cepstra"},
        {"bands": 20},
        {"window": 32.0},
        {"hop": 5.0},
        {"preemphasis": 0.0},
        {"lowest": 300.0},
        {"highest": 2000.0},
        {"deltas": 1},
        {"center": True},
    ],
    ids=str,
)
def test_every_setting_of_features_changes_them(changes):
    value = recordings()[0]
    plain, changed = learned().features_of(value), learned(**changes).features_of(value)
    assert plain.shape != changed.shape or not np.allclose(plain, changed, atol=1e-2)


@pytest.mark.parametrize("changes", [{"coefficients": 9}, {"lifter": 0.0}], ids=str)
def test_every_setting_of_cepstra_changes_them(changes):
    value = recordings()[0].samples
    one, other = (
        features_of(torch.from_numpy(value), 8000, AudioSettings(features="cepstra", **more)).numpy()
        for more in ({}, changes)
    )
    assert one.shape != other.shape or not np.allclose(one, other, atol=1e-2)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"kernel": 4}, "kernel = 4: expected an odd number"),
        ({"strides": "2,1"}, "expected as many numbers in both"),
        ({"dilations": "1,x,3"}, "expected up to 16 whole numbers from 1 to 64, as 1,2,3"),
        ({"dilations": "1,2,65"}, "from 1 to 64"),
        ({"dilations": ""}, "expected up to 16 whole numbers"),
    ],
)
def test_bad_convolutions_are_refused(values, part):
    with pytest.raises(SettingError, match=part):
        ConvolutionSettings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"bands": 10},
        {"hop": 0.5},
        {"time_masks": 101},
        {"noise": 11.0},
        {"highest": 10.0},
        {"speed": 0.6},
        {"deltas": 3},
    ],
    ids=str,
)
def test_bad_audio_settings_are_refused(values):
    with pytest.raises(SettingError):
        AudioSettings(**values)
