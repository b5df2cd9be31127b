"""Models: networks on tensors, each with its loss. They know neither files nor text."""

from unspool.models.answering import MemoryOutput
from unspool.models.assistant import AssistantModel
from unspool.models.classifier import ClassifierModel, ClassifierOutput
from unspool.models.ctc import CTCModel
from unspool.models.decoders import (
    AttentiveDecoder,
    Bridge,
    LateAttentionDecoder,
    LearnedStart,
    Memory,
    RecurrentDecoder,
    TransformerDecoding,
    WindowDecoder,
)
from unspool.models.dynamic_memory_network import DynamicMemoryNetwork, likeness
from unspool.models.encoder_decoder import EncoderDecoder, Forced
from unspool.models.forecast_networks import (
    EncoderDecoderForecast,
    LinearForecast,
    PatchForecast,
    SegmentForecast,
    StepForecast,
)
from unspool.models.forecaster import ForecasterModel, pinball
from unspool.models.intents_and_slots import IntentSlotModel, IntentSlotOutput
from unspool.models.language_model import LanguageModel
from unspool.models.latent import LatentVariable
from unspool.models.loss import Loss
from unspool.models.memory_network import KeyValueMemoryNetwork, MemoryNetwork, hop
from unspool.models.next_item import NextItemModel
from unspool.models.retriever import EncodedBags, Lookups, Retriever
from unspool.models.sentence_encoder import SentenceEncoder, position_encoding
from unspool.models.stepwise import StepwiseModel
from unspool.models.tagger import TaggerModel

__all__ = [
    "AssistantModel",
    "AttentiveDecoder",
    "Bridge",
    "CTCModel",
    "ClassifierModel",
    "ClassifierOutput",
    "DynamicMemoryNetwork",
    "EncodedBags",
    "EncoderDecoder",
    "EncoderDecoderForecast",
    "Forced",
    "ForecasterModel",
    "IntentSlotModel",
    "IntentSlotOutput",
    "KeyValueMemoryNetwork",
    "LanguageModel",
    "LateAttentionDecoder",
    "LatentVariable",
    "LearnedStart",
    "LinearForecast",
    "Lookups",
    "Loss",
    "Memory",
    "MemoryNetwork",
    "MemoryOutput",
    "NextItemModel",
    "PatchForecast",
    "RecurrentDecoder",
    "Retriever",
    "SegmentForecast",
    "SentenceEncoder",
    "StepForecast",
    "StepwiseModel",
    "TaggerModel",
    "TransformerDecoding",
    "WindowDecoder",
    "hop",
    "likeness",
    "pinball",
    "position_encoding",
]
