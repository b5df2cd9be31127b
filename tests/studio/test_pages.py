"""The studio in a browser: the numbers of the trace to the bit, state in the address, keys, files, accessibility."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from unspool.inspection import write_trace

TEXT = "the crew of the plane were late"
BITS = """async ([model, text]) => {
  const {trace} = await import('/studio/api.js'), view = await trace(model, text), all = {};
  for (const each of [...view.arrays, ...view.maps])
    all[each.name] = Array.from(new Uint32Array(each.values.buffer, each.values.byteOffset, each.values.length));
  return all;
}"""


def opened(page, studio, **state) -> None:
    words = "&".join(f"{name}={value}" for name, value in state.items())
    page.goto(f"{studio.address}#{words}")


def eventually(page, expression: str) -> None:
    """Wait until a JavaScript expression is true; the page's policy forbids the driver's own way."""
    for _ in range(300):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def bits(array: np.ndarray) -> list[int]:
    return np.ascontiguousarray(array, dtype="<f4").view("<u4").ravel().tolist()


@pytest.mark.parametrize("model", ["gru", "own", "writer"])
def test_the_page_holds_the_numbers_of_the_trace_to_the_bit(page, studio, model):
    opened(page, studio, model=model, text=TEXT)
    page.wait_for_selector("text=Every unit")
    trace = studio.tasks[model].trace(TEXT)
    values = page.evaluate(BITS, [model, TEXT])
    assert values == {name: bits(array) for name, array in trace.arrays.items()}
    assert len(values) >= 2


def test_the_table_of_the_page_shows_the_means_of_the_gates(page, studio):
    opened(page, studio, model="own", text=TEXT, column="leak")
    rows = page.locator("section[aria-label='Word by word'] table tr")
    rows.first.wait_for()
    trace = studio.tasks["own"].trace(TEXT)
    column = rows.first.locator("th").all_inner_texts().index("leak")
    shown = [row.locator("td").nth(column).inner_text().strip() for row in rows.all()[1:]]
    assert shown == [f"{mean:.2f}" for mean in trace.summary("layer 1 / leak")]


def test_typing_runs_the_model_and_the_address_repeats_the_picture(page, studio):
    opened(page, studio, model="gru")
    page.wait_for_selector("textarea")
    page.keyboard.press("/")
    page.keyboard.type(TEXT)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Every unit")
    page.locator("h2", has_text="Every unit").click()  # out of the text
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    page.locator("canvas").press("ArrowRight")
    page.locator("canvas").press("Enter")
    address = page.url
    assert "step=0" in address or "step=1" in address
    assert "units=%5B1%5D" in address
    pressed = page.locator("button.word[aria-pressed=true]").all_inner_texts()
    chosen = page.locator("select[aria-label=array]").input_value()
    other = page.context.new_page()
    other.goto(address)
    other.wait_for_selector("text=unit 2")
    assert other.locator("button.word[aria-pressed=true]").all_inner_texts() == pressed
    assert other.locator("select[aria-label=array]").input_value() == chosen == "1"
    other.close()


def test_figures_are_saved_and_copied(page, studio, tmp_path):
    opened(page, studio, model="gru", text=TEXT)
    section = page.locator("section[aria-label='Every unit']")
    files = {}
    for kind in ("SVG", "PNG", "CSV"):
        with page.expect_download() as download:
            section.locator("button.tool", has_text=kind).click()
        files[kind] = Path(download.value.path()).read_bytes()
    assert files["PNG"].startswith(b"\x89PNG")
    assert b"data:image/png;base64" in files["SVG"]
    trace = studio.tasks["gru"].trace(TEXT)
    lines = files["CSV"].decode().splitlines()
    array = trace.array(page.locator("select[aria-label=array] option").first.inner_text())
    assert [np.float32(value) for value in lines[3].split(",")[2:]] == array[2].tolist()
    assert len(lines) == 1 + len(trace.tokens)
    section.locator("button.tool", has_text="Python").click()
    code = page.evaluate("navigator.clipboard.readText()")
    space: dict[str, object] = {}
    exec(code.replace("print(", "result = ("), space)
    assert np.array_equal(space["result"], array)


def test_a_generation_is_watched_and_becomes_the_text(page, studio):
    opened(page, studio, model="writer", text="The cat")
    page.fill("input[aria-label='units to write']", "30")
    page.locator("button", has_text="Write on").click()
    eventually(page, "document.querySelector('textarea').value.length >= 37")
    eventually(page, "document.querySelectorAll('button.word').length >= 37")
    assert page.locator("textarea").input_value().startswith("The cat")


def test_a_chat_shows_sources_and_takes_a_correction(page, studio):
    opened(page, studio, model="helper", view="chat")
    page.fill("textarea", "how do i begin")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Unpack it.")
    page.locator("summary").last.click()
    page.locator("input[aria-label='the right answer']").fill("Press the button.")
    page.locator("button", has_text="Correct").click()
    page.wait_for_selector("text=written to")
    lines = studio.corrections.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1]) == {"question": "how do i begin", "answer": "Press the button."}
    assert "Press the button." in studio.tasks["helper"].ask("how do i begin").answers


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", ["model=gru&text=the crew were late&units=[1]&step=1", "model=helper&view=chat"])
def test_pages_are_accessible(page, studio, theme, state):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.emulate_media(color_scheme=theme)
    page.goto(f"{studio.address}#{state}")
    page.wait_for_selector("textarea")
    if "text" in state:
        page.wait_for_selector("text=Every unit")
    result = axe.Axe().run(page)
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in result.response["violations"]] == []


def test_a_map_of_a_million_cells_paints_each_in_its_colour(page, studio):
    page.goto(studio.address)
    page.wait_for_selector("textarea")
    milliseconds, painted, scale = page.evaluate("""async () => {
      const {heatMap} = await import('/studio/inspection/heatmap.js'), size = 1000;
      const {pixels} = await import('/studio/inspection/dom.js');
      const values = Float32Array.from({length: size * size}, (_, i) => 0.9 * Math.sin(i / 700));
      values.set([-1, 1, -7, 9, 0, NaN, NaN, -Infinity], 200 * size + 300);
      const rows = Array.from({length: size}, (_, i) => `t${i}`);
      const map = heatMap({values, rows, columns: size, low: -1, high: 1}, {width: 1300});
      document.getElementById('view').replaceChildren(map.node);
      map.draw();
      const times = [];
      for (let k = 0; k < 7; k++) {
        const began = performance.now();
        map.draw();
        times.push(performance.now() - began);
      }
      const begin = [map.canvas.width / parseFloat(map.canvas.style.width), 130 + 300, 16 + 200];
      const image = map.canvas.getContext('2d').getImageData(begin[0] * begin[1], begin[0] * begin[2], 8 * begin[0], 1);
      const shown = new Uint32Array(image.data.buffer).filter((_, i) => i % begin[0] === 0);
      return [times, Array.from(shown), Array.from(pixels('d'))];
    }""")
    lowest, middle, highest = scale[0], scale[128], scale[255]
    assert len({lowest, middle, highest}) == 3
    assert painted[:5] == [lowest, highest, lowest, highest, middle]
    assert set(painted[5:7]) == {0xFF888888, 0xFFCCCCCC}  # NaN is hatched
    assert painted[7] == 0  # -Infinity is blank
    print("a map of 1,000 × 1,000:", sorted(milliseconds)[3], "ms")  # no bound: the machine may be busy


def test_hostile_tokens_stay_text(page, studio):
    hostile = "<img src=x onerror=alert(1)> </script><script>alert(2)</script>"
    page.goto(f"{studio.address}#model=gru")
    page.wait_for_selector("textarea")
    page.fill("textarea", hostile)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Every unit")
    assert page.locator("#view img, #view script").count() == 0
    assert "onerror" in "".join(page.locator("button.word").all_inner_texts())


def test_an_error_of_the_server_is_one_sentence_on_the_page(page, studio):
    opened(page, studio, model="gru")
    page.wait_for_selector("textarea")
    page.evaluate(
        "import('/studio/api.js').then(a => a.trace('nobody', 'x')).catch(e => { window.sentence = e.message; })"
    )
    eventually(page, "window.sentence")
    assert page.evaluate("window.sentence") == "there is no model 'nobody'"
    page.problems[:] = [problem for problem in page.problems if "404" not in problem]


def test_a_saved_page_is_the_same_view(page, studio, tmp_path):
    path = write_trace(studio.tasks["own"].trace(TEXT), tmp_path / "trace.html")
    page.goto(f"file://{path}")
    page.wait_for_selector("text=Every unit")
    page.locator("canvas").press("Enter")
    page.wait_for_selector("text=unit 1")
    assert "leak" in page.locator("section[aria-label='Word by word']").inner_text()
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_binary_form_begins_with_its_header(studio):
    from unspool.inspection.wire import pack

    trace = studio.tasks["gru"].trace(TEXT)
    content = pack(trace)
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    assert size % 8 == 0
    for place in header["numbers"]:
        begin = 8 + size + 4 * place["begin"]
        array = np.frombuffer(content, "<f4", int(np.prod(place["shape"])), begin).reshape(place["shape"])
        assert np.array_equal(array, trace.array(place["name"]))
    assert len(header["numbers"]) == len(trace.arrays)
