"""Difference of two traces: alignment by token, subtraction, predictions side by side, and the terminal view."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from unspool.errors import UsageError
from unspool.inspection import Map, Trace, compare_traces, read_trace, write_trace

CHANCE = np.random.default_rng(4)
FIRST = CHANCE.normal(size=(4, 3)).astype(np.float32)
SECOND = CHANCE.normal(size=(5, 3)).astype(np.float32)


def made(tokens, values, prediction=None, **changes):
    arrays = {"layer 1 / h": values, "layer 1 / forget": values[:, :2] ** 2}
    return Trace(tuple(tokens.split()), arrays, prediction or {}, "a model", **changes)


def drawn(difference, width=80, **options):
    file = io.StringIO()
    console = Console(file=file, width=width, _environ={}, legacy_windows=False, **({"color_system": None} | options))
    console.print(difference)
    return file.getvalue()


def test_equal_tokens_stand_side_by_side_and_the_rest_is_marked():
    difference = compare_traces(made("the flights were full", FIRST), made("the old flight were full", SECOND))
    assert [(row.kind, row.one, row.other) for row in difference.rows] == [
        ("equal", 0, 0),
        ("only one", 1, None),
        ("only other", None, 1),
        ("only other", None, 2),
        ("equal", 2, 3),
        ("equal", 3, 4),
    ]
    assert difference.tokens == ("the", "flights", "old", "flight", "were", "full")
    expected = np.full((6, 3), np.nan, np.float32)
    expected[[0, 4, 5]] = SECOND[[0, 3, 4]] - FIRST[[0, 2, 3]]
    np.testing.assert_array_equal(difference.array("layer 1 / h"), expected)
    assert not difference.is_zero


def test_a_token_in_place_of_another_is_compared():
    difference = compare_traces(made("a b c d", FIRST), made("a x c d", FIRST + 1))
    assert [row.kind for row in difference.rows] == ["equal", "replaced", "equal", "equal"]
    assert difference.tokens[1] == "b|x"
    np.testing.assert_array_equal(difference.array("layer 1 / h"), FIRST + 1 - FIRST)
    assert difference.largest("layer 1 / h") is not None


def test_a_trace_against_itself_is_zero_everywhere():
    attention = Map(np.abs(FIRST), ("a", "b", "c", "d"), ("x", "y", "z"))
    trace = made(
        "a b c d", FIRST, {"label": "x", "probabilities": {"x": 0.75, "y": 0.25}}, maps={"attention": attention}
    )
    difference = compare_traces(trace, trace)
    assert difference.is_zero
    assert not any(array.any() for array in difference.arrays.values())
    assert not difference.maps["attention"].values.any()
    assert difference.largest("layer 1 / h") is None
    assert "no difference" in drawn(difference)
    assert "all zero" in repr(difference)


@pytest.mark.parametrize(
    "changes",
    [
        {"values": FIRST + np.eye(4, 3, dtype=np.float32)},
        {"prediction": {"label": "y"}},
        {"tokens": "a b c e"},
        {"maps": {"attention": Map(np.eye(4), tuple("abcd"), tuple("abcd"))}},
        {"values": np.where(np.eye(4, 3) > 0, np.nan, FIRST)},
    ],
    ids=str,
)
def test_any_change_is_a_difference(changes):
    standard = {"tokens": "a b c d", "values": FIRST, "prediction": {"label": "x"}}
    one, other = made(**standard), made(**(standard | changes))
    assert not compare_traces(one, other).is_zero
    assert not compare_traces(other, one).is_zero


def test_arrays_of_other_widths_and_names_are_listed_not_subtracted():
    one = Trace(tuple("ab"), {"layer 1 / h": np.ones((2, 3)), "layer 1 / forget": np.ones((2, 3))})
    other = Trace(tuple("ab"), {"layer 1 / h": np.ones((2, 4)), "layer 1 / update": np.ones((2, 4))})
    difference = compare_traces(one, other)
    assert dict(difference.arrays) == {}
    assert difference.only_one == ("layer 1 / h", "layer 1 / forget")
    assert difference.only_other == ("layer 1 / h", "layer 1 / update")
    assert not difference.is_zero
    with pytest.raises(UsageError, match="both traces have no array 'layer 1 / h' in common; they are none"):
        difference.array("layer 1 / h")


def test_maps_are_aligned_on_both_sides():
    one = Map(CHANCE.random((2, 3)), ("x", "y"), ("a", "b", "c"))
    other = Map(CHANCE.random((2, 4)), ("x", "z"), ("a", "n", "b", "c"))
    tokens = tuple("abc")
    difference = compare_traces(Trace(tokens, {}, maps={"m": one}), Trace(tokens, {}, maps={"m": other})).maps["m"]
    assert (difference.rows, difference.columns) == (("x", "y"), ("a", "b", "c"))
    np.testing.assert_array_equal(difference.values, other.values[:, [0, 2, 3]] - one.values)


def test_probabilities_stand_side_by_side_the_largest_difference_first():
    one = made("a b c d", FIRST, {"label": "x", "probabilities": {"x": 0.6, "y": 0.3, "z": 0.1}})
    other = made("a b c d", FIRST, {"label": "y", "probabilities": {"y": 0.7, "x": 0.3, "w": 0.0}})
    difference = compare_traces(one, other)
    assert list(difference.probabilities.items()) == [
        ("y", (0.3, 0.7)),
        ("x", (0.6, 0.3)),
        ("z", (0.1, None)),
        ("w", (None, 0.0)),
    ]
    text = drawn(difference)
    assert "label: x | y" in text
    assert "0.300 | 0.700  +0.400" in text


def test_the_surprise_of_a_language_model_is_an_array():
    one = made("a b c d", FIRST, {"surprise": [1, 2, 3, 4]})
    other = made("a b c d", FIRST, {"surprise": [1, 2.5, 3, None]})
    difference = compare_traces(one, other)
    np.testing.assert_array_equal(difference.array("prediction / surprise")[:, 0], [0, 0.5, 0, np.nan])


def test_output_texts_are_compared_too():
    one, other = (
        Trace(
            tuple("ab"),
            {"encoder / h": FIRST[:2]},
            written=Trace(tuple(text), {"decoder / h": FIRST[:2] + number}),
        )
        for number, text in enumerate(("XY", "XZ"))
    )
    difference = compare_traces(one, other)
    assert not difference.is_zero
    assert [row.kind for row in difference.written.rows] == ["equal", "replaced"]
    assert "written" in drawn(difference)
    assert compare_traces(one, one).is_zero


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("options", [{}, {"color_system": "truecolor", "force_terminal": True}], ids=str)
def test_the_view_fits_and_marks_tokens(width, options):
    one, other = made("the flights were full", FIRST), made("the flight were full now", SECOND)
    text = drawn(compare_traces(one, other), width, **options)
    assert all(len(line) <= width for line in text.splitlines()) or options
    assert "2 ~ flights|flight" in text
    assert "5 + now" in text
    assert "forget" in text


def test_the_difference_is_a_trace_for_files_and_a_record_for_pages(tmp_path):
    difference = compare_traces(made("a b c d", FIRST), made("a x x c d", SECOND))
    trace = difference.trace()
    assert read_trace(write_trace(trace, tmp_path / "t.npz")) == trace
    np.testing.assert_array_equal(trace.array("layer 1 / h difference"), difference.array("layer 1 / h"))
    record = difference.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["rows"][1] == {"kind": "only one", "one": 1, "other": None, "token": "b"}
    assert record["arrays"]["layer 1 / h"][1] == [None] * 3
