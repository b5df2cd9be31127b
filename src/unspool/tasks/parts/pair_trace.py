"""Trace of an encoder–decoder for one pair, from a single teacher-forced forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.cells import Cell, watch
from unspool.data import Captioned, Paired
from unspool.engine import any_backend, record_dispatch
from unspool.inspection import Map, Recording, Trace
from unspool.layers import AttentiveCell, Recurrent, TransformerDecoder, TransformerEncoder, record_attention
from unspool.models import AttentiveDecoder, EncoderDecoder

__all__ = ["decoder_cells", "encoder_cells", "trace_of_pair"]

Arrays = dict[str, NDArray[np.float32]]
_REPEATED = (
    "attention",
    "output",
)  # of an attentive cell: other parts of the trace hold the attention map and the state of the inner cell
_START = "<start>"
"""What the decoder reads before the first unit that it writes."""
_LOOKS: dict[type[nn.Module], str] = {
    TransformerDecoder: "decoder layer {} / attention",
    TransformerEncoder: "encoder layer {} / self-attention",
}


class _Watched(NamedTuple):
    """A cell of encoder or decoder, with its name in the trace."""

    place: str
    cell: Cell[Any]
    backward: bool = False


@torch.no_grad()
def trace_of_pair(
    model: EncoderDecoder,
    batch: Paired | Captioned,
    read: Sequence[str],
    written: Sequence[str],
    *,
    prediction: Mapping[str, Any],
    summary: str,
) -> Trace:
    """Run one pair through the network with teacher forcing, and record the intermediate values.

    Maps: `attention`, as in decoding (for a Transformer, the mean over the heads of the last layer). A Transformer also
    has `decoder layer 1 / attention` and `encoder layer 1 / self-attention`, means over the heads, and each head as
    `decoder layer 1 / attention head 1`.

    Args:
        model: The network, in evaluation mode.
        batch: The pair, (time, 1).
        read: Units of the source.
        written: Units of the target; an empty string marks the end of a complete output.
        prediction: The prediction, for the trace.
        summary: Description of the network in one line.

    Returns:
        The encoder values at each source unit, the maps from target units to source units, and in `written` the decoder
        values at each target unit, with the surprisal of the unit in nats.
    """
    encoder, decoder = encoder_cells(model.encoder), decoder_cells(model.decoder)
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
        values = recording.arrays(place, reverse=backward)
        repeated = _REPEATED if isinstance(cell, AttentiveCell) else ()
        arrays |= {name: array for name, array in values.items() if name.rpartition(" / ")[2] not in repeated}
    if shared:  # one stack processes source and target in sequence
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
        maps=_maps(mean, _weights(model, attention), tuple(read), tuple(written))
        | _self_maps(model, attention, tuple(written)),
        written=_written(written, own, -forced.log_probabilities[:steps, 0].float()),
    )


def _written(units: Sequence[str], arrays: Arrays, surprise: Tensor) -> Trace | None:
    return Trace(tuple(units), arrays, {"surprise": _numpy(surprise)}) if units else None


def encoder_cells(encoder: nn.Module | None) -> list[_Watched]:
    """Return the cells of a recurrent encoder."""
    if not isinstance(encoder, Recurrent):
        return []
    return [_Watched(f"encoder {place}", cell, backward) for place, cell, backward in encoder.named_cells()]


def decoder_cells(decoder: nn.Module) -> list[_Watched]:
    """Return the cells of a recurrent decoder; an attentive cell comes with its inner cell."""
    if isinstance(decoder, AttentiveDecoder):
        first = [_Watched("decoder layer 1", cell) for cell in (decoder.cell.cell, decoder.cell)]
        upper = [] if decoder.upper is None else [cell for _, cell, _ in decoder.upper.named_cells()]
        return first + [_Watched(f"decoder layer {depth}", cell) for depth, cell in enumerate(upper, start=2)]
    stack = getattr(decoder, "stack", None)
    if not isinstance(stack, Recurrent):
        return []
    return [_Watched(f"decoder {place}", cell) for place, cell, _ in stack.named_cells()]


def _weights(model: nn.Module, attention: Mapping[nn.Module, tuple[Tensor, ...]]) -> dict[str, tuple[Tensor, ...]]:
    """Return the attention weights of the Transformer stacks, by the name of their maps."""
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


def _self_maps(
    model: nn.Module, attention: Mapping[nn.Module, tuple[Tensor, ...]], written: tuple[str, ...]
) -> dict[str, Map]:
    """Return the maps of a decoder's self-attention: from each written unit to the start and the units before it."""
    maps: dict[str, Map] = {}
    columns = (_START, *written[:-1])
    decoders = [part for part in model.modules() if isinstance(part, TransformerDecoder)]
    for decoder in decoders if written else ():
        for depth, layer in enumerate(cast(Iterable[Any], decoder.layers), start=1):
            if layer.self_attention not in attention:
                continue
            heads = _numpy(attention[layer.self_attention][0][0, :, : len(written), : len(written)])
            place = f"decoder layer {depth} / self-attention"
            maps[place] = Map(heads.mean(0), written, columns)
            maps |= {f"{place} head {number}": Map(head, written, columns) for number, head in enumerate(heads, 1)}
    return maps


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
