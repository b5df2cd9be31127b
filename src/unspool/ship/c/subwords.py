"""C99 for subwords: byte-level byte-pair encoding, as the `tokenizers` library computes it.

Source: Sennrich et al. 2016, arXiv:1508.07909; on bytes: Radford et al. 2019, "Language models are unsupervised
multitask learners", section 2.2.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, pre_tokenizers

from unspool.errors import UsageError
from unspool.ship.c.memory import CFile
from unspool.ship.sheet_text import Units

__all__ = ["byte_names", "write_subwords"]


@cache
def _byte_letters() -> dict[str, int]:
    """Return the byte that each letter of a byte-level token stands for."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def byte_names(units: Units) -> list[bytes]:
    """Return the bytes of each unit; special units have none."""
    letters = _byte_letters()
    names = {id: token for token, id in _model(units)["vocab"].items()}
    return [b"" if id < 3 else bytes(letters[letter] for letter in names[id]) for id in range(len(units.names))]


def _model(units: Units) -> dict[str, Any]:
    assert units.tokenizer is not None
    model: dict[str, Any] = json.loads(units.tokenizer)["model"]
    return model


@cache
def _bounds(pattern: str) -> NDArray[np.uint32]:
    """Return the code points where a property of characters begins and ends, as the `tokenizers` library has it."""
    codes = np.array([code for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    split = pre_tokenizers.Split(Regex(f"{pattern}+"), "removed", invert=True)
    inside = np.zeros(0x110000, np.bool_)
    for _, (start, stop) in split.pre_tokenize_str("".join(map(chr, codes))):
        inside[codes[start:stop]] = True
    return np.flatnonzero(np.diff(inside, prepend=False, append=False)).astype(np.uint32)


def write_subwords(file: CFile, units: Units, names: dict[str, str]) -> None:
    """Write `find_units` for byte-pair encoding.

    Raises:
        UsageError: If the units are others.
    """
    model = _model(units)
    if units.units != "bpe" or model["type"] != "BPE":
        raise UsageError(f"C has no units {units.units!r} yet; choose bpe, word, blank or character units")
    vocabulary, letters = model["vocab"], _byte_letters()
    pairs = [pair if isinstance(pair, list) else pair.split(" ") for pair in model["merges"]]
    merges = sorted(
        (vocabulary[left], vocabulary[right], rank, vocabulary[left + right])
        for rank, (left, right) in enumerate(pairs)
    )
    kind = np.uint16 if max(len(vocabulary), len(merges)) < 1 << 16 else np.uint32
    table = np.array(merges or [(0, 0, 0, 0)], kind)
    for column, name in enumerate(("lefts", "rights", "ranks", "results")):
        file.weights.add(f"merge_{name}", table[:, column])
    ids = np.full(256, -1, np.int32)
    for letter, byte in letters.items():
        ids[byte] = vocabulary.get(letter, -1)
    file.weights.add("byte_ids", ids)
    file.constants["MERGES"] = len(merges)
    for name, pattern in {"blank": r"\s", "letter": r"\p{L}", "number": r"\p{N}"}.items():
        bounds = _bounds(pattern)
        file.weights.add(f"{name}_bounds", bounds)
        file.constants[f"{name.upper()}_BOUNDS"] = len(bounds)
    file.room("symbols", "3 * UNSPOOL_BYTES", "int32_t")
    file.room("merges", "3 * UNSPOOL_BYTES", "int32_t")
    file.types.append("enum { BLANK, LETTER, NUMBER, OTHER };\n")
    file.write(_SUBWORDS, names)


_SUBWORDS = """\
static int kind_of(struct model *m, uint32_t code)
{
    (void)m;
    return inside(letter_bounds, LETTER_BOUNDS, code) ? LETTER : inside(blank_bounds, BLANK_BOUNDS, code) ? BLANK
        : inside(number_bounds, NUMBER_BOUNDS, code) ? NUMBER : OTHER;
}

/* the end of the next piece of a line: an ending such as 'll, or a blank and letters, numbers or marks, or blanks */
static const uint8_t *next_piece(struct model *m, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *next = at, *stop, *last = at;
    uint32_t first = next_code(&next);
    int kind = kind_of(m, first);
    if (first == '\\'' && next < end) {
        if (*next == 's' || *next == 't' || *next == 'm' || *next == 'd')
            return next + 1;
        if (next + 1 < end && ((*next == 'r' && next[1] == 'e') || (*next == 'v' && next[1] == 'e')
                || (*next == 'l' && next[1] == 'l')))
            return next + 2;
    }
    stop = next;
    if (first == ' ' && next < end) {
        kind = kind_of(m, next_code(&next));
        stop = kind == BLANK ? stop : next;
    }
    while (stop < end) {
        next = stop;
        if (kind_of(m, next_code(&next)) != kind)
            break;
        last = stop;
        stop = next;
    }
    return kind == BLANK && stop < end && last > at ? last : stop;
}

/* the place of a pair of symbols among the merges; -1 if they are not merged */
static int32_t merge_of(struct model *m, int32_t left, int32_t right)
{
    int low = 0, high = MERGES;
    (void)m;
    while (low < high) {
        int middle = (low + high) / 2;
        int32_t other = (int32_t)merge_lefts[middle];
        if (other < left || (other == left && (int32_t)merge_rights[middle] < right))
            low = middle + 1;
        else
            high = middle;
    }
    return low < MERGES && (int32_t)merge_lefts[low] == left && (int32_t)merge_rights[low] == right ? low : -1;
}

/* write the symbols of a piece: its bytes, merged pair by pair in the order that the merges were learned */
static int encode_piece(struct model *m, const uint8_t *start, const uint8_t *stop)
{
    int count = 0, k;
    for (; start < stop; start++)
        if (byte_ids[*start] >= 0)
            m->symbols[count++] = byte_ids[*start];
    for (k = 0; k + 1 < count; k++)
        m->merges[k] = merge_of(m, m->symbols[k], m->symbols[k + 1]);
    while (count > 1) {
        int best = -1;
        for (k = 0; k + 1 < count; k++)
            if (m->merges[k] >= 0 && (best < 0 || merge_ranks[m->merges[k]] < merge_ranks[m->merges[best]]))
                best = k;
        if (best < 0)
            break;
        m->symbols[best] = (int32_t)merge_results[m->merges[best]];
        count--;
        for (k = best + 1; k < count; k++)
            m->symbols[k] = m->symbols[k + 1];
        for (k = best + 1; k + 1 < count; k++)
            m->merges[k] = m->merges[k + 1];
        if (best + 1 < count)
            m->merges[best] = merge_of(m, m->symbols[best], m->symbols[best + 1]);
        if (best > 0)
            m->merges[best - 1] = merge_of(m, m->symbols[best - 1], m->symbols[best]);
    }
    return count;
}

/* write the ids of the subwords of clean text; with `words`, tabs count as blanks */
static int find_units(struct model *m, size_t size, int words)
{
    const uint8_t *at, *end, *line;
    size_t place;
    int count = 0, symbols, k;
    for (place = 0; words && place < size; place++)
        if (m->raw[place] == '\\t')
            m->raw[place] = ' ';
    m->written = 0;
    at = WHOLE;
    end = at + NORMALISED(m->raw, size);
    while (at < end) {
        for (line = at; line < end && *line != '\\n'; line++)
            ;
        line += line < end;
        while (at < line) {
            const uint8_t *stop = next_piece(m, at, line);
            symbols = encode_piece(m, at, stop);
            at = stop;
            if (symbols > UNSPOOL_UNITS - count)
                return TOO_MANY;
            for (k = 0; k < symbols; k++)
                m->ids[count++] = m->symbols[k];
        }
    }
    return count;
}
"""
