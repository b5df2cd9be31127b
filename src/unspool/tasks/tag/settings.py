"""Settings and command-line help of the task `tag`: network, vocabulary, columns and training."""

from __future__ import annotations

from typing import Literal

from unspool.inputs.network_settings import TRANSFORMER, EncoderSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Fraction, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import ReadingSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "ColumnSettings", "TaggerNetwork", "TaggerSettings"]


class TaggerNetwork(EncoderSettings):
    """A network that assigns a tag to each word."""

    network: Literal["recurrent", "transformer"] = "recurrent"
    """Architecture: recurrent (the cell over the words), or transformer (self-attention)."""
    characters: Literal["none", "convolution", "recurrent"] = "convolution"
    """Character-level encoder, concatenated to the word embedding: none, convolution or recurrent."""
    output: Literal["auto", "softmax", "crf"] = "auto"
    """Output layer: softmax (each tag independently), crf (all tags jointly), auto (crf if tags mark spans)."""


class ColumnSettings(ReadingSettings):
    """How columns of words and tags are read."""

    words: str | None = None
    """Column of words: a name, or a number from 1. None: form in CoNLL-U, tokens in JSONL, otherwise 1."""
    tags: str | None = None
    """Column of tags: a name, or a number from 1. None: upos in CoNLL-U, tags in JSONL, otherwise the last."""


class TaggerSettings(Settings):
    """Settings of a tagger."""

    network: TaggerNetwork = TaggerNetwork(hidden=200, dropout=0.4, word_dropout=0.25)
    vocabulary: VocabularySettings = VocabularySettings(lowercase=True)
    data: ColumnSettings = ColumnSettings()
    training: TrainingSettings = TrainingSettings(epochs=15, batch_tokens=1500, learning_rate=2e-3, schedule="cosine")
    spans: Literal["auto", "yes", "no"] = "auto"
    """Whether tags mark spans (B-, I- ...), scored as entities. auto: detected from the tags."""
    label_smoothing: Fraction = 0.0
    """Label smoothing: share of the target distribution spread over all tags (softmax only)."""


ENTRY = TaskEntry(
    name="tag",
    order=20,
    module="tagger",
    task="Tagger",
    answer="Tagging",
    settings=TaggerSettings,
    a_model="a tagger",
    summary="Sequence labelling: predicts a tag for each word of a sentence.",
    data_forms="CoNLL columns, CoNLL-U, or jsonl with lists of tokens and tags",
    sides=("sentence",),
    label="tag",
    columns=(("tokens", "words"), ("tags", "ner_tags", "pos_tags", "upos")),
    kind="sentences",
    train_example="unspool train tag train.conllu --valid dev.conllu --test test.conllu --out my-tagger",
    compare_example=("unspool compare tag train.conllu --valid dev.conllu --networks elman,gru,my_cell.py:MyCell"),
    predict_verb="tag",
    predict_writes="a line for each word and a blank line after each sentence",
    networks=TRANSFORMER,
    networks_help="transformer",
    with_cell={"network.network": "recurrent"},
    exports=True,
)
