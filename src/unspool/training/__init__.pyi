from .callbacks import LogReporter
from .distributed import World, join, leave
from .loop import Batch, BatchSource, FitResult, fit
from .progress import BarReporter, LineReporter, Progress, Reporter, report_to
from .settings import TrainingSettings

__all__ = [
    "BarReporter",
    "Batch",
    "BatchSource",
    "FitResult",
    "LineReporter",
    "LogReporter",
    "Progress",
    "Reporter",
    "TrainingSettings",
    "World",
    "fit",
    "join",
    "leave",
    "report_to",
]
