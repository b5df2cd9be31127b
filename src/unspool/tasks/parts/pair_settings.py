"""Settings of encoder–decoders, which translators and the generators of assistants share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args, get_type_hints

from unspool.inputs.network_settings import NetworkSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Dropout, Fraction, NonNegative, PositiveInt

__all__ = ["WRITING_NETWORKS", "WRITING_NETWORKS_HELP", "PairVocabularySettings", "TranslatorNetwork"]


class PairVocabularySettings(VocabularySettings):
    """What both sides are cut into."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "bpe"
    """Units of text: word (letters apart from punctuation), blank (split at white space only), character, or subwords
    learned from the data (bpe, unigram)."""
    joint: bool = True
    """Whether source and target have one vocabulary, and one table of vectors, in common."""


class TranslatorNetwork(NetworkSettings):
    """A network that reads a source and writes a target."""

    network: Literal[
        "window",
        "concatenated",
        "initial",
        "every-step",
        "dot",
        "additive",
        "bilinear",
        "transformer",
        "latent",
    ] = "bilinear"
    """How the target sees the source: window (a feed-forward net over some words of both), concatenated (one network
    reads source and target), initial (the last state starts the decoder), every-step (and enters each step), dot,
    additive (attention before each step), bilinear (attention after it), transformer, latent (a Gaussian variable)."""
    bidirectional: bool = True
    """Whether the encoder also reads from the end (recurrent networks; concatenated never does)."""
    tied: bool = True
    """Whether the output layer shares its weights with the target's embedding."""
    word_dropout: Dropout = 0.0
    """Share of the units read, on both sides, that are replaced by the unknown unit in training."""
    window: PositiveInt = 10
    """Units of source and target that are seen (window)."""
    latent: PositiveInt = 32
    """Width of the latent variable (latent)."""
    annealing: Fraction = 0.3
    """Share of the training in which the weight of the latent variable's divergence climbs to 1 (latent)."""
    free_bits: NonNegative = 0.1
    """Nats that each dimension of the latent variable may carry for nothing (latent)."""


WRITING_NETWORKS: Mapping[str, Mapping[str, object]] = {
    name: {"network.network": name} for name in get_args(get_type_hints(TranslatorNetwork)["network"])
}
"""The names that `compare` takes for encoder–decoders, each with the settings that it stands for."""
WRITING_NETWORKS_HELP = (
    "window, concatenated, initial, every-step, dot, additive, bilinear, transformer or latent for a way of giving the "
    "source to the decoder (see --network)"
)
