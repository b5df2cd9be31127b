"""Variations of training sentences keep the values, and the verb of a sentence that has no other content word."""

from random import Random

from unspool.commands.variation import reword, vary

ITEMS = [("put ", None), ("oat milk", "items"), (" on the list", None)]


def drawn(segments, count=600):
    return [reword(list(segments), Random(seed)) for seed in range(count)]


def test_few_sentences_get_a_made_up_verb_or_lose_an_article():
    rows = drawn(ITEMS)
    texts = ["".join(text for text, _ in row) for row in rows]
    made_up = [text for text in texts if not text.startswith("put")]
    assert 30 < len(made_up) < 120
    assert len({text.split()[0] for text in made_up}) > 25
    assert all(text.endswith(" oat milk on the list") for text in made_up)
    assert 10 < texts.count("put oat milk on list") < 80
    assert all(row[1] == ("oat milk", "items") for row in rows)


def test_the_verb_stays_where_nothing_else_says_what_is_asked():
    for segments in (
        [("put ", None), ("oat milk", "items"), (" on it", None)],
        [("stop the clock", None)],
        [("oat milk", "items"), (" on the list", None)],
        [("what is on ", None), ("monday", "day"), (" in my calendar", None)],
    ):
        first = segments[0][0].split()[0]
        assert all(row[0][0].split()[0] == first for row in drawn(segments))


def test_clauses_and_endings_leave_the_values_alone():
    rows = [vary(list(ITEMS), Random(seed)) for seed in range(600)]
    assert all([text for text, slot in row if slot] == ["oat milk"] for row in rows)
    texts = ["".join(text for text, _ in row).lower() for row in rows]
    assert any(text.startswith("before i forget") for text in texts)
    assert any(text.rstrip(".!").endswith(" right now") for text in texts)
    free = [("note that ", None), ("tom is late", "text")]
    assert not any("right now" in "".join(text for text, _ in vary(list(free), Random(seed))) for seed in range(600))
