r"""Prefix beam search: the most probable outputs of CTC, with a language model or a grammar.

A prefix sums the probability of all paths with this output so far, apart for paths that end with a blank and with the
last unit. A repeated unit extends the output only after a blank:

.. math::
    p_b(\ell, t) &= p(\text{blank}) \, (p_b + p_n)(\ell, t-1) \\
    p_n(\ell, t) &= p(\ell_{-1}) \, p_n(\ell, t-1) + p(\ell_{-1}) \, [p_b + p_n \text{ if } \ell_{-2} \ne \ell_{-1}
    \text{, else } p_b](\ell_{:-1}, t-1)

Source: Graves 2012, dissertation, section 7.5.3; Hannun et al. 2014, arXiv:1408.2873, algorithm 1. With a beam as wide
as the number of prefixes, the result is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.decoding.ctc.fusion import Fusion, NoFusion
from unspool.decoding.ctc.paths import align, check_frames
from unspool.errors import SettingError

__all__ = ["CTCHypothesis", "prefix_beam_search"]

_NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class CTCHypothesis:
    """One output of a search."""

    ids: list[int]
    """Units, without blanks."""
    score: float
    """Log-probability plus the score of the language model, in nats."""
    log_probability: float
    """Log-probability of the output, summed over the paths that the search kept, in nats."""
    spans: list[tuple[int, int]]
    """Frames of each unit on the most probable path: the first, and the one after the last."""


class _Prefix:
    """A prefix, as a node of the tree of prefixes."""

    __slots__ = ("blank", "children", "extra", "new_blank", "new_unit", "parent", "state", "unit", "unit_total")

    def __init__(self, parent: _Prefix | None, unit: int, extra: float, state: Any) -> None:
        self.parent, self.unit, self.extra, self.state = parent, unit, extra, state
        self.children: dict[int, _Prefix | None] = {}
        self.blank = self.unit_total = self.new_blank = self.new_unit = _NEVER

    @property
    def total(self) -> float:
        return _add(self.blank, self.unit_total)

    def ids(self) -> list[int]:
        ids, node = [], self
        while node.parent is not None:
            ids.append(node.unit)
            node = node.parent
        return ids[::-1]


def prefix_beam_search(
    log_probabilities: NDArray[Any],
    *,
    beam: int = 16,
    best: int = 1,
    fusion: Fusion | None = None,
    blank: int = 0,
    prune: float | None = 12.0,
) -> list[CTCHypothesis]:
    """Return the best outputs of CTC, the best first.

    Args:
        log_probabilities: Log-probability of each unit at each frame, in nats, (frames, units).
        beam: Number of prefixes after each frame, at least 1.
        best: Maximum number of outputs.
        fusion: Language model or grammar; its scores add to the log-probability. None: none.
        blank: The blank.
        prune: A frame extends prefixes only by units that are less than this many nats below its most probable one.
            None: by all units.

    Returns:
        Distinct outputs; none if the grammar allows no output of the beam.

    Raises:
        SettingError: If `beam` or `best` is below 1.
        ShapeError: If the shape of `log_probabilities` is not (frames, units), or does not hold the blank.
    """
    if beam < 1 or best < 1:
        raise SettingError(f"beam = {beam} and best = {best}: expected at least 1 of each")
    check_frames(log_probabilities, blank)
    scores = fusion or NoFusion()
    root = _Prefix(None, blank, 0.0, scores.start())
    root.blank = 0.0
    prefixes = [root]
    matrix = np.asarray(log_probabilities, dtype=np.float64)
    for frame in matrix:
        prefixes = _step(prefixes, frame, scores, beam, blank, prune)
    finished = [(node.total + node.extra + scores.finish(node.state), node) for node in prefixes]
    finished = sorted(((score, node) for score, node in finished if score > _NEVER), key=lambda pair: -pair[0])
    return [
        CTCHypothesis(ids := node.ids(), score, node.total, align(matrix, ids, blank=blank))
        for score, node in finished[:best]
    ]


def _step(
    prefixes: list[_Prefix],
    frame: NDArray[np.float64],
    scores: Fusion,
    beam: int,
    blank: int,
    prune: float | None,
) -> list[_Prefix]:
    """Read one frame; return the best prefixes after it."""
    likely = np.flatnonzero(frame > (frame.max() - prune if prune is not None else _NEVER))
    units = [unit for unit in likely.tolist() if unit != blank]
    row, touched = frame.tolist(), dict.fromkeys(prefixes)
    blank_score = row[blank]
    for node in prefixes:
        total, last = node.total, node.unit if node.parent is not None else -1
        node.new_blank = _add(node.new_blank, total + blank_score)
        if last >= 0:
            node.new_unit = _add(node.new_unit, node.unit_total + row[last])
        allowed = scores.units(node.state)
        for unit in units if allowed is None else allowed:
            before = node.blank if unit == last else total
            gain = before + row[unit]
            if gain == _NEVER:
                continue
            child = _child(node, unit, scores)
            if child is not None:
                child.new_unit = _add(child.new_unit, gain)
                touched[child] = None
    for node in touched:
        node.blank, node.unit_total = node.new_blank, node.new_unit
        node.new_blank = node.new_unit = _NEVER
    if len(touched) <= beam:
        return list(touched)
    ranked = sorted(touched, key=lambda node: -(node.total + node.extra + scores.pending(node.state)))
    for node in ranked[beam:]:
        node.blank = node.unit_total = _NEVER
    for node in ranked[beam:]:
        _forget(node)
    return ranked[:beam]


def _child(node: _Prefix, unit: int, scores: Fusion) -> _Prefix | None:
    """Return the prefix with one more unit; None if the grammar forbids it."""
    if unit not in node.children:
        score, state = scores.advance(node.state, unit)
        node.children[unit] = None if score == _NEVER else _Prefix(node, unit, node.extra + score, state)
    return node.children[unit]


def _forget(node: _Prefix) -> None:
    """Remove a prefix outside the beam from the tree, unless the beam holds a longer one; then its parents likewise."""
    while node.parent is not None and node.total == _NEVER and not any(node.children.values()):
        node.parent.children.pop(node.unit, None)
        node = node.parent


def _add(one: float, two: float) -> float:
    """Return log(exp(one) + exp(two))."""
    if one < two:
        one, two = two, one
    return one if two == _NEVER else one + math.log1p(math.exp(two - one))
