import base64
import csv
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest

from unspool.errors import DataError, MachineError, UsageError
from unspool.inspection import files
from unspool.inspection.files import read_trace, write_trace
from unspool.inspection.trace import Trace

HOSTILE = ("</script><b>", "<!--", "&amp;", '"quoted"', "a,b\nc", "航空会社", "\ud800", "\x00\x1b", "the", "the")


def made(**changes):
    rng = np.random.default_rng(5)
    arrays = {
        "layer 1 forward / forget": rng.random((10, 3), dtype=np.float32),
        "layer 1 forward / h": (rng.normal(size=(10, 7)) * 10.0 ** rng.integers(-40, 30, (10, 7))).astype(np.float32),
        "file": np.full((10, 1), -0.0, dtype=np.float32),
    }
    prediction = {"label": "</script><i>", "probabilities": {"<u>": 0.1 + 0.2, "b": None}, "n": [1, True, {"ü": 2.5}]}
    return Trace(**({"tokens": HOSTILE, "arrays": arrays, "prediction": prediction, "model": "<em>"} | changes))


@pytest.mark.parametrize("ending", [".json", ".npz", ".NPZ"])
def test_reading_back_gives_equal_bits(tmp_path, ending):
    trace = made(notes=("one", "two"))
    assert read_trace(write_trace(trace, tmp_path / f"trace{ending}")) == trace


@pytest.mark.parametrize("ending", [".json", ".npz"])
def test_numbers_that_are_not_finite_come_back(tmp_path, ending):
    odd = np.array([[np.nan, np.inf], [-np.inf, 1e-45]], dtype=np.float32)
    trace = made(tokens=("a", "b"), arrays={"x": odd}, prediction={})
    again = read_trace(write_trace(trace, tmp_path / f"trace{ending}"))
    assert again == trace
    assert again.notes == ("x: 3 of 4 values are not finite",)


def test_json_is_the_documented_form(tmp_path):
    trace = Trace(("a", "b"), {"layer 1 / forget": [[0.1, 0.25], [np.nan, 1]]}, {"label": "x"}, "m", ("n",))
    assert json.loads(write_trace(trace, tmp_path / "t.json").read_text(encoding="utf-8")) == {
        "format": "unspool trace",
        "version": 1,
        "model": "m",
        "notes": ["n", "layer 1 / forget: 1 of 4 values are not finite"],
        "tokens": ["a", "b"],
        "prediction": {"label": "x"},
        "arrays": {"layer 1 / forget": [[0.1, 0.25], ["nan", 1.0]]},
    }


def test_npz_opens_with_numpy_alone_and_is_the_same_every_time(tmp_path):
    path = write_trace(made(), tmp_path / "t.npz")
    with np.load(path, allow_pickle=False) as loaded:
        np.testing.assert_array_equal(loaded["layer 1 forward / h"], made().arrays["layer 1 forward / h"])
        assert json.loads(loaded["trace.json"])["names"] == list(made().arrays)
    assert path.read_bytes() == write_trace(made(), tmp_path / "again.npz").read_bytes()


def test_csv_has_a_line_per_value(tmp_path):
    path = write_trace(made(), tmp_path / "t.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 * (3 + 7 + 1)
    row = rows[30 + 4 * 7 + 2]
    assert (row["array"], row["position"], row["token"], row["unit"]) == ("layer 1 forward / h", "5", "a,b\nc", "3")
    assert np.float32(row["value"]) == made().arrays["layer 1 forward / h"][4, 2]


def test_html_holds_the_numbers_and_lets_no_token_out(tmp_path):
    text = write_trace(made(), tmp_path / "t.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2
    blocks = re.findall(r"<script([^>]*)>(.*?)</script>", text, flags=re.DOTALL)
    assert [attributes.strip() for attributes, _ in blocks] == ['type="application/json" id="trace"', 'type="module"']
    assert not set("<>&") & set(blocks[0][1])
    assert not any(tag in text for tag in ("<b>", "<em>", "<i>"))
    content = json.loads(blocks[0][1])
    assert content["tokens"][0] == "</script><b>"
    assert content["prediction"]["labels"] == ["</script><i>"]
    assert content["prediction"]["probabilities"][0] == ["<u>", 0.1 + 0.2]
    forget = content["places"][0]["columns"][0]
    assert forget["title"] == "forget"
    np.testing.assert_allclose(forget["values"], made().arrays["layer 1 forward / forget"].mean(axis=1), atol=1e-6)


def test_html_shows_sources_as_lines(tmp_path):
    sources = [{"question": "ducks?", "answer": "Oats.", "share": 0.5}]
    text = write_trace(made(prediction={"sources": sources}), tmp_path / "t.html").read_text(encoding="utf-8")
    (content,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, flags=re.DOTALL)
    assert json.loads(content)["prediction"]["others"] == ["sources:", " 50.0%  ducks?  =>  Oats."]


def test_html_asks_nothing_of_the_network_and_runs_one_script_by_its_hash(tmp_path):
    text = write_trace(made(), tmp_path / "t.html").read_text(encoding="utf-8")
    without_names = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|src=|<link|\bimport\b[ ({]", without_names)
    script = re.findall(r'<script type="module">(.*?)</script>', text, flags=re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text


def test_a_token_that_looks_like_a_gap_in_the_template_stays_a_token(tmp_path):
    tokens = ("%SCRIPT%", "%DATA%", "%TITLE%", "%SCRIPT_HASH%")
    path = write_trace(made(tokens=tokens, arrays={}), tmp_path / "t.html")
    text = path.read_text(encoding="utf-8")
    assert json.loads(re.findall(r'id="trace">(.*?)</script>', text)[0])["tokens"] == list(tokens)


def test_svg_is_xml_with_the_mean_of_every_gate(tmp_path):
    path = write_trace(made(), tmp_path / "t.svg")
    texts = [node.text for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    means = made().arrays["layer 1 forward / forget"].mean(axis=1)
    start = texts.index("forget") + 1
    assert texts[start : start + 10] == [f"{mean:.2f}" for mean in means]
    assert "</script><b>" in texts


def test_a_long_svg_wraps(tmp_path):
    trace = made(
        tokens=("w",) * 100, arrays={"layer 1 / forget": np.linspace(0, 1, 100)}, prediction={"tags": ["N"] * 100}
    )
    root = ElementTree.parse(write_trace(trace, tmp_path / "t.svg")).getroot()
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("forget") == 5
    assert texts.count("N") == texts.count("w") == 100
    assert float(root.get("width")) < 1400


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.jsn", "ends in '.jsn'; .* one of .json, .npz, .csv, .html, .svg.*did you mean '.json'"),
        ("t", "ends in 'nothing'"),
        ("missing/t.json", "there is no folder .*missing to write t.json into"),
        ("folder.json", "is a folder"),
        ("there.json", "exists already"),
    ],
)
def test_a_name_that_can_not_be_written_says_why(tmp_path, name, message):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "there.json").write_text("mine")
    with pytest.raises(UsageError, match=message):
        write_trace(made(), tmp_path / name)
    assert (tmp_path / "there.json").read_text() == "mine"


def test_overwriting_replaces_the_whole_file(tmp_path):
    path = write_trace(made(), tmp_path / "t.json")
    small = made(arrays={})
    assert read_trace(write_trace(small, path, overwrite=True)) == small


def test_a_disk_that_fills_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_trace(made(), tmp_path / "t.json")
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(MachineError, match="No space left on device"):
        write_trace(made(arrays={}), path, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".json", ".npz"])
def test_a_file_cut_anywhere_is_refused_in_a_sentence(tmp_path, ending):
    path = write_trace(made(), tmp_path / f"t{ending}")
    content = path.read_bytes()
    for kept in range(0, len(content) - 1, max(1, len(content) // 60)):
        path.write_bytes(content[:kept])
        with pytest.raises(DataError, match="damaged, or not a trace"):
            read_trace(path)


def test_a_changed_bit_in_an_npz_is_noticed(tmp_path):
    path = write_trace(made(), tmp_path / "t.npz")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        entry = file.getinfo("layer 1 forward / h.npy")
    content[entry.header_offset + 100] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_trace(path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "does not say"),
        ({"format": "other"}, "does not say"),
        ({"format": "unspool trace", "version": 2}, "version 2 and this Unspool reads up to 1; update it"),
        ({"tokens": "ab"}, "lists"),
        ({"arrays": {"x": [[1.0]]}}, r"'x' has shape \(1, 1\)"),
        ({"arrays": {"x": [[1.0], ["one"]]}}, "damaged"),
        ({"arrays": {"x": [[1.0], [2.0, 3.0]]}}, "damaged"),
        ({"prediction": {"tags": ["N"]}}, "1 values for 2 tokens"),
        ({"prediction": {"tags": 3}}, "tags"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, record, message):
    good = {"format": "unspool trace", "version": 1, "model": "", "notes": [], "tokens": ["a", "b"]}
    good |= {"prediction": {}, "arrays": {}}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(record if isinstance(record, list) else good | record))
    with pytest.raises(DataError, match=message) as caught:
        read_trace(path)
    assert str(path) in str(caught.value)


def test_only_what_holds_everything_is_read(tmp_path):
    with pytest.raises(UsageError, match=r"only .json and .npz"):
        read_trace(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no such file"):
        read_trace(tmp_path / "t.json")


def test_pickles_are_not_opened(tmp_path):
    path = write_trace(made(arrays={"x": np.zeros((10, 1))}), tmp_path / "t.npz")
    with zipfile.ZipFile(path) as file:
        header = file.read("trace.json")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("trace.json", header)
        with file.open("x.npy", "w") as entry:
            np.lib.format.write_array(entry, np.array([[{}]] * 10, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="damaged"):
        read_trace(path)
