"""Layers: recurrent stacks, convolutions, attention, Transformers, memory, embeddings, readouts, softmax and CRF."""

from unspool.layers.attention import (
    AdditiveAttention,
    Attended,
    Attention,
    BilinearAttention,
    DotAttention,
    attend,
    make_attention,
)
from unspool.layers.attention_changes import change_attention
from unspool.layers.attentive_cell import AttentiveCell
from unspool.layers.beside import Beside
from unspool.layers.causal_transformer import CausalTransformer
from unspool.layers.convolution import Convolution1d, ConvolutionOutput, GlobalNorm, TimeDelay
from unspool.layers.crf import LinearChainCRF
from unspool.layers.dropout import Dropout, SequenceDropout, WordDropout, drop_weights
from unspool.layers.embeddings import CharacterComposition, TokenEmbedding
from unspool.layers.feature_table import Bags, FeatureTable
from unspool.layers.feedforward import FeedForward, FeedForwardOutput
from unspool.layers.initialize import Initialization, initialize
from unspool.layers.masked_softmax import masked_softmax
from unspool.layers.memory import KeyValueMemory, MemoryRead
from unspool.layers.multihead_attention import MultiHeadAttention
from unspool.layers.positions import LearnedPositions, SinusoidalPositions
from unspool.layers.projected import Projected
from unspool.layers.readout import Pooling, Readout, ReadoutOutput
from unspool.layers.recurrent import Recurrent, RecurrentOutput, RecurrentState
from unspool.layers.residual_network import ResidualBlock, ResidualNetwork
from unspool.layers.sampled_softmax import SampledSoftmax
from unspool.layers.softmax import AdaptiveSoftmax, FullSoftmax
from unspool.layers.transformer import TransformerDecoder, TransformerEncoder, TransformerOutput, record_attention
from unspool.layers.window import WindowNetwork

__all__ = [
    "AdaptiveSoftmax",
    "AdditiveAttention",
    "Attended",
    "Attention",
    "AttentiveCell",
    "Bags",
    "Beside",
    "BilinearAttention",
    "CausalTransformer",
    "CharacterComposition",
    "Convolution1d",
    "ConvolutionOutput",
    "DotAttention",
    "Dropout",
    "FeatureTable",
    "FeedForward",
    "FeedForwardOutput",
    "FullSoftmax",
    "GlobalNorm",
    "Initialization",
    "KeyValueMemory",
    "LearnedPositions",
    "LinearChainCRF",
    "MemoryRead",
    "MultiHeadAttention",
    "Pooling",
    "Projected",
    "Readout",
    "ReadoutOutput",
    "Recurrent",
    "RecurrentOutput",
    "RecurrentState",
    "ResidualBlock",
    "ResidualNetwork",
    "SampledSoftmax",
    "SequenceDropout",
    "SinusoidalPositions",
    "TimeDelay",
    "TokenEmbedding",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerOutput",
    "WindowNetwork",
    "WordDropout",
    "attend",
    "change_attention",
    "drop_weights",
    "initialize",
    "make_attention",
    "masked_softmax",
    "record_attention",
]
