// The state of the studio, which is the fragment of the address: a copied link shows the same picture.
"use strict";

const NUMBERS = new Set(["step", "length", "temperature", "seed"]), LISTS = new Set(["units", "edits", "base", "tree", "runs"]);

function parse(fragment) {
  const state = {};
  for (const [name, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    if (NUMBERS.has(name)) state[name] = value === "" ? null : Number(value);
    else if (LISTS.has(name)) { try { state[name] = JSON.parse(value); } catch { /* a damaged link keeps the rest */ } }
    else state[name] = value;
  }
  return state;
}

function fragment(state) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) continue;
    parts.set(name, LISTS.has(name) ? JSON.stringify(value) : String(value));
  }
  return "#" + parts;
}

/** Take the token out of the address, so that a copied link does not hold it. */
export function takeToken() {
  const state = parse(location.hash);
  if (state.token) {
    sessionStorage.setItem("unspool-token", state.token);
    delete state.token;
    history.replaceState(null, "", fragment(state));
  }
  return sessionStorage.getItem("unspool-token") ?? "";
}

export class Store {
  constructor() {
    this.state = parse(location.hash);
    this.listeners = [];
    addEventListener("popstate", () => { this.state = parse(location.hash); this.tell(Object.keys(this.state)); });
  }

  /** Change parts of the state; `push` makes a step for the browser's back button. */
  change(parts, {push = false} = {}) {
    const changed = Object.keys(parts).filter((name) => JSON.stringify(this.state[name] ?? null) !== JSON.stringify(parts[name] ?? null));
    if (!changed.length) return;
    this.state = {...this.state, ...parts};
    history[push ? "pushState" : "replaceState"](null, "", fragment(this.state));
    this.tell(changed);
  }

  tell(changed) {
    for (const listener of this.listeners) listener(this.state, changed);
  }
}
