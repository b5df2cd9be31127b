import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from unspool.errors import UsageError
from unspool.inspection import Grid, Lookups, Map, Trace, show

READ, WRITTEN = ("das", "alte", "Haus", "das", "航空会社"), ("the", "house", "stands", "")
WEIGHTS = [
    [0.96, 0.02, 0.02, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0, 0.0],
    [0.125, 0.25, 0.0, 0.625, 0.0],
    [0.04, 0.03, 0.01, 0.02, 0.9],
]

WIDE = """\
attention
               das     alte     Haus      das 航空会社
1 the          .96      .02      .02        ·        ·
2 house          ·        ·        1        ·        ·
3 stands       .12      .25        ·      .62        ·
4 ∅            .04      .03      .01      .02      .90
a row looks across its columns, from 0 to 1; ∅: the end
"""

WRAPPED = """\
attention
              a  H
           d  l  a
           a  t  u
           s  e  s
1 the      1  ·  ·
2 house    ·  ·  1
3 stands  .1 .2  ·
4 ∅        ·  ·  ·

             航
           d 空
           a 会
           s 社
1 the      ·  ·
2 house    ·  ·
3 stands  .6  ·
4 ∅        · .9
a row looks across
its columns, from 0
to 1; ∅: the end
"""

SAID = """\
1 the    → das (1) 0.96
2 house  → Haus 1.00
3 stands → das (4) 0.62, alte 0.25, das (1) 0.12
4 ∅      → 航空会社 0.90
"""


def drawn(renderable, width=60, **options):
    file = io.StringIO()
    console = Console(
        file=file, width=width, _environ={}, **({"color_system": None, "legacy_windows": False} | options)
    )
    (show(renderable, console) if isinstance(renderable, Trace) else console.print(renderable))
    return file.getvalue()


def made(values=WEIGHTS, rows=WRITTEN, columns=READ, **changes):
    maps = {"attention": Map(values, rows, columns)}
    return Trace(**({"tokens": columns, "arrays": {}, "maps": maps} | changes))


def plain(text):
    return [line.rstrip() for line in text.splitlines()]


def test_headings_lie_where_there_is_room():
    assert plain(drawn(Grid(made(), "attention"), 55)) == plain(WIDE)


def test_headings_stand_where_there_is_not():
    lines = plain(drawn(Grid(made(), "attention"), 34))
    upright = [line.replace(" ", "") for line in lines[1:5]]
    assert upright == ["aH航", "dlad空", "atua会", "sess社"]
    assert lines[5:9] == [
        "1 the      1  ·  ·  ·  ·",
        "2 house    ·  ·  1  ·  ·",
        "3 stands  .1 .2  · .6  ·",
        "4 ∅        ·  ·  ·  · .9",
    ]


def test_columns_that_do_not_fit_go_into_further_tables():
    assert plain(drawn(Grid(made(), "attention"), 20)) == plain(WRAPPED)


@pytest.mark.parametrize("width", [40, 41, 57, 80, 133])
def test_every_row_fits_and_every_column_is_there(width):
    columns = tuple(f"wort{number}" for number in range(50))
    rows = ("supercalifragilisticexpialidocious", "👩‍👩‍👧", "a\x1b[31mred")
    values = np.zeros((3, 50))
    values[0] = np.arange(50) % 9 / 10 + 0.1
    text = drawn(Grid(made(values, rows, columns), "attention"), width)
    assert "\x1b" not in text
    assert max(cell_len(line) for line in text.splitlines()) <= width
    numbers = [number for line in text.splitlines() if line.startswith("1 ") for number in re.findall(r"\.\d", line)]
    assert numbers == [f".{number % 9 + 1}" for number in range(50)]


def test_a_long_word_is_cut_and_a_mark_stays_with_its_letter():
    lines = plain(drawn(Grid(made(np.eye(2), ("x", "y"), ("Donaudampfschiff", "e\u0301t")), "attention"), 20))
    assert [line.split() for line in lines[1:11]] == [
        *([letter] for letter in "Donaudam"),
        ["p", "e\u0301"],
        ["…", "t"],
    ]


def test_lines_of_words_name_where_each_row_looked():
    assert plain(drawn(Lookups(made(), "attention"))) == plain(SAID)


def test_without_colour_there_are_numbers_and_with_it_a_ground():
    coloured = {"force_terminal": True, "color_system": "truecolor"}
    text = drawn(Grid(made(), "attention"), 55, **coloured)
    row = next(line for line in text.splitlines() if line.startswith("2 house"))
    grounds = re.findall(r"48;2;(\d+;\d+;\d+)m", row)
    assert grounds[0] == "240;240;236"  # 0: the empty end of the scale
    assert "20;85;140" in grounds  # 1: the full one
    assert "·" not in row
    bare = drawn(Grid(made(), "attention"), 55, no_color=True, **coloured)
    assert "48;2;" not in bare
    assert ".96" in bare


def test_ink_can_be_read_on_its_ground():
    text = drawn(Grid(made(), "attention"), 55, force_terminal=True, color_system="truecolor")
    pairs = set(re.findall(r"38;2;(\d+;\d+;\d+);48;2;(\d+;\d+;\d+)m", text))
    brightness = [[sum(map(int, colour.split(";"))) / 3 for colour in pair] for pair in pairs]
    assert len(pairs) > 5
    assert min(abs(ink - ground) for ink, ground in brightness) > 80


def test_a_console_without_blocks_gets_ascii():
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=60, color_system=None, _environ={})
    show(made(), console)
    console.file.flush()
    lines = raw.getvalue().decode("ascii").splitlines()
    assert "2 house    .  .  1  .  ." in lines
    assert "2 house  -> Haus 1.00" in lines


def test_values_beyond_zero_and_one_have_a_scale_of_their_own():
    text = drawn(Grid(made([[-2.5, 0.0], [10.0, np.nan]], ("a", "b"), ("x", "y")), "attention"))
    assert [line.split() for line in text.splitlines()[2:4]] == [["1", "a", "-2.50", "·"], ["2", "b", "10.00", "?"]]
    assert "from -10 to 10" in text


def test_a_row_that_saw_only_itself_may_be_a_rounding_above_one():
    assert "from 0 to 1" in drawn(Grid(made([[1 + 1e-7]], ("a",), ("x",)), "attention"))


def test_show_draws_the_first_map_and_names_the_others():
    weights = np.eye(5)
    others = {f"layer {n} / self-attention": Map(weights, READ, READ) for n in range(1, 6)}
    trace = made(maps={**made().maps, **others}, prediction={"translation": "the house"})
    text = drawn(trace, 80)
    assert text.index("translation: the house") < text.index("attention\n") < text.index("2 house  → Haus 1.00")
    assert "5 more maps: layer 1 / self-attention, layer 2 / self-attention, layer 3" in text
    assert text.count("a row looks across") == 1


def test_show_draws_the_maps_that_are_asked_for():
    maps = {**made().maps, "head 1": Map(np.eye(5), READ, READ), "head 2": Map(np.eye(5)[::-1], READ, READ)}
    file = io.StringIO()
    show(made(maps=maps), Console(file=file, width=80, color_system=None, _environ={}), maps="head ?")
    assert re.findall(r"^(attention|head \d)$", file.getvalue(), flags=re.MULTILINE) == ["head 1", "head 2"]
    with pytest.raises(UsageError, match="no map matches 'head 3'; there are 'attention', 'head 1', 'head 2'"):
        show(made(maps=maps), Console(file=file), maps="head 3")


def test_show_gives_the_gates_of_both_sides_and_finds_arrays_on_both():
    gate = np.linspace(0, 1, 8).reshape(4, 2)
    written = Trace(WRITTEN, {"decoder layer 1 / forget": gate}, {"surprise": [0.5, 1, 2, 4]})
    trace = made(arrays={"encoder layer 1 / input": np.full((5, 3), 0.5)}, written=written)
    file = io.StringIO()
    console = Console(file=file, width=80, color_system=None, _environ={})
    show(trace, console, array="decoder layer 1 / forget")
    text = file.getvalue()
    order = [
        "attention\n",
        "encoder layer 1\n",
        "written\n",
        "surprise",
        "decoder layer 1\n",
        "decoder layer 1 / forget\n",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.count("gates: mean of") == 1
    with pytest.raises(UsageError, match="did you mean 'decoder layer 1 / forget'"):
        show(trace, console, array="decoder layer 1 / forgets")


@pytest.mark.parametrize("view", [Grid, Lookups])
def test_a_map_that_is_not_there_is_named(view):
    with pytest.raises(UsageError, match="did you mean 'attention'"):
        view(made(), "attentions")


def test_tables_of_a_map_are_as_even_as_can_be():
    lines = plain(drawn(Grid(made(np.eye(6), tuple("uvwxyz"), tuple("abcdef")), "attention"), 20))
    assert [line.split() for line in lines if line.startswith("   ")] == [["a", "b", "c"], ["d", "e", "f"]]


def test_columns_of_zeros_are_omitted_where_not_all_fit():
    values = np.zeros((2, 60), np.float32)
    values[0, 7], values[1, 41] = 1, 0.5
    wide = made(values, ("x", "y"), tuple(f"c{number}" for number in range(60)))
    text = drawn(Grid(wide, "attention"))
    assert plain(text)[1:4] == ["       c7 c41", "1 x     1   ·", "2 y     · .50"]
    assert "from 0 to 1; 58 columns of zeros omitted" in " ".join(text.split())
    narrow = drawn(Grid(made(values[:, :8], ("x", "y"), tuple("abcdefgh")), "attention"))
    assert "omitted" not in narrow
    assert "h" in narrow


def test_rows_of_zeros_are_omitted_in_a_tall_map():
    values = np.zeros((40, 2), np.float32)
    values[33] = 0.25, np.nan
    rows = tuple(f"slot {number + 1}" for number in range(40))
    text = drawn(Grid(made(values, rows, ("a", "b")), "attention"))
    assert [line.split()[0] for line in plain(text)[2:-2]] == ["34"]
    assert "39 rows of zeros omitted" in " ".join(text.split())
    whole = drawn(Grid(made(np.zeros_like(values), rows, ("a", "b")), "attention"))
    assert "40 slot␣40" in whole  # a map of zeros alone is drawn in full
