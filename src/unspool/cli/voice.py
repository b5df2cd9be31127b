"""Options of a spoken chat, and its loop: hear an utterance, reply, speak the reply."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from unspool.cli.open_model import open_model
from unspool.cli.talk import flush, result, result_json, say
from unspool.data.sound_names import SOUND_SUFFIXES
from unspool.errors import MachineError, UsageError

if TYPE_CHECKING:
    from unspool.tasks.dialogue import Dialogue
    from unspool.voice.hearing import Ears
    from unspool.voice.speaker import Speaker

__all__ = ["VoiceChoice", "talk_by_voice", "voice_options"]

F = TypeVar("F", bound=Callable[..., Any])

NOT_UNDERSTOOD = "I did not understand."


class VoiceChoice(NamedTuple):
    """The options of a spoken chat."""

    voice: str | None
    hear: str | None
    wav: tuple[str, ...]
    recorder: str | None
    speak: str | None
    silent: bool
    margin: float | None

    @property
    def is_on(self) -> bool:
        """Whether the chat is spoken."""
        return self.voice is not None or self.hear is not None

    def check(self, file: str | None) -> None:
        """Refuse options that exclude each other, or that need --voice or --hear.

        Raises:
            UsageError: If they do.
        """
        if self.voice is not None and self.hear is not None:
            raise UsageError("--voice and --hear both say who hears; pass one of them")
        if not self.is_on and (self.wav or self.recorder or self.speak or self.silent):
            raise UsageError(
                "--wav, --recorder, --speak and --silent belong to a spoken chat; pass --voice or --hear too"
            )
        if self.is_on and file is not None:
            raise UsageError(f"{file} is a text file, and a spoken chat hears; leave it out, or pass --wav for sounds")
        if self.margin is not None and self.voice is None:
            raise UsageError("--margin belongs to a recogniser of Unspool; pass --voice, or leave --margin out")
        if self.speak is not None and self.silent:
            raise UsageError("--speak and --silent exclude each other; pass one of them")


def voice_options(command: F) -> F:
    """Give a command the options of a spoken chat."""
    options = (
        click.option(
            "--voice",
            metavar="EARS",
            help="Hear by this recogniser: a folder of unspool listen, or any transcriber.",
        ),
        click.option(
            "--hear",
            metavar="COMMAND",
            help="Hear by a command line that prints the words of the recording {wav}.",
        ),
        click.option(
            "--wav",
            metavar="FILE",
            multiple=True,
            help="Sound of an utterance, or a folder of them, instead of the microphone; may be repeated.",
        ),
        click.option(
            "--recorder",
            metavar="COMMAND",
            help="Command line that writes the microphone's samples on stdout: 16 bits, one channel, 16 kHz, raw or "
            "WAV.  [arecord, rec, sox, parecord or ffmpeg]",
        ),
        click.option(
            "--speak",
            metavar="COMMAND",
            help="Command line that speaks the reply {text}.  [espeak-ng, say or spd-say]",
        ),
        click.option("--silent", is_flag=True, help="Print replies, and speak none."),
        click.option(
            "--margin",
            type=click.FloatRange(min=0),
            metavar="NUMBER",
            help='Threshold of "I did not understand": nats per step by which another output may fit better than what '
            "may be said; --json shows it.  [the recogniser's own]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def talk_by_voice(dialogue: Dialogue, choice: VoiceChoice, *, as_json: bool, device: str) -> None:
    """Hear utterances and reply to each, from the microphone until ctrl-C, or from sound files.

    Raises:
        DataError: If a sound file can't be read.
        MachineError: If a program fails, or no recorder is installed.
        UsageError: If a command line is wrong, or the folder holds no transcriber.
    """
    from unspool.voice.speaker import find_speaker

    files = _files(choice.wav)
    speaker = None if choice.silent else find_speaker(choice.speak)
    if speaker is None and not choice.silent:
        say("note: neither espeak-ng nor say nor spd-say is installed, so replies are printed only; see --speak")
    if files:
        ears = _ears(choice, dialogue, device)
        for path in files:
            _reply(dialogue, ears, path, speaker, as_json=as_json)
        return
    with _microphone(choice.recorder) as next_utterance:
        ears = _ears(choice, dialogue, device)
        say("Listening; ctrl-C ends.")
        try:
            while True:
                _reply(dialogue, ears, next_utterance(), speaker, as_json=as_json)
        except KeyboardInterrupt:
            say("")


def _ears(choice: VoiceChoice, dialogue: Dialogue, device: str) -> Ears:
    from unspool.voice.hearing import ProgramEars, TranscriberEars

    if choice.hear is not None:
        return ProgramEars(choice.hear)
    assert choice.voice is not None
    transcriber = open_model(choice.voice, None, device)
    if transcriber.name != "transcribe":
        raise UsageError(
            f"{choice.voice} is a model of the task {transcriber.name!r}; --voice takes a transcriber; unspool "
            f"listen trains one"
        )
    return TranscriberEars(transcriber, dialogue, margin=choice.margin)


def _reply(dialogue: Dialogue, ears: Ears, path: Path, speaker: Speaker | None, *, as_json: bool) -> None:
    heard = ears.hear(path, dialogue)
    turn = dialogue.say(heard.text) if any(letter.isalnum() for letter in heard.text) else None
    reply = NOT_UNDERSTOOD if turn is None else turn.reply
    if as_json:
        result_json(
            {"heard": heard.text, "margin": heard.margin, **(_record(dialogue, turn) if turn else {"reply": reply})}
        )
    else:
        result(f"> {heard.text}".rstrip())
        result(reply)
    flush()
    if speaker is not None:
        speaker.say(reply)


def _record(dialogue: Dialogue, turn: Any) -> dict[str, Any]:
    if dialogue.parser is None and dialogue.reply is not None:
        return dialogue.reply.record()
    record: dict[str, Any] = turn.record()
    return record


def _files(paths: tuple[str, ...]) -> list[Path]:
    from unspool.data.files import find_files

    files: list[str] = []
    for path in paths:
        files += find_files(path, suffixes=SOUND_SUFFIXES if Path(path).is_dir() else None)
    return [Path(file) for file in files]


@contextmanager
def _microphone(command: str | None) -> Iterator[Callable[[], Path]]:
    """Yield a function that records the next utterance and returns its file."""
    from unspool.voice.recorder import find_recorder
    from unspool.voice.sound_files import write_wav

    recorder = find_recorder(command)
    with tempfile.TemporaryDirectory(prefix="unspool-voice-") as folder:
        path = Path(folder) / "utterance.wav"

        def next_utterance() -> Path:
            samples = recorder.utterance()
            if samples is None:
                raise MachineError(f"the recorder {recorder.words[0]} ended before anyone spoke; check the microphone")
            write_wav(path, samples)
            return path

        yield next_utterance
