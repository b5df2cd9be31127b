"""Settings and command-line help of the task `command`: network, vocabulary, columns, refusal and training."""

from __future__ import annotations

from typing import Literal

from unspool.data.utterances import INTENT_NAMES, SLOT_NAMES, UTTERANCE_NAMES
from unspool.inputs.network_settings import TRANSFORMER, EncoderSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Fraction, NonNegative, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "CommandData", "CommandNetwork", "CommandSettings"]


class CommandNetwork(EncoderSettings):
    """A network that recognizes the intent of a sentence and its slots."""

    network: Literal["recurrent", "transformer"] = "recurrent"
    """Architecture: recurrent (the cell over the words), or transformer (self-attention)."""
    characters: Literal["none", "convolution", "recurrent"] = "convolution"
    """Character-level encoder, concatenated to the word embedding: none, convolution or recurrent."""
    pooling: Literal["last", "mean", "max", "attention"] = "attention"
    """Pooling of the states over time for the intent: last state, mean, maximum, or attention-weighted mean."""
    output: Literal["auto", "softmax", "crf"] = "auto"
    """Output layer of the slots: softmax (each tag independently), crf (all tags jointly). auto: crf, but softmax if a
    planned training has more than 25 slots."""


class CommandData(TableSettings):
    """How sentences with intents and slots are read."""

    text: str | None = None
    """Text column: a name, or a number from 1. None: detected."""
    intent: str | None = None
    """Column of the intent or list of intents: a name, or a number from 1. None: detected."""
    slots: str | None = None
    """Column of the slots: a name, or a number from 1. None: slots, entities, or marked in the text."""
    separator: str = ","
    """Separator between several intents in one field."""
    out_of_scope: str = "oos"
    """Intent of sentences that are out of scope. An empty field or list means the same."""


class CommandSettings(Settings):
    """Settings of a command parser."""

    network: CommandNetwork = CommandNetwork(dropout=0.5)
    vocabulary: VocabularySettings = VocabularySettings(lowercase=True)
    data: CommandData = CommandData()
    training: TrainingSettings = TrainingSettings(epochs=15, batch_tokens=1000, learning_rate=2e-3, schedule="cosine")
    several: Literal["auto", "yes", "no"] = "auto"
    """Whether a sentence may have any number of intents. auto: yes if a training sentence has several."""
    threshold: Fraction | None = None
    """Minimum probability of a predicted intent, if a sentence may have several. None: the one with the highest micro
    F1 on the validation data, or 0.5 with fewer than 50 validation sentences."""
    keep: Fraction = 0.95
    """Share of held-out commands that the parser accepts; the others, the least familiar ones, are refused. Sets the
    rate of false refusals: 0.05 by default."""
    label_smoothing: Fraction = 0.0
    """Label smoothing: share of the target distribution spread over all intents."""
    slot_weight: NonNegative = 1.0
    """Weight of the slots' loss relative to the loss of the intents."""
    ngrams: bool = True
    """Whether to train a linear model over words, word pairs and character n-grams beside the network. Its logits and
    those of the network are added, with weights that minimise the loss on the validation data."""
    sentences: PositiveInt = 1000
    """Maximum number of training sentences made from the templates of each command."""
    background: bool = True
    """Whether everyday sentences that are no commands are added to the training data of a file of commands."""


ENTRY = TaskEntry(
    name="command",
    order=60,
    module="parser",
    task="CommandParser",
    answer="Parse",
    settings=CommandSettings,
    a_model="a command parser",
    summary="Command understanding: predicts intents and slots of a sentence, and refuses what is no command.",
    data_forms="Python files of commands; tables (tsv, csv, jsonl) with text, intent and slots; CoNLL; Rasa YAML",
    sides=("text",),
    label="intent",
    columns=(UTTERANCE_NAMES, INTENT_NAMES, SLOT_NAMES),
    train_example="unspool train command commands.py --out my-commands",
    compare_example="unspool compare command utterances.jsonl --networks elman,lstm,gru,transformer",
    predict_verb="parse",
    predict_writes="intent, slots and familiarity",
    networks=TRANSFORMER,
    networks_help="transformer",
    with_cell={"network.network": "recurrent"},
    verbs=("chat",),
    compared={"ngrams": False},
)
