r"""Mixture of a language model's network with an n-gram model.

.. math:: p(w \mid h) = \lambda\, p_{\mathrm{network}}(w \mid h) + (1 - \lambda)\, p_{\mathrm{n-gram}}(w \mid h)

The share :math:`\lambda` minimises the loss on the validation data. Source: Mikolov et al. 2010, "Recurrent neural
network based language model", section 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.errors import ModelFolderError
from unspool.models.kneser_ney import KneserNey
from unspool.training import checkpoint

__all__ = ["Mixture", "MixtureSteps"]

_FILE = "mixture.safetensors"
_FORMAT = 1
_THIRDS = 40  # steps of the search for the share


class Mixture(NamedTuple):
    """An n-gram model and the share of the network."""

    ngrams: KneserNey
    share: float
    """Share of the network, between 0 and 1."""

    @classmethod
    def fit(cls, ngrams: KneserNey, network: NDArray[np.float64], tokens: NDArray[Any]) -> Self:
        """Fit the share of the network to a text.

        Args:
            ngrams: The n-gram model.
            network: Negative log-likelihood of each token under the network, in nats, (tokens,).
            tokens: The text, (tokens,).
        """
        both = np.exp(-network), np.exp(-ngrams.nats(tokens))
        low, high = 0.0, 1.0
        for _ in range(_THIRDS):  # the loss is convex in the share
            left, right = low + (high - low) / 3, high - (high - low) / 3
            if _nats(both, left) <= _nats(both, right):
                high = right
            else:
                low = left
        return cls(ngrams, (low + high) / 2)

    def nats(self, network: NDArray[np.float64], tokens: NDArray[Any]) -> NDArray[np.float64]:
        """Return the negative log-likelihood of each token of a text, in nats, (tokens,); see `fit`."""
        probabilities = self.share * np.exp(-network) + (1 - self.share) * np.exp(-self.ngrams.nats(tokens))
        result: NDArray[np.float64] = -np.log(probabilities)
        return result

    def log_probabilities(self, network: Tensor, histories: list[list[int]]) -> Tensor:
        """Mix log-probabilities of the next units.

        Args:
            network: Those of the network, in nats, (rows, vocabulary).
            histories: The units before, for each row.

        Returns:
            Those of the mixture, in nats, (rows, vocabulary), float32.
        """
        ngrams = torch.from_numpy(np.stack([self.ngrams.distribution(history) for history in histories]))
        mixed = self.share * network.double().exp() + (1 - self.share) * ngrams.to(network.device)
        return mixed.log().float()

    def save(self, folder: Path) -> None:
        """Write `mixture.safetensors` into a folder."""
        tensors = {name: torch.from_numpy(array) for name, array in self.ngrams.arrays().items()}
        record = {"format": _FORMAT, "share": self.share, "units": self.ngrams.vocab_size}
        checkpoint.write(folder / _FILE, tensors, record)

    @classmethod
    def load(cls, folder: Path, units: int) -> Self | None:
        """Read the file that `save` wrote; return None if there is none.

        Args:
            folder: Folder of the file.
            units: Size of the vocabulary.

        Raises:
            ModelFolderError: If the file is damaged, of a newer version, or of another vocabulary.
        """
        path = folder / _FILE
        if not path.exists():
            return None
        tensors, record = checkpoint.read(path)
        if record.get("format") != _FORMAT:
            raise ModelFolderError(f"{path} was saved by a newer Unspool: pip install --upgrade unspool")
        share = record.get("share")
        if record.get("units") != units or not isinstance(share, float) or not 0 <= share <= 1:
            raise ModelFolderError(f"{path} is damaged: it does not fit the vocabulary of {units} units")
        try:
            ngrams = KneserNey.of_arrays({name: tensor.numpy() for name, tensor in tensors.items()}, units)
        except ValueError as error:
            raise ModelFolderError(f"{path} is damaged: {error}") from None
        return cls(ngrams, share)


class MixtureSteps:
    """The steps of a mixture, for `unspool.decoding.Continuations`.

    Args:
        network: A language model with `start` and `advance`.
        mixture: The n-gram model and the share.
    """

    def __init__(self, network: Any, mixture: Mixture) -> None:
        self._network, self._mixture = network, mixture

    def start(self, batch_size: int) -> Any:
        """Return the state before the first unit: that of the network, and no units, as -1."""
        reach = max(1, self._mixture.ngrams.order - 1)
        return self._network.start(batch_size), torch.full((batch_size, reach), -1)

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read a unit per sequence, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        scores, after = self._network.advance(ids, state[0])
        recent = torch.cat([state[1][:, 1:], ids.cpu().unsqueeze(1)], 1)
        histories = [[unit for unit in row if unit >= 0] for row in recent.tolist()]
        return self._mixture.log_probabilities(scores, histories), (after, recent)


def _nats(both: tuple[NDArray[np.float64], NDArray[np.float64]], share: float) -> float:
    mixed = np.maximum(share * both[0] + (1 - share) * both[1], 1e-300)
    return float(-np.log(mixed).mean())
