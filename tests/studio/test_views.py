"""Views of the studio: time travel, concepts, gradients, comparison, graph, memory and trainings, beside Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from test_pages import TEXT, eventually, opened

from unspool import load

EDIT = "layer 1 / h = 0 @ 3"


def test_a_fork_shows_both_sides_and_is_kept_in_the_address(page, studio):
    opened(page, studio, model="own", view="travel", text=TEXT, step=2)
    page.wait_for_selector("text=No edit yet")
    page.select_option("select[aria-label='what changes']", label="layer 1 / h")
    page.locator("button", has_text="Add the edit").click()
    page.wait_for_selector(f"code:has-text('{EDIT}')")
    figure = page.locator("section[aria-label='What the fork changes']")
    figure.wait_for()
    fork = studio.tasks["own"].fork(TEXT, [EDIT])
    eventually(page, f"document.body.innerText.includes('moved by {fork.divergence[0]:.2f} nats')")
    shown = figure.locator("td .number").all_inner_texts()
    step = fork.steps[0]
    assert shown == [f"{side[name]:.2f}" for name in step.original for side in (step.original, step.edited)]
    with page.expect_download() as download:
        page.locator("button", has_text="Save as a recipe").click()
    recipe = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert recipe == {"format": "unspool edits", "version": 1, "edits": [EDIT]}
    page.locator("button", has_text="Fork from here").click()
    page.wait_for_selector("text=Forks so far")
    page.locator("button.fork", has_text="the original").click()
    page.wait_for_selector("text=No edit yet")
    assert "tree=" in page.url


def test_both_continuations_of_a_language_model_are_those_of_python(page, studio):
    edit = "layer 1 / h = 5 @ 5-"
    opened(page, studio, model="writer", view="travel", text="The cat", step=4, length=20, seed=3, edits=f'["{edit}"]')
    page.wait_for_selector("section[aria-label='How it goes on'] .written")
    fork = studio.tasks["writer"].fork("The cat", [edit], length=20, temperature=0.8, seed=3)
    shown = page.locator(".written b").all_text_contents()
    assert shown == [fork.continuations.original, fork.continuations.edited]
    assert shown[0] != shown[1]


def test_gradients_are_those_of_python(page, studio):
    opened(page, studio, model="own", view="gradients", text=TEXT)
    figure = page.locator("section[aria-label='How far the loss reaches back']")
    figure.wait_for()
    result = studio.tasks["own"].gradients(TEXT)
    assert figure.locator("li").all_inner_texts() == result.sentences(result.main)
    with page.expect_download() as download:
        figure.locator("button.tool", has_text="CSV").click()
    rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    shown = [[float(value) for value in row.split(",")[1:]] for row in rows[1:]]
    assert shown == result.array(result.main).tolist()
    assert page.locator("svg.plot").count() == 2


def test_models_are_compared_on_a_text(page, studio):
    opened(page, studio, model="own", view="compare", other="gru", text=TEXT, second="")
    page.wait_for_selector("section[aria-label='Predictions'] td .number")
    one, other = (studio.tasks[name].predict(TEXT).probabilities for name in ("own", "gru"))
    shown = page.locator("section[aria-label='Predictions'] td .number").all_inner_texts()
    assert sorted(shown) == sorted(f"{side[name]:.2f}" for name in one for side in (one, other))
    page.select_option("select[aria-label='other model']", "own")
    page.wait_for_selector("text=Both runs are equal, bit for bit.")


def test_a_file_lists_disagreements(page, studio, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("one\tthe crew was late\nmany\ttwo flights were full\n", encoding="utf-8")
    opened(page, studio, model="own", view="compare", other="gru")
    page.set_input_files("input[aria-label='labelled data']", data)
    page.locator("button", has_text="Find disagreements").click()
    page.wait_for_selector("text=of 2 differ")


def test_the_graph_is_drawn_for_an_own_cell(page, studio):
    opened(page, studio, model="own", view="graph", text=TEXT)
    page.wait_for_selector("img.graph")
    eventually(page, "document.querySelector('img.graph').naturalWidth > 300")
    nodes = studio.tasks["own"].graph(TEXT).record()["cell"]["nodes"]
    page.wait_for_selector(f"text={len(nodes)} nodes")


def test_a_forecast_is_drawn_and_saved(page, studio):
    opened(page, studio, model="sales", view="forecast", length=5)
    figure = page.locator("section[aria-label='What comes next']")
    figure.wait_for()
    expected = studio.tasks["sales"].predict(horizon=5)[0]
    eventually(page, "document.querySelector('section img').naturalWidth > 0")
    with page.expect_download() as download:
        figure.locator("button.tool", has_text="CSV").click()
    rows = list(csv.reader(Path(download.value.path()).read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["series", "channel", "time", "value", "low", "high"]
    assert [row[2] for row in rows[1:]] == list(expected.times)
    assert [[float(cell) for cell in row[3:]] for row in rows[1:]] == [
        list(each) for each in zip(expected.values, expected.low, expected.high, strict=True)
    ]
    with page.expect_download() as download:
        figure.locator("button.tool", has_text="PNG").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as download:
        figure.locator("button.tool", has_text="SVG").click()
    assert Path(download.value.path()).read_text(encoding="utf-8") == expected.svg()
    months = [f"{2010 + step // 12}-{step % 12 + 1:02},{step % 12}" for step in range(48)]
    page.locator("textarea").fill("\n".join(months))
    page.locator("button.primary").click()
    eventually(page, "document.querySelector('section table').textContent.includes('2014-01')")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_forecast_is_accessible_and_fits(page, studio, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": 390, "height": 800})
    opened(page, studio, model="sales", view="forecast")
    page.locator("section[aria-label='What comes next']").wait_for()
    eventually(page, "!document.getElementById('message').textContent")
    result = axe.Axe().run(page)
    assert [(each["id"], each["nodes"][0]["html"][:160]) for each in result.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_concept_is_searched_with_progress_and_named(page, studio):
    opened(page, studio, model="writer", view="concepts")
    page.fill("textarea[aria-label='text to search']", "The (old) fox ran.\nA dog (or (a) cat) went home.\n" * 120)
    page.fill("input[aria-label='tokens to read']", "4000")
    page.select_option("select[aria-label='property']", "line-position")
    page.locator("button", has_text="Search").click()
    page.wait_for_selector("section[aria-label='Verdict']", timeout=60_000)
    assert page.locator("#label").inner_text() in ("tracks and uses", "correlates, not used", "nothing")
    page.fill("input[aria-label='name of the unit']", "line counter")
    page.locator("button", has_text="Name the unit").click()
    page.wait_for_selector("text=is named line counter")
    assert "named units / line counter" in studio.tasks["writer"].trace("The cat").arrays
    page.fill("input[aria-label='name of the pruned model']", "writer-without")
    page.locator("button", has_text="Prune the unit").click()
    page.wait_for_selector("text=writer-without is writer without layer 1 / h[")
    assert page.locator("#model option").all_inner_texts()[-1] == "writer-without"
    folder = studio.run.parent / "pruned" / "writer-without"
    unit = load(folder).record.pruned["units"][0]
    assert f"without {unit};" in page.locator("#message").inner_text()
    expected = studio.tasks["writer"].pruned(unit).generate("The cat", length=20, seed=1)
    assert load(folder).generate("The cat", length=20, seed=1) == expected
    page.locator("button", has_text="Change it").click()
    page.wait_for_selector("text=Type a text, then choose a moment")
    assert "units=" in page.url


def test_maps_of_attention_stand_side_by_side(page, studio):
    opened(page, studio, model="heads", view="memory", text="the crew was late")
    page.wait_for_selector(".maps canvas")
    trace = studio.tasks["heads"].trace("the crew was late")
    assert page.locator(".maps canvas").count() == len(trace.maps)
    page.locator("button", has_text="forbid this head").first.click()
    page.wait_for_selector("code:has-text('layer 1 / attention head 1 = zero')")
    page.wait_for_selector("section[aria-label='What the fork changes']")


def test_a_sentence_is_forbidden_in_all_hops_of_a_reader(page, studio):
    story = "Mary went to the office. John went to the garden. Where is Mary?"
    opened(page, studio, model="reader", view="memory", text=story)
    figure = page.locator("section[aria-label='The story']")
    figure.wait_for()
    trace = studio.tasks["reader"].trace(story)
    shown = figure.locator("td .number").all_inner_texts()
    hops = [trace.array(f"hops / hop {hop}")[:, 0] for hop in (1, 2)]
    assert [float(number) for number in shown] == pytest.approx(
        [row for pair in zip(*hops, strict=True) for row in pair], abs=0.006
    )
    assert "nothing is looked up" not in page.locator("body").inner_text()
    edit = "hops / attention[1] = zero"
    figure.locator("button", has_text="forbid").first.click()
    page.wait_for_selector(f"code:has-text('{edit}')")
    label = studio.tasks["reader"].trace(story, [edit]).prediction["label"]
    assert figure.locator("p").inner_text().endswith(f"{edit}: {label}")


def test_trainings_are_watched(page, studio):
    opened(page, studio, view="monitor")
    page.wait_for_selector("section[aria-label='training loss'] canvas")
    page.wait_for_selector("td:has-text('finished')")
    with page.expect_download() as download:
        page.locator("section[aria-label='training loss'] button.tool", has_text="CSV").click()
    rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    log = [json.loads(line) for line in (studio.run / "training" / "log.jsonl").read_text().splitlines()]
    last = [line["loss"] for line in log if line["kind"] == "train"][-1]
    shown = [row.split(",") for row in rows[1:]]
    assert float([row[4] for row in shown if row[4]][-1]) == last


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["travel", "concepts", "gradients", "compare", "graph", "monitor"])
def test_views_are_accessible(page, studio, theme, view):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.emulate_media(color_scheme=theme)
    opened(page, studio, model="own", view=view, text=TEXT, edits=f'["{EDIT}"]')
    page.wait_for_selector("#view section h2")
    eventually(page, "!document.getElementById('message').textContent")
    result = axe.Axe().run(page)
    assert [(each["id"], each["nodes"][0]["html"][:160]) for each in result.response["violations"]] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_view_is_wider_than_the_window(page, studio, width):
    page.set_viewport_size({"width": width, "height": 800})
    for view in ("gates", "travel", "concepts", "gradients", "compare", "graph", "monitor"):
        opened(page, studio, model="own", view=view, text=TEXT)
        page.wait_for_selector("#view section h2")
        eventually(page, "!document.getElementById('message').textContent")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
