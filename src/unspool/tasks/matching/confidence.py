"""How sure a ranking is, and below what the assistant says that it does not know; chosen from the pairs alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Bags, Question, split_words
from unspool.models import Retriever
from unspool.tasks.matching.keys import KeyIndex, PairBags
from unspool.tasks.matching.lookups import leave_out

__all__ = ["Confidence", "calibrate"]

_NEAREST = 50  # keys of a question that are looked at
_WIDEST = 200.0  # highest strength that fitting may reach


class Confidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    r"""From scores to probabilities, one of which is that no pair fits.

    .. math:: p_i = \frac{e^{\beta \alpha_i}}{e^{\beta \alpha_0} + \sum_j e^{\beta \alpha_j}}

    `nothing` is :math:`\alpha_0`, the score of the answer "I don't know".
    """

    scale: float
    nothing: float
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


@dataclass(frozen=True)
class _Trial:
    """A question whose pair is known, asked as if it were new."""

    own: float
    """Score of its pair."""
    others: NDArray[np.float64]
    """The highest scores of other pairs, falling."""


def calibrate(
    questions: Sequence[Question],
    bags: PairBags,
    model: Retriever,
    *,
    keep: float = 0.95,
    at_most: int = 2_000,
    word_dropout: float = 0.5,
    seed: int = 0,
) -> Confidence:
    """Choose the strength, the score of "I don't know", and the threshold.

    Wordings are asked as if they were new: one that has paraphrases is left out of its pair's key, one that stands
    alone has words left out of itself. Each is asked a second time with its pair taken away: then no pair fits.
    Strength and score are those under which what is right is likeliest; the threshold is the one that a share `keep`
    of the first kind reaches.

    Args:
        questions: The pairs.
        bags: Their bags, in the same order.
        model: The trained retriever, on the CPU.
        keep: Share of questions that belong to a pair and are to be answered, above 0 and below 1.
        at_most: How many wordings, drawn at random, are asked.
        word_dropout: Share of words left out of a wording that stands alone.
        seed: Decides what is drawn and left out.
    """
    with torch.no_grad():
        trials = _trials(questions, bags, model, at_most, word_dropout, np.random.default_rng([seed, 1]))
    scale, nothing = _fit(trials, float(model.memory.log_scale.exp()))
    best = [max(trial.own, trial.others[0] if len(trial.others) else -1.0) for trial in trials]
    made = Confidence(scale=scale, nothing=nothing, threshold=0.0)
    lowest = float(np.quantile(best, 1 - keep))
    return msgspec.structs.replace(made, threshold=float(f"{made.confidence(lowest):.4g}"))


def _trials(
    questions: Sequence[Question],
    bags: PairBags,
    model: Retriever,
    at_most: int,
    word_dropout: float,
    generator: np.random.Generator,
) -> list[_Trial]:
    index = KeyIndex(model.encode(bags.keys()), len(bags.vocabulary))
    wordings = [(pair, place) for pair, each in enumerate(questions) for place in range(len(each.wordings))]
    chosen = np.sort(generator.permutation(len(wordings))[:at_most])
    trials = []
    for pair, place in (wordings[each] for each in chosen):
        words = split_words(questions[pair].wordings[place])
        alone = len(questions[pair].wordings) == 1
        if alone:
            words = leave_out(words, word_dropout, generator)
        query = Bags.of([bags.vocabulary.bag(words)])
        shared, alike = index.compare(model.encode(query))
        scores = model.combine(torch.from_numpy(shared), torch.from_numpy(alike)).double().numpy()
        own = scores[pair] if alone else float(model.scores(query, Bags.of([bags.key(pair, {place})])))
        others = np.delete(scores, pair)
        nearest = np.sort(np.partition(others, -_NEAREST)[-_NEAREST:] if len(others) > _NEAREST else others)[::-1]
        trials.append(_Trial(own, nearest))
    return trials


def _fit(trials: Sequence[_Trial], scale: float) -> tuple[float, float]:
    """The strength and the score of no pair under which the trials are likeliest, by Newton's method on a plane."""
    own = torch.tensor([trial.own for trial in trials], dtype=torch.float64)
    others = torch.from_numpy(np.stack([trial.others for trial in trials]))
    parameters = torch.tensor([math.log(scale), float(own.median()) / 2], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        strength = parameters[0].clamp(max=math.log(_WIDEST)).exp()
        nothing = (strength * parameters[1]).expand(len(own), 1)
        foreign = torch.cat([nothing, strength * others], dim=1)
        known = torch.cat([foreign, strength * own[:, None]], dim=1)
        losses = known.logsumexp(1) - strength * own + foreign.logsumexp(1) - nothing[:, 0]
        loss = losses.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    strength, nothing = parameters.detach().tolist()
    return math.exp(min(strength, math.log(_WIDEST))), nothing
