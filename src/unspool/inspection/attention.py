"""Maps of self-attention in Transformer stacks: the weights of every layer and head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError
from unspool.inspection.maps import Map

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MAX_WEIGHTS", "AttentionRecording"]

MAX_WEIGHTS = 2**24
"""Maximum number of weights in all maps of one trace, 64 MiB; a longer text has no maps, and a note says so."""


class AttentionRecording:
    """Self-attention of a Transformer stack over the tokens of one text.

    A watched forward pass computes the weights by the reference formula, and multiplies the values by these weights. A
    causal stack with a bounded context reads a long text in pieces, and a token attends only to its own piece: watch
    each piece in turn.

    Args:
        model: `Projected`, `CausalTransformer` or `TransformerEncoder`; other modules have no maps.
        rows: Tokens of the text, in reading order.
        start: Symbols that the network reads before the text. They have columns but no rows.

    Example:
        >>> attention = AttentionRecording(model.encoder, tokens)  # doctest: +SKIP
        >>> with attention.watch():  # doctest: +SKIP
        ...     model(batch)
        >>> attention.maps()["layer 1 / attention head 2"]  # doctest: +SKIP
    """

    def __init__(self, model: nn.Module | None, rows: Sequence[str], start: Sequence[str] = ()) -> None:
        from unspool.layers import CausalTransformer, Projected, TransformerEncoder

        stack = model.stack if isinstance(model, Projected | CausalTransformer) else model
        self._stack = stack if isinstance(stack, TransformerEncoder) else None
        self._rows, self._columns = tuple(rows), (*start, *rows)
        self._pieces: list[NDArray[np.float32]] = []  # (layers, heads, steps, steps)
        layers, heads = (0, 0) if self._stack is None else (len(self._stack.layers), self._stack.heads)
        size = layers * (heads + 1) * len(self._rows) * len(self._columns)
        self.notes: tuple[str, ...] = ()
        """Remarks for the reader of the trace: the text is too long for maps."""
        if size > MAX_WEIGHTS:
            self._stack = None
            self.notes = (
                f"no attention maps: {len(self._rows):,} tokens, {layers} layers and {heads} heads have {size:,} "
                f"weights, and a trace holds at most {MAX_WEIGHTS:,}; trace a shorter text",
            )

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Record one forward pass of the stack inside the context, in this thread."""
        from unspool.layers import record_attention

        if self._stack is None:
            yield
            return
        with record_attention() as weights:
            yield
        self._pieces.append(np.stack([layer[0].detach().float().cpu().numpy() for layer in weights[self._stack]]))

    def maps(self) -> dict[str, Map]:
        """Return the mean over the heads, and each head, of every layer.

        Names are `layer 1 / attention` and `layer 1 / attention head 1`. A row holds the weights of one token that
        looks, over all tokens that are looked at; weights between pieces are 0.

        Raises:
            ShapeError: If the pieces together have another number of steps than the columns.
        """
        if not self._pieces:
            return {}
        count = len(self._columns)
        if (steps := sum(piece.shape[-1] for piece in self._pieces)) != count:
            raise ShapeError(f"attention of {steps} steps was recorded, expected {count}, one per token")
        weights = np.zeros((*self._pieces[0].shape[:2], count, count), np.float32)
        end = 0
        for piece in self._pieces:
            begin, end = end, end + piece.shape[-1]
            weights[:, :, begin:end, begin:end] = piece
        maps = {}
        for depth, heads in enumerate(weights[:, :, count - len(self._rows) :], start=1):
            place = f"layer {depth} / attention"
            maps[place] = Map(heads.mean(0), self._rows, self._columns)
            for number, head in enumerate(heads, start=1):
                maps[f"{place} head {number}"] = Map(head, self._rows, self._columns)
        return maps
