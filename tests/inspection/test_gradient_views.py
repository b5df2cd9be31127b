"""Views and files of gradients: they fit the terminal, say what the numbers say, and are well-formed."""

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from rich.console import Console

from notebook_html import embedded_picture
from unspool.errors import UsageError
from unspool.inspection import Gradients, StepJacobians, compare_gradients, show_gradients, write_gradients
from unspool.inspection.gradient_views import DECADES, binned, log_scale

WORDS = ("the", "<b>", "日本", "a b", "\n", "really-long-token-that-never-ends")


def gradients(steps=6, losses=None, factor=0.5, **values):
    losses = steps if losses is None else losses
    tokens = tuple(WORDS[step % len(WORDS)] for step in range(steps))
    distance = np.subtract.outer(np.arange(steps)[-losses:], np.arange(steps))
    norms = np.where(distance >= 0, factor ** np.abs(distance), 0.0)
    arrays = {"layer 1 / h": norms, "layer 1 / c": 2 * norms, "layer 1 / state": 3 * norms, "input / x": norms}
    jacobians = {"layer 1": StepJacobians(np.linspace(0.1, 0.9, steps), "exact")}
    at = tuple(range(steps))[-losses:]
    return Gradients(tokens, tokens[-losses:], arrays, np.ones(losses), at, jacobians, 3, "my [bold]network", **values)


def shown(view, width=80, colour=False, encoding="utf-8"):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=file, width=width, color_system="truecolor" if colour else None, force_terminal=colour)
    if isinstance(view, Gradients):
        show_gradients(view, console)
    else:
        view.show(console)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(("steps", "losses"), [(6, None), (6, 1), (500, None), (500, 1), (1, 1)])
def test_the_view_fits_any_width_and_length(width, steps, losses):
    from rich.cells import cell_len

    text = shown(gradients(steps, losses), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert len(text.splitlines()) < 80
    assert "my [bold]network" in text
    assert "layer 1 / state: |dL/dstate|" in text
    if steps > 1:
        assert "halves every 1 steps" in " ".join(text.split())


def test_plain_ascii_and_colours():
    assert shown(gradients(), encoding="ascii").isascii()
    assert "\x1b[38;2;" in shown(gradients(), colour=True)


def test_the_map_is_darkest_at_the_diagonal_and_empty_above_it():
    lines = shown(gradients(factor=0.1)).splitlines()
    rows = [line.partition("…")[2] or line for line in lines if line[:2] in {f"{number} " for number in range(1, 7)}]
    assert [row.count("█") for row in rows] == [3] * 6  # a patch of three letters for the step of the loss
    assert [len(row.rstrip()) - len(rows[0].rstrip()) for row in (rows[0], rows[1], rows[4])] == [0, 3, 12]


def test_the_scale_covers_at_most_its_decades():
    assert log_scale(np.array([[1e-30, 1.0]])) == (-DECADES, 0.0)
    assert log_scale(np.array([[0.01, 10.0]]), np.array([[0.0, 100.0]])) == (-2.0, 2.0)
    assert log_scale(np.zeros((2, 2))) == (-1.0, 0.0)


def test_bins_hold_their_largest_norm():
    values, starts = binned(np.arange(10.0)[None], 10, 4)
    assert values.tolist() == [[2, 5, 8, 9]]
    assert starts == [0, 3, 6, 9]


@pytest.mark.parametrize(("steps", "losses"), [(6, None), (6, 1), (300, None), (1, 1)])
def test_pictures_are_well_formed_and_ask_nothing_of_other_hosts(steps, losses, tmp_path):
    result = gradients(steps, losses)
    for path in (tmp_path / "g.svg", tmp_path / "g.html"):
        write_gradients(result, path)
        text = path.read_text()
        assert "<script" not in text
        assert "<b>" not in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
        assert "prefers-color-scheme:dark" in text
    tree = ElementTree.fromstring((tmp_path / "g.svg").read_text())
    width = float(tree.get("width"))
    for each in tree.iter("{http://www.w3.org/2000/svg}text"):
        if each.get("text-anchor") is None:
            assert float(each.get("x")) + 6.5 * len(each.text) < width + 8
    assert len((tmp_path / "g.svg").read_text()) < 400_000
    assert embedded_picture(result) == (tmp_path / "g.svg").read_text()


def test_files_hold_every_number(tmp_path):
    result = gradients(3)
    for suffix in ("json", "npz", "csv"):
        assert result.save(tmp_path / f"g.{suffix}") == tmp_path / f"g.{suffix}"
    assert json.loads((tmp_path / "g.json").read_text()) == json.loads(json.dumps(result.record()))
    with np.load(tmp_path / "g.npz") as file:
        assert np.array_equal(file["layer 1 / c"], result.array("layer 1 / c"))
        assert np.array_equal(file["layer 1 / jacobian"], result.jacobians["layer 1"].values)
    with (tmp_path / "g.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 9
    assert (rows[3]["position"], rows[3]["step"], rows[3]["token"], float(rows[3]["norm"])) == ("2", "1", "the", 0.5)


def test_files_are_not_overwritten_and_forms_are_checked(tmp_path):
    result = gradients(2)
    result.save(tmp_path / "g.json")
    with pytest.raises(UsageError, match="exists already"):
        result.save(tmp_path / "g.json")
    result.save(tmp_path / "g.json", overwrite=True)
    with pytest.raises(UsageError, match=r"did you mean '\.json'"):
        result.save(tmp_path / "g.jsn")
    with pytest.raises(UsageError, match="there is no folder"):
        result.save(tmp_path / "nowhere" / "g.json")
    (tmp_path / "f.json").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        result.save(tmp_path / "f.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.json", "g.json"]


def test_a_comparison_has_one_scale_and_one_row_per_network(tmp_path):
    comparison = compare_gradients({"slow [x]": gradients(factor=0.9), "fast": gradients(factor=0.1)})
    assert comparison.half_lives["slow [x]"] == pytest.approx(6.58, abs=0.01)
    assert comparison.half_lives["fast"] == pytest.approx(0.301, abs=0.001)
    text = shown(comparison)
    assert text.count("from 0.1 to 0.9") == 2
    assert text.count("3e-08") == text.count("3e+00") == 0
    assert text.count("1e+00") + text.count("3.2e+00") >= 2
    assert "\nslow [x] " in text
    for suffix in ("json", "csv", "svg", "html"):
        comparison.save(tmp_path / f"c.{suffix}")
    record = json.loads((tmp_path / "c.json").read_text())
    assert record["networks"]["fast"]["decay"]["layer 1 / state"]["half_life"] == pytest.approx(0.301, abs=0.001)
    ElementTree.fromstring((tmp_path / "c.svg").read_text())
    with pytest.raises(UsageError, match="written as one of"):
        comparison.save(tmp_path / "c.npz")


def test_a_comparison_of_a_list_and_of_a_chosen_array():
    comparison = compare_gradients([gradients(), gradients(factor=0.2)], array="layer 1 / c")
    assert list(comparison.gradients) == ["my [bold]network (1)", "my [bold]network (2)"]
    assert set(comparison.arrays.values()) == {"layer 1 / c"}
    with pytest.raises(UsageError, match="there are no gradients 'layer 9 / c'"):
        compare_gradients([gradients()], array="layer 9 / c")
    with pytest.raises(UsageError, match="at least one result"):
        compare_gradients({})
    with pytest.raises(UsageError, match="a: int came"):
        compare_gradients({"a": 1})
