"""Settings and command-line help of the task `translate`: network, vocabulary, pairs, decoding and training."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from unspool.data.forms import forms_of
from unspool.decoding.settings import DecodingSettings
from unspool.errors import SettingError, option
from unspool.settings import Fraction, NonNegative, Probability, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.tasks.parts.pair_settings import (
    WRITING_NETWORKS,
    WRITING_NETWORKS_HELP,
    PairVocabularySettings,
    TranslatorNetwork,
)
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "PairSettings", "TranslatorSettings"]


class PairSettings(TableSettings):
    """How pairs are read."""

    lists: ClassVar = {"forms": partial(forms_of, "rows")}

    format: str | None = None
    """File format ({forms}, or parallel: two files, aligned line by line). None: by file name."""
    source: str | None = None
    """Source column: a name, or a number from 1. None: source, src, question, input, or the first."""
    target: str | None = None
    """Target column: a name, or a number from 1. None: target, tgt, answer, output, or the second."""


class TranslatorSettings(Settings):
    """Settings of a translator."""

    network: TranslatorNetwork = TranslatorNetwork(hidden=256, embedding=256)
    vocabulary: PairVocabularySettings = PairVocabularySettings(size=8000)
    data: PairSettings = PairSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=20, batch_tokens=4096, batch_size=128, learning_rate=2e-3, schedule="cosine", warmup=200, patience=5
    )
    decoding: DecodingSettings = DecodingSettings()
    label_smoothing: Fraction = 0.1
    """Label smoothing: share of the target distribution spread over the vocabulary."""
    sampling_start: Probability = 0.0
    """Scheduled sampling: probability at the start of training that the decoder reads its own prediction instead of
    the reference. 0: teacher forcing; 1 at start and end: free running."""
    sampling_end: Probability = 0.0
    """Scheduled sampling: the same probability at the end of training, with linear interpolation between."""
    coverage: NonNegative = 0.0
    """Weight of the coverage loss, which penalises repeated attention to the same source position (networks with
    attention)."""
    copy_unknown: bool = False
    """Whether to replace an unknown output word by the source word with the largest attention weight (word units,
    attention)."""
    choose_by: Literal["bleu", "perplexity"] = "bleu"
    """Validation score that selects the best weights: BLEU of greedy outputs, or perplexity, which is faster."""
    tokenization: Literal["13a", "none", "intl", "zh", "char"] = "13a"
    """Tokenization of sacreBLEU: 13a for ordinary text, none for tokenized text."""
    references: Literal["grouped", "single"] = "grouped"
    """grouped: pairs with the same source form one sentence with several references; single: one reference per pair."""

    def check(self) -> None:
        """Refuse contradictory settings, such as coverage without attention."""
        attends = self.network.network in ("dot", "additive", "bilinear", "transformer")
        for name, enabled in (("coverage", self.coverage > 0), ("copy_unknown", self.copy_unknown)):
            if enabled and not attends:
                raise SettingError(
                    f"{name} needs attention, and network = {self.network.network} has none; "
                    f"choose dot, additive, bilinear or transformer"
                )
        if self.copy_unknown and self.vocabulary.units in ("bpe", "unigram"):
            raise SettingError(
                f"copy_unknown copies unknown words, and units = {self.vocabulary.units} has no unknown words; "
                f"also set {option('units', 'word')} or {option('units', 'blank')}"
            )
        if self.network.network == "concatenated" and not self.vocabulary.joint:
            raise SettingError(f"network = concatenated needs one vocabulary for source and target: {option('joint')}")


ENTRY = TaskEntry(
    name="translate",
    order=40,
    module="translator",
    task="Translator",
    answer="Translation",
    settings=TranslatorSettings,
    a_model="a translator",
    summary="Translation and other sequence-to-sequence tasks: learns from pairs of texts.",
    data_forms="tables (tsv, csv, jsonl, parquet) of source and target, or two parallel files, the source's first",
    sides=("source", "target"),
    columns=(("source", "src"), ("target", "tgt")),
    train_example="unspool train translate train.en train.de --valid dev.en --valid dev.de --out my-translator",
    compare_example="unspool compare translate pairs.tsv --networks window,initial,additive --minutes 5",
    predict_verb="translate",
    predict_writes="the translation",
    usual_networks=("window", "initial", "additive", "bilinear"),
    networks=WRITING_NETWORKS,
    networks_help=WRITING_NETWORKS_HELP,
    with_cell={"network.network": "bilinear"},
    exports=True,
    searches=True,
)
