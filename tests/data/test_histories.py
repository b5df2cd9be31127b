"""Histories from tables and lines: columns, order, duplicates, what is held out, and what is said of bad data."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.data.histories import read_histories
from unspool.errors import DataError
from unspool.tasks.recommend.data import Histories, in_memory


def events(tmp_path, text, name="events.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_histories(str(path), **options)


def by_user(histories):
    return {
        user: [histories.names[code] for code in histories.flat[begin:end]]
        for user, begin, end in zip(histories.users, histories.offsets[:-1], histories.offsets[1:], strict=True)
    }


def test_times_order_events_and_equal_times_keep_the_order_of_the_file(tmp_path):
    text = "user,item,rating,timestamp\nann,c,5,30\nbob,x,1,10\nann,a,4,10\nann,z,3,20\nann,b,2,20\nbob,y,1,9\n"
    assert by_user(Histories.of(events(tmp_path, text))) == {"ann": ["a", "z", "b", "c"], "bob": ["y", "x"]}


@pytest.mark.parametrize(
    ("text", "options", "roles"),
    [
        ("196\t242\t3\t881250949\n186\t302\t3\t891717742\n", {}, {"user": "1", "item": "2", "time": "4"}),
        ("a\tb\n1\t2\n", {}, {"user": "1", "item": "2"}),
        ("movieId;userId;date\n7;1;2020-01-31\n", {}, {"user": "userId", "item": "movieId", "time": "date"}),
        ("who,what,when\nann,x,5\n", {"user": "1", "item": "what"}, {"user": "who", "item": "what", "time": "when"}),
        ("9,7,5\n8,6,4\n", {"user": "3", "item": "1", "time": "2"}, {"user": "3", "item": "1", "time": "2"}),
    ],
)
def test_columns_are_found(tmp_path, text, options, roles):
    reader = events(tmp_path, text, "events.data" if "\t" in text else "events.csv", **options)
    list(reader)
    assert reader.layout.columns == roles


def test_a_history_a_line(tmp_path):
    reader = events(tmp_path, "1 7 8 9\n2 9 7\n\n3 8\n", "all.txt")
    assert by_user(Histories.of(reader)) == {"1": ["7", "8", "9"], "2": ["9", "7"], "3": ["8"]}
    tabs = events(tmp_path, "ann\tStar Wars\tAlien\nbob\tBrazil\tAlien\tStar Wars\n", "tabs.txt")
    assert by_user(Histories.of(tabs))["bob"] == ["Brazil", "Alien", "Star Wars"]


def test_json_lines_may_hold_whole_histories(tmp_path):
    reader = events(tmp_path, '{"user": 5, "items": ["a", 7]}\n{"user": "x", "items": ["b"]}\n', "all.jsonl")
    assert by_user(Histories.of(reader)) == {"5": ["a", "7"], "x": ["b"]}


def test_dates_are_times(tmp_path):
    text = "user,item,date\na,late,2020-03-01\na,early,2019-12-31T23:59\na,middle,2020-01-01 00:00\n"
    assert by_user(Histories.of(events(tmp_path, text))) == {"a": ["early", "middle", "late"]}


def test_equal_rows_count_once_and_repeats_at_other_times_stay(tmp_path):
    histories = Histories.of(events(tmp_path, "user,item,time\na,x,1\na,x,1\na,y,1\na,x,2\nb,x,1\n"))
    assert by_user(histories) == {"a": ["x", "y", "x"], "b": ["x"]}
    assert histories.left_out == {"duplicate rows": 1}


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("user,item,time\na,x,1\na,y,soon\n", "b.csv", r"b\.csv:3: the time 'soon' is no number and no date; expected"),
        ("user,item,time\na,,1\n", "b.csv", r"b\.csv:2: the item is empty \(column 'item'\)"),
        ("user,item\na,x\n,y\n", "b.csv", r"b\.csv:3: the user is empty"),
        ("1 2 3\n5\n", "b.txt", r"b\.txt:2: one cell, '5'; expected a user, then the items"),
        ("user,time\na,1\n", "b.csv", r"the columns are user, time; expected a user and an item beside the time"),
        ('{"user": 1, "items": []}\n', "b.jsonl", r"b\.jsonl:1: column 'items' holds \[\]; expected a list of items"),
    ],
)
def test_a_bad_row_is_one_sentence_with_its_place(tmp_path, text, name, message):
    with pytest.raises(DataError, match=message):
        Histories.of(events(tmp_path, text, name))


def test_bad_rows_may_be_left_out(tmp_path):
    reader = events(tmp_path, "user,item,time\na,x,1\na,y,soon\na,z,2\n", skip_bad=True)
    assert by_user(Histories.of(reader)) == {"a": ["x", "z"]}
    assert reader.skipped == 1


def histories(*lists, times=None, hold_out="last"):
    names = sorted({item for items in lists for item in items})
    flat = np.array([names.index(item) for items in lists for item in items], np.int32)
    lengths = np.array([len(items) for items in lists])
    return Histories(
        [f"u{number}" for number in range(len(lists))], names, flat, np.concatenate([[0], np.cumsum(lengths)]),
        np.maximum(1, lengths - 1), None if times is None else np.array(times, float), hold_out,
    )  # fmt: skip


def test_the_last_items_are_held_out_and_the_validation_item_is_known_at_the_test():
    whole = histories("abcd", "ab", "bca")
    rest, test = whole.divide(0.1, 0)
    train, valid = rest.divide(0.1, 0)
    assert by_user(test) == {"u0": list("abcd"), "u2": list("bca")}
    assert test.targets.tolist() == [3, 2]
    assert by_user(valid) == {"u0": list("abc")}  # histories of two items stay whole
    assert valid.targets.tolist() == [2]
    assert by_user(train) == {"u0": list("ab"), "u1": list("ab"), "u2": list("bc")}


def test_everything_after_a_date_is_held_out():
    whole = histories("abcd", "efg", "hi", times=[1, 2, 8, 9, 3, 4, 10, 9, 10], hold_out="time")
    rest, test = whole.divide(0.5, 0)
    assert by_user(rest) == {"u0": ["a", "b"], "u1": ["e", "f"]}
    assert by_user(test) == {"u0": list("abcd"), "u1": list("efg")}  # u2 has no past
    assert test.targets.tolist() == [2, 2]
    with pytest.raises(DataError, match="needs times"):
        histories("abc", hold_out="time").divide(0.5, 0)


def test_rare_items_and_short_histories_leave_together():
    whole = histories("abcx", "abz", "ab", "yx")
    core = whole.with_enough_events(2, 2)
    assert by_user(core) == {"u0": ["a", "b"], "u1": ["a", "b"], "u2": ["a", "b"]}  # without u3, x is rare
    assert core.left_out == {"histories": 1, "items": 4}
    with pytest.raises(DataError, match="no history is left of 4 users with 11 events: each needs 9 items"):
        whole.with_enough_events(1, 9)


def test_histories_in_memory():
    assert in_memory({"ann": ["x", "y"]}) == [{"user": "ann", "history": ["x", "y"]}]
    assert in_memory([["x"], ["y", "z"]])[1] == {"user": "history 2", "history": ["y", "z"]}
    assert in_memory([("ann", "x")]) == [{"user": "ann", "item": "x"}]
    for unchanged in ("ratings.csv", {"user": ["a"], "item": ["x"], "time": [1]}, [("a", "x", 1)]):
        assert in_memory(unchanged) is unchanged
