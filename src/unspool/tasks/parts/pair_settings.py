"""Settings of encoder–decoder networks, shared by translators and the generators of assistants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args, get_type_hints

from unspool.inputs.network_settings import NetworkSettings
from unspool.inputs.text.settings import VocabularySettings
from unspool.settings import Dropout, Fraction, NonNegative, PositiveInt

__all__ = ["WRITING_NETWORKS", "WRITING_NETWORKS_HELP", "PairVocabularySettings", "TranslatorNetwork"]


class PairVocabularySettings(VocabularySettings):
    """Tokenization and vocabulary of source and target."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "bpe"
    """Tokenization: word (splits off punctuation), blank (splits at white space only), character, or subwords learned
    from the training data (bpe, unigram)."""
    joint: bool = True
    """Whether source and target share one vocabulary and one embedding table."""


class TranslatorNetwork(NetworkSettings):
    """An encoder–decoder network."""

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
    """Architecture: window (feed-forward over a window of both sides), concatenated (one network reads source, then
    target), initial (encoder state initialises the decoder), every-step (encoder state also enters each step), dot,
    additive (attention before each step), bilinear (attention after each step), transformer, latent (Gaussian latent
    variable)."""
    bidirectional: bool = True
    """Whether the encoder is bidirectional (recurrent networks other than concatenated)."""
    tied: bool = True
    """Whether the output layer shares its weights with the target's embedding."""
    word_dropout: Dropout = 0.0
    """Share of input units, source and target, replaced by the unknown unit in training."""
    window: PositiveInt = 10
    """Window size in units, for source and target (window)."""
    latent: PositiveInt = 32
    """Dimension of the latent variable (latent)."""
    annealing: Fraction = 0.3
    """Share of the training during which the weight of the KL divergence rises to 1 (latent)."""
    free_bits: NonNegative = 0.1
    """KL divergence per latent dimension without penalty, in nats (latent)."""


WRITING_NETWORKS: Mapping[str, Mapping[str, object]] = {
    name: {"network.network": name} for name in get_args(get_type_hints(TranslatorNetwork)["network"])
}
"""Encoder–decoder names for `compare`, each with its settings."""
WRITING_NETWORKS_HELP = (
    "window, concatenated, initial, every-step, dot, additive, bilinear, transformer or latent for an encoder–decoder "
    "architecture (see --network)"
)
