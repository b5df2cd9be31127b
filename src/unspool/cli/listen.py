"""`unspool listen`: record the owner's commands, and train a recogniser that hears them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unspool.cli.demo_folder import refuse_used
from unspool.cli.flags import SETTINGS, SettingsCommand, chosen_settings, settings_options
from unspool.cli.talk import common, example, reporter, result, result_json, say
from unspool.cli.task_verbs import ONE_SPELLING, as_json
from unspool.errors import UsageError

__all__ = ["listen"]

_MACHINE_SENTENCES = 80  # synthesized sentences of each command
_LISTED = 12  # words of a note


class _ListenCommand(SettingsCommand):
    """The command with a flag for each setting of a transcriber."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [as_json(), *settings_options(SETTINGS["transcribe"])]


@click.command(
    cls=_ListenCommand,
    context_settings=ONE_SPELLING,
    epilog=example(
        "unspool listen assistant/commands.py --out my-ears",
        "unspool listen assistant/commands.py --recordings my-ears-recordings --out my-ears --overwrite",
        "unspool listen assistant/commands.py --voices --sentences 0 --out my-ears",
    ),
)
@click.argument("commands", metavar="COMMANDS.py", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the recogniser; new or empty.")
@click.option("--overwrite", is_flag=True, help="Replace the recogniser in the folder once the new one is complete.")
@click.option(
    "--sentences",
    type=click.IntRange(0, 1000),
    default=10,
    help="Sentences of each command, and answers, that you are asked to say; 0: none.  [10]",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    help="Folder of recordings (.wav), each with its words in a .txt of the same name; nothing is recorded.",
)
@click.option(
    "--recorder",
    metavar="COMMAND",
    help="Command line that writes the microphone's samples on stdout: 16 bits, one channel, 16 kHz, raw or WAV.  "
    "[arecord, rec, sox, parecord or ffmpeg]",
)
@click.option("--voices", is_flag=True, help="Train on speech of espeak-ng too, in several voices.")
@click.option("--only-record", is_flag=True, help="Record, and train nothing.")
@common
def listen(**values: Any) -> None:
    """Record your commands from the microphone, and train a recogniser that hears them.

    COMMANDS.py is the file of your commands; its code is executed. You are shown sentences of its grammar, which
    together hold its words, and say each after pressing Enter. The recordings are kept in the folder OUT-recordings; a
    session that was interrupted goes on there. The recogniser hears the sentences of the grammar, or none of them.
    """
    _listen(**values)


def _listen(
    commands: str,
    out: Path,
    overwrite: bool,
    sentences: int,
    recordings: Path | None,
    recorder: str | None,
    voices: bool,
    only_record: bool,
    json: bool,
    **values: Any,
) -> None:
    from unspool.commands import CommandSet
    from unspool.voice.session import recordings_in
    from unspool.voice.synthesis import has_synthesizer

    if not overwrite:
        refuse_used(out)
    if recordings is None and not sentences and not voices:
        raise UsageError("--sentences 0 records nothing; pass --recordings FOLDER or --voices")
    if recordings is not None and (recorder is not None or only_record):
        raise UsageError("--recordings takes recordings that exist; leave --recorder and --only-record out")
    if voices and not has_synthesizer():
        raise UsageError("--voices needs espeak-ng, which is not installed; install it, or leave --voices out")
    file = CommandSet.load(commands)
    own = [] if recordings is None else recordings_in(recordings)
    if recordings is None and sentences:
        folder = _beside(out, "recordings")
        _record(file, folder, sentences, recorder)
        own = recordings_in(folder)
    if only_record:
        say(f"{len(own)} recordings; go on with: unspool listen {commands} --recordings {_beside(out, 'recordings')}")
        return
    _train(commands, file, own, out, voices=voices, overwrite=overwrite, json=json, chosen=chosen_settings(values))


def _record(file: Any, folder: Path, each: int, command: str | None) -> None:
    from unspool.voice.expected import answers_grammar
    from unspool.voice.recorder import find_recorder
    from unspool.voice.sentences import draw_sentences, missing_words
    from unspool.voice.session import record_sentences, recorded

    recorder = find_recorder(command)
    drawn = draw_sentences(file, each, answers=answers_grammar(file))
    if missing := missing_words(file, drawn):
        shown = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
        say(
            f"note: no sentence holds {len(missing)} words of the grammar ({shown}); more --sentences hold more of them"
        )
    count = record_sentences(folder, drawn, recorder, ask=input, say=say)
    say(f"{count} new recordings, {len(recorded(folder))} in {folder}")


def _train(
    commands: str,
    file: Any,
    own: list[Path],
    out: Path,
    *,
    voices: bool,
    overwrite: bool,
    json: bool,
    chosen: dict[str, object],
) -> None:
    from unspool.cli.scores import scores_beside_baselines
    from unspool.data import Files
    from unspool.tasks import Transcriber
    from unspool.voice.synthesis import VOICES
    from unspool.voice.training import divided, settings_for, spoken_by_machine

    machine = []
    if voices:
        say(f"espeak-ng speaks sentences of the grammar into {_beside(out, 'voices')}")
        machine = spoken_by_machine(file, _beside(out, "voices"), _MACHINE_SENTENCES, VOICES)
    train, valid = divided(own, machine, file)
    model = Transcriber(settings_for([*own, *machine], commands, chosen))
    model.fit(
        Files(map(str, train)),
        valid=Files(map(str, valid)) or None,
        out=out,
        overwrite=overwrite,
        baselines=False,
        reporter=reporter(),
    )
    assert model.record is not None
    if json:
        result_json({"model": str(out), **model.record.metrics})
    elif model.record.metrics:
        result(scores_beside_baselines(model.record.metrics, {}, model.score_titles))
    say(f"saved in {out}; go on with: unspool chat MODEL --commands {commands} --voice {out}")


def _beside(out: Path, what: str) -> Path:
    """Return the folder of recordings beside the folder of the recogniser."""
    return out.with_name(f"{out.name}-{what}")
