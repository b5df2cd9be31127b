"""Sheet of a tagger: the network, and the best path of a conditional random field or the best tag of each word."""

from __future__ import annotations

from typing import Any

from unspool.models import TaggerModel
from unspool.ship.building import ProgramBuilder, array
from unspool.ship.sheet import BestPath, Highest, Port, Sheet
from unspool.ship.sheet_text import TagNames
from unspool.ship.text_building import text_front
from unspool.tasks.tag.fitted import FittedTagger

__all__ = ["tagger_sheet"]

_LETTERS = {"IO": "IIII", "IOB2": "BIIB", "IOE2": "IIEE", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
"""How a scheme writes the BIOES letters B, I, E, S, each by itself."""


def tagger_sheet(model: TaggerModel, fitted: FittedTagger) -> Sheet:
    """Return the sheet of a tagger, which takes sentences as lists of words.

    Tags of spans stand in the scheme of the data where each can be written by itself, else in BIOES.

    Args:
        model: The network, in evaluation mode.
        fitted: Its input and labels.

    Raises:
        UsageError: If the network has no operations in the sheet.
    """
    has_characters = fitted.input.spelling is not None
    inputs = [Port("ids", "ids"), Port("lengths", "lengths"), *[Port("characters", "ids")] * has_characters]
    build = ProgramBuilder(*inputs)
    scores = build.product(model.output, build.encode(model.encoder, build.embed(model.embedding)), "scores")
    if model.crf is None:
        tags = build.add(Highest, "tags", input=scores)
    else:
        transitions, first, last = map(array, model.crf._scores())
        tags = build.add(BestPath, "tags", input=scores, transitions=transitions, first=first, last=last)
    front = text_front(fitted.input.vocabulary, fitted.input.spelling, words=True)
    scheme: Any = fitted.scheme
    # without a field, tags may make no spans, and only their reader can tell
    scheme = scheme if scheme is None or (scheme in _LETTERS and model.crf is not None) else "BIOES"
    names = tuple(_in_scheme(name, scheme) for name in fitted.labels.names)
    return Sheet("tag", front, build.finish(Port(tags, "places")), TagNames(names, scheme))


def _in_scheme(name: str, scheme: str | None) -> str:
    letter, dash, kind = name.partition("-")
    if scheme is None or letter not in tuple("BIES") or (name != letter and not dash):
        return name
    return _LETTERS[scheme]["BIES".index(letter)] + dash + kind
