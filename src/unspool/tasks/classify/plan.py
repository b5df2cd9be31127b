"""Rules for the settings of a classifier that were not passed; `docs/defaults.md` has the trainings behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unspool.data import FeatureFrames, Picture
from unspool.tasks.running.planning import Rules, Size, epochs_for, is_gated

__all__ = ["IMAGE_RULES", "RULES", "SERIES_RULES", "SOUND_RULES"]

_UPDATES = 2500  # updates after which more time does not help


def _data(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose smaller batches for few examples, so that an epoch has enough updates."""
    count = len(examples.values)
    return {"training.batch_size": 64 if count >= 3000 else 32 if count >= 1000 else 16}


RULES = Rules(
    minutes=5,
    data=_data,
    values={
        "label_smoothing": 0.1,
        "network.dropout": 0.5,
        "network.variational": True,
        "network.word_dropout": 0.5,
        "network.pooling": "mean",
        "network.initialization": "orthogonal",
        "network.forget_bias": 1.0,
        "training.batch_tokens": 1000,
        "training.learning_rate": 4e-3,
        "training.weight_decay": 0.1,
        "training.beta2": 0.99,
        "training.schedule": "cosine",
        "training.warmup": 50,
        "training.average": "ema",
        "training.decay": 0.99,
        "training.patience": 5,
    },
    sizes=(Size(0, {"network.hidden": 100}),),
    epochs=epochs_for(_UPDATES, 4, 40),
    suits=is_gated,
)


def _sounds(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose the batch size, and an augmentation that feature files, without samples, can't have."""
    masks = {"audio.time_masks": 1, "audio.time_width": 10}
    if any(isinstance(value, FeatureFrames) for value in examples.values[:1]):
        return {**_data(settings, examples), **masks}
    bands = {"audio.equalizer": 10.0, "audio.band_masks": 1} if settings.audio.features == "mel" else {}
    return {**_data(settings, examples), **masks, **bands, "audio.speed": 0.15, "audio.noise": 0.1}


SOUND_RULES = Rules(
    minutes=5,
    data=_sounds,
    values={
        "label_smoothing": 0.1,
        "network.cell": "gru",
        "network.pooling": "mean",
        "training.batch_tokens": 4000,
        "training.learning_rate": 2e-3,
        "training.weight_decay": 0.05,
        "training.schedule": "cosine",
        "training.warmup": 50,
        "training.average": "ema",
        "training.decay": 0.99,
        "training.patience": 10,
    },
    sizes=(Size(0, {}),),
    epochs=epochs_for(_UPDATES, 10, 60),
)


_NETWORKS: Mapping[str, Mapping[str, object]] = {  # of images
    "convolutional": {"training.learning_rate": 1e-2, "network.dropout": 0.1},
    "feedforward": {
        "training.learning_rate": 2e-3,
        "network.hidden": 512,
        "network.layers": 2,
        "network.dropout": 0.2,
    },
    "transformer": {
        "training.learning_rate": 2e-3,
        "network.hidden": 64,
        "network.layers": 4,
        "network.feedforward": 256,
        "network.dropout": 0.1,
        "network.positions": "learned",
    },
    "recurrent": {
        "training.learning_rate": 3e-3,
        "network.dropout": 0.2,
        "network.initialization": "orthogonal",
        "network.forget_bias": 1.0,
    },
}


def _images(settings: Any, examples: Any) -> Mapping[str, object]:
    """Choose the batch size, the settings of the network, and small shifts, which leave most labels as they are."""
    first = examples.values[0]
    shift = {"image.move": min(8, max(first.width, first.height) // 14)} if isinstance(first, Picture) else {}
    return {**_data(settings, examples), **_NETWORKS.get(settings.network.network, {}), **shift}


IMAGE_RULES = Rules(
    minutes=5,
    data=_images,
    values={
        "network.pooling": "mean",
        "training.batch_tokens": 4096,
        "training.weight_decay": 0.05,
        "training.schedule": "cosine",
        "training.warmup": 50,
        "training.average": "ema",
        "training.decay": 0.99,
        "training.patience": 10,
    },
    sizes=(Size(0, {}),),
    epochs=epochs_for(2 * _UPDATES, 5, 60),
)


SERIES_RULES = Rules(
    minutes=5,
    data=_data,
    values={
        "label_smoothing": 0.1,
        "network.cell": "gru",
        "network.pooling": "mean",
        "network.dropout": 0.2,
        "training.batch_tokens": 8000,
        "training.learning_rate": 2e-3,
        "training.weight_decay": 0.05,
        "training.schedule": "cosine",
        "training.warmup": 50,
        "training.average": "ema",
        "training.decay": 0.99,
        "training.patience": 20,
    },
    sizes=(Size(0, {}),),
    epochs=epochs_for(_UPDATES, 20, 150),
)
