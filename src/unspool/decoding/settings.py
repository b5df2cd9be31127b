"""How sequences are written; the field docstrings are the `--help`. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from unspool.errors import SettingError, option
from unspool.settings import NonNegative, NonNegativeInt, PositiveInt, Settings

__all__ = ["DecodingSettings"]

_Width = Annotated[int, msgspec.Meta(gt=0, le=10_000)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class DecodingSettings(Settings):
    """How an output is chosen, unit by unit."""

    search: Literal["greedy", "beam", "sample"] = "beam"
    """Way of writing: greedy takes the likeliest unit each time, beam follows several beginnings side by side, sample
    draws each unit by its chance."""
    beam: _Width = 5
    """Beginnings followed side by side, at most 10,000; one that comes to its end leaves its place empty (beam)."""
    best: _Width = 1
    """Outputs given for each input: the best that the beam found, or as many draws; best first."""
    length_penalty: NonNegative = 1.0
    """How far longer outputs are excused for being less likely, α of Wu et al. 2016, equation 14: log-probabilities are
    divided by ((5 + length) / 6)^α. 0: not at all; 1: nearly the mean per unit."""
    coverage_penalty: NonNegative = 0.0
    """Weight of the penalty on source units that got little attention, β of Wu et al. 2016, equation 14; needs
    attention. 0: off."""
    min_length: NonNegativeInt = 0
    """Fewest units before the end."""
    max_length: PositiveInt | None = None
    """Most units, the end counted as one; what has not come to its end by then is cut. None: by the input's length."""
    no_repeat_ngram: NonNegativeInt = 0
    """No run of this many units is written twice. 0: all may repeat."""
    temperature: NonNegative = 1.0
    """Above 1 evens the chances out, below 1 sharpens them, 0 takes the likeliest (sample)."""
    top_k: PositiveInt | None = None
    """Draw from this many likeliest units only (sample). None: from all."""
    top_p: _Share | None = None
    """Draw from the fewest likeliest units whose chances add up to this, above 0 and at most 1 (sample). None: from
    all."""

    def check(self) -> None:
        """Refuse more outputs than the search finds, a shortest above the longest, and what the search never reads."""
        if self.search == "beam" and self.best > self.beam:
            raise SettingError(f"best = {self.best} with beam = {self.beam}: a beam finds no more than its width")
        if self.search == "greedy" and self.best > 1:
            raise SettingError(
                f"best = {self.best} with search = greedy, which finds one: say {option('search', 'beam')} or "
                f"{option('search', 'sample')}"
            )
        if self.max_length is not None and self.min_length > self.max_length:
            raise SettingError(f"min_length = {self.min_length} is more than max_length = {self.max_length}")
        if self.search != "sample":
            chances = {"temperature": 1.0, "top_k": None, "top_p": None}
            unread = [name for name, default in chances.items() if getattr(self, name) != default]
            if unread:
                names = " and ".join(unread)
                raise SettingError(
                    f"{names}: only {option('search', 'sample')} draws by chance, and search = {self.search}"
                )
