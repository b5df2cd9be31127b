"""Settings of classifiers, and what the command line says of them."""

from __future__ import annotations

from typing import Literal

from unspool.data.labelled import LABEL_NAMES, TEXT_NAMES
from unspool.inputs.network_settings import TRANSFORMER, EncoderSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Fraction, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "ClassifierNetwork", "ClassifierSettings", "DataSettings"]


class ClassifierNetwork(EncoderSettings):
    """A network that reads a text and decides once."""

    network: Literal["auto", "recurrent", "transformer", "bag", "feedforward"] = "auto"
    """recurrent runs the cell over the text; transformer lets every word look at every other; bag averages the vectors
    of its words, whatever their order; feedforward reads rows of numbers. auto: recurrent for texts, feedforward for
    numbers."""
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    """What of the recurrent states decides: the last, their mean, their maximum, or a mean weighted by attention."""


class DataSettings(TableSettings):
    """How rows are read."""

    text: str | None = None
    """Column that holds the text: a name, or a number from 1. None: found by itself."""
    label: str | None = None
    """Column that holds the label or the list of labels: a name, or a number from 1. None: found by itself."""
    separator: str = ","
    """What stands between several labels in one field."""


class ClassifierSettings(Settings):
    """A text in, a label out."""

    network: ClassifierNetwork = ClassifierNetwork()
    vocabulary: VocabularySettings = VocabularySettings(lowercase=True)
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings(epochs=15, batch_tokens=2048, patience=5)
    several: bool = False
    """Whether a text may have several labels, or none."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced makes rare labels count as much as frequent ones."""
    label_smoothing: Fraction = 0.0
    """Share of the target spread over all labels."""
    threshold: Fraction = 0.5
    """Probability from which a label is said, where there may be several."""
    calibrate: bool = True
    """Whether a temperature is fitted to the validation data after training, so that probabilities are as often right
    as they say (Guo et al. 2017); needs 50 validation examples."""


ENTRY = TaskEntry(
    name="classify",
    order=10,
    module="classifier",
    task="Classifier",
    answer="Classification",
    settings=ClassifierSettings,
    a_model="a classifier",
    summary="Texts with labels in, a classifier out.",
    data_forms="tables (tsv, csv, jsonl, parquet) with a column of texts and one of labels",
    sides=("text",),
    label="label",
    columns=(TEXT_NAMES, LABEL_NAMES),
    train_example="unspool train classify reviews.tsv --out my-model --cell gru --epochs 10",
    compare_example="unspool compare classify reviews.tsv --networks bag,elman,lstm --epochs 5",
    predict_verb="label",
    predict_writes="label, probability and text",
    usual_networks=("bag", "elman", "lstm", "gru"),
    networks={"bag": {"network.network": "bag"}, **TRANSFORMER},
    networks_help="bag for an average of words, transformer",
    with_cell={"network.network": "recurrent"},
)
