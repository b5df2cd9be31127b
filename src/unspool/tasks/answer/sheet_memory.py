"""Memory of an assistant's questions and answers, for pages; commands and the generator are not exported."""

from __future__ import annotations

import math

import numpy as np

from unspool.ship.memory import Memory
from unspool.tasks.answer.matching.matcher import Matcher

__all__ = ["assistant_memory"]


def assistant_memory(matcher: Matcher, threshold: float, refusal: str) -> Memory:
    """Return the memory of an assistant.

    Args:
        matcher: Stored questions, and the retriever.
        threshold: Minimum confidence of a reply.
        refusal: Reply to other questions.
    """
    vocabulary, model = matcher.vocabulary, matcher.model
    return Memory(
        wordings=tuple(tuple(each.wordings) for each in matcher.questions),
        answers=tuple(tuple(each.answers) for each in matcher.questions),
        entries=tuple(vocabulary.entries),
        rarity=vocabulary.weights,
        importance=np.exp(model.importance.detach().float().cpu().numpy()),
        unknown=1 + math.log(1 + vocabulary.pairs),
        shortest=vocabulary.shortest,
        longest=vocabulary.longest,
        vectors=model.projection.detach().float().cpu().numpy()[: int(model.num_vectors)],
        balance=model.balance,
        answer_weight=matcher.answer_weight,
        scale=matcher.confidence.scale,
        nothing=matcher.confidence.nothing,
        threshold=threshold,
        refusal=refusal,
    )
