"""Build hooks of the site: equations as MathML, the navigation and the table of the cells from the code."""

from __future__ import annotations

import html
import re
import textwrap
from pathlib import Path
from typing import Any

import griffe
import torch
from latex2mathml.converter import convert

from unspool import cells
from unspool.cells import CELLS, Cell
from unspool.cells.names import cell_files
from unspool.engine import explain

_MATH = re.compile(r'<(div|span) class="arithmatex">(.*?)</\1>', re.DOTALL)
_DIRECTIVE = re.compile(r"^( *)\.\. math::(.*(?:\n(?:\1 +.*|\s*$))*)", re.MULTILINE)
_ROLE = re.compile(r":math:`([^`]+)`")
_CELLS = "<!-- cells -->"
_CELL_FILES = "<!-- files of other cells -->"


def on_config(config: Any) -> Any:
    """Replace `folder/*.md` in the navigation by the pages of that folder that stand nowhere else."""
    for section in config.nav:
        for title, pages in section.items() if isinstance(section, dict) else ():
            if isinstance(pages, list):
                section[title] = [each for page in pages for each in _expanded(page, pages, Path(config.docs_dir))]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace markers by the table of all cells, and by the reference of cells that `unspool.cells.__all__` lacks."""
    if _CELLS in markdown:
        markdown = markdown.replace(_CELLS, cell_table())
    if _CELL_FILES in markdown:
        others = [
            module for module, file in cell_files().items() if not set(file.exports) & {*cells.__all__} - {"CELLS"}
        ]
        markdown = markdown.replace(_CELL_FILES, "\n\n".join(f"::: unspool.cells.{module}" for module in others))
    return markdown


def cell_table() -> str:
    """Return a table with a row for each built-in cell: its page, its equation in a word, state, gates and paths."""
    rows = [_cell_row(name, kind) for name, kind in CELLS.items()]
    return "\n".join(["| name | cell | state | gates | paths |", "|---|---|---|---|---|", *rows])


def _cell_row(name: str, kind: type[Cell[Any]]) -> str:
    cell, inputs = kind(16, 64), torch.zeros(64, 32, 16)
    summary = str(kind.__doc__).strip().splitlines()[0].removeprefix("One step of ").rstrip(".")
    state = ", ".join(cell.initial_state(1)._fields)
    gates = ", ".join(gate for gate in cell.gates if gate not in ("candidate", "hidden")) or "none"
    paths = [explain(cell, inputs).backend]
    with torch.autocast("cpu", dtype=torch.float16):  # the compiler refuses float16, so another path runs
        paths.append(explain(cell, inputs).backend)
    return f"| [{name}]({name}.md) | {summary} | {state} | {gates} | {', '.join(dict.fromkeys(paths))} |"


def _expanded(page: Any, pages: list[Any], docs: Path) -> list[Any]:
    if not (isinstance(page, str) and "*" in page):
        return [page]
    files = sorted(file.relative_to(docs).as_posix() for file in docs.glob(page))
    return [{Path(file).stem: file} for file in files if file not in pages]


def on_page_content(content: str, **_: Any) -> str:
    """Replace every equation that the Markdown extension has marked by MathML."""
    return _MATH.sub(lambda match: _mathml(match[2], block=match[1] == "div"), content)


def _mathml(text: str, *, block: bool) -> str:
    latex = html.unescape(text).strip()[2:-2].strip()  # without its delimiters
    latex = latex.replace("{aligned}", "{split}")  # the converter knows this environment only
    return convert(latex, display="block" if block else "inline")


class DocstringMath(griffe.Extension):
    """Equations in docstrings, written as Sphinx has them, as Markdown has them."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            text = _ROLE.sub(r"$\1$", obj.docstring.value).replace("{cells}", ", ".join(CELLS))
            obj.docstring.value = _DIRECTIVE.sub(_display, text)


def _display(match: re.Match[str]) -> str:
    latex = textwrap.dedent(match[2]).strip()
    if "&" in latex:
        latex = f"\\begin{{aligned}}\n{latex}\n\\end{{aligned}}"
    return textwrap.indent(f"\n$$\n{latex}\n$$\n\n", match[1])
