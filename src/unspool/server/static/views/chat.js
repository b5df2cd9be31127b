// Chat with an assistant or a command parser: each reply with what was understood, the state of the dialogue, and speech.
"use strict";
import {download, figure, make} from "../inspection/dom.js";
import {asking} from "../asking.js";
import {speech} from "../speech.js";
import {turn} from "../turn.js";

const kept = new Map();  // conversations by model, for a person who looks into another view and comes back

function begin() {
  const id = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return {id, messages: [], state: null, shades: [], node: make("div", {role: "log", "aria-live": "polite", "aria-label": "conversation"})};
}

export const view = {
  id: "chat",
  title: "Chat",
  applies: (model) => Boolean(model?.chats),

  open(root, app) {
    const {model} = app, place = make("div"), waiting = make("div"), panel = make("div");
    if (!kept.has(model.name)) kept.set(model.name, begin());
    let talk = kept.get(model.name), busy = false;
    const ask = asking(app, send, [], model.commands ? "Send" : "Ask"), voice = speech(app, ask.field, send);
    root.append(...(model.commands ? [make("p", {class: "soft"}, introduction())] : []), place, waiting, ask.node,
      make("div", {class: "row"}, voice.buttons, make("button", {type: "button", class: "tool", onclick: restart}, "New conversation"),
        make("button", {type: "button", class: "tool", onclick: save}, "Save the conversation")),
      ...(voice.note ? [voice.note] : []), panel,
      make("p", {class: "soft"}, app.info.limits.corrections ? `Corrections are appended to ${app.info.limits.corrections}.` : "Corrections last until the server ends; --corrections FILE keeps them for training."));
    place.replaceChildren(talk.node);
    drawState();
    ask.field.focus();

    function introduction() {
      const names = model.commands.map((command) => `“${command.title}”`).join(", ");
      return `Commands: ${names}. ${model.acts ? `Functions of ${app.info.limits.commands.split(/[\\/]/).at(-1)} carry them out.` : "Calls are named, not run; --commands FILE.py carries them out."}`;
    }

    async function send(text) {
      text = text.trim();
      if (!text || busy) return;
      if (text === "/state") { ask.field.value = ""; return void panel.scrollIntoView({block: "nearest"}); }
      busy = true;
      ask.field.value = "";
      waiting.replaceChildren();
      const here = talk, mine = make("div", {class: "bubble mine"}, text), messages = [...here.messages, {role: "user", content: text}];
      here.node.append(mine);
      const answer = await app.guard(() => app.api.postJson("v1/chat/completions", {model: model.name, messages, ...(model.commands ? {dialogue: here.id} : {})}));
      busy = false;
      if (!answer) { mine.remove(); ask.field.value = text; drawState(); return; }
      const {message} = answer.choices[0];
      here.messages = [...messages, message];
      here.state = answer.unspool.state ?? null;
      const bubble = make("div", {class: "bubble"}, make("div", {}, message.content), turn(app, model, text, answer.unspool, here.shades));
      here.node.append(bubble);
      if (here !== talk) return;
      drawState();
      voice.speak(message.content);
      bubble.scrollIntoView({block: "nearest"});
    }

    function drawState() {
      const pending = talk.state?.pending, choices = !pending ? [] : pending.asking ? [["Cancel", "cancel"]] : [["Yes", "yes"], ["No", "no"]];
      waiting.replaceChildren(...(choices.length ? [make("div", {class: "row", role: "group", "aria-label": "reply"}, choices.map(([label, words]) => make("button", {type: "button", class: words === "yes" ? "primary" : "", onclick: () => send(words)}, label)))] : []));
      if (model.commands) panel.replaceChildren(figure("State of the dialogue", make("ul", {}, (talk.state?.lines ?? ["nothing is under way"]).map((line) => make("li", {}, line)))));
    }

    function restart() {
      kept.set(model.name, talk = begin());
      place.replaceChildren(talk.node);
      drawState();
      ask.field.focus();
    }

    function save() {
      download("conversation.json", JSON.stringify({model: model.name, folder: model.folder, messages: talk.messages}, null, 1), "application/json");
    }

    return {redraw: () => talk.shades.forEach((paint) => paint()), close: voice.close};
  },
};
