"""What a translator's trace holds, against the step-by-step decoding that wrote the translation."""

import numpy as np
import pytest
import torch

from unspool.data import Tokens
from unspool.inspection import read_trace, write_trace
from unspool.layers import TransformerDecoder, TransformerEncoder, record_attention
from unspool.tasks import Translator
from unspool.tasks.translate.translator import PairExamples

SOURCES = ["a b c d", "b d", "e a c", "d d e b a", "c"]
TARGETS = ["D C B A", "D B", "C A E", "A B E D D", "C"]
TEXT = "d a zzz b d"
RECURRENT = ["concatenated", "initial", "every-step", "latent", "dot", "additive", "bilinear"]
ATTENDING = ["dot", "additive", "bilinear", "transformer"]
OTHERS = ["window", "concatenated", "initial", "every-step", "latent"]


def made(network, seed=3, **values):
    """A translator with large random weights, so that it looks somewhere, and nothing is alike."""
    sizes = {"hidden": 8, "embedding": 8, "layers": 2, "heads": 2, "feedforward": 12, "cell": "lstm"}
    translator = Translator(network=network, units="blank", beam=3, min_length=4, **sizes, **values)
    translator._learn(PairExamples(SOURCES, TARGETS, [""] * len(SOURCES)))
    torch.manual_seed(seed)
    translator.model = translator._build().eval()
    with torch.no_grad():
        for name, weight in translator.model.named_parameters():
            size = 12 if "attention" in name else 2
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() == 1 else size * weight.shape[-1] ** -0.5))
    return translator


def decoded(translator, text=TEXT):
    sources = translator.fitted.encode_sources([text], ["text"])
    tokens = Tokens(*sources.pad(np.array([0])))
    return tokens, translator._write(translator.model, sources, translator.settings.decoding)[0][0]


@torch.no_grad()
def stepped(translator, tokens, hypothesis):
    """The decoder's states after each of the steps that wrote a hypothesis."""
    model, states = translator.model, []
    state = model.start(tokens)
    for id in [2, *hypothesis.ids][: len(hypothesis.token_log_probabilities)]:
        _, state = model.advance(torch.tensor([id]), state)
        states.append(state)
    return states


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("network", ATTENDING)
def test_the_map_is_where_decoding_looked(network, seed):
    translator = made(network, seed)
    _, hypothesis = decoded(translator)
    trace = translator.trace(TEXT)
    shown = trace.map("attention")
    assert next(iter(trace.maps)) == "attention"
    assert shown.columns == trace.tokens == ("d", "a", "zzz", "b", "d")
    assert shown.rows == trace.written.tokens
    assert len(shown.rows) == len(hypothesis.ids) + hypothesis.finished
    np.testing.assert_allclose(shown.values, hypothesis.attention, atol=1e-4)
    assert shown.values.std() > 0.02  # it looks somewhere
    assert np.ptp(shown.values, axis=0).max() > 0.02  # and not always to the same place


@pytest.mark.parametrize("network", OTHERS)
def test_a_network_without_attention_has_no_map(network):
    trace = made(network).trace(TEXT)
    assert dict(trace.maps) == {}
    assert trace.written is not None


@pytest.mark.parametrize("network", [*ATTENDING, *OTHERS])
def test_surprise_is_that_of_each_unit_as_it_was_written(network):
    translator = made(network)
    _, hypothesis = decoded(translator)
    surprise = translator.trace(TEXT).written.prediction["surprise"]
    np.testing.assert_allclose(surprise, np.negative(hypothesis.token_log_probabilities), atol=1e-4)


@pytest.mark.parametrize("network", RECURRENT)
def test_the_decoders_states_are_those_of_its_steps(network):
    translator = made(network)
    tokens, hypothesis = decoded(translator)
    written = translator.trace(TEXT).written
    states = stepped(translator, tokens, hypothesis)
    for depth in (0, 1):
        for quantity in ("h", "c"):
            expected = torch.stack([getattr(state.layers[depth][0], quantity)[0] for state in states])
            actual = written.array(f"decoder layer {depth + 1} / {quantity}")
            torch.testing.assert_close(torch.tensor(actual), expected, atol=1e-4, rtol=1e-4)
    for gate in ("input", "forget", "output"):
        values = written.array(f"decoder layer 1 / {gate}")
        assert values.shape == (len(written.tokens), 8)
        assert ((values > 0) & (values < 1)).all()


@pytest.mark.parametrize("network", RECURRENT)
def test_gates_explain_the_states_they_stand_beside(network):
    """h = output ⊙ tanh(c) holds on both sides, so no gate has taken the place of another."""
    trace = made(network).trace(TEXT)
    for side in (trace, trace.written):
        for place in side.places:
            found = side.at(place)
            np.testing.assert_allclose(found["h"], found["output"] * np.tanh(found["c"]), atol=1e-5)


def test_one_network_for_both_sides_is_told_apart():
    translator = made("concatenated")
    tokens, _ = decoded(translator)
    trace = translator.trace(TEXT)
    with torch.no_grad():
        final = translator.model.encode(tokens).final
    last = trace.array("encoder layer 2 / h")[-1]
    torch.testing.assert_close(torch.tensor(last), final[1][0].h[0], atol=1e-4, rtol=1e-4)
    assert trace.array("encoder layer 1 / h").shape == (5, 8)


def test_the_encoders_arrays_stand_in_reading_order():
    translator = made("additive")
    tokens, _ = decoded(translator)
    trace = translator.trace(TEXT)
    with torch.no_grad():
        states = translator.model.encode(tokens).states[0].numpy()
    sides = [trace.array(f"encoder layer 2 {side} / h") for side in ("forward", "backward")]
    np.testing.assert_allclose(np.concatenate(sides, axis=1), states, atol=1e-5)


def test_a_transformer_shows_every_layer_and_head():
    translator = made("transformer")
    trace = translator.trace(TEXT)
    places = [f"{side} layer {n} / {kind}" for side, kind in (("decoder", "attention"), ("encoder", "self-attention"))
              for n in (1, 2)]  # fmt: skip
    own = [f"decoder layer {n} / self-attention" for n in (1, 2)]
    names = (f"{place} head {n}" for place in (*places, *own) for n in (1, 2))
    assert set(trace.maps) == {"attention", *places, *own, *names}
    for place in places:
        heads = np.stack([trace.map(f"{place} head {n}").values for n in (1, 2)])
        np.testing.assert_allclose(heads.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(trace.map(place).values, heads.mean(0), atol=1e-6)
        assert np.abs(heads[0] - heads[1]).max() > 0.05
        assert trace.map(place).columns == trace.tokens
        assert trace.map(place).rows == (trace.tokens if place.startswith("encoder") else trace.written.tokens)
    assert trace.map("decoder layer 2 / attention").values.tobytes() == trace.map("attention").values.tobytes()
    assert np.abs(trace.map("decoder layer 1 / attention").values - trace.map("attention").values).max() > 0.05


def test_a_transformers_decoder_looks_back_at_the_start_and_what_it_wrote():
    translator = made("transformer")
    tokens, hypothesis = decoded(translator)
    trace = translator.trace(TEXT)
    decoder = next(part for part in translator.model.modules() if isinstance(part, TransformerDecoder))
    ids = torch.tensor([2, *hypothesis.ids])[:, None]
    with torch.no_grad(), record_attention() as weights:
        translator.model.after(ids, translator.model.encode(tokens))
    for depth, layer in enumerate(decoder.layers, start=1):
        (expected,) = weights[layer.self_attention]
        whole = trace.map(f"decoder layer {depth} / self-attention")
        assert whole.rows == trace.written.tokens
        assert whole.columns == ("<start>", *trace.written.tokens[:-1])
        np.testing.assert_allclose(whole.values.sum(1), 1, atol=1e-5)
        assert not np.triu(whole.values, 1).any()
        size = len(whole.rows)
        for head in (1, 2):
            actual = trace.map(f"decoder layer {depth} / self-attention head {head}").values
            np.testing.assert_allclose(actual, expected[0, head - 1, :size, :size].numpy(), atol=1e-5)


def test_a_transformers_encoder_is_asked_in_the_same_pass():
    translator = made("transformer")
    tokens, _ = decoded(translator)
    trace = translator.trace(TEXT)
    encoder = next(part for part in translator.model.modules() if isinstance(part, TransformerEncoder))
    seen = []
    encoder.register_forward_pre_hook(lambda part, args: seen.append(args[0]))
    with torch.no_grad():
        translator.model.encode(tokens)
        weights = encoder(seen[0], tokens.lengths, need_weights=True).weights
    for depth, layer in enumerate(weights, start=1):
        for head, expected in enumerate(layer[0], start=1):
            actual = trace.map(f"encoder layer {depth} / self-attention head {head}").values
            np.testing.assert_allclose(actual, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("network", ["additive", "bilinear", "transformer", "concatenated"])
def test_looking_changes_nothing(network):
    translator = made(network)
    before = translator.predict([TEXT])[0]
    translator.trace(TEXT)
    assert translator.predict([TEXT])[0] == before
    hooks = [hook for part in translator.model.modules() for hook in (*part._forward_pre_hooks, *part._forward_hooks)]
    assert hooks == []


def test_a_translation_of_nothing_still_has_its_end():
    translator = made("additive")
    translator._write = lambda *given: [[nothing(finished=True)]]
    trace = translator.trace(TEXT)
    assert trace.prediction["translation"] == ""
    assert trace.written.tokens == ("",)
    assert trace.map("attention").values.shape == (1, 5)
    translator._write = lambda *given: [[nothing(finished=False)]]
    assert translator.trace(TEXT).written is None
    assert dict(translator.trace(TEXT).maps) == {}


def nothing(*, finished):
    from unspool.decoding import Hypothesis

    return Hypothesis([], 0.0, 0.0, [], None, finished)


def test_a_source_past_the_longest_is_cut_everywhere():
    trace = made("bilinear", max_length=4).trace("a b " * 300)
    assert len(trace.tokens) == len(trace.map("attention").columns) == 512
    assert trace.array("encoder layer 1 forward / h").shape[0] == 512


@pytest.mark.parametrize("network", ["additive", "transformer"])
@pytest.mark.parametrize("ending", [".json", ".npz"])
def test_a_translators_trace_comes_back_from_a_file(tmp_path, network, ending):
    trace = made(network).trace(TEXT)
    assert read_trace(write_trace(trace, tmp_path / f"t{ending}")) == trace
