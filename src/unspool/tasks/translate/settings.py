"""Settings of translators, and what the command line says of them."""

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
    """Form of the files ({forms}, or parallel: two files, line by line); None: by file name."""
    source: str | None = None
    """Column that holds the source: a name, or a number from 1. None: source, src, question, input, or the first."""
    target: str | None = None
    """Column that holds the target: a name, or a number from 1. None: target, tgt, answer, output, or the second."""


class TranslatorSettings(Settings):
    """A text in, another text out."""

    network: TranslatorNetwork = TranslatorNetwork(hidden=256, embedding=256)
    vocabulary: PairVocabularySettings = PairVocabularySettings(size=8000)
    data: PairSettings = PairSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=20, batch_tokens=4096, batch_size=128, learning_rate=2e-3, schedule="cosine", warmup=200, patience=5
    )
    decoding: DecodingSettings = DecodingSettings()
    label_smoothing: Fraction = 0.1
    """Share of the target spread over the vocabulary in training."""
    sampling_start: Probability = 0.0
    """Chance at the start of training that the decoder reads its own last word instead of the true one; 1 from start to
    end is free running."""
    sampling_end: Probability = 0.0
    """The same chance at the end of training; between them it moves evenly (scheduled sampling)."""
    coverage: NonNegative = 0.0
    """Weight in the training loss of attending twice to the same place (networks with attention)."""
    copy_unknown: bool = False
    """Whether an unknown word in the output is replaced by the source word most attended to (word units, attention)."""
    choose_by: Literal["bleu", "perplexity"] = "bleu"
    """What chooses the best weights: BLEU of greedy outputs, or perplexity, which is faster."""
    tokenization: Literal["13a", "none", "intl", "zh", "char"] = "13a"
    """How sacreBLEU splits texts before it counts: 13a for ordinary text, none for text that is split already."""
    references: Literal["grouped", "single"] = "grouped"
    """grouped: pairs with the same source count as one sentence with several right outputs; single: each for itself."""

    def check(self) -> None:
        """Refuse what only a network with attention can do."""
        attends = self.network.network in ("dot", "additive", "bilinear", "transformer")
        for name, wanted in (("coverage", self.coverage > 0), ("copy_unknown", self.copy_unknown)):
            if wanted and not attends:
                raise SettingError(
                    f"{name} needs attention, and network = {self.network.network} has none; "
                    f"choose dot, additive, bilinear or transformer"
                )
        if self.copy_unknown and self.vocabulary.units in ("bpe", "unigram"):
            raise SettingError(
                f"copy_unknown copies unknown words, and to units = {self.vocabulary.units} nothing is unknown; "
                f"also say {option('units', 'word')} or {option('units', 'blank')}"
            )
        if self.network.network == "concatenated" and not self.vocabulary.joint:
            raise SettingError(f"network = concatenated reads source and target alike: it needs {option('joint')}")


ENTRY = TaskEntry(
    name="translate",
    order=40,
    module="translator",
    task="Translator",
    answer="Translation",
    settings=TranslatorSettings,
    a_model="a translator",
    summary="Pairs of texts in, a translator from the one to the other out.",
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
    searches=True,
)
