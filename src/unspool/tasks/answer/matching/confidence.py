"""How sure a ranking is, and below what the assistant says that it does not know; chosen from the pairs alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Bag, Question, shared_wordings, split_words, wording_key
from unspool.errors import DataError
from unspool.tasks.answer.matching.keys import KeyIndex, PairBags
from unspool.tasks.answer.matching.training_batches import leave_out

__all__ = ["Confidence", "HeldOut", "Probe", "calibrate", "hold_out", "make_probes"]

_DRAWS = 8  # times that a wording which stands alone is asked
_NEAREST = 50  # other keys of a probe that are looked at
_NEVER = -1e3  # a score of probability 0, and finite, so that gradients are
_WEAKEST, _STRONGEST = 1.0, 60.0  # between them a strength is looked for: beyond, all confidences round to 1
_SPREAD = 0.5  # how far, in natural logarithms, the strength is thought to be from the one learned in training


class Confidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    r"""From scores to probabilities, one of which is that no pair fits.

    .. math:: p_i = \frac{e^{\beta \alpha_i}}{e^{\beta \alpha_0} + \sum_j e^{\beta \alpha_j}}

    `nothing` is :math:`\alpha_0`, the score of the answer "I don't know".
    """

    scale: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    nothing: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    threshold: float
    """The least confidence, between 0 and 1, at which an answer is given."""

    def probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of each pair, (pairs,), whose scores are (pairs,)."""
        exponents = self.scale * np.append(scores, self.nothing)
        weights = np.exp(exponents - exponents.max())
        shares: NDArray[np.float64] = weights[:-1] / weights.sum()
        return shares

    def confidence(self, score: float) -> float:
        """How sure it is that a question belongs to the pairs whose best score this is: that pair against none."""
        return 1 / (1 + math.exp(min(700.0, self.scale * (self.nothing - score))))


class Probe(NamedTuple):
    """A question whose pair is known, as if it were asked by somebody who has not seen the pairs."""

    pair: int
    bag: Bag
    altered: bool
    """Whether words were exchanged, so that it may no longer ask the same."""
    alike: tuple[int, ...] = ()
    """Other pairs that have the same wording, and are as right."""


class HeldOut(NamedTuple):
    """Pairs to train on, and wordings of theirs that are kept from training."""

    kept: list[Question]
    """All pairs in their order, each with at least one wording."""
    asked: list[tuple[int, str]]
    """Wordings held out, with the place of their pair."""


def hold_out(questions: Sequence[Question], share: float = 0.15, *, seed: int = 0) -> HeldOut:
    """Hold out a share of the wordings of pairs that have several, never the last one of a pair.

    A wording that several pairs have stays: asked as if it were new, it would find the others.

    Args:
        questions: The pairs.
        share: Share of these pairs' wordings, between 0 and 1.
        seed: Decides which.
    """
    spare = []
    generator, shared = np.random.default_rng([seed, 2]), shared_wordings(questions)
    several = sum(len(each.wordings) for each in questions if len(each.wordings) > 1)
    for pair, each in enumerate(questions):
        places = generator.permutation(len(each.wordings)).tolist()
        spare += [
            (rank, pair, place)
            for rank, place in enumerate(places[1:])
            if wording_key(each.wordings[place]) not in shared
        ]
    order = generator.permutation(len(spare))
    # first one wording of each pair, then a second
    chosen = sorted((spare[each] for each in order), key=lambda entry: entry[0])[: round(share * several)]
    taken = sorted((pair, place) for _, pair, place in chosen)
    without: dict[int, set[int]] = {}
    for pair, place in taken:
        without.setdefault(pair, set()).add(place)
    kept = [
        replace(each, wordings=[text for place, text in enumerate(each.wordings) if place not in without.get(pair, ())])
        for pair, each in enumerate(questions)
    ]
    return HeldOut(kept, [(pair, questions[pair].wordings[place]) for pair, place in taken])


def make_probes(
    held: HeldOut, bags: PairBags, *, at_most: int = 2_000, word_dropout: float = 0.35, seed: int = 0
) -> list[Probe]:
    """Questions to calibrate with: the wordings held out, and as large a part of those that stand alone.

    In a wording held out, what no text of the pairs kept holds counts as unknown. A wording that stands alone stays in
    its key; of its words a random share is exchanged for unknown ones, several times over where there are few.

    Args:
        held: What was held out.
        bags: The bags of the pairs kept.
        at_most: Most probes of each kind.
        word_dropout: Share of words exchanged.
        seed: Decides what is drawn and exchanged.
    """
    vocabulary, generator = bags.vocabulary, np.random.default_rng([seed, 1])
    shared = shared_wordings(held.kept)
    known = np.zeros(len(vocabulary), dtype=bool)
    for pair in range(len(bags)):
        known[bags.key(pair).ids] = True
        known[bags.answers[pair].ids] = True
    asked = _some(held.asked, at_most, generator)
    probes = [Probe(pair, _forget(vocabulary.bag(text), known), altered=False) for pair, text in asked]
    several = {pair for pair, each in enumerate(held.kept) if len(each.wordings) > 1} | {pair for pair, _ in held.asked}
    alone = [(pair, each.wordings[0]) for pair, each in enumerate(held.kept) if not held.asked or pair not in several]
    wordings = sum(len(held.kept[pair].wordings) for pair in several) + len(held.asked)
    share = len(held.asked) / wordings if held.asked else 1.0
    times = min(_DRAWS, max(1, at_most // max(1, len(alone))))
    for pair, text in _some(alone * times, min(at_most, math.ceil(share * times * len(alone))), generator):
        words = split_words(text)
        whole, part = vocabulary.bag(words), vocabulary.bag(leave_out(words, word_dropout, generator))
        lost = max(0.0, whole.length**2 - part.length**2)
        alike = tuple(other for other in shared.get(wording_key(text), ()) if other != pair)
        probes.append(Probe(pair, part._replace(unknown=part.unknown + lost), altered=True, alike=alike))
    return probes


def calibrate(probes: Sequence[Probe], index: KeyIndex, *, keep: float = 0.95) -> Confidence:
    """Choose the strength, the score of "I don't know", and the threshold.

    Each probe counts twice: as it is, and with its pair and those like it taken away: then no pair fits. Strength and
    score are those under which what is right is likeliest; where any strength would do, it stays near that of training.
    The threshold is the one that a share `keep` of the probes reaches; of the altered ones only those count which find
    their pair, as the others may have lost what they asked.

    Args:
        probes: Questions as if they were new; see `make_probes`.
        index: The keys that they are compared with.
        keep: Share of questions that belong to a pair and are to be answered, above 0 and below 1.

    Raises:
        DataError: If there are no probes.
    """
    if not probes:
        raise DataError("there is no question to choose the threshold by")
    own, others = map(np.stack, zip(*(_compared(probe, index) for probe in probes), strict=True))
    altered = np.array([probe.altered for probe in probes])
    best = np.maximum(own, others.max(1, initial=-1.0))
    telling = ~altered | (own == best)
    scale, nothing = _fit(own, others, float(index.model.memory.log_scale.detach().exp()))
    made = Confidence(scale=scale, nothing=nothing, threshold=0.0)
    lowest = float(np.quantile(best[telling] if telling.any() else best, 1 - keep))
    return msgspec.structs.replace(made, threshold=made.confidence(lowest))


def _compared(probe: Probe, index: KeyIndex) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest score of a probe's own pairs, and the highest ones of others, falling."""
    scores, alike = index.scores(probe.bag), list(probe.alike)
    own = scores[[probe.pair, *alike]].max()
    scores[alike] = _NEVER
    others = np.delete(scores, probe.pair)
    if len(others) > _NEAREST:
        others = np.partition(others, -_NEAREST)[-_NEAREST:]
    return own, np.sort(others)[::-1]


def _some(entries: list[tuple[int, str]], at_most: int, generator: np.random.Generator) -> list[tuple[int, str]]:
    """All, or a random part of them, in their order."""
    return [entries[place] for place in np.sort(generator.permutation(len(entries))[:at_most])]


def _forget(bag: Bag, known: NDArray[np.bool_]) -> Bag:
    """A bag in which all but known entries count as unknown."""
    kept = known[bag.ids]
    return Bag(bag.ids[kept], bag.values[kept], bag.unknown + float(np.square(bag.values[~kept]).sum()))


def _fit(own: NDArray[np.float64], others: NDArray[np.float64], scale: float) -> tuple[float, float]:
    """The strength and the score of no pair under which the probes are likeliest."""
    right, wrong = torch.from_numpy(own), torch.from_numpy(others.copy())
    begin = [math.log(scale), float(right.median()) / 2]
    parameters = torch.tensor(begin, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        strength = parameters[0].clamp(math.log(_WEAKEST), math.log(_STRONGEST)).exp()
        nothing = (strength * parameters[1]).expand(len(right))
        foreign = torch.cat([nothing[:, None], strength * wrong], dim=1).logsumexp(1)
        known = torch.logaddexp(foreign, strength * right)
        surprise = ((parameters[0] - math.log(scale)) / _SPREAD).square() / 2
        loss: Tensor = (known - strength * right + foreign - nothing).mean() + surprise / len(right)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    strength, nothing = parameters.detach().tolist()
    return min(max(math.exp(strength), _WEAKEST), _STRONGEST), nothing
