// A saved page: one trace, with the state of the view in memory.
"use strict";
import {drawTrace} from "./trace_view.js";

const trace = JSON.parse(document.getElementById("trace").textContent), root = document.getElementById("view");
const dark = matchMedia("(prefers-color-scheme: dark)");
let state = trace.state, view = null;

function draw() {
  view = drawTrace(root, trace, state, (part) => { state = {...state, ...part}; draw(); });
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  draw();
}

document.getElementById("model").textContent = trace.model || "A trace";
document.getElementById("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
addEventListener("resize", () => view?.redraw());
dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
theme(dark.matches ? "dark" : "light");
