"""Confidence of a ranking, and calibration of its scale and threshold on the pairs alone."""

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

_DRAWS = 8  # maximum number of probes per single wording
_NEAREST = 50  # highest-scoring other keys per probe
_NEVER = -1e3  # score with probability 0; finite, to keep gradients finite
_WEAKEST, _STRONGEST = 1.0, 60.0  # range of the scale; above it, all confidences round to 1
_SPREAD = 0.5  # prior standard deviation of the log scale around its value in training


class Confidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    r"""Conversion of scores to probabilities, including the probability that no pair matches.

    .. math:: p_i = \frac{e^{\beta \alpha_i}}{e^{\beta \alpha_0} + \sum_j e^{\beta \alpha_j}}

    `scale` is :math:`\beta`; `nothing` is :math:`\alpha_0`, the score of "no pair".
    """

    scale: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    nothing: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    threshold: float
    """Minimum confidence for an answer, between 0 and 1."""

    def probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert scores, (pairs,), to the probability of each pair, (pairs,)."""
        exponents = self.scale * np.append(scores, self.nothing)
        weights = np.exp(exponents - exponents.max())
        shares: NDArray[np.float64] = weights[:-1] / weights.sum()
        return shares

    def confidence(self, score: float) -> float:
        """Return the probability that the best pair matches, against no match, from its score."""
        return 1 / (1 + math.exp(min(700.0, self.scale * (self.nothing - score))))


class Probe(NamedTuple):
    """A calibration question with its correct pair, simulating a new question."""

    pair: int
    """Index of the correct pair."""
    bag: Bag
    """Bag of n-grams of the question."""
    altered: bool
    """Whether random words were replaced, which may change the meaning."""
    alike: tuple[int, ...] = ()
    """Indices of other pairs with the same wording, which are also correct."""


class HeldOut(NamedTuple):
    """Training pairs, and the wordings held out of them."""

    kept: list[Question]
    """All pairs in their order, each with at least one wording."""
    asked: list[tuple[int, str]]
    """Held-out wordings, each with the index of its pair."""


def hold_out(questions: Sequence[Question], share: float = 0.15, *, seed: int = 0) -> HeldOut:
    """Hold out a share of the wordings of pairs with several wordings, never all wordings of a pair.

    A wording that several pairs share is not held out, because it would match the other pairs.

    Args:
        questions: The pairs.
        share: Share of these pairs' wordings, between 0 and 1.
        seed: Random seed of the selection.
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
    selection = sorted((spare[each] for each in order), key=lambda entry: entry[0])[: round(share * several)]
    held_out = sorted((pair, place) for _, pair, place in selection)
    without: dict[int, set[int]] = {}
    for pair, place in held_out:
        without.setdefault(pair, set()).add(place)
    pairs = [
        replace(each, wordings=[text for place, text in enumerate(each.wordings) if place not in without.get(pair, ())])
        for pair, each in enumerate(questions)
    ]
    return HeldOut(pairs, [(pair, questions[pair].wordings[place]) for pair, place in held_out])


def make_probes(
    held: HeldOut, bags: PairBags, *, at_most: int = 2_000, word_dropout: float = 0.35, seed: int = 0
) -> list[Probe]:
    """Build calibration questions: the held-out wordings, and the same share of pairs with a single wording.

    In a held-out wording, n-grams absent from the training pairs count as unknown. A single wording remains in its key;
    unknown words replace a random share of its words, with several draws if there are few such wordings.

    Args:
        held: Training pairs and held-out wordings.
        bags: Bags of the training pairs.
        at_most: Maximum number of probes of each kind.
        word_dropout: Share of words to replace, between 0 and 1.
        seed: Random seed of the selection and replacement.
    """
    vocabulary, generator = bags.vocabulary, np.random.default_rng([seed, 1])
    shared = shared_wordings(held.kept)
    mask = np.zeros(len(vocabulary), dtype=bool)
    for pair in range(len(bags)):
        mask[bags.key(pair).ids] = True
        mask[bags.answers[pair].ids] = True
    held_out = _some(held.asked, at_most, generator)
    probes = [Probe(pair, _forget(vocabulary.bag(text), mask), altered=False) for pair, text in held_out]
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
    """Calibrate the scale, the score of "no pair", and the threshold.

    Each probe counts twice: with its correct pairs, and without them, when no pair matches. Scale and score maximise
    the likelihood of the correct outcomes; a prior keeps the scale near its value in training. The share `keep` of the
    probes reaches the threshold. Altered probes count only if they match their pair, since the others may have lost
    their meaning.

    Args:
        probes: Calibration questions; see `make_probes`.
        index: Keys of the pairs.
        keep: Share of matching questions to answer, above 0 and below 1.

    Raises:
        DataError: If there are no probes.
    """
    if not probes:
        raise DataError("there is no question to choose the threshold by")
    own, others = map(np.stack, zip(*(_compared(probe, index) for probe in probes), strict=True))
    altered = np.array([probe.altered for probe in probes])
    best = np.maximum(own, others.max(1, initial=-1.0))
    valid = ~altered | (own == best)
    scale, nothing = _fit(own, others, float(index.model.memory.log_scale.detach().exp()))
    confidence = Confidence(scale=scale, nothing=nothing, threshold=0.0)
    lowest = float(np.quantile(best[valid] if valid.any() else best, 1 - keep))
    return msgspec.structs.replace(confidence, threshold=confidence.confidence(lowest))


def _compared(probe: Probe, index: KeyIndex) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the highest score of a probe's correct pairs, and the highest scores of others, in descending order."""
    scores, alike = index.scores(probe.bag), list(probe.alike)
    own = scores[[probe.pair, *alike]].max()
    scores[alike] = _NEVER
    others = np.delete(scores, probe.pair)
    if len(others) > _NEAREST:
        others = np.partition(others, -_NEAREST)[-_NEAREST:]
    return own, np.sort(others)[::-1]


def _some(entries: list[tuple[int, str]], at_most: int, generator: np.random.Generator) -> list[tuple[int, str]]:
    """Return all entries, or a random subset, in their order."""
    return [entries[place] for place in np.sort(generator.permutation(len(entries))[:at_most])]


def _forget(bag: Bag, vocabulary: NDArray[np.bool_]) -> Bag:
    """Return a bag in which entries outside a vocabulary mask count as unknown."""
    mask = vocabulary[bag.ids]
    return Bag(bag.ids[mask], bag.values[mask], bag.unknown + float(np.square(bag.values[~mask]).sum()))


def _fit(own: NDArray[np.float64], others: NDArray[np.float64], scale: float) -> tuple[float, float]:
    """Fit the scale and the score of "no pair" by maximum a posteriori."""
    right, wrong = torch.from_numpy(own), torch.from_numpy(others.copy())
    begin = [math.log(scale), float(right.median()) / 2]
    parameters = torch.tensor(begin, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        strength = parameters[0].clamp(math.log(_WEAKEST), math.log(_STRONGEST)).exp()
        nothing = (strength * parameters[1]).expand(len(right))
        without = torch.cat([nothing[:, None], strength * wrong], dim=1).logsumexp(1)
        total = torch.logaddexp(without, strength * right)
        prior = ((parameters[0] - math.log(scale)) / _SPREAD).square() / 2
        loss: Tensor = (total - strength * right + without - nothing).mean() + prior / len(right)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    strength, nothing = parameters.detach().tolist()
    return min(max(math.exp(strength), _WEAKEST), _STRONGEST), nothing
