"""The studio's chat with an assistant that has commands: turns, state, corrections, speech, and its parser."""

from __future__ import annotations

import json

import pytest
from test_pages import eventually, opened

SPEECH = """
window.heard = [];
window.said = [];
delete window.webkitSpeechRecognition;
window.SpeechRecognition = class {
  start() { window.heard.push(this); }
  abort() { this.aborted = true; this.onend?.(); }
};
const synthesis = {speak: (one) => { window.said.push(one); }, cancel: () => {}};
Object.defineProperty(window, 'speechSynthesis', {value: synthesis});
"""
HEARD = """([text, final]) => {
  const one = window.heard.at(-1), result = Object.assign([{transcript: text}], {isFinal: final});
  one.onresult({results: [result]});
  if (final) one.onend();
}"""


def say(page, text, reply):
    page.fill("textarea", text)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".bubble:not(.mine) >> text={reply}")


def opened_chat(page, studio, model="house"):
    opened(page, studio, model=model, view="chat")
    page.wait_for_selector("textarea")


def calls(studio):
    return studio.calls.read_text().splitlines()


def test_a_command_is_carried_out_with_its_arguments_and_the_words_that_counted(page, studio):
    opened_chat(page, studio)
    assert "Functions of" in page.locator("#view > p").first.inner_text()
    text = "set a timer for ten minutes"
    say(page, text, "A timer of 0:10:00 runs.")
    bubble = page.locator(".bubble").last
    assert bubble.locator(".kind").inner_text() == "did"
    assert bubble.locator("code").inner_text() == "set_timer(length = 600)"
    bubble.locator(".heard").first.wait_for()
    trace = studio.tasks["house-commands"].trace(text)
    shown = [one.split("\n") for one in bubble.locator(".heard").all_inner_texts()]
    weights = trace.arrays["readout / weight"][:, 0]
    assert shown == [[token, f"{weight:.2f}"] for token, weight in zip(trace.tokens, weights, strict=True)]
    parse = studio.tasks["house-commands"].parse(text)
    sure = f"{parse.familiarity:.0%} familiar, above the threshold of {parse.threshold:.0%}"
    assert sure in bubble.locator("summary").inner_text()
    bubble.locator("summary").click()
    assert bubble.locator("table").first.inner_text().split() == [
        "argument", "kind", "value", "in", "words", "length", "duration", "600", "ten", "minutes",
    ]  # fmt: skip
    state = page.locator("section[aria-label='State of the dialogue'] li").all_inner_texts()
    assert state[0] == "last call: set_timer(length=ten minutes)"
    bubble.locator("button", has_text="Open the parser").click()
    page.wait_for_selector("text=Every unit")
    assert page.locator("#model").input_value() == "house-commands"
    page.go_back()
    page.wait_for_selector("text=A timer of 0:10:00 runs.")  # the conversation is still there


def test_a_confirmation_has_buttons_and_runs_after_yes_alone(page, studio):
    opened_chat(page, studio)
    before = len(calls(studio))
    say(page, "turn on the light", "Turn on the light: shall I?")
    assert page.locator(".bubble .kind").last.inner_text() == "asks for a yes"
    assert (
        page.locator("section[aria-label='State of the dialogue'] li")
        .first.inner_text()
        .endswith("waiting for yes or no")
    )
    assert len(calls(studio)) == before
    page.locator("[aria-label=reply] button", has_text="Yes").click()
    page.wait_for_selector("text=The light is on.")
    assert calls(studio)[before:] == ["switch light on"]
    assert page.locator("[aria-label=reply]").count() == 0
    say(page, "no, the other one", "Turn on the fan: shall I?")
    page.locator("[aria-label=reply] button", has_text="No").click()
    page.wait_for_selector("text=All right, I leave it.")
    page.locator("button", has_text="New conversation").click()
    say(page, "yes", "I don't know.")
    assert page.locator(".bubble .kind").last.inner_text() == "refused"
    assert calls(studio)[before:] == ["switch light on"]


def test_a_call_and_an_answer_are_corrected(page, studio):
    opened_chat(page, studio)
    say(page, "zebras hold umbrellas", "I don't know.")
    bubble = page.locator(".bubble").last
    bubble.locator("summary").click()
    bubble.locator("select").select_option("call set_timer")
    bubble.locator("input[name=length]").fill("twenty minutes")
    bubble.locator("button", has_text="Correct").click()
    page.wait_for_selector("text=written to")
    lines = studio.corrections.with_name("corrections-calls.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1]) == {
        "text": "zebras hold umbrellas",
        "call": "set_timer",
        "arguments": {"length": "twenty minutes"},
    }
    bubble.locator("select").select_option("answer")
    bubble.locator("input[name=answer]").fill("Good night.")
    bubble.locator("button", has_text="Correct").click()
    page.wait_for_selector("text=corrections.jsonl >> nth=-1")
    eventually(page, "document.querySelector('.bubble:last-child details').textContent.includes('written to')")
    assert json.loads(studio.corrections.read_text(encoding="utf-8").splitlines()[-1]) == {
        "question": "zebras hold umbrellas", "answer": "Good night.",
    }  # fmt: skip


def test_speech_is_off_until_its_buttons_are_pressed(page, studio):
    page.add_init_script(SPEECH)
    opened_chat(page, studio)
    assert "speech service on the internet" in page.locator("#view").inner_text()
    say(page, "when do you open", "At nine.")
    assert page.evaluate("[window.heard.length, window.said.length]") == [0, 0]
    page.locator("button", has_text="Microphone").click()
    page.locator("button", has_text="Voice").click()
    page.evaluate(HEARD, ["where", False])
    assert page.locator("textarea").input_value() == "where"
    page.evaluate(HEARD, ["where are you", True])
    page.wait_for_selector(".bubble > div:text-is('In Paris.')")
    eventually(page, "window.said.length === 1")
    assert page.evaluate("window.said[0].text") == "In Paris."
    before = page.evaluate("window.heard.length")
    page.wait_for_timeout(300)
    assert page.evaluate("window.heard.length") == before  # it does not hear itself
    page.evaluate("window.said[0].onend()")
    eventually(page, f"window.heard.length === {before + 1}")
    page.evaluate("window.heard.at(-1).onerror({error: 'not-allowed'})")
    assert page.locator("#message").inner_text() == "The microphone is off: the browser does not allow the microphone."
    assert page.locator("button", has_text="Microphone").get_attribute("aria-pressed") == "false"


def test_a_browser_without_speech_shows_no_buttons(page, studio):
    page.add_init_script(
        "delete window.SpeechRecognition; delete window.webkitSpeechRecognition;"
        "Object.defineProperty(window, 'speechSynthesis', {value: undefined});"
    )
    opened_chat(page, studio)
    assert (
        page.locator("button", has_text="Microphone").count() == page.locator("button", has_text="Voice").count() == 0
    )
    assert "speech service" not in page.locator("#view").inner_text()


VIEWS = {
    "gates": ["Prediction", "Word by word", "Every unit"],
    "travel": ["Choose a moment, and what changes there", "Edits", "What the fork changes", "Where the state moved"],
    "gradients": ["How far the loss reaches back", "Decay with the distance"],
    "compare": ["Predictions", "Difference of every unit", "Where two models disagree"],
    "graph": [],
    "chat": ["State of the dialogue"],
}


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_of_a_parser_work(page, studio, view):
    edits = '["layer 1 forward / h = 0 @ 2"]'
    opened(page, studio, model="house-commands", view=view, text="turn on the light", edits=edits, step=1)
    for title in VIEWS[view] or ["*"]:
        page.locator("#view section h2", has_text=title if VIEWS[view] else None).first.wait_for()
    eventually(page, "!document.getElementById('message').textContent")
    titles = page.locator("#tabs button").all_inner_texts()
    assert titles == [
        "Gates and states",
        "Time travel",
        "Gradient through time",
        "Compare",
        "Graph",
        "Chat",
        "Training",
    ]
    if view in ("gates", "compare"):
        assert "switch" in page.locator("#view").inner_text()


@pytest.mark.parametrize("view", ["gates", "memory", "graph", "chat"])
def test_the_other_views_of_an_assistant_with_commands_work(page, studio, view):
    opened(page, studio, model="house", view=view, text="when do you open")
    eventually(page, "document.querySelector('#view section h2, #view p')")
    eventually(page, "!document.getElementById('message').textContent")
    titles = page.locator("#tabs button").all_inner_texts()
    assert titles == ["Gates and states", "Attention and memory", "Graph", "Chat", "Training"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chat_is_accessible(page, studio, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.emulate_media(color_scheme=theme)
    opened_chat(page, studio)
    say(page, "when do you open", "At nine.")
    say(page, "turn on the light", "Turn on the light: shall I?")
    for summary in page.locator("summary").all():
        summary.click()
    page.locator(".heard").last.wait_for()
    result = axe.Axe().run(page)
    assert [(each["id"], each["nodes"][0]["html"][:160]) for each in result.response["violations"]] == []
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
