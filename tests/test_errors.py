"""One message, two readers: flags on the command line, arguments in Python."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest

import unspool
from unspool.errors import DataError, UsageError, for_command_line, for_python, option, printable, wording
from unspool.training import LineReporter


@pytest.mark.parametrize(
    ("mention", "flag", "argument"),
    [
        (option("skip_bad"), "--skip-bad", "skip_bad=True"),
        (option("baselines", False), "--no-baselines", "baselines=False"),
        (option("text", "NAME"), "--text NAME", "text=NAME"),
        (option("header", "no"), "--header no", "header='no'"),
        (option("epochs", 20), "--epochs 20", "epochs=20"),
        (option("learning_rate", None), "--learning-rate", "learning_rate"),
        (wording("unspool train", "fit()"), "unspool train", "fit()"),
    ],
)
def test_a_mention_reads_as_a_flag_or_as_an_argument(mention, flag, argument):
    assert for_command_line(f"say {mention}, then {mention}") == f"say {flag}, then {flag}"
    assert for_python(f"say {mention}, then {mention}") == f"say {argument}, then {argument}"


def test_an_error_names_arguments_and_keeps_both_wordings():
    inner = DataError(f"a bad row; leave it out with {option('skip_bad')}", "file.tsv:3")
    assert str(inner) == "file.tsv:3: a bad row; leave it out with skip_bad=True"
    outer = UsageError(f"recipe.toml: {inner.message}")
    assert for_command_line(outer.message) == "recipe.toml: file.tsv:3: a bad row; leave it out with --skip-bad"


def test_a_reporter_renders_for_its_reader():
    for render, expected in ((for_python, "set epochs=3\n"), (for_command_line, "set --epochs 3\n")):
        stream = io.StringIO()
        LineReporter(stream, render=render).note(f"set {option('epochs', 3)}")
        assert stream.getvalue() == expected


def test_a_message_is_one_printable_line():
    error = DataError("a \x1b[2J name\nof\ttwo \ud800 lines", "caf\udce9.tsv:3")
    assert str(error) == "caf\\udce9.tsv:3: a \\x1b[2J name of two \\ud800 lines"
    assert printable("é 木 – ok") == "é 木 – ok"


def test_a_long_message_keeps_its_beginning_and_its_end():
    text = str(UsageError(f"value = {'x' * 10_000}: expected a number"))
    assert len(text) == 600
    assert text.startswith("value = xxx")
    assert text.endswith("xxx: expected a number")
    assert " ... " in text


SOURCE = Path(unspool.__file__).parent
CLI_ALONE = ("cli", "samples", "server", "voice", "errors.py")  # said or shown to who started a command
PYTHON_ALONE = ("cells", "layers", "models", "engine")  # said to who writes networks
FRAGMENTS = (" --cell ", ", resume=True)")  # parts of a text that `wording` takes
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
KEYWORD = re.compile(r"\b[a-z]+(?:_[a-z]+)* ?= ?(?:True|False|None)\b|\b(?:say|set|with|name|use|as) [a-z_]+=")


class Messages(ast.NodeVisitor):
    """Collects texts of a module that are neither docstrings nor defaults and stand outside `wording` and `option`."""

    def __init__(self):
        self.texts = []

    def visit_arguments(self, node):
        pass

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Call(self, node):
        if not (isinstance(node.func, ast.Name) and node.func.id in ("wording", "option")):
            self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.texts.append((node.lineno, node.value))


def messages(path):
    """The texts of a module, without those of a task's entry, which only the command line shows."""
    visitor, tree = Messages(), ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        names = {target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)}
        if not names & {"ENTRY", "WRITING_NETWORKS_HELP"}:
            visitor.visit(node)
    return visitor.texts


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_message_speaks_to_the_wrong_reader(path):
    """Flags belong to the command line's own modules; arguments stand in `option` or `wording` everywhere."""
    place = path.relative_to(SOURCE).as_posix()
    patterns = [] if place.startswith(CLI_ALONE) else [FLAG]
    patterns += [] if place.startswith(PYTHON_ALONE) else [KEYWORD]
    texts = [(line, text) for line, text in messages(path) if text not in FRAGMENTS and "pip install" not in text]
    assert [each for each in texts if any(pattern.search(each[1]) for pattern in patterns)] == []
