"""Results of a notebook in a browser: two frames on one page draw the traces' numbers, in both themes, alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

TEXTS = ("the crew of the plane were late", "two flights was early")
BITS = """() => {
  const trace = JSON.parse(document.getElementById('trace').textContent), all = {};
  for (const each of trace.arrays) {
    const bytes = Uint8Array.from(atob(each.data), (c) => c.charCodeAt(0));
    all[each.name] = Array.from(new Uint32Array(bytes.buffer));
  }
  return all;
}"""


def opened(page, folder: Path, *results: str):
    """Open a page with results as a notebook shows them, one below the other; their frames."""
    path = folder / "notebook.html"
    path.write_text(
        f'<!doctype html><html lang="en"><title>n</title><main><h1>n</h1>{"<hr>".join(results)}</main></html>',
        encoding="utf-8",
    )
    page.goto(f"file://{path}")
    frames = [handle.content_frame() for handle in page.query_selector_all("iframe")]
    for frame in frames:
        frame.wait_for_selector("h2")
    return frames


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_two_traces_on_one_page_draw_their_own_numbers(page, studio, tmp_path, theme):
    page.emulate_media(color_scheme=theme)
    traces = [studio.tasks["own"].trace(text) for text in TEXTS]
    frames = opened(page, tmp_path, *(trace._repr_html_() for trace in traces))
    assert len(frames) == 2
    for frame, trace in zip(frames, traces, strict=True):
        assert frame.evaluate("document.documentElement.dataset.theme") == theme
        arrays = {name: array.astype("<f4").view("<u4").ravel().tolist() for name, array in trace.arrays.items()}
        assert frame.evaluate(BITS) == arrays
        rows = frame.locator("section[aria-label='Word by word'] table tr").all()
        column = rows[0].locator("th").all_inner_texts().index("leak")
        shown = [row.locator("td").nth(column).inner_text().strip() for row in rows[1:]]
        assert shown == [f"{mean:.2f}" for mean in trace.summary("layer 1 / leak")]
    frames[0].locator("#theme").click()
    themes = [frame.evaluate("document.documentElement.dataset.theme") for frame in frames]
    assert themes[1] == theme != themes[0]
    for box in page.query_selector_all("iframe"):
        size = box.bounding_box()
        picture = box.evaluate_handle("frame => frame.previousSibling").as_element().bounding_box()
        assert (picture["x"], picture["y"]) == (size["x"], size["y"])  # the frame covers its picture
        assert picture["height"] <= size["height"]


def test_a_frame_saves_its_numbers_and_reaches_nothing_outside(page, studio, tmp_path):
    trace = studio.tasks["own"].trace(TEXTS[0])
    (frame,) = opened(page, tmp_path, trace._repr_html_())
    section = frame.locator("section[aria-label='Every unit']")
    with page.expect_download() as download:
        section.locator("button.tool", has_text="CSV").click()
    rows = list(csv.reader(Path(download.value.path()).read_text().splitlines()))
    name = frame.locator("select[aria-label=array] option").first.inner_text()
    assert [np.float32(value) for value in rows[3][2:]] == trace.array(name)[2].tolist()
    assert frame.evaluate("(() => { try { return parent.document.title } catch (error) { return error.name } })()") == (
        "SecurityError"
    )


def test_the_picture_stays_where_frames_are_stripped(page, studio, tmp_path):
    trace = studio.tasks["own"].trace(TEXTS[0])
    assert opened(page, tmp_path, trace._repr_html_().partition("<iframe")[0] + "</div>") == []
    image = page.locator("img")
    assert image.evaluate("image => image.complete && image.naturalWidth") >= 500
    assert "layer 1: leak" in image.get_attribute("alt")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_notebook_around_a_frame_stays_accessible(page, studio, tmp_path, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.emulate_media(color_scheme=theme)
    opened(page, tmp_path, studio.tasks["own"].trace(TEXTS[0])._repr_html_())
    result = axe.Axe().run(page)
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in result.response["violations"]] == []


def test_a_map_and_a_fork_draw_in_their_frames(page, studio, tmp_path):
    fork = studio.tasks["own"].fork(TEXTS[0], ["layer 1 / h[1] = 0 @ 2"])
    frames = opened(page, tmp_path, fork._repr_html_())
    assert len(frames) == 2
    for frame, trace in zip(frames, (fork.original, fork.edited), strict=True):
        assert frame.evaluate(BITS)["layer 1 / h"] == trace.array("layer 1 / h").view("<u4").ravel().tolist()
    boxes = [handle.bounding_box() for handle in page.query_selector_all("iframe")]
    assert boxes[0]["y"] == boxes[1]["y"]  # side by side
