// The line in which a person types a text, or chooses a file for a model of images or sounds; shared by the views.
"use strict";
import {make} from "./inspection/dom.js";

const EXAMPLES = {classify: "not a dull moment", tag: "The cat sat on the mat .", write: "It was a ", translate: "a dog runs", answer: "how do i begin", command: "set a timer for ten minutes", read: "Mary went to the garden. Where is Mary?"};

const FILES = {images: "image/*,.npy", audio: "audio/*,.npy"};

/**
 * A text field with a button; Enter runs, Shift+Enter makes a new line.
 *
 * @param app The studio.
 * @param run Called with the text.
 * @param buttons Further buttons.
 */
export function asking(app, run, buttons = [], label = "Run") {
  const field = make("textarea", {"aria-label": "text", placeholder: `${app.model.commands?.[0]?.title ?? EXAMPLES[app.model.task] ?? "a text"}  (press / to type, Enter to run)`, rows: 1, spellcheck: "false"});
  const submit = () => { if (field.value.trim() || app.model.writes) run(field.value); };
  field.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); submit(); } });
  const file = make("input", {type: "file", "aria-label": "file", accept: FILES[app.model.reads_files] ?? ""});
  file.addEventListener("change", async () => { if (file.files.length) { field.value = await app.api.keepFile(file.files[0]); submit(); } });
  if (app.model.reads_files) { field.readOnly = true; field.placeholder = "choose a file"; }
  const node = make("div", {class: "ask"}, field, app.model.reads_files ? file : [], make("button", {type: "button", class: "primary", onclick: submit}, label), buttons);
  return {node, field};
}
