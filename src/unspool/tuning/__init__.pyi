from .result import Trial, Tuning
from .tune import tune

__all__ = ["Trial", "Tuning", "tune"]
