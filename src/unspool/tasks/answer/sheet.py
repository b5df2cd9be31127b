"""Sheet of an assistant: the retriever with its keys, and the rule from scores to an answer."""

from __future__ import annotations

import math

import numpy as np
import torch

from unspool.data import LONGEST_TEXT
from unspool.ship.building import ProgramBuilder, array
from unspool.ship.sheet import Port, Retrieve, Sheet
from unspool.ship.sheet_text import QuestionNgrams, Replies, TextFront, Units
from unspool.tasks.answer.matching import Matcher, PairBags

__all__ = ["assistant_sheet"]


@torch.no_grad()
def assistant_sheet(matcher: Matcher, *, threshold: float, unknown: str) -> Sheet:
    """Return the sheet of an assistant, which answers with the first answer of a pair.

    Args:
        matcher: Ranks the pairs.
        threshold: Minimum confidence for an answer.
        unknown: The answer below it.
    """
    vocabulary, model, pairs = matcher.vocabulary, matcher.model, matcher.questions
    question = QuestionNgrams(
        tuple(vocabulary.entries),
        vocabulary.weights,
        (1 + math.log(1 + vocabulary.pairs)) ** 2,
        vocabulary.shortest,
        vocabulary.longest,
        LONGEST_TEXT,
    )
    keys = model.encode(PairBags(pairs, vocabulary, answer_weight=matcher.answer_weight).keys())
    build = ProgramBuilder(Port("bag", "bag"), Port("unknown", "row", 1))
    scores = build.add(
        Retrieve,
        "scores",
        bag="bag",
        unknown="unknown",
        importance=array(model.importance.exp()),
        vectors=array(model.projection[: int(model.num_vectors)]),
        ids=keys.ids.numpy().astype(np.int64),
        values=array(keys.values),
        rows=np.repeat(np.arange(len(pairs)), np.diff(keys.offsets.numpy())).astype(np.int64),
        key_vectors=array(keys.vectors),
        key_shares=array(keys.shares),
        balance=float(model.balance),
    )
    with_marks, without = ({form: tuple(places) for form, places in forms.items()} for forms in matcher._exact)
    back = Replies(
        tuple(pair.wordings[0] for pair in pairs),
        tuple(pair.answers[0] for pair in pairs),
        with_marks,
        without,
        matcher.confidence.scale,
        matcher.confidence.nothing,
        threshold,
        unknown,
    )
    front = TextFront(Units("word", (), False, False), question=question)
    return Sheet("answer", front, build.finish(Port(scores, "row", len(pairs))), back)
