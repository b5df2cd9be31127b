"""Columns of a table as features: their kinds, bins, words, new rows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from unspool.errors import DataError
from unspool.inputs.items.features import FeatureColumn, FittedFeatures
from unspool.inputs.items.tables import read_items, read_users

TABLE = """item,title,genre,price,released,new,url,note
a,Big Night Out,drama|war,1.5,2019-05-01,1,http://x/a,same
b,A Big Day,war,3,2019-05-02,0,http://x/b,same
c,Night Train,drama,n/a,2021-01-07,0,http://x/c,same
d,Train Day,,9,,1,http://x/d,same
e,Alone,western,4,2020-02-02,0,http://x/e,same
"""


def rows(tmp_path, text=TABLE, name="items.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_items(str(path))


@pytest.fixture
def features(tmp_path):
    return FittedFeatures.learn(rows(tmp_path), "abcde")


def named(features, entries):
    return [{features.names[place] for place in row} for row in entries.rows()]


def test_each_column_has_a_kind(features):
    kinds = {column.name: (column.kind, column.values) for column in features.columns}
    assert kinds["title"] == ("words", ["big", "day", "night", "train"])
    assert kinds["genre"] == ("category", ["drama", "war"])  # western is one item's alone
    assert kinds["price"] == ("number", ["1.5", "3", "4", "9"])
    assert kinds["released"] == ("date", ["2019-05-01", "2019-05-02", "2020-02-02", "2021-01-07"])
    assert kinds["new"] == ("number", ["1"])
    assert set(kinds) == {"title", "genre", "price", "released", "new"}  # addresses and constants say nothing
    assert features.summary().startswith(
        "title (big, day, night, train), genre (drama, war), price (4 bins of numbers), rel"
    )


def test_cells_become_weighted_features(features, tmp_path):
    entries = features.encode(rows(tmp_path), ["a", "zz", "d"])
    assert named(features, entries) == [
        {"title = big", "title = night", "genre = drama", "genre = war", "price = 1.5", "released = 2019-05-01"}
        | {"new = 1"},
        set(),
        {"title = train", "title = day", "price = 9", "new = 1"},
    ]
    weights = dict(zip([features.names[place] for place in entries.features[:7]], entries.weights[:7], strict=True))
    assert weights["genre = war"] == weights["title = big"] == np.float32(0.5**0.5)
    assert weights["price = 1.5"] == 1


def test_rows_that_training_lacks_decide_nothing(tmp_path):
    features = FittedFeatures.learn(rows(tmp_path), "ab")
    assert [column.name for column in features.columns] == ["price", "released", "new"]  # both are big, and of war


def test_many_numbers_are_bins_of_equal_frequency(tmp_path):
    draw = np.random.default_rng(0).lognormal(size=400)
    text = "item,size\n" + "".join(f"{place},{number}\n" for place, number in enumerate(draw))
    table = rows(tmp_path, text)
    features = FittedFeatures.learn(table, list(table.places))
    assert len(features) == 16
    counts = np.bincount(features.encode(table, list(table.places)).features)
    assert counts.min() >= 24
    assert counts.max() <= 26
    (low,), (high,) = features.of_values({"size": -5}, ""), features.of_values({"size": 1e9}, "")
    assert (low, high) == (0, 15)


def test_typed_features(features):
    assert [features.names[place] for place in features.of_values({"Genre": "war", "price": "3.2"}, "x")] == [
        "genre = war",
        "price = 3",
    ]
    with pytest.raises(DataError, match="x: there is no feature 'sex'; the features are title, genre"):
        features.of_values({"sex": "F"}, "x")
    with pytest.raises(DataError, match="x: genre = 'opera': expected one of drama, war"):
        features.of_values({"genre": "opera"}, "x")
    with pytest.raises(DataError, match="x: column 'price' holds 'much'; expected a finite number"):
        features.of_values({"price": "much"}, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,price\na,1\nb,inf\n", r"items.csv:3: column 'price' holds 'inf'; expected a finite number"),
        ("item,genre\na,x\n,x\n", r"items.csv:3: the item is empty \(column 'item'\)"),
        ("item,genre\na,x\nb,x\na,y\n", r"items.csv:4: item 'a' is there twice, first in .*items.csv:2"),
        ("item,genre\na,x\nb,y\n", r"items.csv: no column holds a value that some items of the training data share"),
        ("item\na\nb\n", r"items.csv:\d: one column only \(item\); expected the item and its features"),
    ],
)
def test_a_bad_table_is_one_sentence(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        FittedFeatures.learn(rows(tmp_path, text), "ab")


def test_a_later_table_needs_the_columns_and_their_kinds(features, tmp_path):
    without = rows(tmp_path, TABLE.replace("genre", "kind"))
    with pytest.raises(DataError, match=r"there is no column 'genre'; the columns are item, title, kind"):
        features.encode(without, ["a"])
    broken = rows(tmp_path, TABLE.replace("2020-02-02", "soon"))
    with pytest.raises(DataError, match=r"items.csv:6: column 'released' holds 'soon'; expected a date such as"):
        features.encode(broken, ["e"])


def test_tables_without_a_header(tmp_path):
    (tmp_path / "u.item").write_text("1|Alien (1979)|x|1\n2|Diva (1981)|x|0\n")
    table = read_items(str(tmp_path / "u.item"))
    assert table.titles == {"1": "Alien (1979)", "2": "Diva (1981)"}
    (tmp_path / "u.user").write_text("1|24|M\n2|53|F\n")
    assert read_users(str(tmp_path / "u.user")).columns == {"2": ["24", "53"], "3": ["M", "F"]}


@pytest.mark.parametrize(
    "column",
    [
        FeatureColumn("a", "number", ["x", "y"], [3.0, 4.0]),
        FeatureColumn("a", "number", ["x", "y", "z"], [3.0, 2.0]),
        FeatureColumn("a", "category", ["x", "x"]),
        FeatureColumn("a", "words", ["x"], [1.0]),
    ],
)
def test_damaged_columns_are_seen(column):
    assert not column.is_sound()
