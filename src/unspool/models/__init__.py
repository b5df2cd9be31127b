"""Networks on tensors: they own their loss and know nothing of files or text."""

from unspool.models.classifier import ClassifierModel, ClassifierOutput
from unspool.models.language_model import LanguageModel
from unspool.models.loss import Loss
from unspool.models.tagger import TaggerModel

__all__ = ["ClassifierModel", "ClassifierOutput", "LanguageModel", "Loss", "TaggerModel"]
