r"""Refusal of sentences out of scope: an energy score of the logits, and its rank among held-out commands.

.. math::
    s(x) = \log \sum_k e^{z_k} - z_\text{none}, \qquad
    f(x) = \frac{1 + |\{i : s(x_i) \le s(x)\}|}{n + 1}

:math:`z_\text{none}` is the logit of the sentences out of scope; 0 if the training data have none. The familiarity
:math:`f` is a conformal p-value: of new commands like the held-out ones, a share of at most :math:`\alpha` has a
familiarity of at most :math:`\alpha`.

Source: Liu et al. 2020, "Energy-based out-of-distribution detection", arXiv:2010.03759, equation 4; Vovk et al. 2005,
"Algorithmic learning in a random world", section 2.2. Differs: with several intents per sentence, the score is the
largest logit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from unspool.errors import ModelFolderError
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["NEVER", "Refusal", "scope_scores"]

_FILE = "refusal.json"
_MOST = 1000  # held-out scores in a model folder


def scope_scores(logits: NDArray[np.floating], intents: int, *, several: bool) -> NDArray[np.float64]:
    """Return the energy score of each sentence, (sentences,); higher scores are more likely commands.

    Args:
        logits: Calibrated logits, (sentences, intents), with one more column if out-of-scope sentences were trained.
        intents: Number of intents.
        several: Whether a sentence may have several intents.
    """
    known = np.asarray(logits[:, :intents], np.float64)
    highest: NDArray[np.float64] = known.max(1)
    if several:
        return highest
    energy: NDArray[np.float64] = highest + np.log(np.exp(known - highest[:, None]).sum(1))
    return energy - np.asarray(logits[:, intents], np.float64) if logits.shape[1] > intents else energy


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scores of held-out commands, with which new scores are compared."""

    scores: Annotated[list[float], msgspec.Meta(max_length=_MOST)] = []
    """Ascending energy scores of held-out commands; evenly spaced ranks if there are many. Empty: nothing refused."""

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> Refusal:
        """Keep the scores of held-out commands."""
        ordered = np.sort(scores)
        if len(ordered) > _MOST:
            ordered = ordered[np.linspace(0, len(ordered) - 1, _MOST).round().astype(np.int64)]
        return cls([float(score) for score in ordered])

    def familiarity(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of held-out commands with a lower or equal score, above 0 to 1; 1 without any."""
        if not self.scores:
            return np.ones(len(scores))
        ranks = np.searchsorted(np.array(self.scores), scores, side="right")
        return np.minimum(1.0, (ranks + 1) / (len(self.scores) + 1))

    def save(self, folder: Path) -> None:
        """Write `refusal.json` into a folder."""
        replace_file(folder / _FILE, msgspec.json.encode(self) + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Refusal:
        """Read the file that `save` wrote; an empty `Refusal` if there is none.

        Raises:
            ModelFolderError: If the file is damaged.
        """
        path = folder / _FILE
        if not path.exists():
            return cls()
        refusal = read_json(path, cls, "the held-out scores")
        if not all(np.isfinite(refusal.scores)) or sorted(refusal.scores) != refusal.scores:
            raise ModelFolderError(f"{path} is damaged: expected finite scores in ascending order")
        return refusal


NEVER = Refusal()
"""Refuses nothing: without held-out commands, every sentence is as familiar as any."""
