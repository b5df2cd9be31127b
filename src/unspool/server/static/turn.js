// One turn of a chat: what it did, the call with its arguments, how sure the model was, the words it looked at, corrections.
"use strict";
import {bar, make, number, ramp, shade} from "./inspection/dom.js";

const KINDS = {answer: "answered", did: "did", failed: "failed", would: "would do", ask: "asks", confirm: "asks for a yes", cancel: "dropped", refuse: "refused"};
const CLEAN = {step: null, units: [], array: null, place: null, map: null, edits: [], base: [], tree: []};
const percent = (share) => `${Math.round(100 * share)}%`;

/**
 * The nodes under a reply.
 *
 * @param app The studio.
 * @param model The model of the chat.
 * @param text The message.
 * @param said The field `unspool` of the answer.
 * @param shades Takes a function that paints the words again, for another theme.
 */
export function turn(app, model, text, said, shades) {
  const sure = [["command", familiarity(said)], ["answer", confidence(said)]].filter(([, words]) => words);
  const summary = sure.map(([side, words]) => (sure.length > 1 ? `${side}: ${words}` : words)).join("; ");
  const words = make("div", {class: "words"});
  if (said.parse && model.parser && text.length <= app.info.limits.max_trace) attention(app, model, text, words, shades);
  return [said.kind ? what(said) : null, words,
    make("details", {}, make("summary", {class: "soft"}, summary || "more"), said.slots?.length ? values(said) : null, said.parse ? chances(said) : null, said.sources ? sources(said) : null,
      make("div", {class: "row"}, looks(app, model, text, said)), said.kind && !said.parse ? null : correction(app, model, text, said))];
}

function what(said) {
  const inside = said.slots.map((slot) => `${slot.name} = ${JSON.stringify(slot.value)}`).join(", ");
  return make("div", {class: "row turn"}, make("span", {class: `kind ${said.kind}`}, KINDS[said.kind] ?? said.kind), said.command ? make("code", {}, `${said.command}(${inside})`) : null);
}

function familiarity({parse}) {
  if (!parse) return "";
  return `${percent(parse.familiarity)} familiar, ${parse.known ? "above" : "up to"} the threshold of ${percent(parse.threshold)}`;
}

function confidence(said) {
  if (said.confidence === undefined) return "";
  return `${percent(said.confidence)} sure, ${said.known ? "at least" : "below"} the threshold of ${percent(said.threshold)}`;
}

function table(heads, rows) {
  return make("div", {class: "scroll"}, make("table", {}, make("tr", {}, heads.map((title) => make("th", {scope: "col"}, title))), rows));
}

function values(said) {
  return table(["argument", "kind", "value", "in words"], said.slots.map((slot) => make("tr", {}, make("td", {class: "name"}, slot.name), make("td", {}, slot.kind), make("td", {}, JSON.stringify(slot.value)), make("td", {}, slot.words))));
}

function chances({parse}) {
  return table(["command", "probability"], Object.entries(parse.probabilities).slice(0, 5).map(([name, share]) => make("tr", {}, make("td", {class: "name", title: name}, name), make("td", {}, bar(share, share)))));
}

function sources(said) {
  return table(["nearest questions", "share", "answer"], said.sources.map((source) => make("tr", {}, make("td", {class: "name", title: source.question}, source.question), make("td", {}, bar(source.share, source.share)), make("td", {class: "name", title: source.answer}, source.answer))));
}

function looks(app, model, text, said) {
  const look = (label, name) => make("button", {type: "button", class: "tool", onclick: () => app.go("gates", {...CLEAN, model: name, text})}, label);
  return [model.answers ? look("Look inside", model.name) : null, said.parse && model.parser ? look("Open the parser", model.parser) : null];
}

/** Show the words of a message, shaded by the weight that the parser's attention gave to each. */
async function attention(app, model, text, place, shades) {
  let trace;
  try { trace = await app.api.trace(model.parser, text); } catch { return; }
  const weights = trace.arrays.find((array) => array.name === "readout / weight");
  if (!weights) return;
  const {tokens} = trace.trace, shares = tokens.map((_, i) => weights.values[i * weights.units]), top = Math.max(...shares, 1e-9);
  const words = tokens.map((token, i) => make("span", {class: "heard", title: `attention of the command parser: ${number(shares[i])}`}, token, make("small", {}, number(shares[i]))));
  const paint = () => { const colour = ramp("s"); words.forEach((word, i) => shade(word, colour(shares[i] / top))); };
  paint();
  shades.push(paint);
  place.append(...words);
}

/** Fields that say what was right: another answer, or the call that was meant. */
function correction(app, model, text, said) {
  const commands = app.info.limits.corrections ? (model.commands ?? []) : [], fields = make("span", {class: "row"});
  const options = [...(model.answers ? [["answer", "an answer"]] : []), ...commands.map((command) => [`call ${command.name}`, command.title]), ...(commands.length ? [["nothing", "no command"]] : [])];
  if (!options.length) return make("p", {class: "soft"}, "Start the studio with --corrections FILE to correct a call.");
  const chosen = said.command && commands.length ? `call ${said.command}` : options[0][0];
  const meant = make("select", {"aria-label": "what was meant"}, options.map(([value, words]) => make("option", {value, selected: value === chosen}, words)));
  const button = make("button", {type: "button", class: "tool"}, "Correct"), command = () => commands.find((one) => meant.value === `call ${one.name}`);
  const field = (name, placeholder, extra) => make("input", {type: "text", size: 14, name, placeholder, ...extra}), answer = () => field("answer", "the right answer", {"aria-label": "the right answer"});
  const before = (slot, name) => (name === said.command ? (said.slots.find((one) => one.name === slot.name)?.words ?? "") : "");
  const draw = () => {
    const slots = command()?.slots.map((slot) => make("label", {class: "field"}, slot.name, field(slot.name, slot.kind, {value: before(slot, command().name)})));
    fields.replaceChildren(...(slots ?? (meant.value === "answer" ? [answer()] : [])));
    button.textContent = "Correct";
  };
  meant.onchange = draw;
  draw();
  button.onclick = async () => {
    const filled = Object.fromEntries([...fields.querySelectorAll("input")].map((input) => [input.name, input.value.trim()]).filter(([, value]) => value));
    if (meant.value === "answer" && !filled.answer) return void fields.firstChild.focus();
    const right = meant.value === "answer" ? {answer: filled.answer} : {call: command()?.name ?? null, arguments: filled};
    const result = await app.guard(() => app.api.postJson("api/correct", {model: model.name, question: text, ...right}));
    if (result) button.textContent = result.file ? `written to ${result.file}` : "learned";
  };
  return make("div", {class: "row", role: "group", "aria-label": "correct this"}, options.length > 1 ? meant : null, fields, button);
}
