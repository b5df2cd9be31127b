import csv
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from unspool.errors import DataError
from unspool.inspection import Map, Trace, read_trace, write_trace

READ, WRITTEN = ("</script><b>", "das", "das", "\ud800"), ("a,b\nc", "<i>", "")


def made(**changes):
    rng = np.random.default_rng(11)
    weights = rng.dirichlet(np.full(4, 0.3), 3).astype(np.float32)
    odd = np.array([[np.nan, -np.inf, 1e-45, -0.0]], dtype=np.float32)
    maps = {
        "attention": Map(weights, WRITTEN, READ),
        "layer 1 / self-attention head 2": Map(rng.normal(size=(4, 4)) * 1e20, READ, READ),
        "odd": Map(odd, ("row",), READ),
    }
    written = Trace(WRITTEN, {"decoder layer 1 / h": rng.normal(size=(3, 5))}, {"surprise": [0.25, 0.5, 8.0]})
    arrays = {"encoder layer 1 / h": rng.normal(size=(4, 2))}
    return Trace(**({"tokens": READ, "arrays": arrays, "maps": maps, "written": written} | changes))


@pytest.mark.parametrize("ending", [".json", ".npz"])
@pytest.mark.parametrize("changes", [{}, {"written": None}, {"maps": {}}, {"arrays": {}}], ids=str)
def test_reading_back_gives_equal_bits(tmp_path, ending, changes):
    trace = made(**changes)
    again = read_trace(write_trace(trace, tmp_path / f"t{ending}"))
    assert again == trace
    assert again.maps == trace.maps
    assert (again.written is None) == (trace.written is None)


def test_json_is_the_documented_form(tmp_path):
    maps = {"attention": Map([[0.1, 0.9], [np.inf, 0.25]], ("x", ""), ("a", "b"))}
    trace = Trace(("a", "b"), {}, {}, "m", maps=maps, written=Trace(("x", ""), {"h": [0.5, 2]}))
    record = json.loads(write_trace(trace, tmp_path / "t.json").read_text(encoding="utf-8"))
    side = {"rows": ["x", ""], "columns": ["a", "b"], "values": [[0.1, 0.9], ["inf", 0.25]]}
    assert record["maps"] == {"attention": side}
    assert record["written"]["tokens"] == ["x", ""]
    assert record["written"]["arrays"] == {"h": [[0.5], [2.0]]}


def test_npz_opens_with_numpy_alone(tmp_path):
    with np.load(write_trace(made(), tmp_path / "t.npz"), allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["attention"], made().map("attention").values)
        np.testing.assert_array_equal(loaded["decoder layer 1 / h"], made().written.arrays["decoder layer 1 / h"])
        assert json.loads(loaded["trace.json"])["maps"]["attention"]["rows"] == list(WRITTEN)


def test_csv_has_a_line_per_value_with_the_token_of_its_column(tmp_path):
    with write_trace(made(), tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 + 3 * 4 + 4 * 4 + 4 + 3 * 5
    weights = [row for row in rows if row["array"] == "attention"]
    assert [(row["position"], row["token"], row["unit"], row["column"]) for row in weights[:3]] == [
        ("1", "a,b\nc", "1", "</script><b>"),
        ("1", "a,b\nc", "2", "das"),
        ("1", "a,b\nc", "3", "das"),
    ]
    values = [np.float32(row["value"]) for row in weights]
    np.testing.assert_array_equal(values, made().map("attention").values.ravel())
    states = [row for row in rows if row["array"] == "decoder layer 1 / h"]
    assert (states[-1]["position"], states[-1]["token"], states[-1]["unit"], states[-1]["column"]) == ("3", "", "5", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"maps": {"attention": {"rows": ["x"], "columns": ["a"], "values": [[0.5, 0.5]]}}},
        {"maps": {"attention": {"rows": "xy", "columns": ["a"], "values": [[0.5], [0.5]]}}},
        {"maps": {"attention": {"rows": ["x"], "columns": ["a"]}}},
        {"maps": ["attention"]},
        {"written": {"tokens": ["x"]}},
        {"written": 3},
    ],
    ids=str,
)
def test_a_file_whose_maps_make_no_sense_is_refused(tmp_path, changes):
    good = {"format": "unspool trace", "version": 1, "model": "", "notes": [], "tokens": ["a"], "prediction": {}}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(good | {"arrays": {}} | changes))
    with pytest.raises(DataError, match="trace"):
        read_trace(path)


def test_svg_draws_the_first_map_with_its_numbers_and_the_others_small(tmp_path):
    root = ElementTree.parse(write_trace(made(), tmp_path / "t.svg")).getroot()
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    shown = [f"{value:.2f}" for value in made().map("attention").values.ravel() if value >= 0.005]
    start = texts.index("attention")
    among = [text for text in texts[start : texts.index("odd")] if re.fullmatch(r"\d\.\d\d", text)]
    assert among == shown
    assert {"layer 1 / self-attention head 2", "odd", "encoder layer 1", "decoder layer 1"} <= set(texts)
    small = list(root.iter("{http://www.w3.org/2000/svg}path"))
    drawn = sum(node.get("d").count("M") for node in small)
    values = made().map("layer 1 / self-attention head 2").values
    assert drawn == int((np.abs(values) / np.abs(values).max() >= 0.08).sum()) + 1  # and minus infinity in the odd one


def test_the_heads_of_a_layer_stand_beside_their_mean(tmp_path):
    tokens = ("x", "y")
    names = ["attention", "layer 1", "layer 1 head 1", "layer 1 head 2", "layer 10"]
    maps = {name: Map(np.eye(2), tokens, tokens) for name in names}
    root = ElementTree.parse(write_trace(Trace(tokens, {}, maps=maps), tmp_path / "t.svg")).getroot()
    heights = {node.text: node.get("y") for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert heights["layer 1"] == heights["head 1"] == heights["head 2"]
    assert float(heights["layer 10"]) > float(heights["layer 1"])


def test_a_wide_map_wraps_in_the_svg(tmp_path):
    tokens = tuple(f"w{number}" for number in range(60))
    trace = Trace(tokens, {}, maps={"attention": Map(np.full((2, 60), 0.5), ("x", "y"), tokens)})
    root = ElementTree.parse(write_trace(trace, tmp_path / "t.svg")).getroot()
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("0.50") == 120
    assert texts.count("x") == 3
    assert float(root.get("width")) < 1400


def test_html_holds_maps_and_both_sides_and_lets_no_token_out(tmp_path):
    text = write_trace(made(), tmp_path / "t.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2
    assert "<b>" not in text
    content = json.loads(re.findall(r'id="trace">(.*?)</script>', text)[0])
    first = content["maps"][0]
    assert (first["name"], first["rows"], first["low"], first["high"]) == ("attention", ["a,b⏎c", "<i>", "∅"], 0, 1)
    assert content["maps"][1]["low"] == -content["maps"][1]["high"] < -1
    assert content["written"]["tokens"] == ["a,b⏎c", "<i>", "∅"]
    assert content["written"]["arrays"][0]["name"] == "decoder layer 1 / h"
    assert len(first["lookups"]) == 3


def test_a_number_in_the_svg_stands_in_its_row_and_column(tmp_path):
    values = np.array([[0.11, 0.12, 0.13], [0.21, 0.22, 0.23]])
    trace = Trace(tuple("abc"), {}, maps={"attention": Map(values, ("x", "y"), tuple("abc"))})
    root = ElementTree.parse(write_trace(trace, tmp_path / "t.svg")).getroot()
    nodes = root.iter("{http://www.w3.org/2000/svg}text")
    at = {node.text: (float(node.get("x")), float(node.get("y"))) for node in nodes}
    places = np.array([[at[f"{value:.2f}"] for value in row] for row in values])
    across, down = places[..., 0], places[..., 1]
    assert (np.diff(across, axis=1) > 20).all()
    assert (np.diff(down, axis=0) > 10).all()
    assert (across[0] == across[1]).all()
    assert (np.ptp(down, axis=1) == 0).all()
