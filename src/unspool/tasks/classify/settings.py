"""Settings and command-line help of the task `classify`: network, vocabulary, data and training."""

from __future__ import annotations

from typing import Literal

from unspool.data.labelled import LABEL_NAMES, TEXT_NAMES
from unspool.inputs.audio.settings import AudioSettings
from unspool.inputs.images.settings import ImageSettings
from unspool.inputs.network_settings import TRANSFORMER, EncoderSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Fraction, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "ClassifierNetwork", "ClassifierSettings", "DataSettings"]


class ClassifierNetwork(EncoderSettings):
    """A network that assigns labels to a whole input."""

    network: Literal["auto", "recurrent", "transformer", "bag", "feedforward", "convolutional", "fcn", "lstm-fcn"] = (
        "auto"
    )
    """Architecture: recurrent (the cell over the units, or over the rows or pixels of an image), transformer
    (self-attention, over patches of an image), bag (mean of the embeddings, ignores word order), feedforward (for rows
    of numbers and images), convolutional (for sounds: convolutions over time, then the cell; for images: residual
    convolutions), fcn (for series: convolutions over time alone), lstm-fcn (for series: convolutions beside the cell).
    auto: recurrent for texts, feedforward for numbers, convolutional for sounds and images, fcn for series."""
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    """Pooling of the states over time: last state, mean, maximum, or attention-weighted mean."""


class DataSettings(TableSettings):
    """How rows are read."""

    text: str | None = None
    """Text column, or column of paths of sounds or images: a name, or a number from 1; several, such as plot,poster:
    each is encoded by its own network. None: detected."""
    label: str | None = None
    """Column of the label or list of labels: a name, or a number from 1. None: detected."""
    separator: str = ","
    """Separator between several labels in one field."""
    input: Literal["auto", "text", "vectors", "audio", "images", "series"] = "auto"
    """Kind of the inputs. auto: detected. images: also rows of pixels and .npy files in a table.
    series: also long tables, and a folder of tables for each label."""
    labels: str | None = None
    """File of labels beside an array of images (IDX, as MNIST, or .npy). None: the name of the array with labels in
    place of images."""


class ClassifierSettings(Settings):
    """Settings of a classifier."""

    network: ClassifierNetwork = ClassifierNetwork()
    vocabulary: VocabularySettings = VocabularySettings(lowercase=True)
    audio: AudioSettings = AudioSettings()
    image: ImageSettings = ImageSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings(epochs=15, batch_tokens=2048, patience=5)
    several: bool = False
    """Whether an input may have any number of labels (multi-label classification)."""
    choose_by: Literal["nats", "score"] = "nats"
    """Validation score that selects the best weights and ends training early: nats (cross-entropy), or score
    (accuracy; micro F1 with several labels)."""
    class_weights: Literal["none", "balanced"] = "none"
    """Class weights in the loss: none, or balanced (inverse to label frequency)."""
    label_smoothing: Fraction = 0.0
    """Label smoothing: share of the target distribution spread over all labels."""
    threshold: Fraction | None = None
    """Minimum probability of a predicted label (several). None: chosen on the validation data after training, for each
    label the one with the best F1; 0.5 with fewer than 50 validation examples."""
    ngrams: bool = True
    """Whether to train a linear model over words, word pairs and character n-grams beside the network (texts). Its
    logits and those of the network are added, with weights that minimise the loss on the validation data; with fewer
    than 50 validation examples, both count alike."""
    random_convolutions: bool = True
    """Whether to train ridge regression over 1,000 random convolutions beside the network (series with one label); its
    logits are added as those of `ngrams` (after ROCKET, Dempster et al. 2020)."""
    calibrate: bool = True
    """Whether to calibrate probabilities on the validation data after training, by temperature scaling (Guo et al.
    2017); needs 50 validation examples."""


ENTRY = TaskEntry(
    name="classify",
    order=10,
    module="classifier",
    task="Classifier",
    answer="Classification",
    settings=ClassifierSettings,
    a_model="a classifier",
    summary="Classification: predicts the label, or several labels, of a text, an image, a sound or a row of numbers.",
    data_forms="tables (tsv, csv, jsonl, parquet) with a column of texts, or of paths of images or sounds, and one of "
    "labels; folders of images or sounds, one for each label; IDX files, as MNIST",
    sides=("text",),
    label="label",
    columns=(TEXT_NAMES, LABEL_NAMES),
    train_example="unspool train classify reviews.tsv --out my-model --cell gru --epochs 10",
    compare_example="unspool compare classify reviews.tsv --networks bag,elman,lstm --epochs 5",
    predict_verb="label",
    predict_writes="label, probability and text",
    usual_networks=("bag", "elman", "lstm", "gru"),
    networks={
        "bag": {"network.network": "bag"},
        **TRANSFORMER,
        "convolutional": {"network.network": "convolutional"},
        "feedforward": {"network.network": "feedforward"},
    },
    networks_help="bag for an average of words, transformer; for images and sounds convolutional, for images and rows "
    "of numbers feedforward",
    with_cell={"network.network": "recurrent"},
    exports=True,
    compared={"ngrams": False, "random_convolutions": False},
    earlier={"choose_by": "score", "ngrams": False, "random_convolutions": False},
    draws_picture_maps=True,
)
