import numpy as np
import pytest

from unspool.errors import ShapeError, UsageError
from unspool.inspection.trace import Trace, visible

TOKENS = ("the", "flights", "the")
FORGET = np.array([[0.25, 0.75], [0.5, 1.0], [0.0, 0.125]], dtype=np.float32)
HIDDEN = np.array([[-0.5], [0.25], [0.125]], dtype=np.float32)


def made(**changes):
    arrays = {
        "layer 1 forward / forget": FORGET,
        "layer 1 forward / h": HIDDEN,
        "layer 1 backward / forget": FORGET[::-1],
    }
    return Trace(**({"tokens": TOKENS, "arrays": arrays} | changes))


def test_summary_is_the_mean_over_units_and_series_is_one_unit():
    trace = made()
    assert trace.summary("layer 1 forward / forget").tolist() == [0.5, 0.75, 0.0625]
    assert trace.series("layer 1 forward / forget", 1).tolist() == [0.75, 1.0, 0.125]
    with pytest.raises(UsageError, match="units 0 to 1, so there is no unit 2"):
        trace.series("layer 1 forward / forget", 2)


def test_places_and_quantities_come_from_the_names():
    trace = made(arrays={"layer 1 / forget": FORGET, "readout": np.array([0.5, 0.25, 0.25])})
    assert trace.places == ("layer 1", "readout")
    assert list(trace.at("layer 1")) == ["forget"]
    assert trace.at("readout")["readout"].tolist() == [[0.5], [0.25], [0.25]]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("forget", ["layer 1 forward / forget", "layer 1 backward / forget"]),
        ("layer 1 forward / *", ["layer 1 forward / forget", "layer 1 forward / h"]),
        ("*/ ?", ["layer 1 forward / h"]),
    ],
)
def test_select_takes_a_part_of_the_name_or_a_whole_one_with_stars(pattern, names):
    chosen = made(model="an LSTM").select(pattern)
    assert list(chosen.arrays) == names
    assert chosen.model == "an LSTM"


def test_what_is_not_there_is_answered_with_what_is():
    with pytest.raises(UsageError, match="no array matches 'reset'; there are 'layer 1 forward / forget'"):
        made().select("reset")
    with pytest.raises(UsageError, match="did you mean 'layer 1 forward / forget'"):
        made().summary("layer 1 forward / forgit")


def test_arrays_are_copies_that_nobody_can_change():
    source = FORGET.copy()
    trace = made(arrays={"layer 1 / forget": source})
    source[0, 0] = 9.0
    assert trace.arrays["layer 1 / forget"][0, 0] == 0.25
    with pytest.raises(ValueError, match="read-only"):
        trace.arrays["layer 1 / forget"][0, 0] = 1.0
    with pytest.raises(TypeError):
        trace.arrays["other"] = source


@pytest.mark.parametrize("array", [FORGET[:2], np.zeros((3, 2, 2)), np.zeros((3, 0)), np.float32(1)])
def test_an_array_has_one_row_per_token(array):
    with pytest.raises(ShapeError, match=r"'layer 1 / forget' has shape .*3 tokens need \(3, units\)"):
        made(arrays={"layer 1 / forget": array})


@pytest.mark.parametrize("key", ["tags", "tag_probabilities", "surprise"])
def test_there_is_one_tag_per_token(key):
    with pytest.raises(ShapeError, match=f"prediction\\['{key}'\\] has 2 values for 3 tokens"):
        made(prediction={key: [1, 2]})


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": "the"},
        {"tokens": ("a", "b", 3)},
        {"tokens": (), "arrays": {}},
        {"arrays": {"two\nlines": HIDDEN}},
        {"arrays": {"": HIDDEN}},
        {"prediction": {"label": object()}},
        {"prediction": {"probabilities": {1: 0.5}}},
    ],
    ids=["a text", "a number", "nothing", "two lines", "no name", "an object", "a number's share"],
)
def test_what_no_file_could_hold_is_refused(changes):
    with pytest.raises(UsageError):
        made(**changes)


def test_numbers_that_are_not_finite_are_noted_once():
    broken = FORGET.copy()
    broken[1] = [np.nan, np.inf]
    note = "layer 1 / forget: 2 of 6 values are not finite"
    trace = made(arrays={"layer 1 / forget": broken}, notes=("a note",))
    assert trace.notes == ("a note", note)
    assert made(arrays=trace.arrays, notes=trace.notes).notes == ("a note", note)


def test_the_prediction_becomes_plain_values():
    trace = made(prediction={"tags": np.array(["D", "N", "D"]), "p": np.float64(0.5), "bad": (np.nan, np.int64(3))})
    assert dict(trace.prediction) == {"tags": ["D", "N", "D"], "p": 0.5, "bad": [None, 3]}


def test_equality_is_to_the_bit():
    nudged = FORGET.copy()
    nudged[2, 1] = np.nextafter(nudged[2, 1], np.float32(1))
    assert made() == made()
    assert made(arrays={"a": FORGET}) != made(arrays={"a": nudged})
    assert made(arrays={"a": FORGET}) != made(arrays={"b": FORGET})
    assert made(model="x") != made()


def test_repr_tells_what_is_in_it():
    text = repr(made(model="LSTM", prediction={"label": "plural"}, notes=("carried over",)))
    assert text == (
        "Trace of 3 tokens: the flights the\n"
        "  model: LSTM\n"
        "  layer 1 forward: forget (2), h (1)\n"
        "  layer 1 backward: forget (2)\n"
        "  prediction: label\n"
        "  note: carried over"
    )


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        ("full", "full"),
        ("\n", "⏎"),
        ("a b", "a␣b"),
        ("", "∅"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eabc", "\\u202eabc"),
        ("\ud800", "\\ud800"),
        ("航空", "航空"),
        ("👩‍👧", "👩‍👧"),
    ],
)
def test_visible_spells_out_what_a_terminal_should_not_get(token, seen):
    assert visible(token) == seen
