"""Options and start of the server, for the verbs `serve` and `studio`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from unspool.cli.flags import chosen_settings, settings_options
from unspool.cli.open_model import device_option
from unspool.cli.talk import say
from unspool.errors import MissingExtraError
from unspool.server.settings import ServerSettings
from unspool.settings import make

__all__ = ["models_argument", "run_server", "server_options", "server_settings"]

F = TypeVar("F", bound=Callable[..., Any])


def models_argument(*, required: bool) -> Callable[[F], F]:
    """Give a command the argument MODELS, folders, and the options of their cell and device."""

    def add(command: F) -> F:
        command = click.option(
            "--cell",
            metavar="FILE.py:CLASS",
            help="Custom cell that the models were trained with; loading it executes its code.",
        )(device_option(command))
        return click.argument("models", nargs=-1, required=required, type=click.Path())(command)

    return add


def server_options() -> list[click.Parameter]:
    """Return a flag for each setting of the server."""
    return settings_options(ServerSettings)


def server_settings(flags: Mapping[str, Any]) -> ServerSettings:
    """Return the settings from the flags of `server_options`."""
    return make(ServerSettings, chosen_settings(flags))


def run_server(
    folders: Sequence[str],
    cell: str | None,
    device: str,
    settings: ServerSettings,
    *,
    studio: bool,
    browser: bool,
    fragment: str = "",
) -> None:
    """Serve model folders until ctrl-C.

    Args:
        folders: Model folders; for the studio also runs, and folders of both.
        cell: The custom cell of the models, as `--cell` names it.
        device: Device of the models.
        settings: Address, access and limits.
        studio: Whether to serve the studio's pages.
        browser: Whether to open them in the browser.
        fragment: State of the page that the browser opens, as in its address.

    Raises:
        CommandError: If the file of commands fails, or fits no model.
        MissingExtraError: If starlette or uvicorn is not installed.
        UnspoolError: If a model can't be loaded, or the address can't be used.
    """
    try:
        from unspool.server.models import describe_folders
        from unspool.server.run_list import folders_of_studio
        from unspool.server.serving import build, prepare, run
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise MissingExtraError("a server", error.name, "server") from None
    models, runs = folders_of_studio(folders) if studio else (list(folders), [])
    state, listener, address = prepare(describe_folders(models, cell, parts=studio), settings, runs)
    if fragment:
        address += f"{'&' if '#' in address else '#'}{fragment}"

    def announce() -> None:
        what = "the studio" if studio else f"serving {', '.join(state.models.by_name)}"
        say(f"{what}: {address}  (ctrl-C ends)")
        if browser:
            import webbrowser

            webbrowser.open(address)

    run(build(state, listener, studio=studio, device=device, on_start=announce), state, listener)
