"""What a search for transcripts knows besides the sound: a language model, or a grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import msgspec

from unspool.commands import CommandSet
from unspool.commands import grammar as spoken
from unspool.data.text import read_lines
from unspool.decoding.arpa import read_arpa, write_arpa
from unspool.decoding.ctc import (
    Automaton,
    CharacterFusion,
    Expression,
    Fusion,
    GrammarUnits,
    HearingSettings,
    WordFusion,
    compile_grammar,
)
from unspool.decoding.ngrams import BEGIN, END_OF_SENTENCE, SPACE, UNKNOWN_UNIT, By, NgramModel, units_of
from unspool.errors import DataError, ModelFolderError
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["Knowledge", "compiled", "read_grammar", "read_language_model", "spelled"]

_MODEL = "language-model.arpa"
_GRAMMAR = "grammar.json"
_MOST_SENTENCES = 1_000_000
_SPELLED: WeakKeyDictionary[Automaton, tuple[dict[str, int], GrammarUnits]] = WeakKeyDictionary()


class _Grammar(msgspec.Struct):
    arcs: list[dict[str, int]]
    final: list[bool]


@dataclass(frozen=True)
class Knowledge:
    """A language model or a grammar, as the settings name them."""

    settings: HearingSettings
    """The settings that the knowledge was read with."""
    model: NgramModel | None = None
    grammar: Automaton | None = None

    @classmethod
    def read(cls, settings: HearingSettings) -> Self:
        """Read the files that settings name.

        Raises:
            DataError: If a file is missing, empty or damaged.
        """
        model = None if settings.lm is None else read_language_model(settings)
        return cls(settings, model, None if settings.grammar is None else read_grammar(settings.grammar))

    def under(self, settings: HearingSettings) -> Knowledge:
        """Return the knowledge that other settings name; files are read again only if their names differ.

        Raises:
            DataError: If a file is missing, empty or damaged.
        """
        names = ("lm", "lm_units", "lm_order", "grammar")
        if all(getattr(settings, name) == getattr(self.settings, name) for name in names):
            return Knowledge(settings, self.model, self.grammar)
        return Knowledge.read(settings)

    def fusion(self, texts: Sequence[str]) -> Fusion | None:
        """Return the language model as a score of units; None without one.

        Args:
            texts: Text of each unit.
        """
        if self.model is None:
            return None
        settings = self.settings
        if _by(self.model, settings) == "character":
            return CharacterFusion(self.model, texts, settings.lm_weight, settings.lm_bonus)
        return WordFusion(self.model, texts, settings.lm_weight, settings.lm_bonus, settings.lm_unknown)

    def spelled(self, units: Mapping[str, int]) -> GrammarUnits | None:
        """Return the grammar over units; None without one.

        Raises:
            DataError: If the grammar spells a character without a unit.
        """
        return None if self.grammar is None else spelled(self.grammar, units)

    def summary(self) -> str:
        """Return what the search knows, in words; empty without knowledge."""
        if self.model is not None:
            return (
                f"{_by(self.model, self.settings)} {self.model.order}-grams "
                f"(weight {self.settings.lm_weight:g}, bonus {self.settings.lm_bonus:g})"
            )
        return "" if self.grammar is None else f"a grammar of {self.grammar.count():,} sentences"

    def save(self, folder: Path) -> None:
        """Write `language-model.arpa` or `grammar.json` into a folder."""
        if self.model is not None:
            write_arpa(self.model, folder / _MODEL)
        if self.grammar is not None:
            record = _Grammar([dict(arcs) for arcs in self.grammar.arcs], list(self.grammar.final))
            replace_file(folder / _GRAMMAR, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: HearingSettings) -> Self:
        """Read the files that `save` wrote; no file elsewhere.

        Raises:
            ModelFolderError: If a file is missing or damaged.
        """
        model = grammar = None
        if settings.lm is not None:
            try:
                model = read_arpa(folder / _MODEL)
            except DataError as error:
                raise ModelFolderError(f"the language model is damaged: {error}") from None
        if settings.grammar is not None:
            record = read_json(folder / _GRAMMAR, _Grammar, "the grammar")
            grammar = _checked(record, folder / _GRAMMAR)
        return cls(settings, model, grammar)


def spelled(grammar: Automaton, units: Mapping[str, int]) -> GrammarUnits:
    """Spell a word automaton in units; the result is kept as long as the automaton.

    Raises:
        DataError: If the grammar spells a character without a unit.
    """
    kept = _SPELLED.get(grammar)
    if kept is None or kept[0] != units:
        kept = _SPELLED[grammar] = dict(units), GrammarUnits(grammar.spelled(), dict(units))
    return kept[1]


def read_language_model(settings: HearingSettings) -> NgramModel:
    """Read an ARPA file, or learn a model from a text file with one sentence a line.

    Raises:
        DataError: If the file is missing, empty or damaged.
    """
    path = str(settings.lm)
    if Path(path).suffix.lower() == ".arpa":
        return read_arpa(path)
    by: By = "character" if settings.lm_units == "character" else "word"
    sentences = [units_of(line.text, by) for line in read_lines(path)]
    if not any(sentences):
        raise DataError("a language model needs text, and this file has none", path)
    return NgramModel.learn(sentences, order=settings.lm_order)


def read_grammar(path: str) -> Automaton:
    """Compile the sentences of a text file, one a line, or the commands of a Python file, whose code is executed.

    Raises:
        CommandError: If a command of a Python file is wrong.
        DataError: If the file is missing, empty or too large.
    """
    if Path(path).suffix == ".py":
        return compiled(CommandSet.load(path).grammar())
    sentences = [line.text for line in read_lines(path) if line.text.strip()]
    if not sentences:
        raise DataError("a grammar needs sentences, and this file has none", path)
    if len(sentences) > _MOST_SENTENCES:
        raise DataError(f"a grammar of {len(sentences):,} sentences came; expected at most {_MOST_SENTENCES:,}", path)
    return compile_grammar(sentences)


def compiled(grammar: Any) -> Automaton:
    """Compile a grammar of commands, or anything that `compile_grammar` takes.

    Raises:
        DataError: If it is no grammar, allows no word or is too large.
    """
    if isinstance(grammar, Automaton):
        return grammar
    return compile_grammar(_expression(grammar.root) if isinstance(grammar, spoken.Grammar) else grammar)


def _expression(node: spoken.Node) -> Expression:
    """Return a node of a grammar of commands as text and tuples; the names of slots are left out."""
    match node:
        case spoken.Word(text):
            return text
        case spoken.Sequence(parts):
            return ("sequence", *map(_expression, parts))
        case spoken.Alternatives(options):
            return ("alternatives", *map(_expression, options))
        case spoken.Optional(part):
            return ("optional", _expression(part))
        case spoken.Capture(_, part):
            return _expression(part)


def _by(model: NgramModel, settings: HearingSettings) -> By:
    """Return the units of a model: as set, or character if every unit is one character."""
    if settings.lm_units != "auto":
        return settings.lm_units
    plain = [unit for unit in model.units if unit not in (BEGIN, END_OF_SENTENCE, UNKNOWN_UNIT)]
    return "character" if SPACE in plain and all(len(unit) == 1 or unit == SPACE for unit in plain) else "word"


def _checked(record: _Grammar, path: Path) -> Automaton:
    """Return the automaton of a record; refuse arcs that go nowhere or back, since the automaton has no loops."""
    size = len(record.arcs)
    goes_on = all(state < after < size for state, arcs in enumerate(record.arcs) for after in arcs.values())
    if not size or len(record.final) != size or not goes_on or not record.arcs[0]:
        raise ModelFolderError(f"{path}: the grammar is damaged")
    return Automaton(tuple(record.arcs), tuple(record.final))
