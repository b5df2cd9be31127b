"""Settings of assistants, and what the command line says of them."""

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
    """Form of the files ({forms}); None: by file name."""
    question: str | None = None
    """Column that holds the question: a name, or a number from 1. None: question, query, input, or the first."""
    answer: str | None = None
    """Column that holds the answer: a name, or a number from 1. None: answer, answers, response, or the second."""


class MemorySettings(Settings):
    """How the pair is found that a question belongs to."""

    size: PositiveInt = 64
    """Width of the vectors that say what a text is about."""
    shortest: PositiveInt = 3
    """Characters of the shortest piece of a word that is looked at."""
    longest: PositiveInt = 4
    """Characters of the longest."""
    batch_size: PositiveInt = 64
    """Questions of a batch."""
    candidates: PositiveInt = 512
    """Pairs that the questions of a batch choose from."""
    word_dropout: Dropout = 0.3
    """Share of a question's words left out in training."""
    hold_out: Fraction = 0.5
    """How often, in training, a wording is left out of its own pair's key, so that paraphrases find each other."""

    def check(self) -> None:
        """Refuse pieces that are longer than the longest."""
        if self.shortest > self.longest:
            raise SettingError(f"shortest = {self.shortest} is more than longest = {self.longest}")


class AssistantSettings(Settings):
    """Questions and answers in, something to talk to out."""

    memory: MemorySettings = MemorySettings()
    generator: bool = False
    """Whether a network also learns to write answers, which takes minutes: it chooses among several answers to one
    question, and writes its own when asked to."""
    network: TranslatorNetwork = TranslatorNetwork(network="bilinear", hidden=128, embedding=96, dropout=0.2)
    vocabulary: VocabularySettings = VocabularySettings(units="bpe", size=3000)
    data: QuestionSettings = QuestionSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=15, batch_tokens=2048, batch_size=32, learning_rate=5e-3, weight_decay=0.0, schedule="linear"
    )
    decoding: DecodingSettings = DecodingSettings(beam=3)
    label_smoothing: Fraction = 0.1
    """Share of the target spread over the vocabulary in training (generator)."""
    keep: Fraction = 0.95
    """Share of questions like those in the files that are to be answered; the threshold follows from it."""
    threshold: Fraction | None = None
    """Confidence from which an answer is given, else "I don't know". None: chosen from the training data by `keep`."""
    unknown: str = "I don't know."
    """What is said below the threshold."""


ENTRY = TaskEntry(
    name="answer",
    order=50,
    module="assistant",
    task="Assistant",
    answer="Reply",
    settings=AssistantSettings,
    a_model="an assistant",
    summary="Questions with answers in, an assistant to talk to out.",
    data_forms="tables (tsv, csv, jsonl, parquet) or YAML lists of questions, their paraphrases and answers",
    sides=("question", "answer"),
    columns=(("question", "questions", "query"), ("answer", "answers", "response")),
    suffixes=(".yml", ".yaml"),
    train_example="unspool train answer pairs.tsv --out my-assistant",
    compare_example="unspool compare answer pairs.jsonl --networks every-step,additive,transformer",
    predict_verb="answer",
    predict_writes="the answer",
    usual_networks=("every-step", "additive", "transformer"),
    networks={name: {**own, "generator": True} for name, own in WRITING_NETWORKS.items()},
    networks_help=WRITING_NETWORKS_HELP,
    with_cell={"network.network": "additive", "generator": True},
    next_verb="chat",
    verbs=("chat", "add"),
)
