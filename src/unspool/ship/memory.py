"""Memory of questions and answers: what an assistant needs to find the stored question nearest to a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Memory"]


@dataclass(frozen=True, eq=False)
class Memory:
    r"""Questions in several wordings with their answers, and the weights that compare texts.

    A text becomes a bag: its words are those of `unspool.data.split_words`, its entries each word after a blank, and
    the n-grams of `shortest` to `longest` characters of each word between `<` and `>`; a word that is no longer than an
    n-gram is an entry of its own, and its last one. An entry that comes :math:`c` times has the value
    :math:`(1 + \ln c) w`, with its weight :math:`w`; entries without a weight only count in the length of a question,
    with the weight `unknown`. Of the bag without learned importance, each wording of a stored question is divided by
    its length, and the sum of wordings and answers, these `answer_weight` times, is the key of the question: see
    `unspool.tasks.answer.matching.keys`.

    A bag and a key, both of length 1, have the score of `unspool.models.Retriever`: their product, and `balance` times
    that of their vectors. Where a question equals a stored wording, apart from case and final punctuation, the score is
    1. Of equal scores, the higher one without this rule wins, then the first question.
    """

    wordings: tuple[tuple[str, ...], ...]
    """Of each stored question."""
    answers: tuple[tuple[str, ...], ...]
    """Of each stored question; the first one is the reply."""
    entries: tuple[str, ...]
    rarity: NDArray[np.float32]
    """Inverse document frequency of each entry, (entries,)."""
    importance: NDArray[np.float32]
    """Learned factor of each entry, (entries,); its weight is the product of both."""
    unknown: float
    shortest: int
    longest: int
    vectors: NDArray[np.float32] | None
    """Of the first entries, (rows, size); the other entries have none. None: scores without vectors."""
    balance: float
    answer_weight: float
    scale: float
    nothing: float
    """A score s has the confidence 1 / (1 + exp(scale (nothing - s)))."""
    threshold: float
    """Minimum confidence of a reply."""
    refusal: str
    """What is replied to other questions."""
