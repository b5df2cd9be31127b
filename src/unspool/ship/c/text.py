"""C99 that reads texts: UTF-8, normalisation, units and their ids, spelling, n-grams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unspool.errors import UsageError, option
from unspool.ship.c import ngram_functions
from unspool.ship.c import text_functions as functions
from unspool.ship.c.memory import CFile, Value
from unspool.ship.c.subwords import write_subwords
from unspool.ship.c.unicode_tables import cased_bounds, ignorable_bounds, lower_ranges, space_codes, word_bounds
from unspool.ship.sheet_text import Ngrams, Spelling, TextFront, Units

__all__ = ["add_strings", "write_front"]


def write_front(file: CFile, front: TextFront) -> dict[str, Value]:
    """Write the functions that read a text, and return the inputs of the program.

    The last of them is `static int encode(struct model *m, const char *text, size_t length, int words)`.

    Raises:
        UsageError: If C has no such units.
    """
    units = front.units
    if units.units in ("bpe", "unigram") and (front.ngrams is not None or front.spelling is not None):
        raise UsageError(
            f"C has no n-grams beside subwords yet; train with {option('ngrams', False)}, or choose "
            f"{option('to', 'onnx')}"
        )
    file.defines |= {"UNSPOOL_BYTES": "16384", "UNSPOOL_UNITS": "2000"}
    file.types.append("struct unit {\n    int32_t start, stop;\n};\n")
    file.room("raw", "3 * UNSPOOL_BYTES", "uint8_t")
    file.room("units", "UNSPOOL_UNITS", "struct unit")
    file.room("ids", "UNSPOOL_UNITS", "int32_t")
    file.fields += ["int written;", "int count;"]
    file.help("codes", functions.CODES)
    if units.lowercase or units.digits_to_zero or front.ngrams is not None:
        file.help("put_code", functions.PUT_CODE)
    if units.lowercase or front.ngrams is not None:
        file.weights.add("lower_ranges", lower_ranges())
        file.constants["LOWER_RANGES"] = len(lower_ranges())
        file.write(functions.LOWER)
    _write_normal(file, units)
    _write_units(file, units)
    values = {"ids": Value("ids", 1, "m->ids"), "lengths": Value("lengths", 1, "m->count")}
    if front.spelling is not None:
        _write_spelling(file, front.spelling)
        values["characters"] = Value("ids", 1, "m->ids")
    encode = functions.ENCODE
    if front.most_units:
        cut = "".join(
            f"        {name} = {name} < {front.most_units} ? {name} : {front.most_units};\n"
            for name in ("count", "m->written")
        )
        encode = encode.replace("    if (count > 0)\n", f"    if (count > 0) {{\n{cut}").replace(
            "count;\n    return", "count;\n    }\n    return"
        )
    if front.ngrams is not None:
        _write_ngrams(file, front.ngrams)
        values["bag"] = Value("bag", 1, "m->bag_ids")
        encode = encode.replace("        m->count = count;\n", "        m->count = count;\n    make_bag(m);\n")
    file.write(encode)
    return values


def add_strings(file: CFile, name: str, strings: Sequence[str | bytes], *, sought: bool = True) -> None:
    """Add strings to the weights: their bytes, and where each starts; if they are sought, their order as well."""
    encoded = [text if isinstance(text, bytes) else text.encode("utf-8", "replace") for text in strings]
    file.weights.add(f"{name}_bytes", np.frombuffer(b"".join(encoded) or b"\0", np.uint8))
    file.weights.add(f"{name}_starts", np.cumsum([0, *map(len, encoded)]).astype(np.uint32))
    if sought:
        last = {text: place for place, text in enumerate(encoded)}  # of two equal ones, the last counts
        order = sorted(last.values(), key=lambda place: encoded[place])
        file.weights.add(f"{name}_order", np.array(order or [0], np.uint32))
        file.help("find", functions.FIND)


def _add_characters(file: CFile, name: str, names: Sequence[str]) -> int:
    """Add the ids of characters, and return how many there are."""
    ids = {ord(name): id for id, name in enumerate(names) if len(name) == 1}
    codes = sorted(ids)
    file.weights.add(f"{name}_codes", np.array(codes or [0], np.uint32))
    file.weights.add(f"{name}_ids", np.array([ids[code] for code in codes] or [1], np.int32))
    file.help("character_id", functions.CHARACTER_ID)
    return len(codes)


def _write_normal(file: CFile, units: Units) -> None:
    """Write `normalise`; where nothing changes, text is looked up as it is."""
    if units.lowercase or units.digits_to_zero:
        file.room("normal", "3 * UNSPOOL_BYTES", "uint8_t")
        put = "put_lower(m, code, to)" if units.lowercase else "put_code(code, to)"
        file.write(functions.NORMALISE, {"DIGITS_TO_ZERO": str(int(units.digits_to_zero)), "PUT_NORMAL": put})


def _write_units(file: CFile, units: Units) -> None:
    changes = units.lowercase or units.digits_to_zero
    names = {
        "NORMALISED(start, (size_t)(at - start))": "normalise(m, start, (size_t)(at - start), m->normal)",
        "NORMALISED(start, (size_t)(stop - start))": "normalise(m, start, (size_t)(stop - start), m->normal)",
        "NORMALISED(m->raw, size)": "normalise(m, m->raw, size, m->normal)",
        "NORMAL": "m->normal",
        "WHOLE": "m->normal",
    }
    if not changes:
        names |= {
            "NORMALISED(start, (size_t)(at - start))": "(at - start)",
            "NORMALISED(start, (size_t)(stop - start))": "(stop - start)",
            "NORMALISED(m->raw, size)": "size",
            "NORMAL": "start",
            "WHOLE": "m->raw",
        }
    if units.units in ("bpe", "unigram"):
        file.help("inside", functions.INSIDE)
        write_subwords(file, units, names)
        return
    if units.units == "character":
        file.constants["UNITS"] = _add_characters(file, "unit", units.names)
        file.write(functions.CHARACTER_UNITS, names)
        return
    add_strings(file, "unit", units.names)
    file.constants["UNITS"] = len(file.weights.array("unit_order"))
    file.weights.add("space_codes", space_codes())
    file.constants["SPACES"] = len(space_codes())
    if units.units == "word":
        file.weights.add("word_bounds", word_bounds())
        file.constants["WORD_BOUNDS"] = len(word_bounds())
        file.help("inside", functions.INSIDE)
    file.write(functions.SPLIT_WORDS if units.units == "word" else functions.SPLIT_BLANKS)
    file.write(functions.WORD_UNITS, names)


def _write_spelling(file: CFile, spelling: Spelling) -> None:
    file.constants |= {"LONGEST_SPELLED": spelling.longest, "LETTERS": _add_characters(file, "letter", spelling.names)}
    file.room("letters", "LONGEST_SPELLED", "int32_t")
    file.fields.append("int letter_count;")
    file.write(functions.SPELL)


def _write_ngrams(file: CFile, ngrams: Ngrams) -> None:
    entries = len(ngrams.entries)
    add_strings(file, "entry", ngrams.entries)
    file.constants |= {"ENTRIES": entries, "ORDERS": ngrams.orders, "LONGEST_PIECE": ngrams.longest}
    file.constants["MOST_WORDS"] = ngrams.most_words
    file.weights.add("entry_rarity", ngrams.rarity.astype(np.float32))
    file.room("bag_ids", entries, "int32_t")
    file.room("bag_weights", entries)
    file.room("bag_counts", entries, "int32_t")
    file.fields.append("int bag_count;")
    file.room("lowered", "3 * UNSPOOL_BYTES + UNSPOOL_UNITS", "uint8_t")
    file.room("piece", "3 * UNSPOOL_BYTES + 2", "uint8_t")
    file.room("word_starts", "UNSPOOL_UNITS + 1", "int32_t")
    if any("σ" in entry or "ς" in entry for entry in ngrams.entries):
        file.weights.add("cased_bounds", cased_bounds())
        file.weights.add("ignorable_bounds", ignorable_bounds())
        file.constants |= {"CASED_BOUNDS": len(cased_bounds()), "IGNORABLE_BOUNDS": len(ignorable_bounds())}
        file.help("inside", functions.INSIDE)
        file.write(ngram_functions.SIGMA)
    else:
        file.write(ngram_functions.LOWER_WORD)
    file.write(ngram_functions.BAG, {"IS_WORD(entry)": "entry_bytes[entry_starts[entry]] == ' '"})
