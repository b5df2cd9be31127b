import io
import re

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from unspool.errors import UsageError
from unspool.inspection.paint import Brush
from unspool.inspection.terminal import Gates, HeatMap, Prediction, show
from unspool.inspection.trace import Trace

TOKENS = ("the", "flights", "the", "airline", "航空会社", "full")
FORGET = [0.5, 0.9, 0.625, 0.3125, 0.75, 1.0]
INPUT = [0.0, 0.25, 0.125, 0.875, 0.5, 0.375]
HIDDEN = [0.25, 0.5, 0.5, -0.5, -0.25, 0.0]

GOLDEN = """\
tiny LSTM

predicted: plural
  plural   ████████████████████████████     0.88
  singular ████                             0.12

layer 1 forward
           forget          input           change
1 the      █████      0.50            0.00 ██▌        0.25
2 flights  █████████  0.90 ██▌        0.25 ██▌        0.25
3 the      ██████▎    0.62 █▎         0.12            0.00
4 airline  ███▏       0.31 ████████▊  0.88 ██████████ 1.00
5 航空会社 ███████▌   0.75 █████      0.50 ██▌        0.25
6 full     ██████████ 1.00 ███▊       0.38 ██▌        0.25
What came before was forgotten most at 'airline' (kept
0.31), least at 'full' (kept 1.00).
input: written least at 'the' (token 1) 0.00, most at
'airline' 0.88.
The state moved most at 'airline' 1.00, least at 'the'
(token 3) 0.00.
gates: mean of 2 units, from 0 (shut) to 1 (open); forget:
the share kept; change: mean |h(t) - h(t-1)|, full bar =
largest
"""

TAGGED = """\
           tag   probability           surprise
1 the      D                      0.00
2 flights  N     ████             0.25 ██               1.00
3 the      D     ██               0.12 ████             2.00
4 airline  N     ██████████████   0.88 ██████           3.00
5 航空会社 PROPN ████████         0.50 ████████         4.00
6 full     X     ██████           0.38 ████████████████ 8.00
surprise: at the token, in nats; full bar = largest
"""


def drawn(renderable, width=60, **options):
    file = io.StringIO()
    options = {"color_system": None, "legacy_windows": False} | options
    console = Console(file=file, width=width, _environ={}, **options)
    (show(renderable, console) if isinstance(renderable, Trace) else console.print(renderable))
    return file.getvalue()


def made(**changes):
    both = {"forget": FORGET, "input": INPUT, "h": HIDDEN}
    arrays = {f"layer 1 forward / {name}": np.array([values, values]).T for name, values in both.items()}
    prediction = {"label": "plural", "probabilities": {"singular": 0.125, "plural": 0.875}}
    return Trace(**({"tokens": TOKENS, "arrays": arrays, "prediction": prediction, "model": "tiny LSTM"} | changes))


def test_the_whole_view_at_a_fixed_width():
    assert [line.rstrip() for line in drawn(made(), 60).splitlines()] == GOLDEN.splitlines()


def test_a_heat_map_at_a_fixed_width():
    lines = drawn(HeatMap(made(), "layer 1 forward / h"), 40).splitlines()
    assert lines == [
        "layer 1 forward / h",
        "           1",
        "1 the      ▅▅▅▅▅▅",
        "2 flights  ▆▆▆▆▆▆",
        "3 the      ▆▆▆▆▆▆",
        "4 airline  ▂▂▂▂▂▂",
        "5 航空会社 ▃▃▃▃▃▃",
        "6 full     ▄▄▄▄▄▄",
        "-1   ▁▂▂▂▃▄▄▄▅▆▆▆▇██ 1; units from 1, ",
        "all 2",
    ]


@pytest.mark.parametrize("width", [40, 41, 57, 80, 133, 200])
def test_every_row_fits_and_the_columns_stand_below_each_other(width):
    tokens = ("日本語の航空会社の便", "👩‍👩‍👧", "e\u0301tude", "a\x1b[31mred", "", "supercalifragilisticexpialidocious")
    text = drawn(made(tokens=tokens), width) + drawn(HeatMap(made(tokens=tokens), "layer 1 forward / input"), width)
    assert "\x1b" not in text
    assert max(cell_len(line) for line in text.splitlines()) <= width
    ends = {
        cell_len(line[: line.rindex(number)])
        for line in drawn(Gates(made(tokens=tokens).select("forget"), "layer 1 forward"), width).splitlines()
        for number in ("0.50", "0.90", "0.62", "0.31", "0.75", "1.00")
        if line.endswith(number)
    }
    assert len(ends) == 1


def test_a_narrow_console_deals_the_columns_into_several_tables():
    gates = {f"layer 1 / gate {name}": np.full((6, 3), 0.5) for name in "abcdef"}
    text = drawn(Gates(made(arrays=gates), "layer 1"), 40)
    lines = text.splitlines()
    assert [line.split() for line in lines if "gate" in line][:2] == [
        ["gate", "a", "gate", "b", "gate", "c", "gate", "d"],
        ["gate", "e", "gate", "f"],
    ]
    assert lines[5] == "4 airline  ▄ 0.50 ▄ 0.50 ▄ 0.50 ▄ 0.50"
    assert lines[12] == "4 airline  ████▌     0.50 ████▌     0.50"


def test_too_many_units_leave_those_that_vary_most():
    array = np.zeros((6, 100))
    array[0, [3, 41, 99]] = [0.5, 1.0, 0.25]
    lines = drawn(HeatMap(made(arrays={"layer 1 / gate": array}), "layer 1 / gate"), 40).splitlines()
    room = 40 - len("1 航空会社") - 4 - 1
    assert f"the {room} that vary most of 100" in " ".join(lines)
    row = lines[2][12 - 1 :]
    assert row.replace(" ", "") == "▄█▂"


def test_no_colour_where_nobody_can_see_or_wants_it():
    coloured = {"force_terminal": True, "color_system": "truecolor"}
    view = HeatMap(made(), "layer 1 forward / forget")
    assert "\x1b[38;2;" in drawn(view, **coloured)
    plain = drawn(view, no_color=True, **coloured)
    assert "38;2;" not in plain
    assert "▄" in plain  # levels instead of colours
    assert "\x1b" not in drawn(view)


def test_colour_follows_the_value():
    text = drawn(HeatMap(made(), "layer 1 forward / input"), force_terminal=True, color_system="truecolor")
    row = next(line for line in text.splitlines() if line.startswith("1 the"))
    assert re.findall(r"38;2;(\d+;\d+;\d+)m", row)[0] == "240;240;236"  # 0: the empty end of the scale


def test_a_console_without_blocks_gets_ascii():
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=60, color_system=None, _environ={})
    show(made(), console, array="layer 1 forward / h")
    console.file.flush()
    lines = raw.getvalue().decode("ascii").splitlines()
    assert "4 airline         ##       0.31 #######  0.88 ######## 1.00" in lines
    assert "5 \\u822a\\u7a7a\\u~ ######   0.75 ####     0.50 ##       0.25" in lines


def test_tags_stand_beside_their_tokens_with_how_sure_and_how_surprising():
    prediction = {"tags": [*"DNDN", "PROPN", "X"], "tag_probabilities": INPUT, "surprise": [None, 1, 2, 3, 4, 8]}
    lines = drawn(Prediction(made(prediction=prediction, arrays={})), 60).splitlines()
    assert lines == TAGGED.splitlines()


def test_many_labels_show_the_likeliest_and_count_the_rest():
    probabilities = {f"label {number}": number / 100 for number in range(13)}
    lines = drawn(Prediction(made(prediction={"labels": [], "probabilities": probabilities}))).splitlines()
    assert lines[0] == "predicted: no label"
    assert [line.split()[1] for line in lines[1:-1]] == [str(number) for number in range(12, 2, -1)]
    assert lines[-1].strip() == "and 3 others"


def test_text_from_the_prediction_is_not_markup_and_not_control():
    view = Prediction(made(prediction={"label": "[bold]x[/bold]\x1b[0m", "reply": ":smile: two  blanks"}))
    assert drawn(view) == "predicted: [bold]x[/bold]\\x1b[0m\nreply: :smile: two  blanks\n"


def test_what_a_model_says_of_itself_can_not_move_the_cursor():
    text = drawn(made(model="x\x1b[2Jy", notes=("one\ntwo \x07",)))
    assert text.startswith("x\\x1b[2Jy\n")
    assert text.endswith("Note: one⏎two \\x07\n")


def test_numbers_that_are_not_finite_are_said_and_drawn():
    broken = made().arrays["layer 1 forward / forget"].copy()
    broken[1] = np.nan
    text = drawn(made(arrays={"layer 1 / forget": broken}))
    assert "Note: layer 1 / forget: 2 of 12 values are not finite" in text
    assert next(line for line in text.splitlines() if line.startswith("2 flights")).split() == [
        "2",
        "flights",
        "?",
        "nan",
    ]


def test_a_place_or_an_array_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="did you mean 'layer 1 forward'"):
        Gates(made(), "layer 1 forwards")
    with pytest.raises(UsageError, match="did you mean 'layer 1 forward / h'"):
        HeatMap(made(), "layer 1 forward / hh")


@pytest.mark.parametrize(
    ("token", "width", "expected"),
    [
        ("航空会社", 8, "航空会社"),
        ("航空会社", 7, "航空会…"),
        ("航空会社", 6, "航空… "),
        ("full", 6, "full  "),
        ("flights", 6, "fligh…"),
        ("a b", 4, "a␣b "),
    ],
)
def test_a_token_takes_its_width_in_cells(token, width, expected):
    assert Brush(ascii_only=False, colour=False).token(token, width) == expected


@pytest.mark.parametrize(
    ("share", "width", "expected"),
    [
        (0.5, 4, "██  "),
        (0.40625, 4, "█▋  "),
        (1.7, 3, "███"),
        (-1.0, 3, "   "),
        (0.375, 1, "▃"),
        (float("nan"), 2, "? "),
    ],
)
def test_a_bar_is_drawn_in_eighths(share, width, expected):
    assert Brush(ascii_only=False, colour=False).bar(share, width) == expected


def test_each_kind_of_bars_is_explained_once_shares_apart_from_gates():
    arrays = {f"layer {n} forward / update": np.linspace(0, 1, 6).reshape(2, 3) for n in (1, 2)}
    arrays |= {"hops / hop 1": np.array([[0.25], [0.75]])}
    file = io.StringIO()
    show(Trace(("Mary left.", "John stayed."), arrays), Console(file=file, width=80, color_system=None, _environ={}))
    lines = file.getvalue().splitlines()
    gates = [number for number, line in enumerate(lines) if line == "gates: mean of 3 units, from 0 (shut) to 1 (open)"]
    assert len(gates) == 1
    assert lines.index("layer 2 forward") < gates[0] < lines.index("hops")
    assert lines[-1] == "full bar = 1"


def test_sources_and_counted_words_are_lines_to_read():
    prediction = {
        "answer": "Oats.",
        "sources": [
            {"question": "What do ducks eat?", "answer": "Oats\x1b[2J.", "share": 0.934},
            {"question": "Are geese dangerous?", "answer": "Only in groups.", "share": 0.0},
        ],
        "words that counted": [["ducks", 0.25], ["eat", -0.0625]],
        "mixed": [{"share": 0.5}, 3],
        "none": [],
    }
    file = io.StringIO()
    show(Trace(("a",), {}, prediction), Console(file=file, width=80, color_system=None, _environ={}))
    assert [line.rstrip() for line in file.getvalue().splitlines()[:7]] == [
        "answer: Oats.",
        "sources:",
        " 93.4%  What do ducks eat?  =>  Oats\\x1b[2J.",
        "  0.0%  Are geese dangerous?  =>  Only in groups.",
        "words that counted: ducks 0.25, eat -0.0625",
        'mixed: [{"share": 0.5}, 3]',
        "none: []",
    ]
