"""Steps of a language model whose rows do not depend on the size of the batch, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.layers import AdaptiveSoftmax
from unspool.models import LanguageModel

__all__ = ["TILE", "TiledSteps"]

TILE = 16
"""Rows of a tile of the output layer."""


class TiledSteps:
    """The steps of a recurrent language model, with its output layer in tiles, for `unspool.decoding.Continuations`.

    Matrix products round a row otherwise in a batch of one or two than in a larger one. Tiles always have the same
    number of rows; the last one is padded. The recurrent steps of the engine need none.

    Args:
        network: The language model.
    """

    def __init__(self, network: LanguageModel) -> None:
        self._network = network

    def start(self, batch_size: int) -> Any:
        """Return the state before the first unit."""
        return self._network.start(batch_size)

    def advance(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read a unit per sequence, (batch,); return the next log-probabilities, (batch, vocabulary), and the state."""
        outputs, after = self._network.states(ids.unsqueeze(0), state)
        rows = outputs[0]
        padding = -len(rows) % TILE
        tiles = torch.split(F.pad(rows, (0, 0, 0, padding)) if padding else rows, TILE)
        return self._log_probabilities(tiles)[: len(rows)], after

    def _log_probabilities(self, tiles: Sequence[Tensor]) -> Tensor:
        softmax = self._network.softmax
        if isinstance(softmax, AdaptiveSoftmax):
            return torch.cat([softmax.log_probabilities(tile) for tile in tiles])
        weight, bias, project = softmax.weight, softmax.bias, softmax.project
        vectors = tiles if project is None else [project(tile) for tile in tiles]
        logits = [F.linear(vector, weight, bias) for vector in vectors]
        return torch.cat(logits).float().log_softmax(-1)
