"""One step each: the cells, and what a cell of your own derives from."""

from unspool.cells.base import Cell, LinearCell, Watcher, watch, watchers
from unspool.cells.catalog import CELLS, cell_class, cell_name, is_built_in, with_recorded_options
from unspool.cells.elman import ElmanCell, ElmanReLUCell, ElmanState
from unspool.cells.gru import GRUCell, GRUState, ResetBeforeGRUCell
from unspool.cells.hyper import HyperLSTMCell, HyperLSTMState
from unspool.cells.lstm import LayerNormLSTMCell, LSTMCell, LSTMState, PeepholeLSTMCell
from unspool.cells.minimal import MinGRUCell, MinimalState, MinLSTMCell
from unspool.cells.multiplicative import MultiplicativeLSTMCell, MultiplicativeRNNCell
from unspool.cells.options import split_name
from unspool.cells.torch_weights import from_torch, to_torch
from unspool.cells.turing import FeedForwardNTMCell, FeedForwardNTMState, NTMCell, NTMState

__all__ = [
    "CELLS",
    "Cell",
    "ElmanCell",
    "ElmanReLUCell",
    "ElmanState",
    "FeedForwardNTMCell",
    "FeedForwardNTMState",
    "GRUCell",
    "GRUState",
    "HyperLSTMCell",
    "HyperLSTMState",
    "LSTMCell",
    "LSTMState",
    "LayerNormLSTMCell",
    "LinearCell",
    "MinGRUCell",
    "MinLSTMCell",
    "MinimalState",
    "MultiplicativeLSTMCell",
    "MultiplicativeRNNCell",
    "NTMCell",
    "NTMState",
    "PeepholeLSTMCell",
    "ResetBeforeGRUCell",
    "Watcher",
    "cell_class",
    "cell_name",
    "from_torch",
    "is_built_in",
    "split_name",
    "to_torch",
    "watch",
    "watchers",
    "with_recorded_options",
]
