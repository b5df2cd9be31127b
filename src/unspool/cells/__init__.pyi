from .base import Cell, LinearCell, StepEditor, Watcher, attachments, edit_steps, editor_of, watch
from .catalog import CELLS, cell_class, cell_name, is_built_in, with_recorded_options
from .elman import ElmanCell, ElmanReLUCell, ElmanState
from .gru import GRUCell, GRUState, ResetBeforeGRUCell
from .hyper import HyperLSTMCell, HyperLSTMState
from .lstm import LayerNormLSTMCell, LSTMCell, LSTMState, PeepholeLSTMCell
from .minimal import MinGRUCell, MinimalState, MinLSTMCell
from .multiplicative import MultiplicativeLSTMCell, MultiplicativeRNNCell
from .options import split_name
from .torch_weights import from_torch, to_torch
from .turing import FeedForwardNTMCell, FeedForwardNTMState, NTMCell, NTMState

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
    "StepEditor",
    "Watcher",
    "attachments",
    "cell_class",
    "cell_name",
    "edit_steps",
    "editor_of",
    "from_torch",
    "is_built_in",
    "split_name",
    "to_torch",
    "watch",
    "with_recorded_options",
]
