"""Series from tables: layouts, gaps, missing values, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unspool.data import SeriesTable
from unspool.errors import DataError, UnspoolError
from unspool.settings import make
from unspool.tasks.forecast.data import SeriesExamples, find_season, open_data
from unspool.tasks.forecast.settings import ForecasterSettings


def read(path, **settings):
    reader = open_data(make(ForecasterSettings, settings), str(path))
    return SeriesTable.of(reader, reader.layout)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_wide_table_has_a_channel_a_column(tmp_path):
    table = read(write(tmp_path / "a.csv", "date,load,heat", "2020-01-01,1,10", "2020-01-02,,20", "2020-01-03,3,30"))
    assert (table.channels, table.covariates, table.clock.name, len(table.series)) == (
        ("load", "heat"),
        (),
        "every day",
        1,
    )
    assert np.array_equal(table.series[0].values, [[1, 10], [np.nan, 20], [3, 30]], equal_nan=True)


def test_times_without_a_row_are_missing_not_filled(tmp_path):
    lines = [f"2020-01-01 {hour:02}:00,{hour}" for hour in (0, 1, 2, 5, 6)]
    table = read(write(tmp_path / "a.csv", "time,value", *lines))
    assert table.gaps == 2
    assert np.array_equal(table.series[0].values[:, 0], [0, 1, 2, np.nan, np.nan, 5, 6], equal_nan=True)


def test_a_long_table_has_series_of_unequal_length(tmp_path):
    rows = ["a,2020-01,1", "b,2020-03,7", "a,2020-02,2", "b,2020-04,8", "b,2020-05,9", "a,2020-03,3", "b,2020-06,1"]
    table = read(write(tmp_path / "a.csv", "item_id,month,units", *rows))
    assert {each.id: each.values[:, 0].tolist() for each in table.series} == {"a": [1, 2, 3], "b": [7, 8, 9, 1]}
    assert [table.clock.text(each.start) for each in table.series] == ["2020-01", "2020-03"]


def test_a_series_may_be_a_row_that_ends_early(tmp_path):
    names = ",".join(f'"V{number}"' for number in range(1, 11))
    table = read(write(tmp_path / "a.csv", names, '"H1","1","2","3","4","5","6","7","8","9"', '"H2","4","5",,"7",,,,,'))
    assert {each.id: len(each) for each in table.series} == {"H1": 9, "H2": 4}
    assert np.isnan(table.series[1].values[2, 0])


def test_arrays_and_parquet_hold_the_same_series(tmp_path):
    values = np.random.default_rng(0).normal(size=(12, 2))
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(read(tmp_path / "a.npy").series[0].values, values)
    np.save(tmp_path / "b.npy", np.stack([values, 2 * values]))
    several = read(tmp_path / "b.npy", layout="rows")
    assert np.array_equal(several.series[1].values, 2 * values)
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    days = np.arange("2020-01-01", "2020-01-13", dtype="M8[D]")
    parquet.write_table(arrow.table({"date": days, "x": values[:, 0], "y": values[:, 1]}), tmp_path / "c.parquet")
    table = read(tmp_path / "c.parquet")
    assert np.array_equal(table.series[0].values, values)
    assert table.clock.name == "every day"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["date,x", "2020-01-01,1", "2020-01-02,inf"], r"a\.csv:3: column 'x' is infinite"),
        (["date,x", "2020-01-01,1", "2020-01-02,many", "2020-01-03,2"], r"a\.csv:3: column 'x' is 'many'"),
        (["date,x", "2020-01-01,1", "2020-01-01,2"], r"a\.csv:3: time 2020-01-01 came twice"),
        (["date,x", "2020-01-02,1", "2020-01-01,2"], r"a\.csv:3: time 2020-01-01 came after 2020-01-02"),
        (["date,x", "2020-01-01,1", "late,2", "2020-01-03,3"], r"a\.csv:3: 'late' is no time"),
        (["date,x", "2020-01-01,one"], "there is no column of numbers"),
        (["V1,V2,V3,V4,V5,V6,V7,V8,V9", *["a,1,2,3,4,5,6,7,8"] * 2], r"a\.csv:3: series 'a' came twice"),
        (["x,place,kind", "1,a,b", "2,a,b"], "name the column that tells series apart"),
    ],
)
def test_bad_tables_are_refused_with_file_and_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "a.csv", *lines))


def test_damaged_arrays_are_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY nothing")
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("a.npy", "b.npy"):
        with pytest.raises(UnspoolError, match=name):
            read(tmp_path / name)


@pytest.mark.parametrize("season", [5, 12, 24])
def test_the_season_of_series_without_times_is_found(season):
    steps = np.arange(40 * season)
    values = (
        np.sin(2 * np.pi * steps / season) + 0.01 * steps + 0.3 * np.random.default_rng(season).normal(size=len(steps))
    )
    table = read_values(values)
    assert find_season(table.series) == season
    assert find_season(read_values(np.random.default_rng(1).normal(size=300)).series) == 1


def read_values(values):
    from unspool.data import rows_in_memory

    reader = open_data(ForecasterSettings(), rows_in_memory({"value": list(values)}, None, ("value",)))
    return SeriesTable.of(reader, reader.layout)


def test_data_divide_by_time(tmp_path):
    lines = [f"2020-{month:02},{month}" for month in range(1, 13)]
    settings = {"horizon": 2, "split": "2020-07,2020-10"}
    table = read(write(tmp_path / "a.csv", "month,x", *lines))
    whole = SeriesExamples.of(table, make(ForecasterSettings, settings))
    rest, test = whole.held_out("test")
    train, valid = rest.held_out("valid")
    assert [(each.begin, each.end) for each in (train, valid, test)] == [((0,), (6,)), ((6,), (9,)), ((9,), (12,))]
    counts = SeriesExamples.of(table, make(ForecasterSettings, {"horizon": 2, "split": "4,3,2"}))
    rest, test = counts.held_out("test")
    train, valid = rest.held_out("valid")
    assert [(each.begin, each.end) for each in (train, valid, test)] == [((0,), (4,)), ((4,), (7,)), ((7,), (9,))]
    shares = SeriesExamples.of(table, make(ForecasterSettings, {"horizon": 2}))
    rest, test = shares.divide(0.25, 0)
    assert (rest.end, test.begin, test.end) == ((9,), (9,), (12,))
    with pytest.raises(DataError, match="too few to hold some out for a horizon of 7"):
        SeriesExamples.of(table, make(ForecasterSettings, {"horizon": 7})).divide(0.2, 0)


def test_records_of_lists_are_series(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"id": name, "values": list(range(n))}) for name, n in (("a", 9), ("b", 4))))
    assert {each.id: len(each) for each in read(path).series} == {"a": 9, "b": 4}
