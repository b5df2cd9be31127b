"""Sound files and feature files: every form of WAV, and one sentence for every bad file."""

from __future__ import annotations

import os
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sound_samples import sweep, wav_bytes, write_mfc, write_wav
from unspool.data import FeatureFrames, Recording, read_sound, sound_of
from unspool.errors import DataError, MissingExtraError

DATA = Path(os.environ.get("UNSPOOL_DATA", Path(__file__).parents[3] / "shared" / "data"))
X = sweep("up", 1)


def refusal(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_sound(path, **options)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ({"bits": 8}, 2 / 255),
        ({"bits": 16}, 2**-14),
        ({"bits": 24}, 2**-22),
        ({"bits": 32}, 2**-22),
        ({"bits": 32, "kind": 3}, 0),
        ({"bits": 64, "kind": 3}, 0),
        ({"bits": 24, "extensible": True}, 2**-22),
        ({"bits": 32, "kind": 3, "extensible": True}, 0),
    ],
)
def test_every_form_of_wav_gives_the_samples(tmp_path, form, step):
    sound = read_sound(write_wav(tmp_path / "a.wav", X, 11_025, **form))
    assert isinstance(sound, Recording)
    assert (sound.rate, sound.samples.dtype) == (11_025, np.float32)
    assert_allclose(sound.samples, X, atol=step or 1e-7, rtol=0)


def test_wav_of_the_standard_library_is_read_alike(tmp_path):
    whole = np.rint(X * 32767).astype("<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, len(whole), "NONE", ""))
        file.writeframes(whole.tobytes())
    assert_array_equal(read_sound(tmp_path / "a.wav").samples, (whole / 32768).astype(np.float32))


def test_channels_are_mixed_to_their_mean(tmp_path):
    both = np.stack([X, -0.5 * X, 0.2 * np.ones_like(X)], 1)
    sound = read_sound(write_wav(tmp_path / "a.wav", both, bits=32, kind=3))
    assert_allclose(sound.samples, both.mean(1), atol=1e-7)


def test_a_streamed_file_holds_fewer_samples_than_it_says(tmp_path):
    content = bytearray(wav_bytes(X))
    place = content.index(b"data")
    content[place + 4 : place + 8] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_sound(tmp_path / "a.wav").samples) == len(X)


def test_bad_recordings_get_one_sentence_with_the_file(tmp_path):
    path = tmp_path / "a.wav"
    good = wav_bytes(X)
    place = good.index(b"data")
    for content, part in [
        (b"", "the file is empty"),
        (b"RIFF", "no recording: the file begins with b'RIFF'"),
        (b"hello, world, this is text", "no recording: the file begins with b'hello, world'"),
        (good[:20], "the WAV file is damaged: its header is cut off"),
        (good[:30], "the WAV file is damaged: its header is cut off"),
        (good[:place], "the WAV file is damaged: it ends before its data"),
        (good[: place + 8], "the recording is empty: it has no samples"),
        (good[:12] + good[place:], "the WAV file is damaged: its data come before their format"),
        (wav_bytes(0 * X), "the recording is silent: every sample is 0"),
        (wav_bytes(X, 10), "the sample rate is 10 Hz; expected 1,000 to 384,000 Hz"),
        (wav_bytes(np.where(np.arange(len(X)) == 7, np.nan, X), bits=32, kind=3), "sample 8 is not a finite number"),
        (
            wav_bytes(np.where(np.arange(len(X)) % 2, 1e39, X.astype(float)), bits=64, kind=3),
            "sample 2 is not a finite number",
        ),
        (good[:34] + b"\x0c\0" + good[36:], "the WAV file has 1 channel of 12 bits; expected 8, 16, 24, 32 or 64 bits"),
    ]:
        path.write_bytes(content)
        assert part in refusal(path)
    assert "no such file" in refusal(tmp_path / "b.wav")
    assert "can't read the file" in refusal(tmp_path)


def test_a_recording_of_hours_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.wav"
    content = bytearray(wav_bytes(X))
    place = content.index(b"data")
    content[place + 4 : place + 8] = struct.pack("<I", 10 * 3600 * 16_000)
    with open(path, "wb") as file:  # a sparse file of ten hours
        file.write(content)
        file.truncate(place + 8 + 10 * 3600 * 16_000)
    assert "the sound is 36,000.0 seconds long; expected at most 60: cut it, or pass longest=SECONDS" in refusal(path)
    write_wav(path, X)
    assert "expected at most 0.05" in refusal(path, longest=0.05)


def test_feature_files_are_sequences_of_vectors(tmp_path):
    frames = np.random.default_rng(1).normal(size=(17, 13))
    np.save(tmp_path / "a.npy", frames[:, :5])
    sound = read_sound(tmp_path / "a.npy")
    assert isinstance(sound, FeatureFrames)
    assert_allclose(sound.values, frames[:, :5], rtol=1e-6)
    assert sound.seconds == 0.17
    assert_allclose(read_sound(write_mfc(tmp_path / "a.mfc", frames)).values, frames, rtol=1e-6)


def test_bad_feature_files_get_one_sentence_with_the_file(tmp_path):
    frames = np.ones((4, 13))
    path = write_mfc(tmp_path / "a.mfc", frames)
    path.write_bytes(path.read_bytes()[:-4])
    assert "not a Sphinx feature file: the header says 52 values, and 51 follow" in refusal(path)
    path.write_bytes(struct.pack(">i", 14) + bytes(56))
    assert "a multiple of 13" in refusal(path)
    path.write_bytes(struct.pack(">i", 0))
    assert "the features are empty" in refusal(path)
    path = tmp_path / "a.npy"
    path.write_bytes(b"no array")
    assert "not a readable NumPy array" in refusal(path)
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    assert "not a readable NumPy array" in refusal(path)  # never a pickle
    np.save(path, np.ones(8))
    assert "shape (8,) came; expected features, (frames, features)" in refusal(path)
    np.save(path, np.array([[1, 2], [3, np.inf]]))
    assert "frame 2 is not a finite number" in refusal(path)


def test_flac_needs_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.flac").write_bytes(b"fLaC" + bytes(40))
    with pytest.raises(MissingExtraError, match=r"soundfile.*audio"):
        read_sound(tmp_path / "a.flac")


@pytest.mark.parametrize("suffix", ["flac", "ogg"])
def test_compressed_files_are_read_with_the_extra(tmp_path, suffix):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, X, 8000)
    sound = read_sound(path)
    assert (sound.rate, len(sound.samples)) == (8000, len(X))
    assert_allclose(sound.samples, X, atol=1e-4 if suffix == "flac" else 0.1)
    path.write_bytes(path.read_bytes()[:30])
    assert "not a readable recording" in refusal(path)
    path.write_bytes(b"nothing of the kind")
    assert "not a readable recording" in refusal(path)


def test_forms_of_wav_beyond_pcm_are_read_with_the_extra(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", X, 8000, subtype="ULAW")
    assert_allclose(read_sound(tmp_path / "a.wav").samples, X, atol=0.02)


def test_samples_in_memory_are_scaled_by_their_type():
    whole = np.array([-32768, 0, 16384], np.int16)
    assert_array_equal(sound_of((whole, 8000), "here").samples, [-1, 0, 0.5])
    assert_array_equal(sound_of((np.array([0, 128, 192], np.uint8), 8000), "here").samples, [-1, 0, 0.5])
    assert_array_equal(sound_of(([0.25, -0.5], 8000), "here").samples, [0.25, -0.5])
    assert_array_equal(sound_of(wav_bytes(X, bits=32, kind=3), "here").samples, X)
    sound = Recording(X, 8000)
    assert sound_of(sound, "here") is sound


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (3, "int came; expected a path, or a pair of samples and sample rate in Hz"),
        ((X, "fast"), "tuple came; expected a path"),
        ((X[:0], 8000), "the recording is empty"),
        ((np.array(["a"]), 8000), "expected numbers"),
        ((X, 7), "the sample rate is 7 Hz"),
        (b"nothing", "the bytes are no WAV file"),
    ],
)
def test_bad_values_in_memory_name_their_place(value, part):
    with pytest.raises(DataError) as caught:
        sound_of(value, "example 3")
    assert "example 3" in str(caught.value)
    assert part in str(caught.value)


def test_equal_sounds_have_equal_hashes():
    assert Recording(X, 8000).digest == Recording(X.copy(), 8000, "b").digest
    assert Recording(X, 8000).digest != Recording(X, 8001).digest
    flat = np.arange(6, dtype=np.float32)
    assert FeatureFrames(flat.reshape(2, 3)).digest != FeatureFrames(flat.reshape(3, 2)).digest


@pytest.mark.skipif(not (DATA / "an4_mfc").is_dir(), reason=f"there is no {DATA / 'an4_mfc'}")
def test_the_cepstra_of_an4_have_as_many_frames_as_their_sound():
    for sound in sorted((DATA / "an4_mfc" / "wav_sample").glob("*.wav"))[:5]:
        speaker = sound.stem.split("-")[1]
        (features,) = (DATA / "an4_mfc" / "feat").glob(f"*/{speaker}/{sound.stem}.mfc")
        assert abs(read_sound(features).seconds - read_sound(sound).seconds) < 0.05
