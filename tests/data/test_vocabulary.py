import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from unspool.data import END, UNKNOWN, Labels, Spelling, Vocabulary
from unspool.errors import DataError, ModelFolderError, SettingError, UsageError

KINDS = ["word", "blank", "character", "bpe", "unigram"]
TEXTS = [
    "The cat sat on the mat .\n",
    "the dog, who'd <unk> 1984 cats,\n\n  sat too\n",
    "Ünïcode “quotes” and ΣΊΣΥΦΟΣ – don't stop\n",
    "हिन्दी नमस्ते cafe\u0301\n",
] * 3
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module", params=KINDS)
def vocabulary(request):
    return Vocabulary.learn(TEXTS, units=request.param, max_size=300)


def names(vocabulary):
    return [vocabulary.unit(id) for id in range(len(vocabulary))]


def test_most_frequent_first_then_by_name():
    vocabulary = Vocabulary.learn(["b a c a", "c <unk> d a"], units="blank", min_count=1)
    assert names(vocabulary) == ["<pad>", "<unk>", "<eos>", "a", "c", "b", "d"]
    assert vocabulary.counts == [0, 1, 2, 3, 2, 1, 1]


def test_limits_count_what_they_leave_out_as_unknown():
    vocabulary = Vocabulary.learn(["b a c a", "c <unk> d a"], units="blank", max_size=5)
    assert names(vocabulary)[3:] == ["a", "c"]
    assert vocabulary.counts == [0, 3, 2, 3, 2]
    assert vocabulary.encode("d c <unk> a") == [UNKNOWN, 4, UNKNOWN, 3]
    assert names(Vocabulary.learn(["b a c a", "c d a"], units="blank", min_count=2))[3:] == ["a", "c"]


def test_words_and_punctuation():
    vocabulary = Vocabulary.learn(TEXTS, units="word")
    encoding = vocabulary.encode_with_offsets("who'd,  <unk> cafe\u0301 sat.हिन्दी")
    assert encoding.units == ["who'd", ",", "<unk>", "cafe\u0301", "sat", ".", "हिन्दी"]
    assert encoding.ids == [vocabulary.id(unit) for unit in encoding.units]
    assert encoding.ids[2] == UNKNOWN
    assert UNKNOWN not in encoding.ids[:2] + encoding.ids[3:]
    assert encoding.offsets[:3] == [(0, 5), (5, 6), (8, 13)]


def test_normalising():
    vocabulary = Vocabulary.learn(["Ab 12 ab ΟΣ"], units="blank", lowercase=True, digits_to_zero=True)
    assert names(vocabulary)[3:] == ["ab", "00", "οσ"]
    assert vocabulary.encode("AB 78 οσ") == vocabulary.encode_words(["aB", "90", "ΟΣ"]) == [3, 4, 5]
    assert vocabulary.encode_with_offsets("AB 78").ids == [3, 4]


def test_lines_end_running_words():
    vocabulary = Vocabulary.learn(["a b\nc\n"], units="blank")
    a, b, c = (vocabulary.id(unit) for unit in "abc")
    ids = vocabulary.encode_stream("a b\n\nc\n")
    assert ids.tolist() == [a, b, END, END, c, END]
    assert vocabulary.decode(ids) == "a b\n\nc\n"
    assert vocabulary.encode("a b\nc") == [a, b, c]
    assert vocabulary.counts[END] == 2


def test_sequences_of_words_are_taken_as_they_are():
    vocabulary = Vocabulary.learn([["New York", "'s"], ["New York"]], units="word")
    assert vocabulary.encode_words(["'s", "New York", "York"]) == [4, 3, UNKNOWN]


@pytest.mark.parametrize("units", ["word", "blank", "character", "bpe"])
def test_learning_repeats_itself(units):
    first, second = (Vocabulary.learn(TEXTS, units=units, max_size=290) for _ in range(2))
    assert names(first) == names(second)
    assert first.encode(TEXTS[1]) == second.encode(TEXTS[1])


def test_stored_form_comes_back(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "one")
    loaded = Vocabulary.load(tmp_path / "one")
    loaded.save(tmp_path / "two")
    for name in ("vocabulary.json", "vocabulary.meta.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert names(loaded) == names(vocabulary)
    assert loaded.counts == vocabulary.counts
    assert [loaded.encode(text) for text in TEXTS] == [vocabulary.encode(text) for text in TEXTS]


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("units", KINDS)
def test_other_programs_read_the_stored_form_alike(units, low, tmp_path):
    vocabulary = Vocabulary.learn(TEXTS, units=units, max_size=300, lowercase=low, digits_to_zero=low)
    vocabulary.save(tmp_path)
    plain = Tokenizer.from_file(str(tmp_path / "vocabulary.json"))

    @SETTINGS
    @given(st.text() | st.lists(st.sampled_from([*"aA1'’\n\x1c\x85 .Σ", "the", "<unk>", "cat"])).map("".join))
    def check(text):
        assert plain.encode(text, add_special_tokens=False).ids == vocabulary.encode(text)

    check()


@SETTINGS
@given(text=st.text(max_size=40) | st.sampled_from(TEXTS))
def test_ways_of_encoding_agree(vocabulary, text):
    ids = vocabulary.encode(text)
    assert vocabulary.encode_with_offsets(text).ids == ids
    assert [part.tolist() for part in vocabulary.encode_batch([text, "", text])] == [ids, [], ids]
    assert vocabulary.encode_with_offsets(text).units == [
        text[begin:end] for begin, end in vocabulary.encode_with_offsets(text).offsets
    ]
    stream = vocabulary.encode_stream(text).tolist()
    lines = [line + "\n" for line in text.split("\n")[:-1]] + [text.split("\n")[-1]]
    assert [id for line in lines for id in vocabulary.encode_stream(line).tolist()] == stream
    if vocabulary.units in ("word", "blank"):
        ids = [id for line in lines for id in vocabulary.encode(line) + [END] * line.endswith("\n")]
    assert stream == ids


@pytest.mark.parametrize("units", ["bpe", "unigram"])
def test_subwords_give_back_any_text(units):
    vocabulary = Vocabulary.learn(TEXTS, units=units, max_size=300)

    @SETTINGS
    @given(st.text() | st.lists(st.sampled_from(["<eos>", "<pad>", "\n", " ", "\r\n", "the", "▁", "Ġ"])).map("".join))
    def check(text):
        ids = vocabulary.encode(text)
        assert min(ids, default=3) >= 3
        assert vocabulary.decode(ids) == text

    check()


def test_characters_give_back_known_text_and_show_unknown():
    vocabulary = Vocabulary.learn(TEXTS, units="character")
    for text in TEXTS:
        assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.decode(vocabulary.encode("cat𝄞")) == "cat\ufffd"


def test_half_of_a_surrogate_pair_is_no_character(vocabulary):
    assert vocabulary.encode("a \ud800 b") == vocabulary.encode("a ? b")
    Vocabulary.learn(["\ud800 a"], units=vocabulary.units, max_size=300)


def test_what_is_refused():
    with pytest.raises(SettingError, match="did you mean 'word'"):
        Vocabulary.learn([], units="words")
    with pytest.raises(SettingError, match="at least 259"):
        Vocabulary.learn([], units="bpe", max_size=100)
    with pytest.raises(UsageError, match="'bpe'"):
        Vocabulary.learn(["a"], units="bpe").encode_words(["a"])


def test_damaged_folders(vocabulary, tmp_path):
    with pytest.raises(ModelFolderError, match="missing"):
        Vocabulary.load(tmp_path)
    vocabulary.save(tmp_path)
    path = tmp_path / "vocabulary.json"
    whole = path.read_bytes()
    record = json.loads(whole)
    for damaged in (whole[:-40], whole[: len(whole) // 2], b"", b"\xff" + whole, b"[]"):
        path.write_bytes(damaged)
        with pytest.raises(ModelFolderError, match="damaged"):
            Vocabulary.load(tmp_path)
    if isinstance(record["model"]["vocab"], dict) and vocabulary.units != "bpe":
        record["model"]["vocab"].popitem()
        path.write_text(json.dumps(record))
        with pytest.raises(ModelFolderError, match="damaged"):
            Vocabulary.load(tmp_path)


def test_what_a_stranger_added_to_the_stored_form_is_not_used(tmp_path):
    vocabulary = Vocabulary.learn(TEXTS, units="bpe", max_size=300)
    vocabulary.save(tmp_path)
    path = tmp_path / "vocabulary.json"
    record = json.loads(path.read_bytes())
    record["truncation"] = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    record["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": "x"}
    path.write_text(json.dumps(record))
    assert Vocabulary.load(tmp_path).encode(TEXTS[0]) == vocabulary.encode(TEXTS[0])


def test_labels(tmp_path):
    labels = Labels.learn(["O", "B-PER", "O", "B-LOC"])
    assert labels.names == ("O", "B-LOC", "B-PER")
    assert labels.counts == (2, 1, 1)
    assert labels.ids(["B-PER", "O"]).tolist() == [2, 0]
    assert [labels.name(id) for id in range(3)] == list(labels)
    with pytest.raises(DataError, match=r"^dev:7: the label 'B-PRE' was not seen.*\(did you mean 'B-PER'\?\).*B-LOC"):
        labels.ids(["O", "B-PRE"], where="dev:7")
    labels.save(tmp_path)
    assert Labels.load(tmp_path) == labels
    assert Labels.load(tmp_path).counts == labels.counts
    for damaged in ('{"labels": ["a", "a"], "counts": [1, 1]}', '{"labels": ["a"], "counts": []}', '{"labels": ['):
        (tmp_path / "labels.json").write_text(damaged)
        with pytest.raises(ModelFolderError, match="damaged"):
            Labels.load(tmp_path)


def test_spelling(tmp_path):
    sentences = [["ab", "c", "ab"], ["c"], [""]]
    spelling = Spelling.learn(sentences)
    forms, spellings = spelling.spell(sentences)
    assert [form.tolist() for form in forms] == [[0, 1, 0], [1], [2]]
    a, b, c = (spelling.vocabulary.id(unit) for unit in "abc")
    assert [word.tolist() for word in spellings] == [[a, b], [c], [UNKNOWN]]
    long = "a" * 30 + "c" * 30
    assert spelling.encode([long])[0].tolist() == [a] * 20 + [c] * 20
    spelling.save(tmp_path)
    assert Spelling.load(tmp_path).encode(["cab"])[0].tolist() == [c, a, b]


def test_counting_lets_go_of_rare_words_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("unspool.data.vocabulary._MOST_COUNTED", 10)
    texts = [f"often now{number} then{number}" for number in range(50)]
    vocabulary = Vocabulary.learn(texts, units="blank")
    assert vocabulary.counts[vocabulary.id("often")] == 50
    assert len(vocabulary) < 20
