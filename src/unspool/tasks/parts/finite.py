"""Check that network outputs are finite (no NaN, no infinity)."""

from __future__ import annotations

import torch
from torch import Tensor

from unspool.errors import DecodingError

__all__ = ["check_output"]


def check_output(output: Tensor, where: str) -> None:
    """Refuse network outputs with infinite values or NaN.

    Args:
        output: Outputs of any shape.
        where: Input of these outputs, for the message: "text 3".

    Raises:
        DecodingError: If a value is not finite.
    """
    if not torch.isfinite(output).all():
        raise DecodingError(
            f"{where}: the network's output is not finite; its weights are damaged or far too large: train it again, "
            f"with a lower learning_rate if the training diverged"
        )
