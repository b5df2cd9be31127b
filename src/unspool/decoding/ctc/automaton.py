"""Word automata: the sentences that a grammar allows, compiled, minimised, and spelled in characters.

A grammar is a text, whose words follow each other; or a nested tuple, whose first item says what the rest means:

- `("sequence", a, b, ...)`: one after the other,
- `("alternatives", a, b, ...)`: one of them,
- `("optional", a, ...)`: all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unspool.errors import DataError

__all__ = ["Automaton", "Expression", "compile_grammar"]

Expression = Any
"""A grammar: a text, or a tuple of a kind and grammars, as the module describes."""

_MOST_STATES = 200_000
_DEEPEST = 200  # nesting of a grammar
_EMPTY: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Automaton:
    """Deterministic automaton without loops. State 0 is the first.

    Args:
        arcs: The next state for each symbol, for each state.
        final: Whether each state may be the last.
    """

    arcs: tuple[Mapping[str, int], ...]
    final: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.arcs)

    def accepts(self, symbols: Iterable[str]) -> bool:
        """Return whether the automaton allows a sequence of symbols."""
        state: int | None = 0
        for symbol in symbols:
            state = None if state is None else self.arcs[state].get(symbol)
        return state is not None and self.final[state]

    def sentences(self) -> Iterator[tuple[str, ...]]:
        """Yield every sequence of symbols that the automaton allows."""
        waiting: list[tuple[int, tuple[str, ...]]] = [(0, ())]
        while waiting:
            state, symbols = waiting.pop()
            if self.final[state]:
                yield symbols
            waiting += [(after, (*symbols, symbol)) for symbol, after in self.arcs[state].items()]

    def count(self) -> int:
        """Return the number of sequences that the automaton allows."""
        totals: dict[int, int] = {}
        for state in self._backwards():
            totals[state] = int(self.final[state]) + sum(totals[after] for after in self.arcs[state].values())
        return totals[0]

    def symbols(self) -> list[str]:
        """Return the distinct symbols, sorted."""
        return sorted({symbol for arcs in self.arcs for symbol in arcs})

    def spelled(self, *, separator: str = " ") -> Automaton:
        """Return the automaton over the characters of the words, with a separator between words.

        The result is deterministic, and each of its states is entered by one character only.

        Raises:
            DataError: If it has more than 200,000 states.
        """
        return _spelled(self, separator)

    def _backwards(self) -> list[int]:
        """Return all states, each after those that follow it."""
        order: list[int] = []
        seen = {0}
        stack = [(0, iter(self.arcs[0].values()))]
        while stack:
            state, rest = stack[-1]
            after = next((after for after in rest if after not in seen), None)
            if after is None:
                order.append(state)
                stack.pop()
            else:
                seen.add(after)
                stack.append((after, iter(self.arcs[after].values())))
        return order


def compile_grammar(grammar: Expression | Iterable[Expression]) -> Automaton:
    """Compile a grammar, or a list of sentences and grammars of which each is allowed, to a minimal word automaton.

    Args:
        grammar: A text, a tuple as the module describes, or an iterable of both other than a tuple.

    Raises:
        DataError: If the grammar allows no word, is no grammar, or is too large.
    """
    if not isinstance(grammar, str | tuple):
        grammar = ("alternatives", *grammar)
    builder = _Builder()
    last = builder.add(grammar, 0, 0)
    automaton = _minimal(*_deterministic(builder, last))
    if not automaton.arcs[0]:
        raise DataError("the grammar allows no word; expected at least one sentence")
    return automaton


class _Builder:
    """Automaton with empty arcs, after Thompson 1968."""

    def __init__(self) -> None:
        self.words: list[dict[str, set[int]]] = [{}]
        self.empty: list[set[int]] = [set()]

    def state(self) -> int:
        """Add a state."""
        if len(self.words) >= _MOST_STATES:
            raise DataError(f"the grammar has more than {_MOST_STATES:,} parts; split it into smaller ones")
        self.words.append({})
        self.empty.append(set())
        return len(self.words) - 1

    def add(self, grammar: Expression, first: int, depth: int) -> int:
        """Add a grammar that starts at a state; return the state after it."""
        if isinstance(grammar, str):
            for word in grammar.split():
                after = self.state()
                self.words[first].setdefault(word, set()).add(after)
                first = after
            return first
        if not isinstance(grammar, tuple) or not grammar or grammar[0] not in ("sequence", "alternatives", "optional"):
            raise DataError(
                f"{grammar!r:.60} is no grammar; expected a text, or a tuple that begins with sequence, alternatives "
                f"or optional"
            )
        if depth > _DEEPEST:
            raise DataError(f"the grammar is nested more than {_DEEPEST} deep")
        kind, parts = grammar[0], grammar[1:]
        if kind == "alternatives":
            last = self.state()
            for part in parts:
                start = self.state()
                self.empty[first].add(start)
                self.empty[self.add(part, start, depth + 1)].add(last)
            return last
        start = first
        if kind == "optional":
            start = self.state()
            self.empty[first].add(start)
        place = start
        for part in parts:
            place = self.add(part, place, depth + 1)
        if kind == "optional":
            last = self.state()
            self.empty[place].add(last)
            self.empty[first].add(last)
            return last
        return place

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        """Return the states and all that empty arcs reach from them."""
        reached, waiting = set(states), list(states)
        while waiting:
            for after in self.empty[waiting.pop()]:
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
        return frozenset(reached)


def _deterministic(builder: _Builder, last: int) -> tuple[list[dict[str, int]], list[bool]]:
    """Return arcs and final states of the deterministic automaton (subset construction)."""
    first = builder.closure([0])
    numbers, sets = {first: 0}, [first]
    arcs: list[dict[str, int]] = []
    while len(arcs) < len(sets):
        moves: dict[str, set[int]] = {}
        for state in sets[len(arcs)]:
            for word, afters in builder.words[state].items():
                moves.setdefault(word, set()).update(afters)
        arcs.append({})
        for word in sorted(moves):
            after = builder.closure(moves[word])
            if after not in numbers:
                if len(sets) >= _MOST_STATES:
                    raise DataError(f"the grammar needs more than {_MOST_STATES:,} states; split it into smaller ones")
                numbers[after] = len(sets)
                sets.append(after)
            arcs[-1][word] = numbers[after]
    return arcs, [last in each for each in sets]


def _minimal(
    arcs: Sequence[Mapping[str, int]], final: Sequence[bool], entered_by: Sequence[str] | None = None
) -> Automaton:
    """Merge states from which the automaton allows the same (an automaton without loops, so one pass suffices).

    Args:
        arcs: The next state for each symbol, for each state.
        final: Whether each state may be the last.
        entered_by: The symbol that enters each state; states with different ones are not merged.
    """
    first = Automaton(tuple(arcs), tuple(final))
    merged: dict[int, int] = {}
    known: dict[tuple[bool, tuple[tuple[str, int], ...], str], int] = {}
    for state in first._backwards():
        label = "" if entered_by is None else entered_by[state]
        moves = tuple(sorted((word, merged[after]) for word, after in arcs[state].items()))
        merged[state] = known.setdefault((final[state], moves, label), len(known))
    last = len(known) - 1  # number the states from the first one on
    states = [({word: last - after for word, after in moves}, ends) for ends, moves, _ in known]
    states.reverse()
    return Automaton(tuple(each for each, _ in states), tuple(ends for _, ends in states))


def _spelled(words: Automaton, separator: str) -> Automaton:
    arcs: list[dict[str, int]] = [{}]
    final: list[bool] = [words.final[0]]

    def grow(place: int, character: str) -> int:
        after = arcs[place].get(character)
        if after is None:
            if len(arcs) >= _MOST_STATES:
                raise DataError(f"the grammar spells more than {_MOST_STATES:,} characters; split it into smaller ones")
            after = arcs[place][character] = len(arcs)
            arcs.append({})
            final.append(False)
        return after

    begins: dict[int, int] = {0: 0}  # where the words that follow a state of the word automaton are spelled
    waiting = [0]
    entered: list[tuple[int, int]] = []  # the end of a word, and the state of the word automaton after it
    while waiting:
        state = waiting.pop()
        for word, after in words.arcs[state].items():
            place = begins[state]
            for character in word:
                place = grow(place, character)
            entered.append((place, after))
            if after not in begins and words.arcs[after]:
                begins[after] = len(arcs)
                arcs.append({})
                final.append(False)
                waiting.append(after)
    for place, after in entered:
        final[place] = final[place] or words.final[after]
        if words.arcs[after]:
            arcs[place][separator] = begins[after]
    entered_by = [""] * len(arcs)
    for moves in arcs:
        for symbol, after in moves.items():
            entered_by[after] = symbol
    return _minimal(arcs, final, entered_by)
