"""Equations of cells: from the docstring's LaTeX to lines of text with subscripts and superscripts."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import NamedTuple

__all__ = ["Piece", "equation_of", "pieces", "source_of"]

_DIRECTIVE = re.compile(r"^( *)\.\. math::(.*(?:\n(?:\1 +.*|\s*$))*)", re.MULTILINE)
_SOURCE = re.compile(r"^Source: (.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[_^{}]|[^\\_^{}]")
_WORDS = {
    "sigma": "σ", "odot": "⊙", "alpha": "α", "beta": "β", "gamma": "γ", "phi": "φ", "theta": "θ", "lambda": "λ",
    "Lambda": "Λ", "nu": "ν", "delta": "δ", "epsilon": "ε", "mu": "μ", "rho": "ρ", "tau": "τ", "omega": "ω",
    "cdot": "·", "times": "×", "sum": "Σ", "prod": "Π", "in": " ∈ ", "quad": "   ", "top": "ᵀ", "sqrt": "√",
    "le": " ≤ ", "ge": " ≥ ", "partial": "∂", "infty": "∞", "to": "→", "dots": "…", "ldots": "…", "cdots": "…",
}  # fmt: skip
_ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
_SILENT = {"mathrm", "text", "left", "right", "mathbf", "operatorname", "mathit", "begin", "end"}


class Piece(NamedTuple):
    """A part of a line of an equation."""

    text: str
    level: int
    """0 on the line, -1 below it, 1 above it."""


def equation_of(kind: type) -> tuple[str, ...]:
    """Return the equation in a class's docstring as lines of LaTeX; empty if there is none."""
    match = _DIRECTIVE.search(inspect.getdoc(kind) or "")
    if match is None:
        return ()
    text = textwrap.dedent(match[2]) if not match[2].strip().count("\n") else match[2]
    lines = (" ".join(line.replace("&", "").split()) for line in text.split("\\\\"))
    return tuple(line for line in lines if line)


def source_of(kind: type) -> str:
    """Return the source that a class's docstring names; empty if there is none."""
    match = _SOURCE.search(inspect.getdoc(kind) or "")
    return " ".join(match[1].replace(":math:", "").replace("`", "").split()) if match else ""


def pieces(latex: str) -> list[Piece]:
    """Return a line of LaTeX as pieces of text on, below and above the line."""
    tokens, result = _TOKEN.findall(latex), []
    index, level, accent = 0, 0, ""
    closing: list[int] = []
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token in ("_", "^"):
            below = -1 if token == "_" else 1
            if index < len(tokens) and tokens[index] == "{":
                closing.append(level)
                index += 1
                level = below
                continue
            closing.append(level)
            level = below
            result.append(Piece(_plain(tokens[index]) if index < len(tokens) else "", level))
            index, level = index + 1, closing.pop()
        elif token == "{":
            closing.append(level)
        elif token == "}":
            level = closing.pop() if closing else 0
        elif token[1:] in _ACCENTS:
            accent = _ACCENTS[token[1:]]
        else:
            shown = _plain(token)
            if accent:
                if not shown.strip():
                    continue  # a blank between an accent and its letter
                shown, accent = shown + accent, ""
            result.append(Piece(shown, level))
    return _joined(result)


def _plain(token: str) -> str:
    if not token.startswith("\\"):
        return token
    word = token[1:]
    if word in _SILENT:
        return ""
    return _WORDS.get(word, word if word.isalpha() else word.strip(" ,;!"))


def _joined(parts: list[Piece]) -> list[Piece]:
    result: list[Piece] = []
    for part in parts:
        if result and result[-1].level == part.level:
            result[-1] = Piece(result[-1].text + part.text, part.level)
        elif part.text:
            result.append(part)
    return [
        Piece(re.sub(r" {2,}(?! )", " ", part.text) if "   " not in part.text else part.text, part.level)
        for part in result
    ]
