"""Edits as lines of text, as JSON and as files."""

import json

import pytest

from unspool.errors import DataError, UsageError
from unspool.inspection import Edit, read_recipe, write_recipe
from unspool.inspection.edits import read_edits

LINES = {
    "layer 1 / forget[3,7] = 0 @ 2": Edit(
        place="layer 1", quantity="forget", action="clamp", number=0.0, units=(2, 6), tokens=(1, 1)
    ),
    "layer 1 / h = copy 'the flights' @ 2": Edit(
        place="layer 1", quantity="h", action="copy", text="the flights", tokens=(1, 1)
    ),
    "* / state = copy 'it\\'s = a @ b' step 3 @ 2-": Edit(
        place="*", quantity="state", action="copy", text="it's = a @ b", step=2, tokens=(1, None)
    ),
    "layer 2 backward / h[1,9] = swap @ 2-4": Edit(
        place="layer 2 backward", quantity="h", action="swap", units=(0, 8), tokens=(1, 3)
    ),
    "layer 1 / memory slot 3 = zero": Edit(place="layer 1", quantity="memory", action="zero", row=2),
    "decoder layer 1 / attention head 2[4] = scale -0.5 @ 3": Edit(
        place="decoder layer 1", quantity="attention", action="scale", number=-0.5, row=1, units=(3,), tokens=(2, 2)
    ),
    "attention = zero @ 1": Edit(quantity="attention", action="zero", tokens=(0, 0)),
    "layer 1 / h real[2] = 1e-05": Edit(place="layer 1", quantity="h real", action="clamp", number=1e-5, units=(1,)),
    "token = 'a\\nb\\\\' @ 2": Edit(quantity="token", action="replace", text="a\nb\\", tokens=(1, 1)),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_text_and_json_give_the_same_edit(line):
    edit = LINES[line]
    assert Edit.parse(line) == edit
    assert str(edit) == line
    assert Edit.of(json.loads(json.dumps(edit.record()))) == edit


def test_other_spellings():
    assert Edit.parse("layer 1 / h[1-3, 5] = clamp 2 @ all") == Edit(
        place="layer 1", quantity="h", action="clamp", number=2.0, units=(0, 1, 2, 4)
    )
    assert Edit.parse('token = "don\'t"@1').text == "don't"
    assert read_edits("layer 1 / h = zero") == read_edits([Edit.parse("layer 1 / h = zero")])


def test_json_counts_from_one_and_python_from_zero():
    record = Edit.parse("layer 1 / memory slot 3[2] = copy 'x' step 4 @ 5-").record()
    assert record == {
        "place": "layer 1",
        "quantity": "memory",
        "row": 3,
        "units": [2],
        "tokens": [5, None],
        "action": "copy",
        "text": "x",
        "step": 4,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layer 1 / forget", "the edit 'layer 1 / forget' has another form; expected PLACE / QUANTITY"),
        ("layer 1 / forget = jump", "'jump' is no action; expected zero, a number, scale NUMBER, swap, or copy"),
        ("layer 1 / forget = scale much", "'scale much' is no action"),
        ("layer 1 / forget = nan", "clamp nan: expected a finite number"),
        ("layer 1 / forget = 0 @ 0", "tokens '0': expected a number from 1, or a range such as 3-5"),
        ("layer 1 / forget = 0 @ 5-3", "tokens '5-3': expected a number from 1"),
        ("layer 1 / forget[1-99999999999] = 0", "units '1-99999999999': expected a number from 1"),
        ("layer 1 / forget[] = 0", "units '': expected a number from 1"),
        ("layer 1 / h slot x = 0", "slot or head 'x': expected a number from 1"),
        ("layer 1 / h[2] = swap", "swap exchanges two units"),
        ("layer 1 / h = copy 'x' step 0", "step '0': expected a number from 1"),
        ("layer 1 / h = copy ''", "copy needs a text, and '' came"),
        ("layer 1 / h = 'x'", "\"'x'\" is no action"),
        ("token = 3 @ 2", "'3' came; expected the new token in quotes"),
        ("token = 'x'", "a new token needs its place"),
        ("token = 'x' @ 2-3", "a new token needs its place"),
    ],
)
def test_says_what_a_line_should_look_like(line, message):
    with pytest.raises(UsageError) as error:
        Edit.parse(line)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"quantity": "h"}, "needs a quantity and an action"),
        ({"quantity": "h", "action": "zero", "unit": [1]}, "no field 'unit' (did you mean 'units'?)"),
        ({"quantity": "h", "action": "explode"}, "action 'explode': expected one of zero, clamp"),
        ({"quantity": "h", "action": "clamp", "number": "1"}, "number of an edit is a number, and '1' came"),
        ({"quantity": "h", "action": "clamp", "number": True}, "number of an edit is a number, and True came"),
        ({"quantity": "h", "action": "zero", "units": [0]}, "count from 0 in Python, from 1 in text"),
        ({"quantity": "h", "action": "zero", "units": "3"}, "units of an edit are whole numbers from 1"),
        ({"quantity": "h", "action": "zero", "tokens": [1]}, "tokens of an edit are the first and the last"),
        ({"quantity": "h", "action": "zero", "tokens": [None, 2]}, "tokens of an edit are whole numbers"),
    ],
)
def test_says_what_json_should_look_like(record, message):
    with pytest.raises(UsageError) as error:
        Edit.of(record)
    assert message in str(error.value)


def test_says_what_an_edit_is():
    with pytest.raises(UsageError, match="an edit is an Edit or a line of text, and int came"):
        Edit.of(3)


def test_where_an_edit_applies():
    here, on, everywhere = (Edit.parse(f"layer 1 / h = 0{where}") for where in (" @ 2-3", " @ 2-", ""))
    assert [here.at(token) for token in range(4)] == [False, True, True, False]
    assert [on.at(token) for token in range(4)] == [False, True, True, True]
    assert all(everywhere.at(token) for token in range(4))
    places = ["layer 1 forward", "layer 1 backward", "layer 2 forward"]
    assert [Edit.parse("layer 1 * / h = 0").fits(place) for place in places] == [True, True, False]
    assert [Edit.parse("layer 1 forward / h = 0").fits(place) for place in places] == [True, False, False]


def test_a_recipe_reads_back(tmp_path):
    file = write_recipe(list(LINES.values()), tmp_path / "recipe.json")
    assert read_recipe(file) == tuple(LINES.values())
    with pytest.raises(UsageError, match="exists already"):
        write_recipe([], file)
    write_recipe([], file, overwrite=True)
    assert read_recipe(file) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]
    with pytest.raises(UsageError, match="there is no folder"):
        write_recipe([], tmp_path / "missing" / "recipe.json")


def test_a_recipe_may_hold_lines_of_text(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"format": "unspool edits", "version": 1, "edits": list(LINES)}))
    assert read_recipe(file) == tuple(LINES.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is no recipe of edits"),
        ('{"format": "unspool edits", "version": 2, "edits": []}', "is version 2, and this Unspool reads 1"),
        ('{"format": "unspool edits", "version": 1, "edits": ["x"]}', "the edit 'x' has another form"),
        ('{"format": "unspool edits", "version": 1, "edits": [3]}', "an edit is an Edit or a line of text"),
    ],
)
def test_says_what_is_wrong_with_a_recipe(tmp_path, content, message):
    file = tmp_path / "recipe.json"
    file.write_text(content)
    with pytest.raises(DataError) as error:
        read_recipe(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_a_missing_recipe(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_recipe(tmp_path / "none.json")
