"""`CommandSet.load`: a file of commands, and each way in which it can fail, with its line."""

from __future__ import annotations

import re
import sys
import textwrap

import pytest

from unspool.commands import CommandSet, call
from unspool.errors import CommandError, MissingExtraError

GOOD = """
from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from unspool import command


class Drink(Enum):
    TEA = 1
    COFFEE = 2


@dataclass
class Order:
    drink: Drink


@command("set a timer for {length}")
def set_timer(length: timedelta) -> str:
    return f"{length}"


def helper() -> None: ...


@command("make me [a] {drink}")
def brew(drink: Drink) -> str:
    return str(Order(drink))


again = brew
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="house.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def test_a_file_gives_its_commands_in_order_under_a_private_name(write):
    path, before = write(GOOD), list(sys.path)
    commands = CommandSet.load(str(path))
    assert commands.names == ("set_timer", "brew")
    assert call(commands["brew"], {"drink": "TEA"}).text == "Order(drink='TEA')"
    tea = commands["brew"].slot("drink").kind.parse("tea", None)
    assert call(commands["brew"], {"drink": tea}).text == "Order(drink=<Drink.TEA: 1>)"
    assert commands["brew"].where == f"{path}:{GOOD.count(chr(10), 0, GOOD.index('@command(' + chr(34) + 'make')) + 1}"
    assert sys.path == before
    assert "house" not in sys.modules
    assert CommandSet.load(path)["brew"].function is not commands["brew"].function


def test_a_file_may_import_its_neighbours_and_their_commands(write):
    write("from unspool import command\n@command('stop')\ndef stop(): ...\n", "neighbour_of_a_test.py")
    path = write("from neighbour_of_a_test import stop\nfrom unspool import command\n@command('go')\ndef go(): ...\n")
    try:
        assert CommandSet.load(path).names == ("stop", "go")
    finally:
        sys.modules.pop("neighbour_of_a_test", None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ndef f(:\n", ":2: SyntaxError: invalid syntax"),
        ("x = 1\n  y = 2\n", ":2: IndentationError: unexpected indent"),
        ("x = 1\n\ny = 1 / 0\n", ":3: ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError('a')\n\nf()\n", ":2: KeyError: 'a'"),
        ("import json\n\njson.loads('{')\n", ":3: JSONDecodeError: Expecting property name"),
        ("import no_such_module_at_all\n", ":1: ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("import sys\nsys.exit(3)\n", ":2: SystemExit: 3"),
        ("raise BaseException\n", ":1: BaseException"),
        ("x = 1\n", ": no commands; put @command('...') above a function"),
        ("from unspool import command\n\n@command('{b}')\ndef f(a: int): ...\n", ":3: f has no argument 'b', which"),
        ("from unspool import command\n@command\ndef f(): ...\n", ":2: f has no template"),
        (
            "from unspool import command\n@command('stop')\ndef f(): ...\n@command('stop')\ndef g(): ...\n",
            ":4: commands 'f' ('stop') and 'g' ('stop') are alike: both understand 'stop'; change one of the templates",
        ),
        (
            "from unspool import command\n@command('a {x}')\ndef f(x: complex): ...\n",
            ":2: f: argument 'x': there are no values for complex; expected str, int",
        ),
    ],
)  # fmt: skip
def test_a_file_that_fails_is_named_with_its_line(write, source, message):
    path = write(source)
    before = set(sys.modules), list(sys.path)
    with pytest.raises(CommandError) as raised:
        CommandSet.load(path)
    assert str(raised.value).startswith(f"{path}{message}")
    assert "\n" not in str(raised.value)
    assert not [name for name in sys.modules if name.startswith("_unspool_commands") and name not in before[0]] or (
        "commands" in message
    )
    assert sys.path == before[1]


def test_a_file_that_is_none_is_refused(tmp_path, write):
    cases = [
        (tmp_path / "nothing.py", "nothing.py: no such file"),
        (tmp_path, ": not a Python file; expected a name that ends in .py"),
        (write("{}", "house.json"), "house.json: not a Python file"),
        (tmp_path / "house.json" / "x.py", "no such file"),
    ]
    (tmp_path / "folder.py").mkdir()
    cases.append((tmp_path / "folder.py", "folder"))
    (tmp_path / "null.py").write_bytes(b"x = 1\x00")
    cases.append((tmp_path / "null.py", "null.py"))
    (tmp_path / "latin.py").write_bytes(b"x = '\xff'\n")
    cases.append((tmp_path / "latin.py", "latin.py"))
    for path, message in cases:
        with pytest.raises(CommandError, match=re.escape(message)):
            CommandSet.load(path)


def test_a_language_without_its_package_names_the_extra(write, monkeypatch):
    from unspool.commands import languages

    languages.require.cache_clear()
    monkeypatch.setitem(sys.modules, "dateparser", None)
    monkeypatch.setitem(sys.modules, "dateparser.data", None)
    path = write(
        "from datetime import date\nfrom unspool import command\n"
        "@command('am {tag}', language='de')\ndef f(tag: date): ...\n"
    )
    with pytest.raises(
        MissingExtraError, match=re.escape("language='de' needs the package dateparser: pip install")
    ) as raised:
        CommandSet.load(path)
    assert "[dates]" in str(raised.value)
    languages.require.cache_clear()
