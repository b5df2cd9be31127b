"""`unspool listen` and the spoken chat, on tones for words, with programs that record and speak."""

from __future__ import annotations

import json
import shutil
from random import Random

import pytest
from command_line import Shell, files_in

from sound_samples import write_wav
from spoken_tones import NOTE, plain_wav, player, program, tones, write_tones
from unspool import load

COMMANDS = """
from typing import Literal

from unspool.commands import command


@command("paint it {colour}")
def paint(colour: Literal["red", "green"]) -> str:
    return f"It is {colour} now."


@command("turn the lamp {state}", confirm=True)
def switch(state: Literal["on", "off"]) -> str:
    return f"The lamp is {state}."


@command("(take|write) a note [saying {text}]")
def note(text: str) -> str:
    return f"Noted: {text}."
"""
SMALL = (
    "--hidden", 48, "--channels", 48, "--dropout", 0, "--convolution-dropout", 0, "--time-masks", 0, "--band-masks", 0,
    "--bands", 24, "--threads", 1, "--seed", 1, "--strides", "2,1,1", "--speed", 0, "--shift", 0, "--equalizer", 0,
    "--device", "cpu", "--learning-rate", 1e-2, "--noise", 0,
)  # fmt: skip
BEFORE = ("", "", "", "please ", "i'd like you to ")
SENTENCES = (
    "paint it red", "paint it green", "turn the lamp on", "turn the lamp off", "take a note", "write a note",
)  # fmt: skip
ANSWERS = ("yes", "no", "cancel", "again")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with commands, a parser of them, and a recogniser of tones."""
    folder = tmp_path_factory.mktemp("voice")
    (folder / "commands.py").write_text(COMMANDS)
    random = Random(1)
    for number in range(110):
        text = random.choice(BEFORE) + random.choice(SENTENCES) if number % 3 else random.choice(ANSWERS)
        write_tones(folder / "spoken" / f"{number:03d}.wav", text, number)
        (folder / "spoken" / f"{number:03d}.txt").write_text(f"{text}\n")
    shell = Shell()
    small = (
        "--hidden",
        16,
        "--epochs",
        6,
        "--threads",
        1,
        "--seed",
        1,
        "--no-plan",
        "--device",
        "cpu",
        "--no-baselines",
    )
    small += ("--sentences", 60, "--no-background")
    shell("train", "command", folder / "commands.py", "--out", folder / "parser", *small)
    words = ("listen", folder / "commands.py", "--recordings", folder / "spoken", "--out", folder / "ears", *SMALL)
    done = shell(*words, "--epochs", 25, "--json")
    assert json.loads(done.stdout)["valid"]["wer"] < 0.2
    return folder


@pytest.fixture
def wavs(tmp_path):
    """A function that writes spoken texts into a folder, each as a file."""

    def write(*texts):
        for number, text in enumerate(texts):
            plain_wav(tmp_path / "said" / f"{number}.wav", text, 1000 + number)
        return tmp_path / "said"

    return write


def chat(place, *words, code=0):
    return Shell()("chat", place / "parser", "--commands", place / "commands.py", *words, code=code)


def test_the_recogniser_holds_the_grammar_and_settings_for_few_recordings(place):
    ears = load(place / "ears")
    settings = ears.settings
    assert settings.hearing.grammar == str(place / "commands.py")
    assert (settings.audio.rate, settings.audio.center, settings.audio.noise) == (16000, True, 0.0)
    assert ears.predict(str(write_tones(place / "new.wav", "please paint it green", 999))).transcript == (
        "please paint it green"
    )
    assert ears.record.data["valid"]["paths"]


def test_a_spoken_chat_hears_calls_and_speaks(place, wavs, tmp_path):
    folder = wavs("please paint it red", "again", "turn the lamp on", "yes", "turn the lamp off", "no")
    speaker = f"{program(tmp_path, 'note.py', NOTE)} {tmp_path / 'spoken.txt'} {{text}}"
    done = chat(place, "--voice", place / "ears", "--wav", folder, "--speak", speaker)
    assert done.stdout.splitlines() == [
        "> please paint it red",
        "It is red now.",
        "> again",
        "It is red now.",
        "> turn the lamp on",
        "Turn the lamp on: shall I?",
        "> yes",
        "The lamp is on.",
        "> turn the lamp off",
        "Turn the lamp off: shall I?",
        "> no",
        "All right, I leave it.",
    ]
    said = [eval(line) for line in (tmp_path / "spoken.txt").read_text().splitlines()]
    assert said == [[line] for line in done.stdout.splitlines()[1::2]]


def test_what_the_grammar_lacks_is_not_understood(place, wavs, tmp_path):
    noise = write_wav(tmp_path / "noise.wav", tones("zebra quilt juvenile xylophone jukebox", 7, noise=0.05), 16000)
    words = ("--voice", place / "ears", "--silent", "--json", "--wav", wavs("paint it red"), "--wav", noise)
    two, one = map(json.loads, chat(place, *words).stdout.splitlines())
    assert (two["heard"], two["reply"], two["command"]) == ("paint it red", "It is red now.", "paint")
    assert one["margin"] is None or one["margin"] > two["margin"] >= 0
    for line in chat(place, *words, "--margin", 0).stdout.splitlines()[1:]:
        assert json.loads(line) == {"heard": "", "margin": None, "reply": "I did not understand."}
    assert json.loads(chat(place, *words, "--margin", 9).stdout.splitlines()[1])["heard"] != ""


def test_the_microphone_is_heard_until_its_program_fails(place, wavs):
    folder = wavs("paint it green", "turn the lamp on", "yes")
    done = chat(place, "--voice", place / "ears", "--recorder", player(folder), "--silent", code=1)
    assert done.stdout.splitlines()[1::2] == ["It is green now.", "Turn the lamp on: shall I?", "The lamp is on."]
    assert "the microphone is gone" in done.stderr


def test_another_recogniser_hears(place, wavs, tmp_path):
    folder = wavs("any", "other")
    hears = program(tmp_path, "hear.py", "import sys; print('paint it'); print(['red', '-'][sys.argv[1][-5] == '1'])")
    done = chat(place, "--hear", f"{hears} {{wav}}", "--wav", folder / "0.wav", "--silent")
    assert done.stdout.splitlines() == ["> paint it red", "It is red now."]
    silent = f"{program(tmp_path, 'none.py', 'print()')} {{wav}}"
    assert chat(place, "--hear", silent, "--wav", folder, "--silent").stdout.splitlines()[1] == "I did not understand."


def test_wrong_use_of_a_spoken_chat(place, wavs, tmp_path, monkeypatch):
    folder, ears, parser = wavs("any"), place / "ears", place / "parser"
    shell, start = Shell(), ("chat", place / "parser")
    assert "a model of the task 'command'; --voice takes a transcriber" in shell.refuses(
        *start, "--voice", parser, "--wav", folder, "--silent", code=2
    )
    assert "pass one of them" in shell.refuses(*start, "--voice", ears, "--hear", "x {wav}", code=2)
    assert "pass --voice or --hear" in shell.refuses(*start, "--wav", folder, code=2)
    assert "no program 'nothing'" in shell.refuses(*start, "--hear", "nothing {wav}", "--wav", folder, code=2)
    assert "has no {wav}" in shell.refuses(*start, "--hear", program(tmp_path, "a.py", ""), "--wav", folder, code=2)
    silence = write_wav(tmp_path / "silence.wav", 0 * tones("a", 1, noise=0), 16000)
    assert "is silent" in shell.refuses(*start, "--voice", ears, "--wav", silence, "--silent")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "no recorder is installed" in shell.refuses(*start, "--voice", ears, "--silent")


def test_without_a_voice_replies_are_printed(place, wavs, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = chat(place, "--voice", place / "ears", "--wav", wavs("paint it red"))
    assert done.stdout.splitlines()[1] == "It is red now."
    assert "replies are printed only" in done.stderr


# ---- listen ----------------------------------------------------------------------------------------------------


def test_a_session_is_recorded_and_goes_on(place, tmp_path):
    for number in range(6):
        plain_wav(tmp_path / "microphone" / f"{number}.wav", "paint it red", number)
    words = ("listen", place / "commands.py", "--out", tmp_path / "ears", "--sentences", 2, "--only-record")
    words += ("--recorder", player(tmp_path / "microphone"))
    first = Shell()(*words, stdin="\ns\n\nq\n")
    assert "[1/8]" in first.stderr
    assert "2 new recordings" in first.stderr
    folder = tmp_path / "ears-recordings"
    assert files_in(folder) == {"001.wav", "001.txt", "002.wav", "002.txt"}
    before = (folder / "001.wav").read_bytes()
    again = Shell()(*words, stdin="\n\na\nq\n")  # two more, and the last of them once more
    assert "2 of 8 sentences are in" in again.stderr
    assert "[1/6]" in again.stderr
    assert files_in(folder) == {f"00{number}.{suffix}" for number in range(1, 5) for suffix in ("wav", "txt")}
    assert (folder / "001.wav").read_bytes() == before
    texts = [(folder / f"00{number}.txt").read_text() for number in range(1, 5)]
    assert len(set(texts)) == 4
    assert not (tmp_path / "ears").exists()


def test_a_failing_microphone_keeps_what_was_recorded(place, tmp_path):
    plain_wav(tmp_path / "microphone" / "0.wav", "paint it red", 0)
    words = ("listen", place / "commands.py", "--out", tmp_path / "ears", "--recorder", player(tmp_path / "microphone"))
    done = Shell()(*words, stdin="\n\n\n", code=1)
    assert done.stderr.splitlines()[-1].endswith("failed with exit code 1: the microphone is gone")
    assert files_in(tmp_path / "ears-recordings") == {"001.wav", "001.txt"}


def test_wrong_use_of_listen(place, tmp_path, monkeypatch):
    shell, start = Shell(), ("listen", place / "commands.py", "--out", tmp_path / "ears")
    assert "nothing is overwritten" in shell.refuses(*start[:3], place / "ears", code=2)
    assert "is no folder" in shell.refuses(*start, "--recordings", tmp_path / "none", code=2)
    write_tones(tmp_path / "untold" / "1.wav", "yes", 1)
    assert "has no recording with its words" in shell.refuses(*start, "--recordings", tmp_path / "untold", code=2)
    assert "records nothing" in shell.refuses(*start, "--sentences", 0, code=2)
    assert "leave --recorder" in shell.refuses(*start, "--recordings", place / "spoken", "--recorder", "x", code=2)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.wav").write_bytes(b"no sound")
    (tmp_path / "broken" / "1.txt").write_text("yes")
    assert "1.wav: not a WAV file" in shell.refuses(*start, "--recordings", tmp_path / "broken")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "espeak-ng, which is not installed" in shell.refuses(*start, "--voices", code=2)
    assert "no recorder is installed" in shell.refuses(*start)
    assert files_in(tmp_path / "ears") == set()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_speaks_for_training(place, tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.cli.listen._MACHINE_SENTENCES", 3)
    words = ("listen", place / "commands.py", "--voices", "--sentences", 0, "--out", tmp_path / "ears")
    Shell()(*words, *SMALL, "--epochs", 1)
    assert len(files_in(tmp_path / "ears-voices")) == 24
    texts = {path.read_text().strip() for path in (tmp_path / "ears-voices").glob("*.txt")}
    assert len(texts) == 12
    spoken = load(tmp_path / "ears").predict(str(tmp_path / "ears-voices" / "0000.wav"))
    assert spoken.sound.endswith("0000.wav")
