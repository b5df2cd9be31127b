"""Settings of decoding: greedy, beam search, sampling. Field docstrings are the `--help`; imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from unspool.errors import SettingError, option
from unspool.settings import NonNegative, NonNegativeInt, PositiveInt, Settings

__all__ = ["DecodingSettings"]

_Width = Annotated[int, msgspec.Meta(gt=0, le=10_000)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class DecodingSettings(Settings):
    """How the model chooses its output, unit by unit."""

    search: Literal["greedy", "beam", "sample"] = "beam"
    """Decoding method: greedy takes the most likely unit at each step, beam keeps several hypotheses, sample draws each
    unit by its probability."""
    beam: _Width = 5
    """Beam width: hypotheses kept at each step, at most 10,000; each finished one reduces it by one (beam)."""
    best: _Width = 1
    """Number of outputs per input, best first: the best hypotheses of the beam, or as many samples."""
    length_penalty: NonNegative = 1.0
    """Length penalty α of Wu et al. 2016, equation 14: log-probabilities are divided by ((5 + length) / 6)^α. 0: no
    penalty; 1: nearly the mean per unit."""
    coverage_penalty: NonNegative = 0.0
    """Coverage penalty β of Wu et al. 2016, equation 14, for source units with little attention; needs attention. 0:
    off."""
    min_length: NonNegativeInt = 0
    """Minimum number of units before the end."""
    max_length: PositiveInt | None = None
    """Maximum number of units, the end included; longer outputs are cut. None: by the length of the input."""
    no_repeat_ngram: NonNegativeInt = 0
    """No n-gram of this many units occurs twice. 0: no limit."""
    temperature: NonNegative = 1.0
    """Temperature: above 1 flattens the distribution, below 1 sharpens it, 0 takes the most likely unit (sample)."""
    top_k: PositiveInt | None = None
    """Draw from this many most likely units only (sample). None: from all."""
    top_p: _Share | None = None
    """Nucleus sampling: draw from the fewest most likely units whose probabilities sum to this, above 0 and at most 1
    (sample). None: from all."""

    def check(self) -> None:
        """Refuse more outputs than the search finds, contradictory lengths, and settings that the search ignores."""
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
