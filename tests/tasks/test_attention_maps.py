"""Self-attention of classifiers, taggers and language models in a trace, against torch and the fast path."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from unspool.inspection import attention as attention_module
from unspool.inspection import read_trace, show, write_trace
from unspool.layers.multihead_attention import causal_mask
from unspool.layers.scaled_dot_product import blocked
from unspool.tasks import Classifier, LanguageModel, Tagger

SIZES = {"network": "transformer", "hidden": 8, "embedding": 6, "heads": 2, "layers": 2, "feedforward": 12}
TEXT = "a dull film and a good one"
WORDS = tuple(TEXT.split())


def randomised(task, seed=5):
    """The task with large random weights, so that every head looks somewhere else."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in task.model.named_parameters():
            size = 9 if "attention" in name else 2
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() == 1 else size * weight.shape[-1] ** -0.5))
    task.model.eval()
    return task


def classifier(**values):
    texts = ["a good film", "a dull film", "good and one", "dull"] * 3
    return randomised(
        Classifier(**SIZES, **values, epochs=1, valid_fraction=0).fit(
            texts, ["yes", "no", "yes", "no"] * 3, baselines=False
        )
    )


def tagger(**values):
    texts = [["a", "good", "film"], ["one", "dull", "and"]] * 4
    return randomised(
        Tagger(**SIZES, **values, epochs=1, valid_fraction=0).fit(
            texts, [["D", "A", "N"], ["N", "A", "C"]] * 4, baselines=False
        )
    )


def language_model(**values):
    model = LanguageModel(**SIZES, **values, units="word", epochs=1, valid_fraction=0)
    return randomised(model.fit([f"{TEXT}\n" * 20], baselines=False))


@torch.no_grad()
def states_before_each_layer(stack, inputs, mask):
    """Run a stack, (time, 1, size), by its fast path; yield each attention with its input and its output."""
    x = stack._enter(inputs, None)
    bias = None if mask is None else blocked(mask, x.dtype)
    for layer in stack.layers:
        h = layer.before(x, layer.self_norm)
        block = layer.self_attention.look(h, None, bias)
        yield layer.self_attention, h, block
        x = layer.feed(layer.after(x, block, layer.self_norm))


@torch.no_grad()
def assert_maps_are_those_of_torch(trace, stack, inputs, *, first=0, mask=None):
    """Compare every head with `torch.nn.MultiheadAttention`, and weights times values with the fast path's output."""
    time = len(inputs)
    for depth, (attention, h, output) in enumerate(states_before_each_layer(stack, inputs, mask), start=1):
        judge = torch.nn.MultiheadAttention(attention.size, attention.heads, batch_first=True)
        judge.load_state_dict(attention.state_dict())
        blocking = None if mask is None else ~mask[0, 0]
        _, weights = judge(h, h, h, attn_mask=blocking, average_attn_weights=False)
        contexts = []
        for head in range(attention.heads):
            shown = trace.map(f"layer {depth} / attention head {head + 1}")
            np.testing.assert_allclose(shown.values, weights[0, head, first:], atol=2e-6)
            values = attention.keys_values(h).values[0, head]
            contexts.append(torch.from_numpy(shown.values.copy()) @ values)
        rebuilt = attention.out_proj(torch.cat(contexts, dim=-1))
        torch.testing.assert_close(rebuilt, output[0, first:], rtol=1e-4, atol=1e-5)
        mean = trace.map(f"layer {depth} / attention").values
        np.testing.assert_allclose(mean, weights[0].mean(0)[first:], atol=2e-6)
    assert len(trace.maps) == 2 * 3
    assert not np.allclose(trace.map("layer 1 / attention head 1").values, 1 / time, atol=0.2)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_classifier_shows_the_weights_of_every_head(norm):
    task = classifier(norm=norm)
    trace = task.trace(TEXT)
    tokens = task.fitted.input.encode([TEXT], ["text"]).batch(np.array([0]))
    with torch.no_grad():
        inputs = task.model.encoder.project(task.model.embedding(tokens))
    assert_maps_are_those_of_torch(trace, task.model.encoder.stack, inputs)
    shown = trace.map("layer 2 / attention head 2")
    assert shown.rows == shown.columns == trace.tokens == WORDS
    expected = task.predict(TEXT).probabilities
    assert trace.prediction["probabilities"] == pytest.approx(expected, abs=1e-5)


def test_a_tagger_shows_the_weights_of_every_head():
    task = tagger()
    trace = task.trace(TEXT)
    tokens = task.fitted.input.encode_sentences([list(WORDS)], ["text"]).batch(np.array([0]))
    with torch.no_grad():
        inputs = task.model.encoder.project(task.model.embedding(tokens))
    assert_maps_are_those_of_torch(trace, task.model.encoder.stack, inputs)
    assert trace.map("layer 1 / attention").rows == WORDS


def language_inputs(task, ids):
    with torch.no_grad():
        return task.model.decoder.project(task.model.embedding.table(torch.tensor(ids).unsqueeze(1)))


def test_a_language_model_shows_what_each_unit_looks_back_to():
    task = language_model()
    trace = task.trace(TEXT)
    inputs = language_inputs(task, [2, *task.vocabulary.encode(TEXT)])
    mask = causal_mask(8, 8, inputs.device)
    assert_maps_are_those_of_torch(trace, task.model.decoder.stack, inputs, first=1, mask=mask)
    shown = trace.map("layer 1 / attention head 1")
    assert (shown.rows, shown.columns) == (WORDS, ("<eos>", *WORDS))
    assert not shown.values[np.triu_indices(7, k=2, m=8)].any()
    assert trace.prediction["surprise"] == task.predict(TEXT).nats


def test_a_text_beyond_the_context_is_read_in_pieces():
    task = language_model(steps=4)
    whole, piece = task.trace(TEXT), task.trace("a dull film")
    for name, shown in whole.maps.items():
        np.testing.assert_array_equal(shown.values[:3, :4], piece.maps[name].values)
        assert not shown.values[3:, :4].any()
        assert not shown.values[:3, 4:].any()
        np.testing.assert_allclose(shown.values.sum(1), 1, atol=1e-5)
    inputs = language_inputs(task, task.vocabulary.encode(TEXT)[3:])
    _, h, _ = next(iter(states_before_each_layer(task.model.decoder.stack, inputs, causal_mask(4, 4, inputs.device))))
    judge = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    judge.load_state_dict(task.model.decoder.stack.layers[0].self_attention.state_dict())
    mask = ~causal_mask(4, 4, inputs.device)[0, 0]
    _, weights = judge(h, h, h, attn_mask=mask, average_attn_weights=False)
    second = whole.map("layer 1 / attention head 2").values[3:, 4:]
    np.testing.assert_allclose(second, weights[0, 1].detach(), atol=2e-6)


def test_a_text_that_is_too_long_has_a_note_in_place_of_maps(monkeypatch):
    task = classifier()
    monkeypatch.setattr(attention_module, "MAX_WEIGHTS", 6 * 49 - 1)
    trace = task.trace(TEXT)
    assert not trace.maps
    assert trace.notes == (
        "no attention maps: 7 tokens, 2 layers and 2 heads have 294 weights, and a trace holds at most 293; "
        "trace a shorter text",
    )
    assert len(task.trace("a film").maps) == 6


@pytest.mark.parametrize("make", [classifier, tagger, language_model])
def test_maps_reach_the_terminal_and_files(make, tmp_path):
    trace = make().trace(TEXT)
    text = io.StringIO()
    show(trace, Console(file=text, width=80), maps="*head 2")
    assert "layer 1 / attention head 2" in text.getvalue()
    assert "layer 2 / attention head 2" in text.getvalue()
    assert read_trace(write_trace(trace, tmp_path / "t.npz")) == trace


@pytest.mark.parametrize("network", ["recurrent", "bag"])
def test_a_network_without_attention_has_no_maps(network):
    task = Classifier(network=network, hidden=4, embedding=4, epochs=1, valid_fraction=0)
    task.fit(["a b", "b c"] * 4, ["x", "y"] * 4, baselines=False)
    assert not task.trace("a b c").maps


def test_a_machine_in_a_classifier_shows_its_heads():
    task = Classifier(cell="ntm(slots=5, width=3)", hidden=4, embedding=4, bidirectional=False, epochs=1)
    task.fit(["a b", "b c"] * 4, ["x", "y"] * 4, baselines=False, valid=[("a b", "x")])
    trace = task.trace("a b c b")
    assert list(trace.maps) == ["layer 1 / read head 1", "layer 1 / write head 1"]
    shown = trace.map("layer 1 / write head 1")
    assert (shown.rows, len(shown.columns)) == (trace.tokens, 5)
    np.testing.assert_array_equal(shown.values, trace.array("layer 1 / write_weights"))
