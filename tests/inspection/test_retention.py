import numpy as np
import pytest

from unspool.inspection.overview import columns, scale, sentences
from unspool.inspection.retention import change, is_backward, is_gate, keeping, remaining
from unspool.inspection.trace import Trace

TOKENS = ("the", "flights", "the", "airline")


def gates(rng, steps=4, units=5):
    return rng.uniform(0.05, 0.95, (steps, units))


def roll(keep, write):
    state, states = np.zeros(keep.shape[1]), []
    for a, b in zip(keep, write, strict=True):
        state = a * state + b
        states.append(state)
    return np.array(states)


def lstm(rng):
    f, i, o, g = gates(rng), gates(rng), gates(rng), rng.uniform(-1, 1, (4, 5))
    c = roll(f, i * g)
    return {"input": i, "forget": f, "candidate": g, "output": o, "h": o * np.tanh(c), "c": c}, f, i * g


def gru(rng):
    r, z, n = gates(rng), gates(rng), rng.uniform(-1, 1, (4, 5))
    return {"reset": r, "update": z, "candidate": n, "h": roll(z, (1 - z) * n)}, z, (1 - z) * n


def min_gru(rng):
    z, n = gates(rng), rng.uniform(-3, 3, (4, 5))
    return {"update": z, "candidate": n, "h": roll(1 - z, z * n)}, 1 - z, z * n


def as_trace(arrays, place="layer 1 forward"):
    return Trace(TOKENS, {f"{place} / {name}": values for name, values in arrays.items()})


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("cell", [lstm, gru, min_gru])
def test_the_keep_gate_is_found_by_the_numbers_whatever_its_name(cell, backward):
    arrays, keep, write = cell(np.random.default_rng(7))
    if backward:
        arrays = {name: values[::-1] for name, values in arrays.items()}
    arrays = as_trace(arrays).at("layer 1 forward")
    actual, share = keeping(arrays, backward=backward), remaining(arrays, backward=backward)
    left = np.array([np.abs(write[t] * np.prod(keep[t + 1 :], axis=0)).sum() for t in range(4)])
    expected = left / left.sum()
    np.testing.assert_allclose(actual, keep[::-1] if backward else keep, rtol=0, atol=1e-6)
    np.testing.assert_allclose(share, expected[::-1] if backward else expected, rtol=0, atol=1e-6)


def test_gates_that_do_not_move_the_state_so_are_not_believed():
    arrays, _, _ = lstm(np.random.default_rng(8))
    arrays["c"] = arrays["c"] + np.random.default_rng(9).normal(size=(4, 5)) * 0.05
    assert keeping(as_trace(arrays).at("layer 1 forward")) is None
    assert remaining(as_trace(arrays).at("layer 1 forward")) is None


def test_change_is_the_mean_step_of_the_hidden_state_in_reading_order():
    hidden = np.array([[0.5, -0.5], [0.0, 1.0], [0.25, 1.0]], dtype=np.float32)
    assert change({"h": hidden}).tolist() == [0.5, 1.0, 0.125]
    assert change({"hidden": hidden}, backward=True).tolist() == [1.0, 0.125, 0.625]
    assert change({"forget": hidden}) is None


@pytest.mark.parametrize(
    ("quantity", "values", "expected"),
    [
        ("forget", [0.0, 1.0], True),
        ("forget", [0.0, 1.1], False),
        ("anything", [-0.01, 0.5], False),
        ("h", [0.0, 0.5], False),
        ("state.c", [0.0, 0.5], False),
        ("update", [np.nan, 0.5], True),
        ("update", [np.nan, np.nan], False),
    ],
)
def test_a_gate_stays_between_0_and_1_and_is_no_state(quantity, values, expected):
    assert is_gate(quantity, np.array([values], dtype=np.float32)) is expected


def test_backward_is_read_off_the_place():
    assert is_backward("layer 2 Backward")
    assert not is_backward("layer 2 forward")


def test_scale_is_0_to_1_for_gates_and_even_about_zero_for_states():
    assert scale("forget", np.array([[0.2, 0.3]], dtype=np.float32)) == (0.0, 1.0)
    assert scale("h", np.array([[0.2, -0.3]], dtype=np.float32)) == (-1.0, 1.0)
    assert scale("c", np.array([[2.5, np.inf]], dtype=np.float32)) == (-2.5, 2.5)


def test_columns_are_gates_then_change_then_what_is_left():
    arrays, _, _ = lstm(np.random.default_rng(10))
    shown = columns(as_trace(arrays), "layer 1 forward")
    assert [column.title for column in shown] == ["input", "forget", "output", "change", "left"]
    np.testing.assert_allclose(shown[1].values, arrays["forget"].mean(axis=1), atol=1e-6)
    assert shown[1].high == 1.0
    assert shown[3].high == shown[3].values.max()
    assert shown[4].values.sum() == pytest.approx(1.0)


def test_a_place_without_gates_shows_sizes():
    rng = np.random.default_rng(11)
    text, context = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    shown = columns(as_trace({"text": text, "context": context}), "layer 1 forward")
    assert [column.title for column in shown] == ["|text|", "|context|"]
    np.testing.assert_allclose(shown[0].values, np.abs(text).mean(axis=1), atol=1e-6)


def test_sentences_name_the_token_and_its_position_where_it_comes_twice():
    forget = np.array([[0.1], [0.9], [0.4], [0.31]])
    arrays = {
        "forget": forget,
        "input": np.array([[0.5], [0.6], [0.7], [0.2]]),
        "h": np.array([[0.1], [0.3], [0.3], [0.9]]),
    }
    assert sentences(as_trace(arrays), "layer 1 forward") == [
        "What came before was forgotten most at 'airline' (kept 0.31), least at 'flights' (kept 0.90).",
        "input: written least at 'airline' 0.20, most at 'the' (token 3) 0.70.",
        "The state moved most at 'airline' 0.60, least at 'the' (token 3) 0.00.",
    ]


def test_the_token_read_first_had_nothing_to_forget():
    forget = np.array([[0.9], [0.5], [0.6], [0.1]])
    lines = sentences(as_trace({"forget": forget}, "layer 1 backward"), "layer 1 backward")
    assert lines == [
        "What came before was forgotten most at 'flights' (kept 0.50), least at 'the' (token 1, kept 0.90)."
    ]
