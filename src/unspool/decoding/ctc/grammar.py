r"""Grammar mode: hear only the sentences that a grammar allows, or none of them.

The search runs over the states of the spelled automaton. The best path of any allowed sentence comes from a Viterbi
search that never fails for a beam. A prefix beam search adds sentences whose many paths together weigh more. Both are
ranked by their exact log-probability, summed over all paths.

A sentence is refused if its best path costs too much beside the best path without a grammar:

.. math:: m = \tfrac{1}{T} (\max_\pi \log p(\pi \mid x) - \max_{\pi \in \text{grammar}} \log p(\pi \mid x))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.decoding.ctc.automaton import Automaton
from unspool.decoding.ctc.fusion import Fusion
from unspool.decoding.ctc.paths import align, check_frames, forward_score, greedy
from unspool.decoding.ctc.prefix_beam import CTCHypothesis, prefix_beam_search
from unspool.errors import DataError

__all__ = ["GrammarFusion", "GrammarUnits", "Heard", "hear", "viterbi"]

_NEVER = -math.inf


class Heard(NamedTuple):
    """Result of grammar mode for one recording."""

    hypotheses: list[CTCHypothesis]
    """The best sentences of the grammar, the best first; empty if the recording is too short for all of them."""
    margin: float
    """m of the module, in nats per frame, at least 0; infinite without hypotheses. Small: the sentence was said."""

    def accepted(self, threshold: float) -> bool:
        """Whether the margin is at most a threshold; otherwise the answer is "none of these"."""
        return self.margin <= threshold


class GrammarUnits:
    """A spelled automaton over the units of a search.

    Args:
        automaton: The automaton over characters, each state entered by one character only.
        units: Unit of each character.

    Raises:
        DataError: If a character has no unit.
    """

    def __init__(self, automaton: Automaton, units: dict[str, int]) -> None:
        if strange := [symbol for symbol in automaton.symbols() if symbol not in units]:
            raise DataError(
                f"the grammar spells {', '.join(map(repr, strange[:10]))}, and the transcripts of the training data "
                f"had no such character; spell the grammar like the transcripts"
            )
        self.arcs = [{units[symbol]: after for symbol, after in arcs.items()} for arcs in automaton.arcs]
        self.final = np.array(automaton.final)
        sources = [(state, after) for state, arcs in enumerate(self.arcs) for after in arcs.values()]
        table = np.array(sorted(sources, key=lambda arc: arc[1]), dtype=np.int64).reshape(-1, 2)
        self.sources, self.targets = table[:, 0], table[:, 1]
        self.labels = np.full(len(self.arcs), -1, dtype=np.int64)
        for arcs in self.arcs:
            for unit, after in arcs.items():
                self.labels[after] = unit


class GrammarFusion(Fusion):
    """A grammar as the score of a prefix beam search: 0 for what it allows, -inf for all else."""

    def __init__(self, grammar: GrammarUnits) -> None:
        self._grammar = grammar

    def start(self) -> int:
        """See `Fusion.start`."""
        return 0

    def advance(self, state: int, unit: int) -> tuple[float, int]:
        """See `Fusion.advance`."""
        after = self._grammar.arcs[state].get(unit)
        return (_NEVER, 0) if after is None else (0.0, after)

    def finish(self, state: int) -> float:
        """See `Fusion.finish`."""
        return 0.0 if self._grammar.final[state] else _NEVER

    def units(self, state: int) -> Sequence[int]:
        """See `Fusion.units`."""
        return list(self._grammar.arcs[state])


def hear(
    log_probabilities: NDArray[Any], grammar: GrammarUnits, *, beam: int = 32, best: int = 1, blank: int = 0
) -> Heard:
    """Return the best sentences of a grammar, and the margin by which another output fits better.

    Args:
        log_probabilities: Log-probability of each unit at each frame, in nats, (frames, units).
        grammar: The grammar.
        beam: Prefixes that the search keeps; the result is exact if it is at least the number of prefixes.
        best: Maximum number of sentences.
        blank: The blank.
    """
    check_frames(log_probabilities, blank)
    matrix = np.asarray(log_probabilities, dtype=np.float64)
    path, path_score = viterbi(matrix, grammar, blank=blank)
    if path_score == _NEVER:
        return Heard([], math.inf)
    wide = max(beam, best)
    others = prefix_beam_search(matrix, beam=wide, best=wide, fusion=GrammarFusion(grammar), blank=blank, prune=None)
    outputs = {tuple(each.ids) for each in others} | {tuple(path)}
    ranked = sorted(((forward_score(matrix, ids, blank=blank), ids) for ids in outputs), key=lambda pair: -pair[0])
    hypotheses = [
        CTCHypothesis(list(ids), score, score, align(matrix, ids, blank=blank)) for score, ids in ranked[:best]
    ]
    free = greedy(matrix, blank=blank)[1]
    return Heard(hypotheses, max(0.0, free - path_score) / max(1, len(matrix)))


def viterbi(log_probabilities: NDArray[Any], grammar: GrammarUnits, *, blank: int = 0) -> tuple[list[int], float]:
    """Return the output of the best path that a grammar allows, and the log-probability of this path, in nats.

    Args:
        log_probabilities: Log-probability of each unit at each frame, in nats, (frames, units).
        grammar: The grammar.
        blank: The blank.

    Returns:
        The output and its score; an empty output and -inf if no sentence fits into the frames.
    """
    states, sources, targets, labels = len(grammar.arcs), grammar.sources, grammar.targets, grammar.labels
    at_blank, at_unit = np.full(states, _NEVER), np.full(states, _NEVER)
    at_blank[0] = 0.0
    first = np.flatnonzero(np.diff(targets, prepend=-1))  # first arc into each state
    entered = targets[first]
    differs = labels[sources] != labels[targets]
    real = np.flatnonzero(labels >= 0)
    # How each state was entered in each frame: -1 it stayed; otherwise the arc, plus their number after a blank.
    entries = np.full((len(log_probabilities), states), -1, dtype=np.int32)
    blanks = np.zeros((len(log_probabilities), states), dtype=np.bool_)  # whether the blank came after a unit
    for number, frame in enumerate(log_probabilities):
        from_unit = np.where(differs, at_unit[sources], _NEVER)
        from_blank = at_blank[sources]
        arc_scores = np.maximum(from_unit, from_blank)
        new = np.full(states, _NEVER)
        if len(first):
            new[entered] = np.maximum.reduceat(arc_scores, first)
        moved = new > at_unit
        if moved.any():
            hits = np.flatnonzero((arc_scores == new[targets]) & moved[targets])
            entries[number, targets[hits]] = hits + np.where(from_blank[hits] >= from_unit[hits], len(targets), 0)
        blanks[number] = at_unit > at_blank
        at_blank = np.maximum(at_blank, at_unit) + frame[blank]
        at_unit = np.maximum(at_unit, new)
        at_unit[real] += frame[labels[real]]
    ends = np.where(grammar.final, np.maximum(at_blank, at_unit), _NEVER)
    state = int(ends.argmax())
    score = float(ends[state])
    if score == _NEVER:
        return [], score
    return _trace_back(state, bool(at_blank[state] >= at_unit[state]), entries, blanks, grammar), score


def _trace_back(
    state: int, in_blank: bool, entries: NDArray[np.int32], blanks: NDArray[np.bool_], grammar: GrammarUnits
) -> list[int]:
    output: list[int] = []
    for number in range(len(entries) - 1, -1, -1):
        if in_blank:
            in_blank = not blanks[number, state]
            continue
        arc = int(entries[number, state])
        if arc >= 0:
            output.append(int(grammar.labels[state]))
            in_blank = arc >= len(grammar.targets)
            state = int(grammar.sources[arc % len(grammar.targets)])
    return output[::-1]
