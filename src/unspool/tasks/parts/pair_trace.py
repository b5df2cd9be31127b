"""What an encoder–decoder does with one pair, all of it from one forward pass over the known target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import Cell, watch
from unspool.data import Paired
from unspool.engine import any_backend, record_dispatch
from unspool.inspection import Map, Recording, Trace
from unspool.layers import AttentiveCell, Recurrent, TransformerDecoder, TransformerEncoder, record_attention
from unspool.models import AttentiveDecoder, EncoderDecoder

__all__ = ["trace_of_pair"]

Arrays = dict[str, NDArray[np.float32]]
_REPEATED = (
    "attention",
    "output",
)  # of a cell that looks: the first is the map, the second the state of the cell in it
_LOOKS: dict[type[nn.Module], str] = {
    TransformerDecoder: "decoder layer {} / attention",
    TransformerEncoder: "encoder layer {} / self-attention",
}


class _Watched(NamedTuple):
    """A cell of one side, and what it is called there."""

    place: str
    cell: Cell[Any]
    backward: bool = False


@torch.no_grad()
def trace_of_pair(
    model: EncoderDecoder,
    batch: Paired,
    read: Sequence[str],
    written: Sequence[str],
    *,
    prediction: Mapping[str, Any],
    summary: str,
) -> Trace:
    """Read one source and write its target once more, known from the start, with everything recorded.

    The maps: `attention`, which decoding uses too (a Transformer's is the mean over the last layer's heads); of a
    Transformer also `decoder layer 1 / attention` and `encoder layer 1 / self-attention`, means over the heads, and
    each head as `decoder layer 1 / attention head 1`.

    Args:
        model: The network, in evaluation.
        batch: The pair, (time, 1).
        read: The source's units.
        written: The target's units, and an empty one for its end where it came to it.
        prediction: What came out.
        summary: One line that says which network it was.

    Returns:
        What the encoder did at each unit read, the maps from the units written to those read, and as `written` what
        the decoder did at each unit that it wrote, with the surprise of the unit in nats.
    """
    encoder, decoder = _encoder_cells(model.encoder), _decoder_cells(model.decoder)
    shared = bool(encoder) and [cell for _, cell, _ in encoder] == [cell for _, cell, _ in decoder]
    watched = encoder if shared else encoder + decoder
    recordings = [Recording() for _ in watched]
    with ExitStack() as watching, any_backend(), record_dispatch() as dispatch:
        for (_, cell, _), recording in zip(watched, recordings, strict=True):
            watching.enter_context(watch(cell, recording))
        attention = watching.enter_context(record_attention())
        forced = model(batch)
    arrays: Arrays = {}
    for (place, cell, backward), recording in zip(watched, recordings, strict=True):
        found = recording.arrays(place, reverse=backward)
        repeated = _REPEATED if isinstance(cell, AttentiveCell) else ()
        arrays |= {name: array for name, array in found.items() if name.rpartition(" / ")[2] not in repeated}
    if shared:  # one stack reads both sides, one after the other
        after = {name.replace("encoder", "decoder", 1): array[len(read) :] for name, array in arrays.items()}
        arrays = {name: array[: len(read)] for name, array in arrays.items()} | after
    steps = len(written)
    own = {name: arrays.pop(name)[:steps] for name in list(arrays) if name.startswith("decoder")}
    mean = None if forced.attention is None else _numpy(forced.attention[:steps, 0])
    return Trace(
        tuple(read),
        arrays,
        prediction,
        summary,
        (f"engine: {dispatch.backend} path",) if watched else (),
        maps=_maps(mean, _weights(model, attention), tuple(read), tuple(written)),
        written=_written(written, own, -forced.log_probabilities[:steps, 0].float()),
    )


def _written(units: Sequence[str], arrays: Arrays, surprise: Tensor) -> Trace | None:
    return Trace(tuple(units), arrays, {"surprise": _numpy(surprise)}) if units else None


def _encoder_cells(encoder: nn.Module | None) -> list[_Watched]:
    if not isinstance(encoder, Recurrent):
        return []
    return [_Watched(f"encoder {place}", cell, backward) for place, cell, backward in encoder.named_cells()]


def _decoder_cells(decoder: nn.Module) -> list[_Watched]:
    """The cells of a recurrent decoder; one that looks before each step records beside the cell in it."""
    if isinstance(decoder, AttentiveDecoder):
        first = [_Watched("decoder layer 1", cell) for cell in (decoder.cell.cell, decoder.cell)]
        upper = [] if decoder.upper is None else [cell for _, cell, _ in decoder.upper.named_cells()]
        return first + [_Watched(f"decoder layer {depth}", cell) for depth, cell in enumerate(upper, start=2)]
    stack = getattr(decoder, "stack", None)
    if not isinstance(stack, Recurrent):
        return []
    return [_Watched(f"decoder {place}", cell) for place, cell, _ in stack.named_cells()]


def _weights(model: nn.Module, attention: Mapping[nn.Module, tuple[Tensor, ...]]) -> dict[str, tuple[Tensor, ...]]:
    """The attention weights of the model's Transformer stacks, by the name of their maps."""
    return {
        name: attention[part]
        for part in model.modules()
        for kind, name in _LOOKS.items()
        if isinstance(part, kind) and part in attention
    }


def _maps(
    attention: NDArray[np.float32] | None,
    weights: dict[str, tuple[Tensor, ...]],
    read: tuple[str, ...],
    written: tuple[str, ...],
) -> dict[str, Map]:
    maps: dict[str, Map] = {}
    if attention is not None and written:
        maps["attention"] = Map(attention, written, read)
    for name, layers in sorted(weights.items()):  # the decoder's first
        rows = written if name.startswith("decoder") else read
        for depth, layer in enumerate(layers if rows else (), start=1):
            heads = _numpy(layer[0, :, : len(rows)])
            place = name.format(depth)
            maps[place] = Map(heads.mean(0), rows, read)
            maps |= {f"{place} head {number}": Map(head, rows, read) for number, head in enumerate(heads, start=1)}
    return maps


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
