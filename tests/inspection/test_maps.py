import numpy as np
import pytest

from unspool.errors import ShapeError, UsageError
from unspool.inspection import Map, Trace

READ, WRITTEN = ("das", "Haus", "steht"), ("the", "house", "stands", "")
WEIGHTS = np.array([[0.75, 0.125, 0.125], [0.0625, 0.9375, 0], [0.03125, 0.46875, 0.5], [0, 0, 1]], dtype=np.float32)


def attention(values=WEIGHTS):
    return Map(values, WRITTEN, READ)


def made(**changes):
    maps = {"attention": attention(), "encoder layer 1 / self-attention": Map(np.eye(3), READ, READ)}
    written = Trace(WRITTEN, {"decoder layer 1 / forget": WEIGHTS[:, :2]}, {"surprise": [0.5, 1, 2, 4]})
    return Trace(
        **({"tokens": READ, "arrays": {"layer 1 / h": WEIGHTS[:3]}, "maps": maps, "written": written} | changes)
    )


def test_a_map_is_a_copy_that_nobody_can_change():
    source = WEIGHTS.copy()
    given = attention(source)
    source[0, 0] = 9
    assert given.values[0, 0] == 0.75
    assert given.values.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        given.values[0, 0] = 1
    with pytest.raises(TypeError):
        made().maps["other"] = given


def test_rows_and_columns_are_not_taken_for_each_other():
    with pytest.raises(ShapeError, match=r"have shape \(3, 4\); its rows and columns need \(4, 3\)"):
        attention(WEIGHTS.T)


@pytest.mark.parametrize(
    ("rows", "columns"), [("ab", ("x",)), (("a", "b"), "x"), (("a", 2), ("x",)), (None, ("x",)), ((b"a", b"b"), ("x",))]
)
def test_tokens_are_a_sequence_of_strings(rows, columns):
    with pytest.raises(UsageError, match="are a sequence of strings"):
        Map(np.zeros((2, 1)), rows, columns)


def test_a_map_without_rows_is_refused():
    with pytest.raises(ShapeError):
        Map(np.zeros((0, 2)), (), ("a", "b"))


def test_the_strongest_come_first_and_faint_ones_only_where_nothing_is_stronger():
    given = Map([[0.04, 0.5, 0.3, 0.16], [0.01, 0.02, 0.015, np.nan], [np.nan] * 4], ("a", "b", "c"), tuple("wxyz"))
    assert [column for column, _ in given.strongest(0)] == [1, 2, 3]
    assert [column for column, _ in given.strongest(0, most=9)] == [1, 2, 3]
    assert [column for column, _ in given.strongest(0, most=9, least=0)] == [1, 2, 3, 0]
    assert given.strongest(1) == [(1, pytest.approx(0.02))]
    assert given.strongest(2) == []


def test_equality_is_to_the_bit_and_knows_the_tokens():
    nudged = WEIGHTS.copy()
    nudged[3, 1] = 1e-45
    assert attention() == attention(WEIGHTS.tolist())
    assert attention() != attention(nudged)
    assert attention() != Map(WEIGHTS, WRITTEN, ("das", "Haus", "geht"))
    assert attention() != Map(WEIGHTS, ("the", "house", "stands", "."), READ)
    assert made() == made()
    assert made() != made(maps={"attention": attention()})
    assert made() != made(maps={**made().maps, "attention": attention(nudged)})
    assert made() != made(written=None)
    assert made() != made(written=Trace(WRITTEN, {}))


def test_a_map_is_found_by_name():
    assert made().map("attention") == attention()
    with pytest.raises(UsageError, match=r"no map 'atention'.*did you mean 'attention'"):
        made().map("atention")
    with pytest.raises(UsageError, match="no map 'attention'; it has none"):
        made(maps={}).map("attention")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("attention", ("attention", "encoder layer 1 / self-attention")),
        ("attention*", ("attention",)),
        ("*layer 1*", ("layer 1 / h", "encoder layer 1 / self-attention", "decoder layer 1 / forget")),
        ("forget", ("decoder layer 1 / forget",)),
    ],
)
def test_select_takes_arrays_and_maps_of_both_sides(pattern, names):
    chosen = made().select(pattern)
    assert chosen.names == names
    assert chosen.written.tokens == WRITTEN


def test_maps_alone_are_chosen_by_pattern():
    assert made().maps_like("self") == ["encoder layer 1 / self-attention"]
    with pytest.raises(UsageError, match="no map matches 'forget'; there are 'attention', 'encoder"):
        made().maps_like("forget")


@pytest.mark.parametrize(
    "changes",
    [
        {"maps": {"layer 1 / h": attention()}},
        {"maps": {"decoder layer 1 / forget": attention()}},
        {"written": Trace(WRITTEN, {"layer 1 / h": WEIGHTS})},
    ],
)
def test_a_name_stands_for_one_thing(changes):
    with pytest.raises(UsageError, match="occurs twice"):
        made(**changes)


def test_a_map_is_a_map_and_has_a_name():
    with pytest.raises(UsageError, match="'attention' is a ndarray; a trace takes maps as Map"):
        made(maps={"attention": WEIGHTS})
    with pytest.raises(UsageError, match="is a line of printable text"):
        made(maps={"": attention()})


def test_numbers_that_are_not_finite_are_noted():
    broken = WEIGHTS.copy()
    broken[1, 2] = np.inf
    assert made(maps={"attention": attention(broken)}).notes == ("attention: 1 of 12 values are not finite",)


def test_repr_tells_both_sides():
    assert repr(made()).splitlines() == [
        "Trace of 3 tokens: das Haus steht",
        "  layer 1: h (3)",
        "  attention: 4 rows by 3 columns",
        "  encoder layer 1 / self-attention: 3 rows by 3 columns",
        "  written: Trace of 4 tokens: the house stands ∅",
        "    decoder layer 1: forget (2)",
        "    prediction: surprise",
    ]
    assert repr(attention()) == "Map of 4 rows by 3 columns"
