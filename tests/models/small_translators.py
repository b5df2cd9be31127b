"""Every kind of encoder–decoder, small, and pairs for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from unspool.data import Paired, Sequences, Tokens, Vocabulary
from unspool.models import EncoderDecoder
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder
from unspool.tasks.parts.pair_settings import TranslatorNetwork

# Log-probabilities come in float32, whatever the network's type; the networks below run in float64.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
EXACT = {"rtol": 1e-9, "atol": 1e-9}

SOURCE = Vocabulary.learn(["a b c d e f g h"], units="word")
TARGET = Vocabulary.learn(["p q r s t u v"], units="word")

SMALL: dict[str, Any] = {"hidden": 5, "embedding": 3, "dropout": 0.0}
NETWORKS: dict[str, dict[str, Any]] = {
    "window": {"network": "window", "window": 3},
    "window, long, 2 layers": {"network": "window", "window": 9, "layers": 2, "tied": False},
    "concatenated": {"network": "concatenated", "cell": "gru"},
    "concatenated, 2 layers": {"network": "concatenated", "layers": 2, "embedding": 5, "residual": True},
    "initial": {"network": "initial"},
    "initial, 2 layers, one way": {
        "network": "initial",
        "cell": "gru-reset-before",
        "layers": 2,
        "bidirectional": False,
    },
    "every-step": {"network": "every-step", "cell": "elman"},
    "every-step, 2 layers, one way": {"network": "every-step", "layers": 2, "bidirectional": False, "tied": False},
    "dot": {"network": "dot"},
    "dot, one way": {"network": "dot", "cell": "mingru", "bidirectional": False, "tied": False},
    "dot, 2 layers": {"network": "dot", "cell": "lstm-layernorm", "layers": 2},
    "additive": {"network": "additive", "cell": "gru"},
    "additive, 3 layers": {"network": "additive", "cell": "lstm-peephole", "layers": 3, "residual": True},
    "bilinear": {"network": "bilinear"},
    "bilinear, 2 layers, one way": {"network": "bilinear", "cell": "minlstm", "layers": 2, "bidirectional": False},
    "transformer": {"network": "transformer", "hidden": 6, "embedding": 6, "heads": 2, "feedforward": 7},
    "transformer, 2 layers, wider inside": {
        "network": "transformer",
        "hidden": 6,
        "embedding": 4,
        "heads": 3,
        "feedforward": 7,
        "layers": 2,
        "norm": "post",
        "positions": "learned",
        "tied": False,
    },
    "latent": {"network": "latent", "cell": "gru", "latent": 3},
    "latent, 2 layers": {"network": "latent", "layers": 2, "latent": 1, "bidirectional": False},
}
LATENT = [name for name in NETWORKS if name.startswith("latent")]
PLAIN = [name for name in NETWORKS if name not in LATENT]
ATTEND = [name for name in NETWORKS if name.split(",")[0] in ("dot", "additive", "bilinear", "transformer")]
TRANSFORMERS = [name for name in NETWORKS if name.startswith("transformer")]
EVERY = pytest.mark.parametrize("name", NETWORKS)


def make(name: str, *, alike: bool = True, **training: Any) -> EncoderDecoder:
    """The network in float64, in evaluation, every weight random and distinct: shifts, gains and the padding's too."""
    options = {**SMALL, **NETWORKS[name]}
    network = TranslatorNetwork(**options)
    target = SOURCE if alike or network.network == "concatenated" else TARGET
    model = build_encoder_decoder(network, network.cell, SOURCE, target, **training).double().eval()
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=chance, dtype=torch.float64)
            weight.copy_((1.0 if "gain" in key or "norm.weight" in key else 0.0) + 0.5 * noise)
    return model


def tokens(*sequences: list[int]) -> Tokens:
    return Tokens(*Sequences.of(sequences).pad(np.arange(len(sequences))))


def pairs(*, alike: bool = True) -> Paired:
    """Ragged on both sides, each alone the longest once; one target is empty."""
    most = 11 if alike else 10
    sources = [[3, 4, 5, 6, 7, 8, 9], [9], [4, 4, 1], [10, 3]]
    targets = [[5, 1], [3, 4, 5, 6, 7, 3, 8, 9], [], [9, 6, 4]]
    assert max(max(ids, default=0) for ids in targets) < most
    return Paired(tokens(*sources), tokens(*targets))


def alone(batch: Paired, place: int) -> Paired:
    def side(part: Tokens) -> Tokens:
        length = int(part.lengths[place])
        return Tokens(part.ids[:length, place : place + 1], part.lengths[place : place + 1])

    return Paired(side(batch.source), side(batch.target))
