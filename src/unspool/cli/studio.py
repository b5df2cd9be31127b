"""`unspool studio`: look inside models, and watch trainings, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unspool.cli.flags import SettingsCommand
from unspool.cli.serving import models_argument, run_server, server_options, server_settings
from unspool.cli.talk import common, example
from unspool.errors import UsageError

__all__ = ["studio"]


@click.command(
    cls=SettingsCommand,
    params=server_options(),
    epilog=example("unspool studio my-model", "unspool studio runs/", "unspool studio --demo"),
)
@models_argument(required=False)
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.  [on]")
@click.option("--demo", is_flag=True, help="Train a small network on verb agreement first, and open a fork of it.")
@click.option("--out", type=click.Path(path_type=Path), help="With --demo: keep data and model in this new folder.")
@common
def studio(
    models: tuple[str, ...], cell: str | None, device: str, browser: bool, demo: bool, out: Path | None, **flags: Any
) -> None:
    """Open MODELS, runs, or folders of them in the browser: gates, states, edits and gradients of any text, live.

    A training that is in progress shows its curves. The pages come from this machine alone and load nothing from
    elsewhere. The chat calls functions of commands only with --commands FILE.py, whose code runs. Ctrl-C ends the
    studio.
    """
    settings = server_settings(flags)
    if demo == bool(models):
        raise UsageError("expected a model folder, a folder of them, or --demo alone; for a first look: --demo")
    if out is not None and not demo:
        raise UsageError("--out belongs to --demo")
    if not demo:
        run_server(models, cell, device, settings, studio=True, browser=browser)
        return
    from unspool.cli.demo_agreement import trained_lstm
    from unspool.cli.demo_folder import demo_folder

    with demo_folder(out) as folder:
        model, fragment = trained_lstm(folder)
        run_server([str(model)], None, device, settings, studio=True, browser=browser, fragment=fragment)
