from . import cells as cells
from . import commands as commands
from . import data as data
from . import decoding as decoding
from . import engine as engine
from . import errors as errors
from . import inputs as inputs
from . import inspection as inspection
from . import layers as layers
from . import models as models
from . import settings as settings
from . import tasks as tasks
from . import training as training
from . import tuning as tuning
from .cells import Cell, LinearCell
from .commands import CommandSet, command
from .engine import explain, unroll
from .errors import UnspoolError
from .inspection import Trace, compare_gradients
from .inspection.model_graph import graph
from .layers import Recurrent
from .tasks import (
    Algorithm,
    Assistant,
    Captioner,
    Classifier,
    Forecaster,
    LanguageModel,
    Reader,
    Recommender,
    Tagger,
    Transcriber,
    Translator,
    compare,
    find_concept,
    load,
)
from .tuning import tune

__all__ = [
    "Algorithm",
    "Assistant",
    "Captioner",
    "Cell",
    "Classifier",
    "CommandSet",
    "Forecaster",
    "LanguageModel",
    "LinearCell",
    "Reader",
    "Recommender",
    "Recurrent",
    "Tagger",
    "Trace",
    "Transcriber",
    "Translator",
    "UnspoolError",
    "__version__",
    "cells",
    "command",
    "commands",
    "compare",
    "compare_gradients",
    "data",
    "decoding",
    "engine",
    "errors",
    "explain",
    "find_concept",
    "graph",
    "inputs",
    "inspection",
    "layers",
    "load",
    "models",
    "settings",
    "tasks",
    "training",
    "tune",
    "tuning",
    "unroll",
]

__version__: str
