"""Settings as frozen structs, which give Python arguments, command-line flags, recipes, help and saved records.

A group of settings is a subclass of `Settings`; groups nest. A setting has a dotted name (`training.epochs`). Its last
part alone (`epochs`) works where no other setting ends in it. `ALIASES` lists names of other libraries that work too;
records hold the setting's own name.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import math
import textwrap
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import msgspec

from unspool.errors import SettingError
from unspool.reading import open_pipe

__all__ = [
    "ALIASES",
    "Dropout",
    "Fraction",
    "NonNegative",
    "NonNegativeInt",
    "Positive",
    "PositiveInt",
    "Probability",
    "Seed",
    "Setting",
    "Settings",
    "aliases_of",
    "describe",
    "dotted_names",
    "from_record",
    "make",
    "nearest",
    "read_recipe",
    "to_record",
    "write_recipe",
]

PositiveInt = Annotated[int, msgspec.Meta(gt=0, le=1_000_000_000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Dropout = Annotated[float, msgspec.Meta(ge=0, le=0.99)]  # dropout rescales by 1 / (1 - dropout)

ALIASES = {"hidden_size": "hidden", "num_layers": "layers", "lr": "learning_rate"}
"""Names of other libraries that work as the name of a setting, in every task with that setting."""

_LARGEST = 1 << 20  # bytes of a recipe
_OTHER_NAMES = {
    **dict.fromkeys(("hidden_dim", "hidden_units", "n_hidden", "dim", "d_model"), "hidden"),
    **dict.fromkeys(("n_layers", "n_layer", "num_hidden_layers", "depth"), "layers"),
    **dict.fromkeys(("embedding_dim", "embedding_size", "embed_dim", "emb_dim", "n_embd"), "embedding"),
    **dict.fromkeys(("num_epochs", "n_epochs", "max_epochs", "num_train_epochs"), "epochs"),
    **dict.fromkeys(("num_heads", "n_heads", "n_head", "nhead"), "heads"),
    **dict.fromkeys(("random_state", "random_seed", "manual_seed"), "seed"),
    **dict.fromkeys(("max_grad_norm", "grad_clip", "gradient_clipping", "clipnorm"), "clip"),
    **dict.fromkeys(("vocab_size", "max_vocab_size", "max_features"), "size"),
    **dict.fromkeys(("early_stopping", "early_stopping_patience"), "patience"),
    **dict.fromkeys(("validation_split", "valid_size", "val_size"), "valid_fraction"),
    **dict.fromkeys(("test_split", "test_size"), "test_fraction"),
    **dict.fromkeys(("rnn_type", "cell_type", "rnn"), "cell"),
    **dict.fromkeys(("dim_feedforward", "ffn_dim", "d_ff"), "feedforward"),
    **dict.fromkeys(("bptt", "sequence_length", "seq_len"), "steps"),
    **dict.fromkeys(("gradient_accumulation_steps", "accumulate_grad_batches"), "accumulate"),
    **dict.fromkeys(("wd", "l2"), "weight_decay"),
    **dict.fromkeys(("optim", "opt"), "optimizer"),
    **dict.fromkeys(("min_freq", "min_frequency"), "min_count"),
    **dict.fromkeys(("beam_size", "beam_width", "num_beams"), "beam"),
    "drop": "dropout",
    "lower": "lowercase",
}
"""Names of other libraries that an error answers with the setting's name."""

_NO_SETTING = {
    "batch_first": "tensors are time first, (time, batch, features), and tasks build the batches",
}
"""Names of other libraries that have no equivalent setting, and the reason."""


@typing.dataclass_transform(kw_only_default=True, frozen_default=True)
class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every group of settings: a frozen struct, validated on creation; its field docstrings are the help."""

    lists: ClassVar[Mapping[str, Callable[[], Iterable[str]]]] = {}
    """Functions that return the entries of a list, by name; `{name}` in a field's docstring inserts the list."""

    def __post_init__(self) -> None:
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, str):
                _refuse_half_characters(field.name, value)
            if isinstance(value, float) and not math.isfinite(value):
                raise SettingError(f"{field.name} = {value}: expected a finite number")
            try:
                msgspec.convert(value, field.type, strict=True, from_attributes=True)
            except msgspec.ValidationError as error:
                raise SettingError(f"{field.name} = {value!r}: {_plain(str(error))}") from None
        self.check()

    def check(self) -> None:
        """Refuse settings that contradict each other; subclasses raise `SettingError`."""

    def replace(self, **changes: object) -> Self:
        """Return a copy with other values of some settings, by dotted or short name.

        Raises:
            SettingError: If a name is unknown or ambiguous, or a value does not fit.
        """
        return make(type(self), changes, base=self)


S = TypeVar("S", bound=Settings)


@cache
def _fields(settings: type[Settings]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a group; msgspec evaluates their annotations anew in each call."""
    return msgspec.structs.fields(settings)


@dataclass(frozen=True)
class Setting:
    """Name, type, default and help of one setting."""

    name: str
    """Dotted name, such as `training.epochs`."""
    type: Any
    """Annotation of the field."""
    default: Any
    """Default value."""
    help: str
    """The docstring under the field, on one line."""

    @property
    def short(self) -> str:
        """The last part of the dotted name."""
        return self.name.rpartition(".")[2]

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a setting with a closed list of values; empty otherwise."""
        plain = _without_meta(self.type)
        return typing.get_args(plain) if typing.get_origin(plain) is typing.Literal else ()


@cache
def describe(settings: type[Settings]) -> dict[str, Setting]:
    """List every setting of a group and of the groups in it, by dotted name, in the order written."""
    by_name: dict[str, Setting] = {}
    documents = _field_docstrings(settings)
    for field in _fields(settings):
        if inspect.isclass(field.type) and issubclass(field.type, Settings):
            for name, inner in describe(field.type).items():
                dotted = f"{field.name}.{name}"
                default = _default_of(field)
                for part in name.split("."):
                    default = getattr(default, part)
                by_name[dotted] = Setting(dotted, inner.type, default, inner.help)
        else:
            by_name[field.name] = Setting(field.name, field.type, _default_of(field), documents.get(field.name, ""))
    return by_name


def make(settings: type[S], values: Mapping[str, object], base: S | None = None) -> S:
    """Make settings from dotted or short names; strings are read as the setting's type.

    Args:
        settings: The group to make.
        values: The new values; other settings keep their default, or the value in `base`.
        base: Settings to start from.

    Raises:
        SettingError: If a name is unknown or ambiguous, or a value does not fit.
    """
    by_name = describe(settings)
    record: dict[str, Any] = to_record(base if base is not None else settings())
    names: dict[str, str] = {}
    for name, value in values.items():
        dotted = _resolve(name, by_name)
        before = names.setdefault(dotted, name)
        if values[before] != value and (_is_alias(name, by_name) or _is_alias(before, by_name)):
            raise SettingError(
                f"{before} and {name} are names of the same setting but have different values; pass one of them"
            )
        *groups, last = dotted.split(".")
        place = record
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = _read(value, by_name[dotted])
    return from_record(settings, record)


def dotted_names(settings: type[Settings], names: Iterable[str]) -> frozenset[str]:
    """Return the dotted names of settings for dotted or short names.

    Raises:
        SettingError: If a name is unknown or ambiguous.
    """
    by_name = describe(settings)
    return frozenset(_resolve(name, by_name) for name in names)


def from_record(settings: type[S], record: Mapping[str, Any]) -> S:
    """Make settings from a nested record, as stored in a model folder; missing settings keep their default.

    Raises:
        SettingError: If the record holds an unknown name or a value that does not fit.
    """
    by_name = describe(settings)
    for name in _leaves(record, by_name):
        if name not in by_name:
            _resolve(name, by_name, short=False)
    try:
        return msgspec.convert(_merged(to_record(settings()), record), settings, strict=True)
    except msgspec.ValidationError as error:
        text, cause = _plain(str(error)), error.__cause__
        if isinstance(cause, SettingError):  # msgspec's message has only one of the two wordings
            text = text.replace(str(cause), cause.message)
        raise SettingError(text) from None
    except UnicodeEncodeError as error:
        raise SettingError(f"a setting holds {error.object!r}: half of a surrogate pair is no character") from None


def to_record(settings: Settings) -> dict[str, Any]:
    """Return the settings as nested dictionaries of plain values."""
    return typing.cast(dict[str, Any], msgspec.to_builtins(settings))


def read_recipe(path: Path, what: str = "recipe") -> dict[str, object]:
    """Read a TOML recipe into dotted names.

    Args:
        path: The file.
        what: Name of the file's content in messages.

    Raises:
        SettingError: If the file is missing, unreadable, or not TOML.
    """
    try:
        with open_pipe(path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SettingError(f"{path}: larger than {_LARGEST >> 20} MiB; expected a {what}, a file in TOML")
        tree = tomllib.loads(content.decode())
    except FileNotFoundError:
        raise SettingError(f"{path}: no such {what} file") from None
    except IsADirectoryError:
        raise SettingError(f"{path}: a folder; expected a {what}, a file in TOML") from None
    except TimeoutError as error:
        raise SettingError(f"{path}: {error}") from None
    except OSError as error:
        raise SettingError(f"{path}: the {what} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{path}: not a TOML {what}: {error}") from None
    return dict(_flatten(tree))


def write_recipe(settings: Settings) -> str:
    """Return the settings as the text of a TOML recipe."""
    import tomli_w

    return tomli_w.dumps(_in_toml(to_record(settings), to_record(type(settings)())))


def nearest(name: str, names: typing.Iterable[str]) -> str:
    """Return a hint with the most similar of some names, ` (did you mean 'epochs'?)`, or an empty text."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.55)
    return f" (did you mean {close[0]!r}?)" if close else ""


def aliases_of(name: str, settings: type[Settings]) -> list[str]:
    """List the unambiguous aliases of a setting, by its short name, in a group of settings."""
    shorts = [setting.short for setting in describe(settings).values()]
    return [alias for alias, own in ALIASES.items() if own == name and shorts.count(name) == 1 and alias not in shorts]


def _resolve(name: str, by_name: Mapping[str, Setting], *, short: bool = True) -> str:
    """Return the dotted name of a setting; with `short=False`, for records, only a dotted name matches."""
    name = name.replace("-", "_")
    if name in by_name:
        return name
    if short:
        if matches := _matches(name, by_name):
            return matches[0]
        group, dot, last = name.rpartition(".")
        if last in ALIASES and (matches := _matches(f"{group}{dot}{ALIASES[last]}", by_name)):
            return matches[0]
    raise SettingError(f"there is no setting {name!r}{_hint(name, by_name, short=short)}")


def _is_alias(name: str, by_name: Mapping[str, Setting]) -> bool:
    last = name.replace("-", "_").rpartition(".")[2]
    return last in ALIASES and all(setting.short != last for setting in by_name.values())


def _matches(name: str, by_name: Mapping[str, Setting]) -> list[str]:
    """Return the only setting with a dotted or short name, as a list of one, or an empty list."""
    matches = [dotted for dotted in by_name if dotted == name or dotted.endswith(f".{name}")]
    if len(matches) > 1 and name not in matches:
        raise SettingError(f"{name!r} is ambiguous; expected one of {', '.join(matches)}")
    return [name] if name in matches else matches


def _hint(name: str, by_name: Mapping[str, Setting], *, short: bool) -> str:
    """Return a hint with the setting of that name in other libraries, or with the most similar name."""
    shorts = [setting.short for setting in by_name.values()]
    last = name.rpartition(".")[2]
    if last in _NO_SETTING:
        return f": {_NO_SETTING[last]}"
    setting = _OTHER_NAMES.get(last)
    if setting in shorts:
        return f" (did you mean {setting!r}?)"
    return nearest(name, [*shorts, *by_name] if short else by_name)


def _read(value: object, setting: Setting) -> object:
    """Convert a flag's text to the setting's type; the type check handles other values."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple) else value
    _refuse_half_characters(setting.name, value)
    plain = _without_meta(setting.type)
    options = set(typing.get_args(plain)) if typing.get_origin(plain) is not typing.Literal else set()
    if value.lower() in ("none", "") and type(None) in options:
        return None
    if setting.choices and value not in setting.choices:
        same = [choice for choice in setting.choices if _folded(choice) == _folded(value)]
        if same:
            return same[0]
        hint = nearest(value, setting.choices)
        raise SettingError(f"{setting.name} = {value!r}: expected one of {', '.join(setting.choices)}{hint}")
    if str in options or plain is str or setting.choices:
        return value
    try:
        return msgspec.to_builtins(msgspec.convert(value, setting.type, strict=False))
    except msgspec.ValidationError as error:
        raise SettingError(f"{setting.name} = {value!r}: {_plain(str(error))}") from None


def _folded(choice: object) -> str:
    """Return a choice in lower case, with `_` as `-`."""
    return str(choice).casefold().replace("_", "-")


def _refuse_half_characters(name: str, value: str) -> None:
    """Refuse halves of surrogate pairs: JSON escapes and the command line may hold them, but UTF-8 files can't."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SettingError(f"{name} = {value!r}: half of a surrogate pair is no character") from None


def _without_meta(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _leaves(record: Mapping[str, Any], by_name: Mapping[str, Setting], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in record.items():
        name = f"{prefix}{key}"
        is_group = isinstance(value, Mapping) and any(other.startswith(f"{name}.") for other in by_name)
        names.extend(_leaves(value, by_name, f"{name}.") if is_group else [name])
    return names


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for key, value in tree.items():
        pairs.extend(_flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)])
    return pairs


def _merged(defaults: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in record.items():
        inner = defaults.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def _in_toml(tree: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record for TOML, which has no None: the word none stands for it, where the default is another value."""
    table: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            table[key] = _in_toml(value, defaults[key])
        elif value is not None:
            table[key] = value
        elif defaults[key] is not None:
            table[key] = "none"
    return table


def _plain(message: str) -> str:
    """Rewrite a message of msgspec with the setting's name: `$.training.epochs` becomes `training.epochs`."""
    text, _, path = message.partition(" - at `$.")
    text = text.replace("`", "").strip()
    return f"{path.rstrip('`')}: {text}" if path else text


@cache
def _field_docstrings(settings: type[Settings]) -> dict[str, str]:
    documents: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if not (inspect.isclass(base) and issubclass(base, Settings)) or base is Settings:
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        body = typing.cast(ast.ClassDef, tree.body[0]).body
        for field, document in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(document, ast.Expr)
                and isinstance(document.value, ast.Constant)
                and isinstance(document.value.value, str)
            ):
                text = " ".join(document.value.value.split())
                for name, entries in base.lists.items():
                    text = text.replace(f"{{{name}}}", ", ".join(entries()))
                documents[field.target.id] = text
    return documents
