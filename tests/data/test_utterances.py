"""Sentences with intents and slots from every form: the same utterance in each, and errors with their place."""

from __future__ import annotations

import json

import pytest

from unspool.data import SlotSpan, Utterance, read_utterances, rows_in_memory, utterances_of_rows
from unspool.errors import DataError

TEXT = "set a timer for ten minutes, please"
SPANS = (SlotSpan("length", 16, 27),)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content)
        return str(path)

    return write


def read(path, **options):
    return [each._replace(where="") for each in read_utterances(path, **options)]


WANTED = [Utterance("", TEXT, ("timer",), SPANS), Utterance("", "stop", ("stop",)), Utterance("", "why", ())]


def rows(slots, text=TEXT):
    return [
        {"text": text, "intent": "timer", "slots": slots},
        {"text": "stop", "intent": "stop"},
        {"text": "why", "intent": "oos"},
    ]


@pytest.mark.parametrize(
    "first",
    [
        rows([{"slot": "length", "start": 16, "end": 27}])[0],
        rows([{"entity": "length", "span": [16, 27], "value": 600}])[0],
        rows({"length": "ten minutes"})[0],
        rows({"length": {"text": "Ten Minutes"}})[0],
        {"text": "set a timer for [ten minutes](length), please", "intent": ["timer"]},
        {"text": 'set a timer for [ten minutes]{"entity": "length", "value": "600"}, please', "intent": "timer"},
        {"utterance": TEXT, "tags": ["O", "O", "O", "O", "B-length", "I-length", "O", "O"], "label": "timer"},
    ],
    ids=str,
)
def test_json_lines_name_slots_in_several_ways(write, first):
    if "tags" in first:
        first |= {"utterance": TEXT.replace(",", " ,")}
    path = write("u.jsonl", "\n".join(map(json.dumps, [first, *rows([])[1:]])))
    found = read(path)
    if "tags" in first:
        assert found[0].slots == SPANS
    else:
        assert found == WANTED


def test_tables_and_conll_hold_the_same(write):
    table = (
        f"text\tintent\tslots\n{TEXT}\ttimer\t" + json.dumps({"length": "ten minutes"}) + "\nstop\tstop\t\nwhy\toos\t\n"
    )
    assert read(write("u.tsv", table)) == WANTED
    words = ["set", "a", "timer", "for", "ten", "minutes", ",", "please"]
    tags = ["O"] * 4 + ["B-length", "I-length"] + ["O"] * 2
    block = "\n".join(f"{word} {tag}" for word, tag in zip(words, tags, strict=True))
    found = read(write("u.conll", f"# intent: timer\n{block}\n\n# intent = stop\nstop O\n\n# intent: oos\nwhy O\n"))
    assert found[0] == Utterance("", " ".join(words), ("timer",), SPANS)
    assert found[1:] == WANTED[1:]


def test_rasa_and_snips_files(write):
    pytest.importorskip("yaml")
    rasa = (
        "version: '3.1'\nnlu:\n- intent: timer\n  examples: |\n    - set a timer for [ten minutes](length), please\n"
        "- lookup: length\n  examples: |\n    - ten minutes\n- intent: stop\n  examples: |\n    - stop\n"
    )
    path = write("nlu.yml", rasa)
    assert read(path) == WANTED[:2]
    assert [each.where.rpartition("/")[2] for each in read_utterances(path)] == ["nlu.yml:5", "nlu.yml:11"]
    pieces = [{"text": "set a timer for"}, {"text": " ten minutes", "entity": "length"}, {"text": ", please"}]
    snips = {"timer": [{"data": pieces}], "stop": [{"data": [{"text": "stop"}]}]}
    assert read(write("snips.json", json.dumps(snips)), format="snips") == WANTED[:2]
    newer = {"intents": {name: {"utterances": entries} for name, entries in snips.items()}, "language": "en"}
    assert read(write("snips2.json", json.dumps(newer)), format="snips") == WANTED[:2]


def test_several_intents(write):
    found = read(write("u.tsv", "text\tintents\nstop and go\tstop, go\nno\t\n"))
    assert [each.intents for each in found] == [("stop", "go"), ()]
    memory = rows_in_memory([("stop and go", ["stop", "go"])], None, ("text", "intent"))
    assert [each.intents for each in utterances_of_rows(memory.reader())] == [("stop", "go")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "", "intent": "a"}, "the text is empty"),
        ({"text": 3, "intent": "a"}, "int 3 came as the text"),
        ({"text": "go", "intent": 4}, "int 4 came as the intent"),
        ({"text": "go", "slots": []}, "can't tell which column holds the intent"),
        (
            {"text": "go", "intent": "a", "slots": {"x": "stop"}},
            "'stop' of the slot 'x' does not stand in the text 'go'",
        ),
        ({"text": "go", "intent": "a", "slots": [{"slot": "x", "start": 1, "end": 5}]}, "from 1 to 5 lies outside"),
        ({"text": "go", "intent": "a", "slots": [{"start": 1, "end": 2}]}, "a slot without a name"),
        ({"text": "go", "intent": "a", "slots": {"x": {}}}, "the slot 'x' has no place"),
        ({"text": "go", "intent": "a", "slots": ["O", "B-x"]}, "2 tags came with 1 words"),
        ({"text": "go", "intent": "a", "slots": ["NOUN"]}, "'NOUN' is no tag of a slot"),
        ({"text": "go on", "intent": "a", "slots": {"x": "go on", "y": "on"}}, "the slot 'y' overlaps"),
        ({"text": "[go]{bad}", "intent": "a"}, "expected a mark as [value](slot)"),
    ],
)
def test_a_bad_row_is_one_sentence_with_its_place(write, row, said):
    path = write("u.jsonl", json.dumps({"text": "fine", "intent": "b"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError) as caught:
        list(read_utterances(path))
    assert said in str(caught.value)
    assert "u.jsonl:2: " in str(caught.value)
    reader = read_utterances(path, skip_bad=True)
    assert [each.text for each in reader] == ["fine"]
    assert reader.skipped == 1


def test_bad_files(write):
    for name, content, said in (
        ("a.json", "{", "not readable JSON"),
        ("a.json", "[]", "expected an object with `intents`"),
        ("a.json", '{"x": 3}', "has no list of utterances"),
        ("a.json", '{"x": [{"data": [3]}]}', "expected `data`, a list of pieces"),
    ):
        with pytest.raises(DataError, match=said.replace("[", "\\[")):
            list(read_utterances(write(name, content), format="snips"))
    with pytest.raises(DataError, match="no line '# intent: NAME' above"):
        list(read_utterances(write("a.conll", "stop O\n")))
    with pytest.raises(DataError, match="CoNLL files and tables came together"):
        read_utterances([write("a.conll", "stop O\n"), write("a.jsonl", "{}")])
