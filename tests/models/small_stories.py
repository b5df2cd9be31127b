"""Three small stories with questions, as networks get them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.data import Sequences, Stories, StoryExamples

VOCABULARY, SIZE = 11, 6


def stories() -> StoryExamples:
    """Three stories of 3, 1 and 4 sentences, drawn from five different ones."""
    sentences = Sequences.of([[3, 4, 5], [6, 3], [7], [8, 9, 10, 3], [4, 4]])
    story_ids = Sequences.of([[0, 1, 2], [3], [4, 0, 3, 1]])
    questions = Sequences.of([[5, 3], [9], [10, 4, 6]])
    return StoryExamples(sentences, story_ids, questions, np.array([2, 0, 1]), 0)


def batch() -> Stories:
    return stories().batch(np.arange(3))


def assert_slot_by_slot(model: nn.Module, hops: int, by_hand: Callable[[int], tuple[Tensor, list[Tensor]]]) -> None:
    """A batch gives what was worked out for each story alone, scores and weights of hops, and no weight to padding."""
    result, exact = model(batch()), TOLERANCE[torch.float64]
    assert result.weights.shape == (hops, 4, 3)
    for story, length in enumerate((3, 1, 4)):
        logits, seen = by_hand(story)
        assert_close(result.logits[story], logits, **exact)
        for k in range(hops):
            assert_close(result.weights[k, :length, story], seen[k], **exact)
            assert torch.count_nonzero(result.weights[k, length:, story]) == 0
