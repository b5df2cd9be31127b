"""`unspool studio`: look inside models in the browser, live."""

from __future__ import annotations

from typing import Any

import click

from unspool.cli.flags import SettingsCommand
from unspool.cli.serving import models_argument, run_server, server_options, server_settings
from unspool.cli.talk import common, example

__all__ = ["studio"]


@click.command(cls=SettingsCommand, params=server_options(), epilog=example("unspool studio my-model"))
@models_argument
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.  [on]")
@common
def studio(models: tuple[str, ...], cell: str | None, device: str, browser: bool, **flags: Any) -> None:
    """Open MODELS in the browser: gates, states and attention of any text, live.

    The pages come from this machine alone and load nothing from elsewhere. Ctrl-C ends the studio.
    """
    run_server(models, cell, device, server_settings(flags), studio=True, browser=browser)
