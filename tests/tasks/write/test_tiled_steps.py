"""Steps in tiles: a row's log-probabilities are the same bits in a batch of any size and at any place."""

from __future__ import annotations

import pytest
import torch

from cases import PairCell
from unspool.layers import AdaptiveSoftmax, FullSoftmax, Recurrent, TokenEmbedding
from unspool.models import LanguageModel
from unspool.tasks.write.tiled_steps import TILE, TiledSteps

UNITS = 71


def network(cell="lstm", hidden=512, output="full"):
    torch.manual_seed(7)
    embedding = TokenEmbedding(UNITS, 19)
    decoder = Recurrent(cell, 19, hidden)
    if output == "adaptive":
        softmax = AdaptiveSoftmax(hidden, UNITS)
    else:
        softmax = FullSoftmax(hidden, UNITS, tied=embedding.table.weight if output == "tied" else None)
    return LanguageModel(embedding, decoder, softmax).eval()


@torch.no_grad()
def run(model, places, steps=5):
    """Log-probabilities of rows with fixed units each, (steps, rows, vocabulary)."""
    tiled, scores = TiledSteps(model), []
    units = torch.randint(3, UNITS, (steps, 64), generator=torch.Generator().manual_seed(1))[:, places]
    state = tiled.start(len(places))
    for row in units:
        log_probabilities, state = tiled.advance(row, state)
        scores.append(log_probabilities)
    return torch.stack(scores)


@pytest.mark.parametrize(
    "values",
    [{}, {"cell": "gru"}, {"cell": PairCell, "hidden": 33}, {"output": "tied"}, {"output": "adaptive"}],
    ids=str,
)
def test_rows_do_not_depend_on_the_batch(values):
    model = network(**values)
    whole = run(model, list(range(64)))
    for places in ([0], [63, 2], list(range(TILE - 1)), list(range(TILE)), [*range(40, 3, -1)], [*range(64)][::-1]):
        assert torch.equal(run(model, places), whole[:, places])
    plain, _ = model.advance(torch.tensor([5, 6]), model.start(2))
    tiled, _ = TiledSteps(model).advance(torch.tensor([5, 6]), model.start(2))
    torch.testing.assert_close(tiled, plain)
