"""C99 of an assistant: reads a question, compares it with stored pairs, and answers."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from unspool.ship.c import question_functions as functions
from unspool.ship.c import text_functions
from unspool.ship.c.maths import literal
from unspool.ship.c.memory import Answer, CFile, Value
from unspool.ship.c.text import add_strings
from unspool.ship.c.unicode_tables import bounds, space_codes
from unspool.ship.sheet import Retrieve
from unspool.ship.sheet_text import QuestionNgrams, Replies

__all__ = ["write_question", "write_replies", "write_retrieval"]

_CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
_EXPANSION = 18
"""Characters that one character becomes at most."""


def write_question(file: CFile, question: QuestionNgrams) -> dict[str, Value]:
    """Write `encode`, which reads a question, and return the inputs of the program."""
    entries, most = len(question.entries), question.most_characters
    file.defines["UNSPOOL_BYTES"] = "16384"
    for name in ("codes", "put_code", "inside", "find"):
        file.help(name, getattr(text_functions, name.upper()))
    _add_tables(file)
    add_strings(file, "entry", question.entries)
    file.weights.add("entry_weights", question.weights)
    file.constants |= {
        "ENTRIES": entries,
        "MOST_CHARACTERS": most,
        "SHORTEST_PIECE": question.shortest,
        "LONGEST_PIECE": question.longest,
    }
    file.types.append("struct entry {\n    int32_t start, length;\n};\n")
    pieces = most * (3 * (question.longest - question.shortest + 1) + 1)
    file.room("raw", "3 * UNSPOOL_BYTES", "uint8_t")
    file.room("codes", _EXPANSION * most, "uint32_t")
    file.room("folded", most, "uint32_t")
    file.room("words", 12 * most, "uint8_t")
    file.room("form", 5 * most, "uint8_t")
    file.room("others", pieces, "struct entry")
    for name, kind in {"bag_ids": "int32_t", "bag_counts": "int32_t", "bag_weights": "float"}.items():
        file.room(name, entries, kind)
    file.room("unknown", 1)
    file.fields += ["int count, bag_count, other_count;", "int32_t form_length, form_end;"]
    file.write(functions.FOLD)
    mark = "static int is_mark(uint32_t code)"
    file.function(mark, ['    return code < 128 ? code && strchr(".?!,;", (int)code) != NULL : code == 0x2026;'])
    file.write(functions.WORDS, {"UNKNOWN_SQUARE": repr(float(question.unknown))})
    file.write(functions.ENCODE)
    return {"bag": Value("bag", 1, "m->bag_ids"), "unknown": Value("row", 1, "m->unknown")}


def _add_tables(file: CFile) -> None:
    """Add the tables of NFKC and of case folding."""
    _add_mapping(file, "plain", "PLAINS", lambda c: unicodedata.normalize("NFKD", c))
    _add_mapping(file, "folded", "FOLDS", str.casefold)
    classes = [(code, number) for code in _CODES if (number := unicodedata.combining(chr(code)))]
    file.weights.add("class_codes", np.array([code for code, _ in classes], np.uint32))
    file.weights.add("class_numbers", np.array([number for _, number in classes], np.uint8))
    file.weights.add("composite_codes", np.array(_composites(), np.uint32))
    file.weights.add("space_codes", space_codes())
    words = bounds(lambda c: c.isalnum() or c == "_")
    file.weights.add("word_bounds", words)
    file.constants |= {
        "CLASSES": len(classes),
        "COMPOSITES": len(_composites()),
        "SPACES": len(space_codes()),
        "WORD_BOUNDS": len(words),
    }


def _add_mapping(file: CFile, name: str, count: str, mapping: Callable[[str], str]) -> None:
    """Add what becomes of characters, but for Hangul, which C composes by rule."""
    changed = [
        (code, new) for code in _CODES if (new := mapping(chr(code))) != chr(code) and not 0xAC00 <= code < 0xD7A4
    ]
    file.weights.add(f"{name}_codes", np.array([code for code, _ in changed], np.uint32))
    add_strings(file, name, [new for _, new in changed], sought=False)
    file.constants[count] = len(changed)


@cache
def _composites() -> list[tuple[int, int, int]]:
    """Return all pairs of characters that compose, and the result, in order."""
    composites = []
    for code in _CODES:
        parts = unicodedata.decomposition(chr(code))
        if " " in parts and not parts.startswith("<"):
            first, second = (int(part, 16) for part in parts.split())
            if unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(code):
                composites.append((first, second, code))
    return sorted(composites)


def write_retrieval(file: CFile, op: Retrieve, scores: Value) -> str:
    """Write `retrieve`, and return the statement that calls it."""
    keys, (vectors, width) = len(op.key_shares), op.vectors.shape
    file.weights.add("importance", op.importance)
    file.weights.add_table("entry_vectors", op.vectors)
    file.weights.add_weight("key_vectors", op.key_vectors)
    kind = np.uint16 if len(op.importance) < 1 << 16 else np.uint32
    order = np.argsort(op.rows, kind="stable")
    file.weights.add("key_ids", op.ids[order].astype(kind))
    file.weights.add("key_values", op.values[order])
    counts = np.bincount(op.rows, minlength=keys)
    file.weights.add("key_starts", np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32))
    file.weights.add("key_shares", op.key_shares)
    file.room("entry_values", len(op.importance))
    file.room("entry_vector", width)
    file.room("question_vector", width)
    file.constants |= {"KEYS": keys, "ENTRY_VECTORS": vectors, "VECTOR_WIDTH": width}
    names = {
        "READ_VECTOR": file.weights.read_row("entry_vectors", "entry", width, "m->entry_vector"),
        "MULTIPLY": file.weights.multiply("key_vectors", "vector", width, keys, "scores"),
        "BALANCE": literal(op.balance),
    }
    file.write(functions.RETRIEVE, names)
    return f"retrieve(m, {scores.place});"


def write_replies(file: CFile, back: Replies, scores: Value) -> Answer:
    """Write what chooses and prints an answer."""
    _add_forms(file, "exact", "EXACT", back.exact)
    _add_forms(file, "bare", "BARE", back.exact_without_marks)
    add_strings(file, "answer", [*back.answers, back.unknown], sought=False)
    file.fields += ["int pair, known;", "double confidence;"]
    names = {
        "SCORES": scores.place,
        "SCALE": repr(float(back.scale)),
        "NOTHING": repr(float(back.nothing)),
        "THRESHOLD": repr(float(back.threshold)),
    }
    choose, _, answer = functions.REPLY.rpartition("\n\n")
    file.write(choose, names)
    file.write(answer, public=True)
    file.write(_PRINT, printing=True)
    return Answer(
        "the answer", "the bytes that `unspool_reply` names; `confidence` is between 0 and 1, `pair` the pair"
    )


def _add_forms(file: CFile, name: str, count: str, forms: Mapping[str, Sequence[int]]) -> None:
    """Add wordings, and the pairs of each."""
    add_strings(file, name, list(forms) or [""])
    pairs = [pair for pairs in forms.values() for pair in pairs]
    file.weights.add(f"{name}_pairs", np.array(pairs or [0], np.uint32))
    starts = np.cumsum([0, *map(len, forms.values())])
    file.weights.add(f"{name}_pairs_starts", starts.astype(np.uint32))
    file.constants[count] = len(forms)


_PRINT = """\
static void print_answer(struct model *m, int all)
{
    size_t length;
    const char *bytes = unspool_reply(m, &length);
    if (all)
        printf("%.9g\\t%d\\t", m->confidence, m->pair);
    fwrite(bytes, 1, length, stdout);
}
"""
