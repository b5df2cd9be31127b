"""Settings and command-line help of the task `caption`: network, images, words, data, decoding and training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal, get_args, get_type_hints

from unspool.data.forms import forms_of
from unspool.data.image_names import IMAGE_NAMES
from unspool.decoding.settings import DecodingSettings
from unspool.inputs.images.settings import ImageSettings
from unspool.inputs.network_settings import NetworkSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Dropout, Fraction, PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["CAPTION_NAMES", "ENTRY", "CaptionNetwork", "CaptionSettings", "CaptionVocabulary", "CaptionerSettings"]

CAPTION_NAMES = ("caption", "captions", "description", "sentence", "sentences", "text", "target")
"""Usual names of the column of captions."""


class CaptionNetwork(NetworkSettings):
    """A network that reads an image and writes a text."""

    network: Literal["initial", "additive", "bilinear", "transformer"] = "additive"
    """Architecture of the decoder: initial (the image initialises the decoder, as in Show and Tell), additive
    (attention before each word, as in Show, Attend and Tell), bilinear (attention after each word), transformer."""
    start: Literal["mean", "learned"] = "mean"
    """Initial state of a recurrent decoder with attention: mean (of the image's states, as in Show, Attend and Tell),
    learned (the same for every image, so that the decoder sees the image through its attention alone)."""
    tied: bool = True
    """Whether the output layer shares its weights with the embedding."""
    word_dropout: Dropout = 0.0
    """Share of the words that the decoder reads replaced by the unknown word in training."""


class CaptionVocabulary(VocabularySettings):
    """Words of the captions."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "word"
    """Units of a caption: word (splits off punctuation), blank (splits at white space only), character, or subwords
    learned from the training data (bpe, unigram)."""
    lowercase: bool = True
    """Whether captions are converted to lower case."""


class CaptionSettings(TableSettings):
    """How images and captions are read."""

    lists: ClassVar = {"forms": partial(forms_of, "rows")}

    format: str | None = None
    """File format ({forms}). None: by file name and content."""
    image_column: str | None = None
    """Column of the paths of images: a name, or a number from 1. None: image, path, file, or the first."""
    caption_column: str | None = None
    """Column of the captions: a name, or a number from 1. None: caption, description, text, or the second."""
    images: str | None = None
    """Folder of the images that a table names. None: the folder of the table, or its subfolder images."""
    most_captions: PositiveInt = 5
    """Most captions of an image in an epoch; of more, each epoch draws others."""


class CaptionerSettings(Settings):
    """Settings of a captioner."""

    network: CaptionNetwork = CaptionNetwork(hidden=256, embedding=256)
    image: ImageSettings = ImageSettings()
    vocabulary: CaptionVocabulary = CaptionVocabulary(min_count=1)
    data: CaptionSettings = CaptionSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=20, batch_tokens=4096, batch_size=32, learning_rate=2e-3, schedule="cosine", warmup=200, patience=5
    )
    decoding: DecodingSettings = DecodingSettings()
    label_smoothing: Fraction = 0.0
    """Label smoothing: share of the target distribution spread over the vocabulary."""
    choose_by: Literal["cider-d", "bleu-4", "exact", "perplexity"] = "cider-d"
    """Validation score that selects the best weights: CIDEr-D or BLEU-4 of greedy captions, the share of greedy
    captions that equal a reference, or perplexity."""


_NETWORKS: Mapping[str, Mapping[str, object]] = {
    name: {"network.network": name} for name in get_args(get_type_hints(CaptionNetwork)["network"])
}

ENTRY = TaskEntry(
    name="caption",
    order=42,
    module="captioner",
    task="Captioner",
    answer="Caption",
    settings=CaptionerSettings,
    a_model="a captioner",
    summary="Captions of images: learns from images with texts.",
    data_forms="tables (tsv, csv, jsonl, parquet) of paths and captions, Flickr's token file, or COCO's JSON",
    sides=("caption",),
    columns=(IMAGE_NAMES[:2], CAPTION_NAMES[:2]),
    train_example="unspool train caption train.tsv --valid dev.tsv --test test.tsv --out my-captioner",
    compare_example="unspool compare caption train.tsv --networks initial,additive,bilinear --minutes 5",
    predict_verb="caption",
    predict_writes="a caption",
    usual_networks=("initial", "additive", "bilinear"),
    networks=_NETWORKS,
    networks_help="initial, additive, bilinear or transformer for a decoder (see --network)",
    with_cell={"network.network": "additive"},
    searches=True,
)
