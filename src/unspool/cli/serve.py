"""`unspool serve`: serve models over HTTP."""

from __future__ import annotations

from typing import Any

import click

from unspool.cli.flags import SettingsCommand
from unspool.cli.serving import models_argument, run_server, server_options, server_settings
from unspool.cli.talk import common, example

__all__ = ["serve"]


@click.command(
    cls=SettingsCommand,
    params=server_options(),
    epilog=example(
        "unspool serve my-model",
        "unspool serve my-assistant --commands commands.py",
        "curl -H 'Content-Type: application/json' -d '{\"input\": \"not bad\"}' http://127.0.0.1:8321/api/predict",
    ),
)
@models_argument(required=True)
@common
def serve(models: tuple[str, ...], cell: str | None, device: str, **flags: Any) -> None:
    """Serve MODELS over HTTP, on this machine only unless --host says otherwise.

    The API predicts, traces, continues texts and keeps sessions (/api/...), and speaks the chat and completion protocol
    of local servers (/v1/...). /openapi.json describes it. Chats with a model of commands call functions only with
    --commands FILE.py, whose code runs. Ctrl-C ends it, after open requests.
    """
    run_server(models, cell, device, server_settings(flags), studio=False, browser=False)
