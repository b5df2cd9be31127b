"""Traces over an image: files that read back equal, lit pixels, the views of terminal, SVG and page."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from unspool.errors import DataError, ShapeError
from unspool.inspection import Map, Trace, read_trace, show
from unspool.inspection.image_words import is_over_image
from unspool.inspection.page import content_of
from unspool.inspection.picture import picture
from unspool.inspection.shown_image import ShownImage

_BOXES = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]], np.float32)
_CELLS = ("1,1", "1,2", "2,1", "2,2")


@pytest.fixture
def image() -> ShownImage:
    pixels = np.random.default_rng(1).integers(40, 250, (6, 8, 3), np.uint8)
    return ShownImage(pixels, _BOXES)


@pytest.fixture
def trace(image: ShownImage) -> Trace:
    weights = np.array([[0.7, 0.1, 0.15, 0.05], [0.0, 0.0, 0.2, 0.8]], np.float32)
    written = Trace(("a", "dog"), {"decoder layer 1 / h": np.zeros((2, 3))}, {"surprise": [0.5, 0.25]})
    maps = {"attention": Map(weights, ("a", "dog"), _CELLS)}
    return Trace(_CELLS, {}, {"caption": "a dog"}, "a captioner", maps=maps, written=written, image=image)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_files_keep_the_image(trace: Trace, tmp_path: Path, suffix: str) -> None:
    path = trace.save(tmp_path / f"trace{suffix}")
    again = read_trace(path)
    assert again == trace
    assert again.image is not None
    assert np.array_equal(again.image.pixels, trace.image.pixels)  # type: ignore[union-attr]
    assert again != trace.over(ShownImage(255 - again.image.pixels, _BOXES))


def test_a_file_with_too_few_pixels_is_damaged(trace: Trace, tmp_path: Path) -> None:
    path = trace.save(tmp_path / "trace.json")
    path.write_text(path.read_text().replace('"height": 6', '"height": 7'))
    with pytest.raises(DataError, match="damaged"):
        read_trace(path)


def test_an_image_has_a_box_for_each_token(image: ShownImage) -> None:
    with pytest.raises(ShapeError, match="4 boxes for 3 tokens"):
        Trace(("a", "b", "c"), {}, image=image)


def test_pixels_are_lit_by_the_weight_of_their_box(image: ShownImage) -> None:
    lit = image.lit(np.array([0.5, 0.25, 0.0, 0.0]), dark=0.2)
    assert np.array_equal(lit[:3, :4], image.pixels[:3, :4])  # the largest weight: full light
    half = np.rint(image.pixels[:3, 4:] * np.float32(0.6)).astype(np.uint8)
    assert np.abs(lit[:3, 4:].astype(int) - half).max() <= 1
    dark = np.rint(image.pixels[3:] * np.float32(0.2))
    assert np.abs(lit[3:] - dark).max() <= 1


def test_a_large_image_in_grey_becomes_small_and_coloured() -> None:
    shown = ShownImage.of(np.arange(900 * 700, dtype=np.uint32).reshape(900, 700, 1).astype(np.uint8), _BOXES)
    assert shown.pixels.shape[2] == 3
    assert shown.pixels.shape[0] * shown.pixels.shape[1] <= 256 * 256
    assert np.array_equal(shown.pixels[:, :, 0], shown.pixels[:, :, 2])


def _printed(trace: Trace, **options: object) -> str:
    buffer = io.StringIO()
    console = Console(file=buffer, width=80, **options)  # type: ignore[arg-type]
    show(trace, console)
    return buffer.getvalue()


def test_the_terminal_lights_the_image_for_each_word(trace: Trace) -> None:
    text = _printed(trace, force_terminal=True, color_system="truecolor", legacy_windows=False)
    assert "▀" in text
    assert re.search(r"image +a +dog", re.sub(r"\x1b\[[0-9;]*m", "", text))
    left_top = trace.image.pixels[0, 0]  # type: ignore[union-attr]
    assert f"38;2;{left_top[0]};{left_top[1]};{left_top[2]}" in text


def test_without_colours_blocks_show_the_weights(trace: Trace) -> None:
    lines = _printed(trace, no_color=True).splitlines()
    start = lines.index("attention") + 1
    first = lines[start + 1]
    assert first.startswith("████")
    assert first[4:8].strip("█") == first[4:8]


def test_a_map_between_other_tokens_is_a_grid(trace: Trace) -> None:
    other = Trace(_CELLS, {}, maps={"self": Map(np.eye(2), ("a", "dog"), ("a", "dog"))}, image=trace.image)
    assert not is_over_image(other, "self")
    assert is_over_image(trace, "attention")
    assert "a row looks across its columns" in _printed(other)


def test_svg_and_page_hold_the_image(trace: Trace) -> None:
    svg = picture(trace)
    assert svg.count("data:image/png;base64,") == 3  # the image, and one for each word
    assert "caption: a dog" in svg
    alone = replace(trace, written=None)
    assert picture(alone).count("data:image/png;base64,") == 3
    content = content_of(trace)["image"]
    assert base64.b64decode(content["pixels"]) == trace.image.pixels.tobytes()  # type: ignore[union-attr]
    assert len(content["boxes"]) == 4
