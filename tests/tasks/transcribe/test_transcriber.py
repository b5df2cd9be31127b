"""The transcriber from recordings to model folder and back, on tones small enough to learn in seconds."""

from __future__ import annotations

import base64
import json
import math
import wave

import numpy as np
import pytest
import torch

import unspool
from unspool import Transcriber
from unspool.commands import grammar as spoken_grammar
from unspool.decoding.arpa import write_arpa
from unspool.decoding.ctc import forward_score
from unspool.decoding.ngrams import NgramModel
from unspool.errors import DataError, SettingError, UsageError
from unspool.tasks.transcribe.data import SpokenExamples
from unspool.tasks.transcribe.fitted import FittedTranscriber
from unspool.tasks.transcribe.hearing import compiled, read_grammar
from unspool.tasks.transcribe.transcriber import GREEDY
from unspool.training import Reporter

SILENT = Reporter()
RATE = 8000
TONES = {"go": (400, 700), "stop": (900, 1500), "left": (2000, 2600)}
SMALL = {
    "hidden": 16,
    "channels": 24,
    "dropout": 0.0,
    "convolution_dropout": 0.0,
    "time_masks": 0,
    "band_masks": 0,
    "bands": 20,
    "batch_size": 4,
    "threads": 1,
}


def spoken(words, generator):
    """Each word is two tones, with pauses and a little noise."""
    pieces = [np.zeros(400)]
    for word in words:
        for tone in TONES[word]:
            time = np.arange(int(RATE * generator.uniform(0.12, 0.16))) / RATE
            pieces.append(0.3 * np.sin(2 * np.pi * tone * time))
        pieces.append(np.zeros(int(RATE * generator.uniform(0.06, 0.1))))
    samples = np.concatenate(pieces)
    return samples + 0.003 * generator.standard_normal(len(samples))


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of 40 recordings, and a folder with the same recordings and text files."""
    folder = tmp_path_factory.mktemp("tones")
    generator = np.random.default_rng(1)
    (folder / "sounds").mkdir()
    lines = ["file\ttranscript"]
    for place in range(40):
        words = generator.choice(list(TONES), generator.integers(1, 4)).tolist()
        write_wav(folder / "sounds" / f"{place:02d}.wav", spoken(words, generator))
        (folder / "sounds" / f"{place:02d}.txt").write_text(" ".join(words) + "\n", encoding="utf-8")
        lines.append(f"sounds/{place:02d}.wav\t{' '.join(words)}")
    (folder / "table.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.tsv"


@pytest.fixture(scope="module")
def untrained(table, tmp_path_factory):
    """A model folder after one epoch: its weights are nearly those of the start."""
    folder = tmp_path_factory.mktemp("model") / "model"
    Transcriber(**SMALL, epochs=1).fit(table, out=folder, reporter=SILENT)
    return folder


def test_a_table_and_a_folder_of_sounds_are_read_alike(table):
    one, two = (Transcriber()._read(source) for source in (str(table), str(table.parent / "sounds")))
    assert one.transcripts == two.transcripts
    assert [sound.digest for sound in one.sounds] == [sound.digest for sound in two.sounds]


def test_json_lines_and_examples_in_memory_are_read_alike(table, tmp_path):
    whole = Transcriber()._read(str(table))
    rows = [{"text": text, "audio": sound.name} for text, sound in zip(whole.transcripts, whole.sounds, strict=True)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = Transcriber()
    memory = task._data_source([(sound.samples, sound.rate) for sound in whole.sounds], whole.transcripts)
    for other in (Transcriber()._read(str(tmp_path / "rows.jsonl")), task._read(memory)):
        assert other.transcripts == whole.transcripts
        assert [sound.digest for sound in other.sounds] == [sound.digest for sound in whole.sounds]


def test_the_loss_is_that_of_the_forward_algorithm(table, untrained):
    model = unspool.load(untrained)
    examples = model._read(str(table)).take(np.arange(5))
    encoded = model.fitted.encode(examples)
    with torch.no_grad():
        losses = model.model.transcript_losses(encoded.batch(np.arange(5)))
    for place, matrix in enumerate(model._posteriors(model.model, encoded)):
        alone = forward_score(matrix, encoded.transcripts[place].tolist())
        assert float(losses[place]) == pytest.approx(-alone, rel=1e-4)


def test_sounds_of_a_batch_do_not_change_each_other(table, untrained):
    model = unspool.load(untrained)
    encoded = model.fitted.encode(model._read(str(table)).take(np.arange(7)))
    together = model._posteriors(model.model, encoded)
    for place in range(7):
        alone = model.model(encoded.batch(np.array([place])).inputs)[:, 0].detach().numpy()
        np.testing.assert_allclose(together[place], alone, atol=2e-5)


def test_a_sound_too_short_for_its_transcript_is_refused(table):
    examples = Transcriber()._read(str(table))
    long = SpokenExamples(examples.sounds[:3], [examples.transcripts[0], "go " * 60, "go"], examples.where[:3])
    with pytest.raises(DataError, match=r"table.tsv:3: the sound has \d+ steps, and its transcript needs 180"):
        FittedTranscriber.learn(long, Transcriber(**SMALL).settings)


def test_a_transcript_that_a_short_sound_has_by_repeated_characters(table):
    examples = Transcriber(**SMALL)._read(str(table)).take(np.arange(2))
    fitted = FittedTranscriber.learn(
        SpokenExamples(examples.sounds, ["aa", "a"], examples.where), Transcriber().settings
    )
    assert fitted.texts == ["", "a"]
    assert fitted.text([1, 1]) == "aa"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: (folder / "a.wav").write_bytes(b""), "a.wav: the file is empty"),
        (lambda folder: (folder / "a.wav").write_text("hello there"), "a.wav: no recording: the file begins with"),
        (lambda folder: write_wav(folder / "a.wav", np.zeros(4000)), "a.wav: the recording is silent"),
        (lambda folder: None, "a.wav: no such file"),
        (lambda folder: write_wav(folder / "a.wav", np.ones(61 * RATE)), "a.wav: the sound is 61.0 seconds long"),
    ],
    ids=["empty", "text", "silence", "missing", "long"],
)
def test_what_is_no_recording(tmp_path, write, message):
    write(tmp_path)
    (tmp_path / "a.tsv").write_text("audio\ttranscript\na.wav\tgo\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        Transcriber()._read(str(tmp_path / "a.tsv"))
    assert str(error.value).startswith(f"{tmp_path / 'a.tsv'}:2: ")
    assert message in str(error.value)


def test_a_ten_hour_file_is_refused_by_its_header(tmp_path):
    path = tmp_path / "long.wav"
    write_wav(path, np.zeros(10))
    with open(path, "r+b") as file:  # a hole in the file stands for the samples
        size = 36_000 * RATE * 2
        file.seek(40)
        file.write(size.to_bytes(4, "little"))
        file.truncate(44 + size)
    (tmp_path / "one.tsv").write_text("audio\ttranscript\nlong.wav\tgo\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"36,000.0 seconds long; expected at most 60"):
        Transcriber()._read(str(tmp_path / "one.tsv"))


def test_a_folder_without_transcripts(table, tmp_path):
    write_wav(tmp_path / "one.wav", np.random.default_rng(0).normal(0, 0.1, 4000))
    with pytest.raises(
        DataError, match=r"one.wav: there is no transcript of the sound; expected it in one.txt beside it"
    ):
        Transcriber()._read(str(tmp_path))


@pytest.mark.parametrize(
    ("row", "message"), [("\tgo", "column 'audio' is empty"), ("a.wav\t ", "'transcript' is empty")]
)
def test_rows_with_an_empty_cell(tmp_path, row, message):
    write_wav(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 4000))
    (tmp_path / "a.tsv").write_text(f"audio\ttranscript\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Transcriber()._read(str(tmp_path / "a.tsv"))


def test_settings_that_a_search_for_transcripts_ignores():
    for values in ({"search": "sample"}, {"length_penalty": 0.3}, {"search": "greedy", "lm": "a.arpa"}):
        with pytest.raises(SettingError):
            Transcriber(**values)
    with pytest.raises(SettingError, match="pass one of both"):
        Transcriber(lm="a.arpa", grammar="b.txt")


def test_each_character_has_its_time(table, untrained):
    model = unspool.load(untrained)
    sound = str(table.parent / "sounds" / "03.wav")
    with torch.no_grad():
        model.model.output.bias[0] -= 1.5  # so that an untrained network writes something
    result = model.predict(sound)
    assert result.characters
    assert "".join(unit.text for unit in result.characters).split() == result.transcript.split()
    assert " ".join(word.word for word in result.words) == result.transcript
    begins = [unit.begin for unit in result.characters]
    assert begins == sorted(begins)
    assert 0 <= begins[0] < result.characters[-1].end <= 0.04 * math.ceil(len(model.trace(sound).tokens)) + 1e-9
    record = json.loads(json.dumps(result.record()))
    assert record["words"][0] == {
        "word": result.words[0].word,
        "begin": result.words[0].begin,
        "end": result.words[0].end,
    }


def test_a_trace_holds_the_posterior_of_each_character(table, untrained):
    model = unspool.load(untrained)
    trace = model.trace(str(table.parent / "sounds" / "03.wav"))
    posterior = trace.maps["posterior"]
    assert posterior.rows[0] == "<blank>"
    assert posterior.columns == trace.tokens
    assert trace.tokens[:2] == ("0.00s", "0.04s")
    probabilities = trace.arrays["output / probability"]
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    names = ["<blank>", *("<space>" if text == " " else text for text in model.fitted.texts[1:])]
    for row, values in zip(posterior.rows, posterior.values, strict=True):
        np.testing.assert_array_equal(values, probabilities[:, names.index(row)])
    assert any("layer 1" in name for name in trace.arrays)
    with pytest.raises(UsageError, match="one sound"):
        model.trace([["a.wav"]])


@pytest.mark.learn
def test_a_transcriber_learns_tones_and_knows_language_and_grammar(table, tmp_path):
    """One training: error rates, both searches, a language model, a grammar, saving and loading."""
    out = tmp_path / "model"
    model = Transcriber(**SMALL, epochs=40, learning_rate=1e-2, seed=3).fit(
        table, valid=table, out=out, reporter=SILENT
    )
    scores = model.evaluate(str(table))
    assert scores["wer"] < 0.05
    assert scores["cer"] < 0.05
    assert model.record.baselines["most frequent transcript"]["wer"] > 0.5

    generator = np.random.default_rng(99)
    sound = (spoken(["go", "left", "stop"], generator), RATE)
    again = unspool.load(out)
    assert again.predict(sound).transcript == model.predict(sound).transcript == "go left stop"
    assert again.predict(sound).words[0].begin == pytest.approx(0.05, abs=0.08)
    assert [each.show().count("\n") for each in model.align(str(table))] == [2] * 40

    # A language model that allows little else than other words.
    language = NgramModel.learn([["stop", "stop", "stop"]] * 20, order=2)
    write_arpa(language, tmp_path / "stop.arpa")
    again.settings = again.settings.replace(lm=str(tmp_path / "stop.arpa"), lm_weight=20.0)
    assert again.predict(sound).transcript != "go left stop"
    assert "bonus 0" in again.score_notes(str(table))[0]

    (tmp_path / "grammar.txt").write_text("go right\ngo left stop\nleft left\n", encoding="utf-8")
    again = unspool.load(out)
    again.settings = again.settings.replace(grammar=str(tmp_path / "grammar.txt"))
    with pytest.raises(DataError, match="the grammar spells 'h', 'i', 'r'"):
        again.predict(sound)
    words = spoken_grammar.any_of("go", "left", "stop")
    commands = spoken_grammar.Grammar(spoken_grammar.sequence(words, words, spoken_grammar.Optional(words)))
    assert unspool.load(out).predict(sound, grammar=commands).transcript == "go left stop"
    assert unspool.load(out).predict([sound], grammar=["stop left", "left stop"])[0].transcript in ("", "left stop")
    (tmp_path / "grammar.txt").write_text("go\ngo left stop\nleft left\n", encoding="utf-8")
    heard = again.predict([sound, (spoken(["stop", "stop", "go"], generator), RATE)])
    assert [each.transcript for each in heard] == ["go left stop", ""]
    assert heard[0].margin < heard[1].margin
    assert heard[1].caution == "none of the grammar's sentences was heard"


def test_language_model_and_grammar_travel_in_the_folder(table, tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("go left\nstop\ngo go\n", encoding="utf-8")
    for name in ("lm", "grammar"):
        out = tmp_path / name
        model = Transcriber(**SMALL, epochs=1, **{name: str(tmp_path / "text.txt")}).fit(
            table, out=out, reporter=SILENT
        )
        sound = str(table.parent / "sounds" / "00.wav")
        expected = model.predict(sound)
        (tmp_path / "text.txt").rename(tmp_path / "gone.txt")
        again = unspool.load(out)
        assert again.predict(sound) == expected
        assert again.evaluate(str(table)) == model.evaluate(str(table))
        (tmp_path / "gone.txt").rename(tmp_path / "text.txt")


def test_a_grammar_of_commands_is_compiled_as_it_is():
    one = spoken_grammar.any_of("the lamp", "lamp", spoken_grammar.sequence("lamp", spoken_grammar.any_of("2", "9")))
    grammar = spoken_grammar.Grammar(
        spoken_grammar.sequence("turn", spoken_grammar.Optional(spoken_grammar.Capture("which", one)), "off")
    )
    automaton = compiled(grammar)
    assert sorted(" ".join(words) for words in automaton.sentences()) == sorted(grammar.sentences(1000))
    assert compiled(automaton) is automaton


def test_the_commands_of_a_python_file_are_a_grammar(tmp_path):
    (tmp_path / "commands.py").write_text(
        'from unspool.commands import command\n\n\n@command("open the door")\ndef door(): ...\n', encoding="utf-8"
    )
    automaton = read_grammar(str(tmp_path / "commands.py"))
    assert automaton.accepts(["open", "the", "door"])
    assert not automaton.accepts(["open", "the", "window"])


def test_a_server_takes_no_paths(table, untrained):
    model = unspool.load(untrained)
    model.fitted.refuse_files()
    path = table.parent / "sounds" / "03.wav"
    with pytest.raises(DataError, match="Base64"):
        model.predict(str(path))
    encoded = base64.b64encode(path.read_bytes()).decode()
    assert model.predict(encoded).transcript == unspool.load(untrained).predict(str(path)).transcript


def test_a_refused_sound_is_json(table, untrained):
    model = unspool.load(untrained)
    model.settings = model.settings.replace(grammar_margin=0.0)
    short = ["go left stop " * 40, "go go " * 90]
    for grammar, margin in ((["left stop"], True), (short, False)):
        refused = model.predict(str(table.parent / "sounds" / "03.wav"), grammar=grammar)
        assert (refused.transcript, refused.score) == ("", None)
        record = json.loads(json.dumps(refused.record(), allow_nan=False))
        assert (record["margin"] is not None) == margin


def test_greedy_search_ignores_the_beam(table, untrained):
    model = unspool.load(untrained)
    encoded = model.fitted.encode(model._read(str(table)).take(np.arange(3)))
    found = model._search(model.model, encoded, GREEDY, model.fitted.knowledge)
    for each, matrix in zip(found, model._posteriors(model.model, encoded), strict=True):
        path = matrix.argmax(1)
        assert each.hypotheses[0].ids == [u for t, u in enumerate(path) if u and (t == 0 or path[t - 1] != u)]
