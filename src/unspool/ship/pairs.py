"""Programs of encoder-decoders: the source encoded, the state before the first unit, and one step of the decoder."""

from __future__ import annotations

from typing import Any

from unspool.errors import UsageError
from unspool.layers import AdditiveAttention, Attention, BilinearAttention, DotAttention, Recurrent, TokenEmbedding
from unspool.models import (
    AttentiveDecoder,
    Bridge,
    EncoderDecoder,
    LateAttentionDecoder,
    LearnedStart,
    RecurrentDecoder,
)
from unspool.ship.building import ProgramBuilder, array, state_ports
from unspool.ship.sheet import (
    Activate,
    Add,
    Advance,
    Attend,
    Concat,
    LookUp,
    Pool,
    Port,
    Product,
    Program,
    Slice,
    Softmax,
)
from unspool.ship.step_graph import step_graph

__all__ = ["pair_programs"]


def pair_programs(model: EncoderDecoder) -> tuple[Program, Program, tuple[str, ...]]:
    """Return the programs `start` and `step` of an encoder-decoder, and the names of its state.

    Args:
        model: The network, in evaluation mode.

    Raises:
        UsageError: If there are no operations for a part of the network.
    """
    encoder, decoder = model.encoder, model.decoder
    source = model.source
    if model.latent is not None or not isinstance(encoder, Recurrent) or not isinstance(source, TokenEmbedding):
        raise UsageError(
            "only encoder-decoders of recurrent layers can be exported: "
            "network = concatenated, initial, every-step, dot, additive or bilinear"
        )
    if not isinstance(decoder, RecurrentDecoder | AttentiveDecoder | LateAttentionDecoder):
        raise UsageError(f"a decoder of the kind {type(decoder).__name__} can't be exported yet")
    start = ProgramBuilder(Port("ids", "ids"), Port("lengths", "lengths"))
    states, final = start.recurrent(encoder, start.embed(source))
    summary = start.add(Concat, "summary", inputs=tuple(direction[0] for direction in final[-1]))
    ports = _state_ports(decoder)
    bridge = decoder.bridge
    if isinstance(bridge, LearnedStart):
        raise UsageError("a decoder with a learned start can't be exported yet")
    if bridge is None:
        flat = [name for layer in final for direction in layer for name in direction]
        begins = [start.add(Concat, port.name, inputs=(name,)) for port, name in zip(ports, flat, strict=True)]
    else:
        begins = _bridged(start, bridge, summary, ports)
    attention = _attention_of(decoder)
    fixed: list[Port] = []
    context = decoder.context_size if isinstance(decoder, RecurrentDecoder) else 0
    if attention is not None:
        keys = _keys(start, attention, states)
        fixed = [
            Port(keys, "sequence", _key_width(attention)),
            Port(states, "sequence", attention.memory_size),
            Port("lengths", "lengths"),
        ]
    elif context:
        fixed = [Port(summary, "row", context)]
    begin = start.finish(*(Port(name, "row", port.width) for name, port in zip(begins, ports, strict=True)), *fixed)
    names = [Port(name, "row", port.width) for name, port in zip(begins, ports, strict=True)]
    step = ProgramBuilder(Port("id", "id"), *names, *fixed)
    vectors = step.add(LookUp, "vectors", ids="id", table=array(model.target.table.weight))
    outputs, after = _decoder_step(step, decoder, vectors, begins, [port.name for port in fixed])
    if model.combine is not None:
        outputs = step.add(Activate, "combined", input=step.product(model.combine, outputs), function="tanh")
    scores = step.log_probabilities(model.softmax, outputs)
    new = [Port(name, "row", port.width) for name, port in zip(after, ports, strict=True)]
    whole = step.finish(Port(scores, "row", len(model.target.table.weight)), *new)
    return begin, whole, tuple(begins)


def _state_ports(decoder: Any) -> list[Port]:
    if not isinstance(decoder, AttentiveDecoder):
        return state_ports(decoder.stack)
    first = [part[0].numel() for part in decoder.cell.initial_state(1)][1:]
    ports = [Port("query", "row", decoder.cell.cell.hidden_size)]
    ports += [Port(f"first{number}", "row", width) for number, width in enumerate(first, 1)]
    return ports + (state_ports(decoder.upper) if decoder.upper is not None else [])


def _attention_of(decoder: Any) -> Attention | None:
    if isinstance(decoder, AttentiveDecoder):
        return decoder.cell.attention
    return decoder.attention if isinstance(decoder, LateAttentionDecoder) else None


def _bridged(build: ProgramBuilder, bridge: Bridge, summary: str, ports: list[Port]) -> list[str]:
    """Add the states before the first step; the first query is the first part of the first state."""
    whole = build.add(Activate, "bridge", input=build.product(bridge.project, summary), function="tanh")
    rows = [port for port in ports if port.name != "query"]
    names, column = [], 0
    for port in rows:
        names.append(build.add(Slice, port.name, input=whole, start=column, stop=column + port.width))
        column += port.width
    if len(rows) < len(ports):
        names.insert(0, build.add(Slice, "query", input=whole, start=0, stop=ports[0].width))
    return names


def _keys(build: ProgramBuilder, attention: Attention, states: str) -> str:
    if isinstance(attention, AdditiveAttention):
        return build.product(attention.memory, states, "keys")
    if isinstance(attention, BilinearAttention):
        return build.add(Product, "keys", input=states, weight=array(attention.weight))
    assert isinstance(attention, DotAttention)
    return states if attention.project is None else build.product(attention.project, states, "keys")


def _key_width(attention: Attention) -> int:
    return attention.energy.numel() if isinstance(attention, AdditiveAttention) else attention.query_size


def _look(build: ProgramBuilder, attention: Attention, query: str, keys: str, memory: str) -> str:
    """Add the context of a query."""
    if not isinstance(attention, AdditiveAttention):
        scale = attention.scale if isinstance(attention, DotAttention) else 1.0
        fields = {"query": query, "keys": keys, "values": memory, "scale": scale}
        return build.add(Attend, "context", weights=build.name("attention"), **fields)
    asked = build.product(attention.query, query, "asked")
    hidden = build.add(Activate, "energy", input=build.add(Add, "sum", inputs=(keys, asked)), function="tanh")
    scores = build.add(Product, "energies", input=hidden, weight=array(attention.energy)[None])
    weights = build.add(Softmax, "attention", input=scores, over="time")
    return build.add(Pool, "context", input=memory, kind="sum", weights=weights)


def _decoder_step(
    build: ProgramBuilder, decoder: Any, vectors: str, state: list[str], fixed: list[str]
) -> tuple[str, list[str]]:
    if isinstance(decoder, RecurrentDecoder):
        if not decoder.context_size:
            return build.advance(decoder.stack, vectors, state)
        inputs = build.add(Concat, "inputs", inputs=(vectors, fixed[0]))
        outputs, after = build.advance(decoder.stack, inputs, state)
        return build.add(Concat, "outputs", inputs=(outputs, fixed[0])), after
    keys, memory = fixed[:2]
    if isinstance(decoder, LateAttentionDecoder):
        outputs, after = build.advance(decoder.stack, vectors, state)
        context = _look(build, decoder.attention, outputs, keys, memory)
        return build.add(Concat, "outputs", inputs=(context, outputs)), after
    cell = step_graph(decoder.cell.cell)
    query, first, upper = state[0], tuple(state[1 : 1 + len(cell.shapes)]), state[1 + len(cell.shapes) :]
    context = _look(build, decoder.cell.attention, query, keys, memory)
    inputs = build.add(Concat, "inputs", inputs=(vectors, context))
    new = tuple(build.name(f"first_after{number}") for number in range(len(first)))
    output = build.add(Advance, "first", input=inputs, step=cell, state=first, after=new)
    below = build.add(Concat, "below", inputs=(output, context))
    after = [output, *new]
    if decoder.upper is None:
        return below, after
    above, rest = build.advance(decoder.upper, below, upper)
    return build.add(Concat, "outputs", inputs=(above, context)), [*after, *rest]
