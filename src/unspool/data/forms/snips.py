"""Reader of Snips datasets: JSON with the pieces of each sentence by intent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from unspool.data.files import LONGEST_LINE, name_of, open_bytes
from unspool.data.forms.form import Form, FormOptions
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["FORM"]


def _snips(path: str, options: FormOptions) -> Iterator[Row | DataError]:
    """Yield the sentences of a dataset with their slots; see https://snips-nlu.readthedocs.io, "Training dataset"."""
    name = name_of(path)
    with open_bytes(path) as stream:
        raw = stream.read(LONGEST_LINE + 1)
    if len(raw) > LONGEST_LINE:
        raise DataError(f"the file is larger than {LONGEST_LINE >> 20} MiB; split it, or convert it to JSONL", name)
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not readable JSON: {str(error)[:100]}", name) from None
    options.layout.files[name] = "Snips JSON"
    intents = content.get("intents", content) if isinstance(content, dict) else None
    if not isinstance(intents, dict) or not intents:
        raise DataError("expected an object with `intents`, each with `utterances`", name)
    for intent, entry in intents.items():
        utterances = entry.get("utterances") if isinstance(entry, dict) else entry
        if not isinstance(utterances, list):
            yield DataError(f"the intent {intent!r} has no list of utterances", name)
            continue
        for number, utterance in enumerate(utterances, 1):
            yield _row(intent, utterance, f"{name}, {intent} {number}")


def _row(intent: str, utterance: Any, where: str) -> Row | DataError:
    pieces = utterance.get("data") if isinstance(utterance, dict) else None
    if not isinstance(pieces, list) or not all(
        isinstance(each, dict) and isinstance(each.get("text"), str) for each in pieces
    ):
        return DataError("expected `data`, a list of pieces with `text`", where)
    text, slots = "", []
    for piece in pieces:
        slot = piece.get("slot_name", piece.get("entity"))
        if slot is not None:
            value = piece["text"]
            start = len(text) + len(value) - len(value.lstrip())
            slots.append({"slot": str(slot), "start": start, "end": start + len(value.strip())})
        text += piece["text"]
    return Row(where, {"text": text, "intent": intent, "slots": slots})


FORM = Form(
    name="snips",
    suffixes=(),
    yields="rows",
    help="a Snips dataset: a JSON object with the sentences of each intent in pieces",
    read=_snips,
)
