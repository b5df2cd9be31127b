"""Transformer stacks: equality with torch's, padding, order of time, and one step at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.errors import SettingError, ShapeError
from unspool.layers import TransformerDecoder, TransformerEncoder
from unspool.layers.transformer import DecoderState

EXACT = TOLERANCE[torch.float64]
SIZES = [(1, 1, 1, 2, 1, 3), (7, 5, 4, 6, 2, 11), (17, 16, 3, 15, 5, 8)]  # time, source time, batch, size, heads, inner
BARE = {"positions": "none", "scale_inputs": False, "dropout": 0.0}
PARTS = {
    "self_attn": "self_attention",
    "multihead_attn": "memory_attention",
    "linear1": "expand",
    "linear2": "reduce",
    "norm": "norm",
}


def randomise(module: nn.Module) -> nn.Module:
    """Distinct weights everywhere: norms and biases too."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.normal_(std=0.3).add_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return module


def load(mine: nn.Module, theirs: nn.Module, *, memory: bool) -> list[nn.Parameter]:
    """Copy torch's stack into ours, part by part; our parameters in the order of theirs."""
    norms = ["self_norm", *(["memory_norm"] if memory else []), "feedforward_norm"]
    names = PARTS | {f"norm{place}": name for place, name in enumerate(norms, start=1)}
    state = {}
    for name, value in theirs.named_parameters():
        parts = name.split(".")
        place = 0 if parts[0] == "norm" else 2
        parts[place] = names[parts[place]]
        state[".".join(parts)] = value
    mine.load_state_dict(state)
    return [mine.get_parameter(name) for name in state]


def make(kind, size=6, heads=2, feedforward=11, layers=2, **options):
    stack = kind(size, heads=heads, feedforward=feedforward, layers=layers, **options)
    return randomise(stack).double()


def lengths_for(time: int, batch: int) -> torch.Tensor:
    lengths = torch.randint(1, time + 1, (batch,))
    lengths[0] = time
    return lengths


def gradients_agree(actual, expected, mine, theirs) -> None:
    cotangent = torch.randn_like(actual)
    wanted = torch.autograd.grad(expected, theirs, cotangent)
    for left, right in zip(torch.autograd.grad(actual, mine, cotangent), wanted, strict=True):
        assert_close(left, right, **EXACT)


@pytest.mark.parametrize("need_weights", [False, True], ids=["fast", "weights"])
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize(("norm", "activation"), [("pre", "relu"), ("post", "gelu")])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_encoder_equals_that_of_torch(size, norm, activation, causal, need_weights):
    time, _, batch, width, heads, inner = size
    mine = make(TransformerEncoder, width, heads, inner, norm=norm, activation=activation, causal=causal, **BARE)
    layer = nn.TransformerEncoderLayer(width, heads, inner, 0.0, activation, norm_first=norm == "pre")
    last = nn.LayerNorm(width) if norm == "pre" else None
    theirs = randomise(nn.TransformerEncoder(layer, 2, last, enable_nested_tensor=False)).double()
    parameters = load(mine, theirs, memory=False)
    x = torch.randn(time, batch, width, dtype=torch.float64, requires_grad=True)
    lengths = lengths_for(time, batch)
    padding = torch.arange(time) >= lengths[:, None]
    later = torch.ones(time, time, dtype=torch.bool).triu(1) if causal else None
    outputs, weights = mine(x, lengths, need_weights)
    expected = theirs(x, mask=later, src_key_padding_mask=padding).masked_fill(padding.t().unsqueeze(-1), 0)
    assert_close(outputs, expected, **EXACT)
    assert [tuple(weight.shape) for weight in weights] == [(batch, heads, time, time)] * 2 * need_weights
    gradients_agree(outputs, expected, [x, *parameters], [x, *theirs.parameters()])


@pytest.mark.parametrize("need_weights", [False, True], ids=["fast", "weights"])
@pytest.mark.parametrize(("norm", "activation"), [("pre", "gelu"), ("post", "relu")])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_decoder_equals_that_of_torch(size, norm, activation, need_weights):
    time, source, batch, width, heads, inner = size
    mine = make(TransformerDecoder, width, heads, inner, norm=norm, activation=activation, **BARE)
    layer = nn.TransformerDecoderLayer(width, heads, inner, 0.0, activation, norm_first=norm == "pre")
    last = nn.LayerNorm(width) if norm == "pre" else None
    theirs = randomise(nn.TransformerDecoder(layer, 2, last)).double()
    parameters = load(mine, theirs, memory=True)
    x = torch.randn(time, batch, width, dtype=torch.float64, requires_grad=True)
    memory = torch.randn(source, batch, width, dtype=torch.float64, requires_grad=True)
    lengths, memory_lengths = lengths_for(time, batch), lengths_for(source, batch)
    outputs, weights = mine(x, memory, memory_lengths, need_weights, lengths=lengths)
    later = torch.ones(time, time, dtype=torch.bool).triu(1)
    expected = theirs(x, memory, later, memory_key_padding_mask=torch.arange(source) >= memory_lengths[:, None])
    past = (torch.arange(time)[:, None] >= lengths).unsqueeze(-1)
    assert_close(outputs, expected.masked_fill(past, 0), **EXACT)
    assert_close(mine(x, memory, memory_lengths).outputs, expected, **EXACT)
    assert [tuple(weight.shape) for weight in weights] == [(batch, heads, time, source)] * 2 * need_weights
    expected = expected.masked_fill(past, 0)
    gradients_agree(outputs, expected, [x, memory, *parameters], [x, memory, *theirs.parameters()])


def test_weights_told_are_those_of_the_formula():
    encoder = make(TransformerEncoder, layers=1, norm="post", **BARE)
    x = torch.randn(5, 2, 6, dtype=torch.float64)
    lengths = torch.tensor([5, 3])
    (weights,) = encoder(x, lengths, need_weights=True).weights
    attention = encoder.layers[0].self_attention
    q, k, _ = nn.functional.linear(x[:, 1], attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    scores = q[:, 3:] @ k[:, 3:].t() / 3**0.5  # the second head of the second sequence
    assert_close(weights[1, 1, :3, :3], scores[:3, :3].softmax(-1))
    assert not bool(weights[1, :, :, 3:].any())


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_what_stands_in_the_padding_of_an_encoder_never_matters(causal):
    encoder = make(TransformerEncoder, causal=causal, dropout=0.0)
    lengths = torch.tensor([9, 4, 1])
    x = torch.randn(9, 3, 6, dtype=torch.float64)
    past = (torch.arange(9)[:, None] >= lengths).unsqueeze(-1)
    spoilt = x.masked_fill(past, float("nan")).requires_grad_()
    outputs = encoder(spoilt, lengths).outputs
    assert not bool(outputs.masked_select(past).any())
    for row, length in enumerate(lengths.tolist()):  # each sequence as if it were alone
        alone = encoder(x[:length, row : row + 1]).outputs
        assert_close(outputs[:length, row], alone[:, 0], **EXACT)
    outputs.sum().backward()
    assert not bool(spoilt.grad.masked_select(past).any())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in encoder.parameters())


def test_what_stands_in_the_padding_of_a_decoder_never_matters():
    decoder = make(TransformerDecoder, dropout=0.0)
    lengths, memory_lengths = torch.tensor([2, 7, 5]), torch.tensor([9, 4, 1])
    x, memory = torch.randn(7, 3, 6, dtype=torch.float64), torch.randn(9, 3, 6, dtype=torch.float64)
    past = (torch.arange(7)[:, None] >= lengths).unsqueeze(-1)
    past_memory = (torch.arange(9)[:, None] >= memory_lengths).unsqueeze(-1)
    spoilt, spoilt_memory = x.masked_fill(past, float("nan")), memory.masked_fill(past_memory, float("nan"))
    spoilt_memory.requires_grad_()
    outputs = decoder(spoilt, spoilt_memory, memory_lengths, lengths=lengths).outputs
    for row, (length, source) in enumerate(zip(lengths.tolist(), memory_lengths.tolist(), strict=True)):
        alone = decoder(x[:length, row : row + 1], memory[:source, row : row + 1]).outputs
        assert_close(outputs[:length, row], alone[:, 0], **EXACT)
    outputs.sum().backward()
    assert not bool(spoilt_memory.grad.masked_select(past_memory).any())
    _, state = decoder.advance(x[0], decoder.start(spoilt_memory, memory_lengths))
    assert all(bool(cache.keys.isfinite().all()) for cache in state.memories)


@pytest.mark.parametrize("kind", [TransformerEncoder, TransformerDecoder])
def test_no_step_of_a_causal_stack_hears_of_later_ones(kind):
    stack = make(kind, dropout=0.0, **({"causal": True} if kind is TransformerEncoder else {}))
    memory = [torch.randn(4, 2, 6, dtype=torch.float64)] if kind is TransformerDecoder else []
    x = torch.randn(18, 2, 6, dtype=torch.float64, requires_grad=True)
    outputs = stack(x, *memory).outputs
    for step in (0, 5, 17):
        (gradient,) = torch.autograd.grad(outputs[step, 0].sum(), x, retain_graph=True)
        heard = gradient.abs().sum(-1) > 0
        assert torch.equal(heard[:, 0], torch.arange(18) <= step)
        assert not bool(heard[:, 1].any())


def test_every_step_of_an_encoder_hears_of_all():
    encoder = make(TransformerEncoder, dropout=0.0)
    x = torch.randn(18, 2, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(encoder(x).outputs[3, 0].sum(), x)
    assert torch.equal(gradient.abs().sum(-1) > 0, torch.tensor([[True, False]]).expand(18, 2))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_causal_encoder_step_by_step_equals_all_at_once(norm, positions):
    encoder = make(TransformerEncoder, causal=True, norm=norm, positions=positions, max_length=19, dropout=0.3).eval()
    x = torch.randn(19, 4, 6, dtype=torch.float64)
    expected = encoder(x).outputs
    state = encoder.start(4)
    for step, inputs in enumerate(x):
        output, state = encoder.advance(inputs, state)
        assert_close(output, expected[step], **EXACT)
    assert torch.equal(state.position, torch.full((4,), 19))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_step_by_step_equals_all_at_once(norm, positions):
    decoder = make(TransformerDecoder, norm=norm, positions=positions, max_length=19, dropout=0.3).eval()
    x, memory = torch.randn(19, 4, 6, dtype=torch.float64), torch.randn(21, 4, 6, dtype=torch.float64)
    lengths = torch.tensor([21, 3, 1, 16])
    expected, weights = decoder(x, memory, lengths, need_weights=True)
    state = decoder.start(memory, lengths)
    assert state.attention is None
    for step, inputs in enumerate(x):
        output, state = decoder.advance(inputs, state, need_weights=step % 2 == 0)
        assert_close(output, expected[step], **EXACT)
        if step % 2 == 0:
            assert_close(state.attention, weights[-1][:, :, step].mean(1), **EXACT)
        else:
            assert state.attention is None
    outputs, _ = decoder.advance(x[0], decoder.start(memory[:, :1].expand(-1, 4, -1)))
    assert_close(outputs, decoder(x[:1], memory[:, :1].expand(-1, 4, -1)).outputs[0], **EXACT)


def pick(state, rows):
    """Rows of a state, as beam search picks them."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return state.index_select(0, rows)
    parts = [pick(part, rows) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def test_rows_of_a_state_can_be_picked():
    decoder = make(TransformerDecoder).eval()
    x, memory = torch.randn(6, 3, 6, dtype=torch.float64), torch.randn(5, 3, 6, dtype=torch.float64)
    lengths, rows = torch.tensor([5, 2, 4]), torch.tensor([2, 0, 0, 2, 1])
    state = decoder.start(memory, lengths)
    for inputs in x[:3]:
        _, state = decoder.advance(inputs, state, need_weights=True)
    state = pick(state, rows)
    assert isinstance(state, DecoderState)
    for inputs in x[3:, rows]:
        output, state = decoder.advance(inputs, state)
    expected = decoder(x[:, rows], memory[:, rows], lengths[rows]).outputs
    assert_close(output, expected[-1], **EXACT)


def test_lower_precision_steps_stay_near_whole_sequences():
    decoder = TransformerDecoder(32, heads=4, feedforward=48, layers=2).eval()
    x, memory = torch.randn(9, 3, 32), torch.randn(5, 3, 32)
    expected = decoder(x, memory).outputs
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(decoder(x, memory).outputs, expected, rtol=0, atol=0.1)
        state = decoder.start(memory)
        for step, inputs in enumerate(x):
            output, state = decoder.advance(inputs, state)
            assert_close(output, expected[step], rtol=0, atol=0.1)


@pytest.mark.parametrize(
    "option",
    [
        {"norm": "post"},
        {"activation": "gelu"},
        {"positions": "none"},
        {"scale_inputs": False},
        {"causal": True},
    ],
    ids=str,
)
def test_every_option_changes_something(option):
    def outputs(**options):
        torch.manual_seed(4)
        encoder = TransformerEncoder(6, heads=2, feedforward=11, layers=1, dropout=0.0, **options)
        return encoder(torch.randn(5, 2, 6)).outputs

    assert (outputs() - outputs(**option)).abs().max() > 0.01


@pytest.mark.parametrize("rate", ["dropout", "attention_dropout", "activation_dropout"])
@pytest.mark.parametrize("kind", [TransformerEncoder, TransformerDecoder])
def test_every_dropout_drops_in_training_alone(kind, rate):
    stack = make(kind, **({"dropout": 0.0} | {rate: 0.4}))
    inputs = [torch.randn(5, 2, 6, dtype=torch.float64)] * (1 if kind is TransformerEncoder else 2)
    assert not torch.equal(stack(*inputs).outputs, stack(*inputs).outputs)
    if kind is TransformerEncoder:
        assert not torch.equal(stack(*inputs, None, True).outputs, stack(*inputs, None, True).outputs)
    stack.eval()
    assert torch.equal(stack(*inputs).outputs, stack(*inputs).outputs)


def test_dropout_takes_its_share_of_what_every_block_adds():
    layer = make(TransformerEncoder, 16, dropout=0.3).layers[0]
    x = torch.randn(40, 30, 16, dtype=torch.float64)
    for block in (layer.feed(x), layer.after(x, layer.self_attention.look(x, None, None), layer.self_norm)):
        assert (block == x).double().mean().item() == pytest.approx(0.3, abs=0.02)
    layer.eval()
    assert not bool((layer.feed(x) == x).any())


def test_gradients_with_dropout_are_those_of_small_differences():
    encoder = make(TransformerEncoder, 4, 2, 5, dropout=0.3, attention_dropout=0.3, activation_dropout=0.3)
    x, lengths = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True), torch.tensor([3, 2])

    def run(x):
        torch.manual_seed(8)
        return encoder(x, lengths).outputs

    assert torch.autograd.gradcheck(run, x)


def test_inputs_are_scaled_then_placed():
    scaled = make(TransformerEncoder, 6, dropout=0.0)
    plain = make(TransformerEncoder, 6, dropout=0.0, scale_inputs=False, positions="none")
    plain.load_state_dict(scaled.state_dict())
    x = torch.randn(5, 2, 6, dtype=torch.float64)
    placed = scaled.positions(x * 6**0.5)
    assert_close(scaled(x).outputs, plain(placed).outputs, **EXACT)


def test_without_positions_an_encoder_does_not_know_the_order():
    encoder = make(TransformerEncoder, positions="none", dropout=0.0)
    x, order = torch.randn(7, 2, 6, dtype=torch.float64), torch.randperm(7)
    assert_close(encoder(x[order]).outputs, encoder(x).outputs[order], **EXACT)


def test_longer_sequences_than_the_products_take_are_right_too():
    encoder = make(TransformerEncoder, layers=1, dropout=0.0)
    x, lengths = torch.randn(270, 2, 6, dtype=torch.float64), torch.tensor([270, 131])
    assert_close(encoder(x, lengths).outputs, encoder(x, lengths, need_weights=True).outputs, **EXACT)


def test_products_start_xavier_uniform():
    encoder = TransformerEncoder(40, heads=4, feedforward=90, layers=1)
    for product in (encoder.layers[0].expand, encoder.layers[0].reduce):
        assert product.weight.abs().max().item() == pytest.approx((6 / 130) ** 0.5, rel=0.01)
        assert not bool(product.bias.any())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "both"}, "norm = both: expected one of pre, post"),
        ({"activation": "tanh"}, "activation = tanh: expected one of relu, gelu"),
        ({"positions": "rotary"}, "positions = rotary: expected one of sinusoidal, learned, none"),
        ({"dropout": 1.0}, "dropout = 1.0: expected at least 0 and less than 1"),
        ({"activation_dropout": -0.1}, "activation_dropout = -0.1"),
        ({"attention_dropout": 2}, "attention_dropout = 2"),
        ({"layers": 0}, "layers = 0: expected at least 1"),
        ({"heads": 4}, "heads = 4 must divide size = 6"),
        ({"positions": "learned", "max_length": 0}, "max_length = 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, words):
    with pytest.raises(SettingError, match=words):
        TransformerEncoder(6, **({"heads": 2, "feedforward": 8, "layers": 1} | options))


def test_shapes_that_do_not_fit_are_refused():
    encoder, decoder = make(TransformerEncoder), make(TransformerDecoder)
    x = torch.randn(5, 2, 6, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"inputs have shape \(5, 2, 7\), expected \(time, batch, 6\)"):
        encoder(torch.randn(5, 2, 7))
    with pytest.raises(ShapeError, match="lengths lie between 0 and 5"):
        encoder(x, torch.tensor([5, 0]))
    with pytest.raises(ShapeError, match="2 sequences came with 3 memories"):
        decoder(x, torch.randn(4, 3, 6, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"inputs have shape \(1, 2, 6\), expected \(batch, 6\)"):
        decoder.advance(x[:1], decoder.start(x))
    with pytest.raises(SettingError, match="make it with causal=True"):
        encoder.start(2)
    with pytest.raises(ShapeError, match="a sequence has 5 steps, and positions were learned for 4"):
        make(TransformerEncoder, positions="learned", max_length=4)(x)
