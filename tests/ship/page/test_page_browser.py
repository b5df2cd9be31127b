"""Pages in a browser, from `file://`: they show what the model answers, and load nothing from anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from ship_cases import CLASSIFIERS, TAGGERS, TRANSLATORS, WRITERS, assistant, classifier, tagger, translator, writer

from unspool.ship.page import export
from unspool.ship.targets import Options

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; install it for the tests of exported pages")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path) -> Iterator[Any]:
    """Opens the page of a model; fails on a console message, a page error, or a request that is not the page itself."""
    pages = []

    def open_it(sheet, width=1280, theme="light"):
        artefact = export(sheet, tmp_path / "model.html", Options(title="A <model> & more"))
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        url = artefact.path.as_uri()
        page.on("request", lambda request: page.problems.append(request.url) if request.url != url else None)
        page.set_default_timeout(60_000)
        page.goto(url)
        page.wait_for_function("document.getElementById('foot').textContent")
        pages.append(page)
        return page

    yield open_it
    for page in pages:
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        page.close()
        assert page.problems == []
        assert not wide


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_a_classifier(open_page, width, theme):
    model = classifier(next(iter(CLASSIFIERS)))
    page = open_page(model.sheet(), width, theme)
    assert page.title() == "A <model> & more"
    assert "WebAssembly" in page.text_content("#foot")
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.keyboard.type("A joy, from end to end")  # the text has the focus
    assert page.text_content("strong") == model.predict("A joy, from end to end").label
    assert page.locator(".words button").count() == 7
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") != theme


def test_a_tagger(open_page):
    model = tagger(next(iter(TAGGERS)))
    page = open_page(model.sheet(), 390)
    page.keyboard.type("a grand café")
    assert page.locator(".tags small").all_text_contents() == model.predict([["a", "grand", "café"]])[0].tags


def test_a_writer(open_page):
    model = writer(next(iter(WRITERS)))
    page = open_page(model.sheet())
    page.keyboard.type("a joy")
    page.fill("#size", "40")
    page.fill("#heat", "0")
    page.focus("#text")
    page.keyboard.press("Control+Enter")
    page.wait_for_function("document.getElementById('go').textContent === 'Write'")
    assert page.text_content("#page span") == model._export_answers(["a joy"])[0]


def test_a_translator(open_page):
    model = translator("additive")
    assert "additive" in TRANSLATORS
    page = open_page(model.sheet(), 390)
    page.keyboard.type("dull joy from")
    page.wait_for_selector(".words:not([hidden])")
    answer = model._export_answers(["dull joy from"])[0]
    assert page.text_content(".words") == (answer or "nothing")
    assert page.locator("tbody tr").count() == len(answer.split())


def test_an_assistant(open_page):
    model = assistant()
    page = open_page(model.sheet(), 390, "dark")
    page.keyboard.type("who are you")
    page.keyboard.press("Enter")
    assert (
        page.locator(".turn.model").last.locator("p").first.text_content() == model._export_answers(["who are you"])[0]
    )
