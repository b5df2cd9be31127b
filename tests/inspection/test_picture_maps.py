"""Maps over a picture: terminal, SVG, PNG, HTML, JSON and CSV show the same numbers."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from unspool.inspection import PictureMaps
from unspool.inspection.png import png_bytes


@pytest.fixture
def maps() -> PictureMaps:
    generator = np.random.default_rng(0)
    values = generator.random((3, 4)).astype(np.float32)
    values[1, 2] = 3
    filters = {"filter 1": generator.normal(size=(3, 3)).astype(np.float32)}
    prediction = {"label": "<cat>", "probabilities": {"<cat>": 0.9, "dog": 0.1}}
    pixels = generator.integers(0, 255, (6, 8, 3), np.uint8)
    return PictureMaps(pixels, {"saliency of <cat>": values}, prediction, "a network", filters)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_file_holds_its_pixels(channels):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(channels).integers(0, 255, (5, 7, channels), np.uint8)
    assert_array_equal(np.asarray(image.open(io.BytesIO(png_bytes(pixels)))).reshape(pixels.shape), pixels)


def test_the_sheet_shows_the_picture_and_the_largest_value_brightest(maps):
    sheet = maps.sheet()
    assert_array_equal(sheet[:21, :21].reshape(-1, 3), np.tile(maps.pixels[0, 0], (21 * 21, 1)))
    heat = sheet[:126, 180:348].astype(int).sum(2)  # the second panel, after a gap of 12
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (y // 42, x // 42) == (1, 2)


def test_files_hold_the_values(maps, tmp_path):
    for suffix in maps.forms:
        maps.save(tmp_path / f"a{suffix}")
    stored = json.loads((tmp_path / "a.json").read_text())
    np.testing.assert_allclose(stored["maps"]["saliency of <cat>"], maps.maps["saliency of <cat>"])
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert len(rows) == 12
    assert (rows[6]["row"], rows[6]["column"], float(rows[6]["value"])) == ("1", "2", 3.0)
    for suffix in (".svg", ".html"):
        text = (tmp_path / f"a{suffix}").read_text()
        assert text.count("data:image/png;base64,") == 3
        assert "<cat>" not in text
        assert "&lt;cat&gt; (0.900)" in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_terminal_draws_every_panel(maps, encoding):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=60, force_terminal=False).print(maps._drawing())
    file.flush()
    text = file.buffer.getvalue().decode(encoding)
    assert "picture" in text
    assert "saliency of <cat>" in text
    assert "<cat> (0.900)" in text


def test_colours_of_a_terminal_are_those_of_the_pixels(maps):
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system="truecolor")
    console.print(maps._drawing())
    red, green, blue = maps.pixels[0, 0]
    assert f"38;2;{red};{green};{blue}" in console.file.getvalue()
