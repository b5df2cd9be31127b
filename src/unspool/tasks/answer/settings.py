"""Settings and command-line help of the task `answer`: retrieval, generator, data and training."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from unspool.data.forms import forms_of
from unspool.decoding.settings import DecodingSettings
from unspool.errors import SettingError
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Dropout, Fraction, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.tasks.parts.pair_settings import WRITING_NETWORKS, WRITING_NETWORKS_HELP, TranslatorNetwork
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "AssistantSettings", "MemorySettings", "QuestionSettings"]


class QuestionSettings(TableSettings):
    """How questions and answers are read."""

    lists: ClassVar = {"forms": partial(forms_of, "rows")}

    format: str | None = None
    """File format ({forms}). None: by file name."""
    question: str | None = None
    """Question column: a name, or a number from 1. None: question, query, input, or the first."""
    answer: str | None = None
    """Answer column: a name, or a number from 1. None: answer, answers, response, or the second."""


class MemorySettings(Settings):
    """How the model retrieves the pair that matches a question."""

    size: PositiveInt = 64
    """Dimension of the text embeddings for retrieval."""
    shortest: PositiveInt = 3
    """Length of the shortest character n-grams of a word."""
    longest: PositiveInt = 4
    """Length of the longest character n-grams of a word."""
    batch_size: PositiveInt = 64
    """Questions per batch."""
    candidates: PositiveInt = 512
    """Candidate pairs per batch, shared by its questions."""
    word_dropout: Dropout = 0.3
    """Dropout rate of whole words of a question, in training."""
    hold_out: Fraction = 0.5
    """Probability, in training, that the key of a pair omits the question's own wording; helps to match paraphrases."""

    def check(self) -> None:
        """Refuse a minimum n-gram length above the maximum."""
        if self.shortest > self.longest:
            raise SettingError(f"shortest = {self.shortest} is more than longest = {self.longest}")


class AssistantSettings(Settings):
    """Settings of an assistant that answers questions."""

    memory: MemorySettings = MemorySettings()
    generator: bool = False
    """Whether to train a generator too, which takes minutes. The generator ranks several answers to one question, and
    writes new answers on request."""
    network: TranslatorNetwork = TranslatorNetwork(network="bilinear", hidden=128, embedding=96, dropout=0.2)
    vocabulary: VocabularySettings = VocabularySettings(units="bpe", size=3000)
    data: QuestionSettings = QuestionSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=15, batch_tokens=2048, batch_size=32, learning_rate=5e-3, weight_decay=0.0, schedule="linear"
    )
    decoding: DecodingSettings = DecodingSettings(beam=3)
    label_smoothing: Fraction = 0.1
    """Label smoothing of the generator: share of the target distribution spread over the vocabulary."""
    keep: Fraction = 0.95
    """Share of questions similar to the training questions that the model answers; determines the threshold."""
    threshold: Fraction | None = None
    """Minimum confidence for an answer; below it, the reply is `unknown`. None: estimated from the training data by
    `keep`."""
    unknown: str = "I don't know."
    """Reply below the confidence threshold."""
    sentences: PositiveInt = 1000
    """Maximum number of training sentences made from the templates of each command, with a file of commands."""


ENTRY = TaskEntry(
    name="answer",
    order=50,
    module="assistant",
    task="Assistant",
    answer="Reply",
    settings=AssistantSettings,
    a_model="an assistant",
    summary="Question answering: retrieves answers from pairs of questions and answers.",
    data_forms="tables (tsv, csv, jsonl, parquet) or YAML lists of questions, their paraphrases and answers",
    sides=("question", "answer"),
    columns=(("question", "questions", "query"), ("answer", "answers", "response")),
    train_example="unspool train answer pairs.tsv --out my-assistant",
    compare_example="unspool compare answer pairs.jsonl --networks every-step,additive,transformer",
    predict_verb="answer",
    predict_writes="the answer",
    usual_networks=("every-step", "additive", "transformer"),
    networks={name: {**own, "generator": True} for name, own in WRITING_NETWORKS.items()},
    networks_help=WRITING_NETWORKS_HELP,
    with_cell={"network.network": "additive", "generator": True},
    exports=True,
    next_verb="chat",
    verbs=("chat", "add"),
)
