"""Command-line flags for the settings of a task, and their help."""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from unspool.errors import SettingError
from unspool.settings import Setting, Settings, aliases_of, describe, make, read_recipe
from unspool.tasks.catalog import TASKS

__all__ = ["SETTINGS", "SettingsCommand", "chosen_settings", "settings_from", "settings_options"]

SETTINGS: dict[str, type[Settings]] = {name: entry.settings for name, entry in TASKS.items()}
"""The settings class of each task. The task's class has the same, but its import takes seconds."""

_PREFIX = "setting__"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class _SettingOption(click.Option):
    """The flag of one setting, by its short name if that is unique, its dotted name and its aliases."""

    def __init__(self, setting: Setting, *, short: bool, aliases: Sequence[str] = ()) -> None:
        self.setting = setting
        names = [setting.short] * short + [setting.name] * (not short or setting.short != setting.name)
        names += aliases
        flags = [name.replace("_", "-") for name in names]
        if self.is_switch:
            declarations = [f"--{flag}/--no-{flag}" for flag in flags]
        else:
            declarations = [f"--{flag}" for flag in flags]
        identifier = _PREFIX + setting.name.replace(".", "__")
        kind: dict[str, Any] = {} if self.is_switch else {"type": str, "metavar": _metavar(setting)}
        super().__init__([*declarations, identifier], default=None, help=setting.help, **kind)

    @property
    def is_switch(self) -> bool:
        """Whether the setting is a boolean, with the flags `--name` and `--no-name`."""
        return self.setting.type is bool

    @property
    def group(self) -> str:
        """Dotted name of the setting's group; empty for a setting without a group."""
        return self.setting.name.rpartition(".")[0]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the help entry: shortest name, value, meaning and default."""
        name = self.opts[0]
        if self.is_switch:
            left = f"{name} / {self.secondary_opts[0]}"
        else:
            left = f"{name} {_metavar(self.setting)}"
        return left, f"{self.setting.help}  [{_shown(self.setting.default)}]"


class SettingsCommand(click.Command):
    """A command that lists its settings in groups, and whose switches also take `true` and `false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse `--several true` as `--several`, and `--several=false` as `--no-several`."""
        switches = {
            name: option.secondary_opts[place]
            for option in self.params
            if isinstance(option, _SettingOption) and option.is_switch
            for place, name in enumerate(option.opts)
        }
        return super().parse_args(ctx, _switched(args, switches))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the command, then the settings group by group."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        ordinary = [option for option in options if not isinstance(option, _SettingOption)]
        records = [record for option in ordinary if (record := option.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(records)
        settings = [option for option in self.params if isinstance(option, _SettingOption)]
        for group in sorted(
            {option.group: None for option in settings}, key=bool
        ):  # settings without a group come first
            inside = [option for option in settings if option.group == group]
            with formatter.section(_title(group)):
                formatter.write_dl([option.get_help_record(ctx) for option in inside])


def settings_options(settings: type[Settings], *, leave_out: Collection[str] = ()) -> list[click.Parameter]:
    """Return a flag for every setting, except the dotted names in `leave_out`."""
    described = describe(settings)
    shorts = [setting.short for setting in described.values()]
    return [
        _SettingOption(setting, short=shorts.count(setting.short) == 1, aliases=aliases_of(setting.short, settings))
        for name, setting in described.items()
        if name not in leave_out
    ]


def chosen_settings(values: Mapping[str, Any]) -> dict[str, object]:
    """Return the settings that the command line sets, by dotted name; `values` are all parameters of the command."""
    return {
        name.removeprefix(_PREFIX).replace("__", "."): value
        for name, value in values.items()
        if name.startswith(_PREFIX) and value is not None
    }


def settings_from(
    settings: type[Settings], recipe: Path | None, flags: Mapping[str, object], base: Settings | None = None
) -> Settings:
    """Make settings from a recipe and from flags; a flag overrides the recipe.

    Raises:
        SettingError: If a name is unknown or a value does not fit; an error in a recipe names its file.
    """
    if recipe is not None:
        try:
            base = make(settings, read_recipe(recipe), base=base)
        except SettingError as error:
            text = error.message
            raise SettingError(text if text.startswith(str(recipe)) else f"{recipe}: {text}") from None
    return make(settings, flags, base=base)


def _switched(args: list[str], switches: Mapping[str, str]) -> list[str]:
    """Rewrite `--name false` as `--no-name`, and `--name true` as `--name`."""
    arguments: list[str] = []
    words = deque(args)
    while words:
        word = words.popleft()
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if word == "--":
            return [*arguments, word, *words]
        if name not in switches:
            arguments.append(word)
            continue
        if not equals:
            value = words.popleft() if words and words[0].lower() in (*_TRUE, *_FALSE) else "true"
        if value.lower() not in (*_TRUE, *_FALSE):
            raise SettingError(f"{name} = {value!r}: expected true or false")
        arguments.append(name if value.lower() in _TRUE else switches[name])
    return arguments


def _title(group: str) -> str:
    if not group:
        return "Settings"
    words = group.replace("_", " ").replace(".", ", ").capitalize()
    return f"{words} (also as --{group.replace('_', '-')}.NAME, or in a recipe under [{group}])"


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    names = {int: "NUMBER", float: "NUMBER", str: "TEXT", bool: ""}
    options = [setting.type, *typing.get_args(setting.type)]
    options += [inner for option in options for inner in typing.get_args(option)]
    return next((names[option] for option in options if option in names), "VALUE")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
