"""Loss of the intent of one sentence as a function of its embedded words, for gradients through time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unspool.data import Utterance
from unspool.errors import UsageError
from unspool.settings import nearest
from unspool.tasks.parts.text_losses import TextLosses
from unspool.tasks.trainable import device_of

if TYPE_CHECKING:
    from unspool.tasks.command.fitted import FittedCommands

__all__ = ["intent_losses"]


def intent_losses(model: Any, fitted: FittedCommands, text: str, intents: list[str]) -> TextLosses:
    """Return -log p of the intent by the network alone; with several intents, the sum over all of them.

    Args:
        model: The network.
        fitted: What was learned beside its weights.
        text: The sentence.
        intents: The right intents; one, unless a sentence may have several.

    Raises:
        UsageError: If there is no such intent.
    """
    for name in intents:
        if name not in fitted.intents:
            raise UsageError(f"there is no intent {name!r}{nearest(name, fitted.intents)}")
    device = device_of(model)
    examples = fitted.encode([Utterance("text", text, ())])
    tokens = examples.batch(np.array([0])).tokens.tokens.to(device)
    ids = torch.tensor([fitted.intents.id(name) for name in intents], dtype=torch.int64, device=device)
    with torch.no_grad():
        inputs = model.embedding(tokens).to(model.output.weight.dtype)
    right = torch.zeros(fitted.outputs).to(inputs).index_fill(0, ids, 1.0)

    def losses(copies: Tensor, rows: Tensor) -> Tensor:
        lengths = tokens.lengths.expand(len(rows))
        logits: Tensor = model.output(model.readout(model.encoder(copies, lengths).outputs, lengths)[0])
        if fitted.several:
            return F.binary_cross_entropy_with_logits(logits, right.expand_as(logits), reduction="none").sum(-1)
        return -logits.log_softmax(-1)[:, int(ids[0])]

    return TextLosses(inputs, losses, fitted.positions(text), [", ".join(intents) or "no intent"], None)
