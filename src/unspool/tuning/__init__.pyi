from .result import Training, Trial, Tuning
from .session import tune

__all__ = ["Training", "Trial", "Tuning", "tune"]
