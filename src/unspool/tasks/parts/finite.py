"""Refusing outputs of a network that are not finite, before anybody takes them for an answer."""

from __future__ import annotations

import torch
from torch import Tensor

from unspool.errors import DecodingError

__all__ = ["check_output"]


def check_output(output: Tensor, where: str) -> None:
    """Refuse an output of a network with a value that is infinite or not a number.

    Args:
        output: Numbers of any shape.
        where: The input they belong to, for the message: "text 3".

    Raises:
        DecodingError: If a value is not finite.
    """
    if not torch.isfinite(output).all():
        raise DecodingError(
            f"{where}: the network's output is not finite; its weights are damaged or far too large: train it again, "
            f"with a lower learning_rate if the training did this"
        )
