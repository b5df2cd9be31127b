// The studio: models, views, keys, theme and messages. Each view is a module with `id`, `title`, `applies` and `open`.
"use strict";
import {make} from "./inspection/dom.js";
import * as api from "./api.js";
import {Store} from "./store.js";
import {view as gates} from "./views/gates.js";
import {view as chat} from "./views/chat.js";
import {view as monitor} from "./views/monitor.js";
import {view as travel} from "./views/travel.js";
import {view as memory} from "./views/memory.js";
import {view as compare} from "./views/compare.js";
import {view as concepts} from "./views/concepts.js";
import {view as gradients} from "./views/gradients.js";
import {view as graph} from "./views/graph.js";
import {view as forecast} from "./views/forecast.js";

const VIEWS = [forecast, gates, travel, concepts, gradients, memory, compare, graph, chat, monitor];
const KEYS = [["/", "write a text"], ["Enter", "run it"], ["← →", "step through the moments"], ["[ ]", "previous and next layer or array"], ["1 … 9", "views"], ["t", "light or dark"], ["?", "this list"]];
const $ = (id) => document.getElementById(id);
const store = new Store();
const app = {api, store, info: null, say, change: (parts, options) => store.change(parts, options), get state() { return store.state; }, get model() { return currentModel(); }, go, guard, refresh, views: VIEWS};
let open = null;

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

/** Run a request of a view: errors become the message, and an aborted request says nothing. */
async function guard(work, busy = "") {
  if (busy) say(busy);
  try {
    const result = await work();
    if (busy) say("");
    return result;
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
    return null;
  }
}

/** Read the list of models again. */
async function refresh() {
  app.info = await api.getJson("api/info");
  drawFrame();
}

function currentModel() {
  return app.info?.models.find((one) => one.name === store.state.model) ?? app.info?.models[0] ?? null;
}

function usable() {
  return VIEWS.filter((view) => (!app.info.loading || view.whileLoading) && view.applies(currentModel(), app.info));
}

function go(view, parts = {}) {
  store.change({...parts, view}, {push: true});
}

function drawFrame() {
  const views = usable(), model = currentModel(), chosen = views.find((view) => view.id === store.state.view) ?? views[0];
  $("model").hidden = !app.info.models.length;
  $("model").replaceChildren(...app.info.models.map((one) => make("option", {value: one.name, selected: one === model}, one.name)));
  $("summary").textContent = model ? [model.task, model.summary].filter(Boolean).join(": ") : "";
  $("tabs").replaceChildren(...views.map((view) => make("button", {type: "button", "aria-current": view === chosen ? "page" : false, onclick: () => go(view.id)}, view.title)));
  document.title = chosen ? `${chosen.title} – Unspool studio` : "Unspool studio";
  return chosen;
}

function show(state, changed) {
  const chosen = drawFrame();
  if (!chosen) return;
  if (!open || open.view !== chosen || changed.includes("model")) {
    open?.close?.();
    $("view").replaceChildren();
    say("");
    open = {view: chosen, ...chosen.open($("view"), app)};
  }
  open.update?.(store.state, changed);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("unspool-theme", name);
  open?.redraw?.();
}

function toggleTheme() {
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function help() {
  const rows = KEYS.map(([key, meaning]) => make("tr", {}, make("td", {}, make("kbd", {}, key)), make("td", {}, meaning)));
  $("keys").replaceChildren(make("h2", {}, "Keys"), make("table", {}, rows), make("p", {class: "soft"}, "The address holds the whole view: copy it to show somebody else the same picture. The studio sends nothing to other machines."),
    make("form", {method: "dialog"}, make("button", {}, "close")));
  $("keys").showModal();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target.matches("textarea, input")) return void event.target.blur();
  if (event.target.matches("textarea, input, select, canvas, dialog *")) return;
  if (event.key === "/") $("view").querySelector("textarea")?.focus();
  else if (event.key === "?") help();
  else if (event.key === "t") toggleTheme();
  else if (/^[1-9]$/.test(event.key)) { const view = usable()[event.key - 1]; if (view) go(view.id); else return; }
  else if (!open?.key?.(event)) return;
  event.preventDefault();
});
addEventListener("resize", () => open?.redraw?.());
$("theme").onclick = toggleTheme;
$("help").onclick = help;
$("skip").onclick = (event) => { event.preventDefault(); $("view").focus(); };
$("model").onchange = () => store.change({model: $("model").value, step: null, units: [], array: null, place: null, map: null, edits: [], base: [], tree: []}, {push: true});
theme(localStorage.getItem("unspool-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));

async function start() {
  let begun = false;
  for (;;) {
    try {
      const before = app.info?.loading;
      app.info = await api.getJson("api/info");
      if (app.info.failure) return say(app.info.failure, true);
      if (!begun && usable().length) {
        begun = true;
        say("");
        store.listeners.push(show);
        show(store.state, Object.keys(store.state));
      } else if (begun && before && !app.info.loading) show(store.state, []);
      if (!app.info.loading) return;
      if (!begun) say("Loading the model …");
    } catch (error) {
      if (error.status === 401) return say("This server wants a token: open the address that it printed, which ends in #token=…", true);
      return say("The server does not answer; is it still running?", true);
    }
    await new Promise((done) => setTimeout(done, 250));
  }
}

start();
