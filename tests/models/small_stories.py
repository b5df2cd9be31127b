"""Three small stories with questions, as networks get them."""

from __future__ import annotations

import numpy as np

from unspool.data import Sequences, Stories, StoryExamples

VOCABULARY, SIZE = 11, 6


def stories() -> StoryExamples:
    """Three stories of 3, 1 and 4 sentences, drawn from five different ones."""
    sentences = Sequences.of([[3, 4, 5], [6, 3], [7], [8, 9, 10, 3], [4, 4]])
    told = Sequences.of([[0, 1, 2], [3], [4, 0, 3, 1]])
    questions = Sequences.of([[5, 3], [9], [10, 4, 6]])
    return StoryExamples(sentences, told, questions, np.array([2, 0, 1]), 0)


def batch() -> Stories:
    return stories().batch(np.arange(3))
