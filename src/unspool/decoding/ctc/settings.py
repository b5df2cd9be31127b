"""Settings of hearing: language model and grammar of a CTC search. Field docstrings are the `--help`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from unspool.errors import SettingError
from unspool.settings import NonNegative, Settings

__all__ = ["HearingSettings"]

_Order = Annotated[int, msgspec.Meta(gt=0, le=20)]


class HearingSettings(Settings):
    """What the search for a transcript knows besides the sound."""

    lm: str | None = None
    """Language model: an ARPA file (.arpa), or a text file with one sentence a line, from which one is learned. None:
    none."""
    lm_units: Literal["auto", "word", "character"] = "auto"
    """Units of the language model. auto: by the units of an ARPA file; word for a text file."""
    lm_order: _Order = 3
    """Maximum n-gram length of a language model that is learned from text, in units."""
    lm_weight: NonNegative = 0.5
    """Weight of the language model's log-probability beside that of the sound."""
    lm_bonus: float = 0.0
    """Score added for each unit of the language model, in nats; above 0, the transcript has more of them."""
    lm_unknown: Annotated[float, msgspec.Meta(le=0)] = -5.0
    """Score added for each word that the language model does not list, in nats, at most 0."""
    grammar: str | None = None
    """File of the only sentences that may be heard: text, one a line, or your commands, a Python file (.py), whose code
    is executed. None: any."""
    grammar_margin: NonNegative = 0.5
    """Threshold of "none of these": the transcript is empty if the best sentence of the grammar costs more than this
    beside the best output without a grammar, in nats per step."""

    def check(self) -> None:
        """Refuse a language model together with a grammar."""
        if self.lm is not None and self.grammar is not None:
            raise SettingError(
                f"lm = {self.lm} with grammar = {self.grammar}: a grammar says which sentences may be heard, and a "
                f"language model how likely each is; pass one of both"
            )
