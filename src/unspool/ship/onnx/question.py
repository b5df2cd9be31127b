"""Questions to an assistant in ONNX: n-grams of one text, and the answer from the scores of the pairs.

Letters are folded one by one. A text in which marks stand apart from their letters (NFD) therefore has other n-grams
than in the model.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from typing import Any

import numpy as np

from unspool.ship.onnx.text import BLANKS, TextEmitter
from unspool.ship.onnx.writer import FLOAT, INT64, GraphWriter
from unspool.ship.sheet_text import QuestionNgrams, Replies, TextFront

__all__ = ["emit_question", "emit_reply"]

_WORD = r"[\pL\pN_]+"
_PATTERN = rf"{_WORD}(?:'{_WORD})*|[^\pL\pN_{BLANKS}]"


def emit_question(write: GraphWriter, front: TextFront, text: str) -> tuple[dict[str, str], str]:
    """Write the bag of one text, (1,), and the row `unknown`; return their names, and that of the words, (1, words)."""
    question = front.question
    assert question is not None
    emitter = TextEmitter(write, front, text)
    characters = emitter.at_least_one(emitter.tokenized(text, None))
    characters = write.op("Slice", characters, write.ints(0), write.ints(question.most_characters), write.ints(1))
    folded = emitter.joined(emitter.mapped(characters, _folds()))
    words = emitter.at_least_one(emitter.tokenized(folded, _PATTERN))
    present = emitter.present(words)
    empty = write.texts("")
    entries = [write.op("Where", present, write.op("StringConcat", write.texts(" "), words), empty)]
    bounded = write.op("StringConcat", write.op("StringConcat", write.texts("<"), words), write.texts(">"))
    bounded = write.op("Where", present, bounded, empty)
    letters = write.op("Squeeze", emitter.tokenized(bounded, None), write.ints(0))  # (words, characters)
    sizes = range(question.shortest, question.longest + 1)
    entries += [_pieces(write, emitter, letters, size) for size in sizes]
    if question.shortest > 3:
        counts = write.op("ReduceSum", write.op("Cast", emitter.present(letters), to=INT64), write.ints(1), keepdims=0)
        short = write.op("Less", counts, write.constant(np.array(question.shortest, np.int64)))
        entries.append(write.op("Where", short, bounded, empty))
    flat = [write.op("Reshape", part, write.ints(-1)) for part in entries]
    return _weighted(write, emitter, question, write.op("Concat", *flat, empty, axis=0)), words


def _pieces(write: GraphWriter, emitter: TextEmitter, letters: str, size: int) -> str:
    """Write all substrings of a length, empty where a word ends before; (words, characters)."""
    width, padded = write.op("Shape", letters, start=1, end=2), letters
    for _ in range(size - 1):
        padded = write.op("Concat", padded, emitter.column(letters), axis=1)
    parts = [
        write.op("Slice", padded, write.ints(k), write.op("Add", width, write.ints(k)), write.ints(1))
        for k in range(size)
    ]
    piece = parts[0]
    for part in parts[1:]:
        piece = write.op("StringConcat", piece, part)
    return write.op("Where", emitter.present(parts[-1]), piece, write.texts(""))


def _weighted(write: GraphWriter, emitter: TextEmitter, question: QuestionNgrams, entries: str) -> dict[str, str]:
    """Write the weights of the entries of a text, which may come several times; empty ones do not count."""
    unique, _, _, counts = write.several("Unique", 4, entries)
    ids = emitter.looked_up(unique, {entry: id for id, entry in enumerate(question.entries)} | {"": -2}, -1)
    one, zero = write.number(1.0), write.constant(np.array(0, np.int64))
    times = write.op("Add", write.op("Log", write.op("Cast", counts, to=FLOAT)), one)
    other = write.op("Cast", write.op("Equal", ids, write.constant(np.array(-1, np.int64))), to=FLOAT)
    squares = write.op("ReduceSum", write.op("Mul", other, write.op("Mul", times, times)), write.ints(0), keepdims=1)
    unknown = write.op("Unsqueeze", write.op("Mul", squares, write.number(question.unknown)), write.ints(0))
    inside = write.op("GreaterOrEqual", ids, zero)
    ids, times = (write.op("Compress", part, inside, axis=0) for part in (ids, times))
    values = write.op("Mul", times, write.op("Gather", write.constant(question.weights, "weights"), ids))
    zeros = write.op("Expand", write.number(0.0), write.ints(len(question.entries)))
    bag = write.op("Unsqueeze", write.op("ScatterElements", zeros, ids, values), write.ints(0))
    return {"bag": bag, "unknown": unknown}


def emit_reply(write: GraphWriter, front: TextFront, back: Replies, words: str, scores: str) -> list[Any]:
    """Write the answer, its confidence and the wording that it answers; return the outputs of the file."""
    emitter = TextEmitter(write, front, "")
    best = write.op("ArgMax", scores, axis=1, keepdims=0)  # (1,)
    top = write.op("ReduceMax", scores, write.ints(1), keepdims=0)
    sure = write.op(
        "Sigmoid", write.op("Mul", write.op("Sub", top, write.number(back.nothing)), write.number(back.scale))
    )
    bare = _without_marks(write, emitter, words)
    for forms, each in ((back.exact_without_marks, bare), (back.exact, words)):  # the latter wins
        pair, is_exact = _exact_pair(write, emitter, forms, each, scores)
        best = write.op("Where", is_exact, pair, best)
        sure = write.op("Where", is_exact, write.number(1.0), sure)
    known = write.op("GreaterOrEqual", sure, write.number(back.threshold))
    answers = write.op("Gather", write.constant(np.array(back.answers, object), "answers"), best)
    write.op("Where", known, answers, write.texts(back.unknown), name="answer")
    write.rename(sure, "confidence")
    write.op("Gather", write.constant(np.array(back.questions, object), "questions"), best, name="question")
    write.rename(scores, "scores")
    ports = [write.port("answer", [1], "STRING"), write.port("confidence", [1]), write.port("question", [1], "STRING")]
    return [*ports, write.port("scores", [1, len(back.answers)])]


def _without_marks(write: GraphWriter, emitter: TextEmitter, words: str) -> str:
    """Write the words without the marks at their end; the first word stays."""
    marks = dict.fromkeys([*".?!…,;", ""], 1)
    mark = emitter.looked_up(words, marks, 0)
    zero, one = (write.constant(np.array(number, np.int64)) for number in (0, 1))
    places = write.op("Range", zero, write.op("Squeeze", write.op("Shape", words, start=1, end=2)), one)
    last = write.op("ReduceMax", write.op("Mul", places, write.op("Sub", one, mark)), keepdims=0)
    return write.op(
        "Slice", words, write.ints(0), write.op("Unsqueeze", write.op("Add", last, one), write.ints(0)), write.ints(1)
    )


def _exact_pair(
    write: GraphWriter, emitter: TextEmitter, forms: dict[str, tuple[int, ...]], words: str, scores: str
) -> tuple[str, str]:
    """Write the pair whose wording the words are, and whether there is one, (1,) each."""
    first = write.op("Slice", words, write.ints(0), write.ints(1), write.ints(1))
    rest = write.op("Slice", words, write.ints(1), write.ints(np.iinfo(np.int64).max), write.ints(1))
    blank = write.op("Where", emitter.present(rest), write.texts(" "), write.texts(""))
    form = emitter.joined(write.op("Concat", first, write.op("StringConcat", blank, rest), axis=1))
    most = max(map(len, forms.values()), default=1)
    table = np.array([[0] * most, *([*places, *[places[0]] * (most - len(places))] for places in forms.values())])
    row = emitter.looked_up(form, {text: number for number, text in enumerate(forms, 1)}, 0)
    pairs = write.op("Gather", write.constant(table.astype(np.int64), "pairs"), row)  # (1, most)
    evidence = write.op("GatherElements", scores, pairs, axis=1)
    pair = write.op("GatherElements", pairs, write.op("ArgMax", evidence, axis=1, keepdims=1), axis=1)
    exact = write.op("Greater", row, write.constant(np.array(0, np.int64)))
    return write.op("Squeeze", pair, write.ints(1)), exact


@cache
def _folds() -> dict[str, str]:
    """Return the characters that folding changes, with what they become."""
    folds = {}
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000:
            folded = unicodedata.normalize("NFKC", chr(code)).casefold().replace("’", "'")
            if folded != chr(code):
                folds[chr(code)] = folded
    return folds
