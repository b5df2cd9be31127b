"""Networks on tensors: they own their loss and know nothing of files or text."""

from unspool.models.classifier import ClassifierModel, ClassifierOutput
from unspool.models.language_model import LanguageModel
from unspool.models.loss import Loss
from unspool.models.memory_network import KeyValueMemoryNetwork, MemoryNetwork, MemoryOutput, hop
from unspool.models.sentence_encoder import SentenceEncoder, position_encoding
from unspool.models.tagger import TaggerModel

__all__ = [
    "ClassifierModel",
    "ClassifierOutput",
    "KeyValueMemoryNetwork",
    "LanguageModel",
    "Loss",
    "MemoryNetwork",
    "MemoryOutput",
    "SentenceEncoder",
    "TaggerModel",
    "hop",
    "position_encoding",
]
