"""Equations of the site: MathML in place of LaTeX, so that no page asks anything of another host."""

from __future__ import annotations

import html
import re
import textwrap
from typing import Any

import griffe
from latex2mathml.converter import convert

from unspool.cells.names import cell_names

_MATH = re.compile(r'<(div|span) class="arithmatex">(.*?)</\1>', re.DOTALL)
_DIRECTIVE = re.compile(r"^( *)\.\. math::(.*(?:\n(?:\1 +.*|\s*$))*)", re.MULTILINE)
_ROLE = re.compile(r":math:`([^`]+)`")


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
            text = _ROLE.sub(r"$\1$", obj.docstring.value).replace("{cells}", ", ".join(cell_names()))
            obj.docstring.value = _DIRECTIVE.sub(_display, text)


def _display(match: re.Match[str]) -> str:
    latex = textwrap.dedent(match[2]).strip()
    if "&" in latex:
        latex = f"\\begin{{aligned}}\n{latex}\n\\end{{aligned}}"
    return textwrap.indent(f"\n$$\n{latex}\n$$\n\n", match[1])
