"""YAML lists: an object in each entry, or a list of a question and its answers; and the intents of Rasa."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from unspool.data.files import LONGEST_LINE, name_of, open_bytes
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError, MissingExtraError

__all__ = ["FORM"]

_DEEPEST = 100  # levels of a YAML file


def _yaml(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("reading YAML", "PyYAML", "yaml") from None
    name, loader = name_of(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open_bytes(path) as stream:
        raw = stream.read(LONGEST_LINE + 1)
    if len(raw) > LONGEST_LINE:
        raise DataError(
            f"the file is larger than {LONGEST_LINE >> 20} MiB, too large for YAML; convert it to JSONL", name
        )
    try:
        _refuse_depth(yaml.parse(raw, Loader=loader), name)
        root = yaml.compose(raw, Loader=loader)
    except DataError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        mark, what = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        line = raw[: getattr(error, "position", 0)].count(b"\n") if mark is None else mark.line
        raise DataError(f"not readable YAML: {' '.join(what.split())}", f"{name}:{line + 1}") from None
    lines: Counter[int] = Counter()
    parts = _by_name(yaml, root) if isinstance(root, yaml.MappingNode) else {}
    if "nlu" in parts:
        yield from _rasa(yaml, parts["nlu"], name)
        return
    for node in _entries(yaml, root, name):
        line = node.start_mark.line + 1
        lines[line] += 1
        where = f"{name}:{line}" if lines[line] == 1 else f"{name}:{line}, entry {lines[line]}"
        try:
            yield _row(yaml, node, where)
        except DataError as error:
            yield error


def _rasa(yaml: Any, node: Any, name: str) -> Iterator[Row | DataError]:
    """Yield the examples of each intent of a Rasa file; its lookups, synonyms and regular expressions are left out."""
    entries = node.value if isinstance(node, yaml.SequenceNode) else []
    if not entries:
        raise DataError("expected a list of intents with examples under `nlu:`", name)
    for entry in entries:
        parts = _by_name(yaml, entry) if isinstance(entry, yaml.MappingNode) else {}
        if "intent" not in parts:
            continue
        where = f"{name}:{entry.start_mark.line + 1}"
        intent, examples = str(parts["intent"].value), parts.get("examples")
        if not isinstance(examples, yaml.ScalarNode):
            yield DataError(f"the intent {intent!r} has no examples; expected `examples: |` with lines '- TEXT'", where)
            continue
        first = examples.start_mark.line + 1 + (examples.style == "|")
        for number, line in enumerate(examples.value.splitlines(), first):
            if text := line.strip().removeprefix("-").strip():
                yield Row(f"{name}:{number}", {"text": text, "intent": intent})


def _refuse_depth(events: Iterable[Any], name: str) -> None:
    """Refuse deep nesting, against which the library has no guard."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST:
            where = f"{name}:{event.start_mark.line + 1}"
            raise DataError(f"lists in lists, over {_DEEPEST} levels deep; expected texts and lists of texts", where)


def _entries(yaml: Any, root: Any, name: str) -> list[Any]:
    """Return the nodes of the list of questions."""
    if isinstance(root, yaml.MappingNode):
        parts = _by_name(yaml, root)
        root = next((parts[key] for key in ("conversations", "questions", "pairs") if key in parts), None)
    if not isinstance(root, yaml.SequenceNode):
        raise DataError("expected a list of questions, alone or under `conversations:`", name)
    entries: list[Any] = root.value
    return entries


def _row(yaml: Any, node: Any, where: str) -> Row:
    if isinstance(node, yaml.MappingNode):
        return Row(where, {key: _plain(yaml, value, where) for key, value in _by_name(yaml, node).items()})
    if not isinstance(node, yaml.SequenceNode):
        raise DataError("expected a list: the question, then its answers", where)
    first, *others = [_plain(yaml, each, where) for each in node.value] or [""]
    rest = [text for each in others for text in (each if isinstance(each, list) else [each])]
    return Row(where, {"question": first, "answers": rest})


def _by_name(yaml: Any, node: Any) -> dict[str, Any]:
    """Return the values of an object by key, without keys that are no texts."""
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _plain(yaml: Any, node: Any, where: str) -> str | list[str]:
    """Return a text, or a list of texts; numbers and booleans stay as written, such as 1e-3 and yes."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(each, yaml.ScalarNode) for each in node.value):
        return [str(each.value) for each in node.value]
    raise DataError("expected texts and lists of texts", where)


FORM = Form(
    name="yaml",
    suffixes=(".yml", ".yaml"),
    yields="rows",
    help="a YAML list of objects, or of questions with their answers (extra `yaml`)",
    read=_yaml,
)
