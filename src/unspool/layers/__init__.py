"""Layers: check at the door, then compose. Arithmetic stays in the cells, speed in the engine."""

from unspool.layers.crf import LinearChainCRF
from unspool.layers.dropout import SequenceDropout, WordDropout, dropped_weights
from unspool.layers.embeddings import CharacterComposition, TokenEmbedding
from unspool.layers.initialize import Initialization, initialize
from unspool.layers.readout import Pooling, Readout, ReadoutOutput
from unspool.layers.recurrent import Recurrent, RecurrentOutput, RecurrentState
from unspool.layers.softmax import AdaptiveSoftmax, FullSoftmax

__all__ = [
    "AdaptiveSoftmax",
    "CharacterComposition",
    "FullSoftmax",
    "Initialization",
    "LinearChainCRF",
    "Pooling",
    "Readout",
    "ReadoutOutput",
    "Recurrent",
    "RecurrentOutput",
    "RecurrentState",
    "SequenceDropout",
    "TokenEmbedding",
    "WordDropout",
    "dropped_weights",
    "initialize",
]
