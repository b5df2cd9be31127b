"""The documentation does what it says: its Python runs, its command lines parse, its links lead somewhere."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import tomllib
import wave
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import click
import numpy as np
import pytest
import torch

from unspool.cells import CELLS
from unspool.cli.main import VERBS, unspool
from unspool.engine import explain
from unspool.server.settings import ServerSettings
from unspool.settings import make, read_recipe
from unspool.tasks import task_class
from unspool.tasks.running.model_folder import FORMAT, Record, write_record

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n)?^(?P<fence>```+)(?P<language>\w*)\n(?P<code>.*?)^(?P=fence)$", re.M | re.S
)


class Block(NamedTuple):
    """A fenced block, and what the comment above it says of it."""

    page: Path
    line: int
    language: str
    mark: str
    code: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(page, line, match["language"], (match["mark"] or "").strip(), match["code"])


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def marked(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python" and block.mark.partition(":")[0] == "run"]


# ---- Python ----------------------------------------------------------------------------------------------------

REVIEWS = (
    (
        "positive",
        "a joy from end to end",
        "not a dull moment",
        "warm and funny all the way",
        "the best cast of the year",
    ),
    (
        "negative",
        "two hours wasted",
        "dull from end to end",
        "the cast is wasted on this script",
        "cold and never funny",
    ),
)
SENTENCES = (
    [("Time", "NOUN"), ("flies", "VERB"), (".", "PUNCT")],
    [("The", "DET"), ("old", "ADJ"), ("man", "NOUN"), ("sleeps", "VERB"), (".", "PUNCT")],
    [("The", "DET"), ("boat", "NOUN"), ("sinks", "VERB")],
)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the small files that the pages speak of; code runs in it and imports from it."""
    rows = [f"{text}\t{label}" for label, *texts in REVIEWS for text in texts]
    (tmp_path / "reviews.tsv").write_text("text\tlabel\n" + "\n".join(rows * 5) + "\n", encoding="utf-8")
    for name in ("train.conllu", "dev.conllu"):
        lines = [
            f"{place}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n"
            for sentence in SENTENCES * 4
            for place, (word, tag) in enumerate(sentence, 1)
        ]
        starts = "".join("\n" * line.startswith("1\t") + line for line in lines)
        (tmp_path / name).write_text(starts.lstrip("\n"), encoding="utf-8")
    places = {"station": "gare", "museum": "musée", "bakery": "boulangerie", "old bridge": "vieux pont"}
    pairs = [f"Where is the {place}?\tOù est : {lieu} ?" for place, lieu in places.items()]
    pairs += [f"I see a {place}.\tJe vois : {lieu}." for place, lieu in places.items()]
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs * 4) + "\n", encoding="utf-8")
    faq = [
        ("How do I remove rust?", ["what takes rust off"], "With steel wool and a little oil."),
        ("How do I sharpen a knife?", ["my knife is blunt"], "On a wet stone, both sides in turn."),
        ("Where do I keep bulbs?", ["storing bulbs"], "In a dry, dark place."),
    ]
    lines = [json.dumps({"question": asked, "paraphrases": more, "answers": [said]}) for asked, more, said in faq]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw = Random(7)
    words = [
        "it",
        "was",
        "a",
        "dark",
        "and",
        "stormy",
        "night",
        "when",
        "the",
        "old",
        "man",
        "rowed",
        "out",
        "to",
        "sea",
    ]
    novel = [" ".join(draw.choices(words, k=9)).capitalize() + "." for _ in range(300)]
    (tmp_path / "novel.txt").write_text("\n".join(novel) + "\n", encoding="utf-8")
    months = [f"{2010 + step // 12}-{step % 12 + 1:02}" for step in range(120)]
    rows = [f"{month},{400 + 60 * math.sin(math.pi * step / 6) + step:.2f}" for step, month in enumerate(months)]
    (tmp_path / "sales.csv").write_text("\n".join(["month,units", *rows]) + "\n", encoding="utf-8")
    write_recordings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write_recordings(folder: Path) -> None:
    """Write a table of twelve recordings of tones, with transcripts."""
    (folder / "recordings").mkdir()
    rows, draw = ["audio\ttranscript"], np.random.default_rng(5)
    for number in range(12):
        words = [("go", 400), ("left", 900), ("stop", 1700)][: number % 3 + 1]
        tones = [np.sin(2 * np.pi * tone * np.arange(2400) / 8000) for _, tone in words]
        samples = 0.3 * np.concatenate(tones) + 0.01 * draw.standard_normal(2400 * len(words))
        with wave.open(str(folder / "recordings" / f"{number:02d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((samples * 30000).astype("<i2").tobytes())
        rows.append(f"recordings/{number:02d}.wav\t{' '.join(word for word, _ in words)}")
    (folder / "speech.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def prepare(mark: str) -> None:
    """What a page takes for granted."""
    if mark == "run: after classify":
        from unspool import Classifier

        Classifier(cell="gru", hidden=8, embedding=8, epochs=2, seed=1).fit("reviews.tsv", out="my-model")


def run(block: Block, names: dict[str, Any]) -> None:
    source = "\n" * (block.line - 1) + block.code  # so that a traceback points at the page
    exec(compile(source, str(block.page), "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if marked(page)], ids=name_of)
def test_python_on_a_page_runs(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    before = set(sys.modules)
    try:
        for block in marked(page):
            if not Path("my-model").exists():
                prepare(block.mark)
            if block.mark.endswith(".py"):
                (workplace / block.mark.removeprefix("run: ")).write_text(block.code, encoding="utf-8")
            run(block, names)
    finally:
        for name in set(sys.modules) - before:
            if getattr(sys.modules[name], "__file__", None) and str(workplace) in str(sys.modules[name].__file__):
                del sys.modules[name]


def test_every_marked_block_is_one_the_test_knows() -> None:
    marks = {block.mark for page in PAGES for block in blocks(page) if block.mark}
    unknown = {mark for mark in marks if not re.fullmatch(r"run(: (after classify|\w+\.py))?|recipe: \w+", mark)}
    assert not unknown


def test_the_cell_in_contributing_is_right(workplace: Path) -> None:
    """The worked "add a cell": its blocks give a cell that the engine runs, forwards and backwards."""
    names: dict[str, Any] = {"__name__": "contributing"}
    for block in marked(ROOT / "CONTRIBUTING.md"):
        run(block, names)
    cell_type = names["MGUCell"]
    cell = cell_type(3, 4).double()
    from unspool import unroll

    x = torch.randn(5, 2, 3, dtype=torch.float64)
    h = torch.zeros(2, 4, dtype=torch.float64)
    w, u, b, d = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
    for step in x:  # the equation on the page, written out a second time
        f = torch.sigmoid(step @ w[:4].T + b[:4] + h @ u[:4].T + d[:4])
        candidate = torch.tanh(step @ w[4:].T + b[4:] + (f * h) @ u[4:].T + d[4:])
        h = (1 - f) * h + f * candidate
    outputs, final = unroll(cell, x)
    torch.testing.assert_close(final.h, h)
    torch.testing.assert_close(outputs[-1], h)


# ---- recipes ---------------------------------------------------------------------------------------------------

RECIPES = [block for page in PAGES for block in blocks(page) if block.mark.startswith("recipe: ")]


@pytest.mark.parametrize("block", RECIPES, ids=lambda block: f"{name_of(block.page)}:{block.line}")
def test_a_recipe_on_a_page_can_be_used(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(block.code, encoding="utf-8")
    settings = task_class(block.mark.removeprefix("recipe: ")).settings_type
    assert make(settings, read_recipe(path)) != settings()


def test_no_recipe_is_unmarked() -> None:
    unmarked = [
        f"{name_of(b.page)}:{b.line}" for page in PAGES for b in blocks(page) if b.language == "toml" and not b.mark
    ]
    assert not unmarked
    assert tomllib.loads(RECIPES[0].code)


# ---- command lines ---------------------------------------------------------------------------------------------


def command_lines(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Every `unspool ...` in the shell blocks of a page, in its text, and behind `python -m` or torchrun's `-m`."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language == "sh":
            for offset, line in enumerate(block.code.splitlines()):
                yield from ((block.line + offset, words) for words in calls(line))
    outside = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in re.finditer(r"`(unspool\s[^`]+)`|^    (.*\bunspool .*)$", outside, re.M):
        line = " ".join((match[1] or match[2]).split())
        yield from ((outside.count("\n", 0, match.start()) + 1, words) for words in calls(line))


def calls(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in [*lexer, "&&"]:
        if word in ("|", "&&", "||", ";", ">", ">>", "<"):
            if "unspool" in words and (words[0] == "unspool" or words[words.index("unspool") - 1] == "-m"):
                yield words[words.index("unspool") + 1 :]
            words = []
        else:
            words.append(word)


COMMANDS = [pytest.param(words, id=f"{name_of(page)}:{line}") for page in PAGES for line, words in command_lines(page)]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_line_parses(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if len(words) == 1 and isinstance(unspool.get_command(click.Context(unspool), words[0]), click.Group):
        return  # a verb named in a sentence
    monkeypatch.chdir(tmp_path)
    for folder in ("my-model", "FOLDER"):  # which flags `--resume` takes depends on the folder
        record = Record(format=FORMAT, task="classify", complete=False, settings={}, versions={})
        Path(folder).mkdir()
        write_record(Path(folder), record)
    if "--help" in words or "--version" in words:
        with pytest.raises(click.exceptions.Exit):
            parse(unspool, words)
    else:
        parse(unspool, words)


def parse(command: click.Command, words: list[str]) -> None:
    """Go down to the last command and let click parse its arguments, without calling anything."""
    context = command.make_context("unspool", list(words))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        assert rest, f"{' '.join(words)!r} stops at a group"
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, name
        command, context = found, found.make_context(name, rest, parent=context)
    named = {
        name: value for name, value in context.params.items() if name.startswith("setting__") and value is not None
    }
    if named:
        check_settings(context, named)


def check_settings(context: click.Context, named: dict[str, Any]) -> None:
    """Values must fit too, not only the names of the flags."""
    from unspool.cli.flags import SETTINGS, chosen_settings

    if context.info_name in ("serve", "studio"):
        make(ServerSettings, chosen_settings(named))
        return
    # what `predict` and `evaluate` may set is how a translator writes, and what a transcriber hears
    hears = any(name.startswith("setting__hearing") for name in named)
    task = context.info_name if context.info_name in SETTINGS else "transcribe" if hears else "translate"
    make(SETTINGS[task], chosen_settings(named))


def test_the_command_lines_were_found() -> None:
    verbs = {case.values[0][0] for case in COMMANDS}
    assert verbs >= VERBS.keys()


# ---- pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.M)
            assert anchor in {slug(heading) for heading in headings}, f"{name_of(page)} links to {target}"


def slug(heading: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_has_a_page_with_its_equation(name: str) -> None:
    page = (ROOT / "docs" / "cells" / f"{name}.md").read_text(encoding="utf-8")
    directive = re.search(r"\.\. math::(.*?)\n\s*\n", CELLS[name].__doc__ or "", re.S)
    assert directive is not None
    for line in filter(None, map(str.strip, directive[1].splitlines())):
        assert line in page
    assert CELLS[name].__name__ in page


@pytest.mark.parametrize("name", CELLS)
def test_the_page_of_a_cell_names_the_path_that_runs_it(name: str) -> None:
    path = explain(CELLS[name](16, 64), torch.zeros(64, 32, 16)).backend
    assert f"`{path}`" in (ROOT / "docs" / "cells" / f"{name}.md").read_text(encoding="utf-8")
