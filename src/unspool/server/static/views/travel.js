// Time travel: change a gate, a state, attention or a token at a moment, and see both runs side by side.
"use strict";
import {bar, download, figure, make, number, ramp, scaleLegend, select, shade, visible} from "../inspection/dom.js";
import {arraysOf, valuesOf} from "../inspection/trace_view.js";
import {heatMap} from "../inspection/heatmap.js";
import {asking} from "../asking.js";

const ACTIONS = {
  zero: {words: "set to zero", line: () => "0"},
  clamp: {words: "clamp to", field: "number", line: (value) => String(Number(value) || 0)},
  scale: {words: "scale by", field: "number", line: (value) => `scale ${Number(value)}`},
  swap: {words: "swap two units", line: () => "swap"},
  copy: {words: "copy from the text", field: "text", line: (value) => `copy '${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`},
  replace: {words: "replace the token by", field: "text", line: (value) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`},
};

export const view = {
  id: "travel",
  title: "Time travel",
  fromUnit: "change it",
  applies: (model) => Boolean(model) && model.task !== "answer" && model.task !== "read",

  open(root, app) {
    let trace = null, traced = null, fork = null, forked = null, edited = null, controller = new AbortController();
    const ask = asking(app, (text) => app.change({text, step: null}, {push: true})), builder = make("div"), list = make("div"), result = make("div");
    root.append(ask.node, builder, list, result);

    const tree = () => app.state.tree ?? [];
    const edits = () => app.state.edits ?? [];
    const base = () => app.state.base ?? [];

    async function run(state) {
      const key = JSON.stringify([state.text, edits(), base(), state.length, state.seed, state.temperature]);
      if (!state.text) builder.replaceChildren(make("p", {class: "soft"}, "Type a text, then choose a moment and what changes there."));
      if (!state.text || key === forked) return drawBuilder();
      forked = key;
      controller.abort();
      controller = new AbortController();
      const {signal} = controller, name = app.model.name, input = state.text;
      const body = {model: name, input, edits: edits(), base: base(), ...(app.model.writes && state.length ? {length: state.length, seed: state.seed ?? 0, temperature: state.temperature ?? 0.8} : {})};
      await app.guard(async () => {
        if (traced !== JSON.stringify([input, base()])) { trace = await app.api.trace(name, input, signal, {edits: base()}); traced = JSON.stringify([input, base()]); }
        drawBuilder();
        fork = await app.api.postJson("api/fork", body, signal);
        edited = edits().length ? await app.api.trace(name, input, signal, {edits: [...base(), ...edits()]}) : trace;
      }, "Running both …");
      drawList();
      if (fork && edited) drawResult();
    }

    // ---- building an edit ------------------------------------------------------------------------------------

    function targets() {
      const names = arraysOf(trace).map((array) => array.name), states = [...new Set(names.filter((name) => name.includes(" / ")).map((name) => name.replace(/ \/ [^/]*$/, " / state")))];
      return [...names, ...states, "token"];
    }

    function drawBuilder() {
      if (!trace) return;
      const names = targets(), chosen = Math.max(0, names.indexOf(app.state.array ?? names.find((name) => name.endsWith(" / h")) ?? names[0])), isToken = names[chosen] === "token";
      const step = app.state.step ?? 0, units = make("input", {type: "text", size: 9, value: (app.state.units ?? []).map((unit) => unit + 1).join(","), placeholder: "all", "aria-label": "units"});
      const kinds = Object.keys(ACTIONS).filter((kind) => (kind === "replace") === isToken), value = make("input", {type: "text", size: 14, "aria-label": "value", placeholder: "value"});
      const action = make("select", {"aria-label": "action"}, kinds.map((kind) => make("option", {value: kind}, ACTIONS[kind].words)));
      const showValue = () => { value.hidden = !ACTIONS[action.value].field; };
      action.onchange = showValue;
      showValue();
      const when = make("select", {"aria-label": "when"}, [["this", "at this moment"], ["from", "from this moment on"], ["all", "at every token"]].map(([key, words]) => make("option", {value: key}, words)));
      const line = make("input", {type: "text", size: 40, "aria-label": "edit as a line", placeholder: "or a line: layer 1 / forget[3,7] = 0 @ 2"});
      const add = () => {
        const typed = line.value.trim(), at = {this: ` @ ${step + 1}`, from: ` @ ${step + 1}-`, all: ""}[when.value];
        const which = !isToken && units.value.trim() ? `[${units.value.replaceAll(" ", "")}]` : "";
        app.change({edits: [...edits(), typed || `${names[chosen]}${which} = ${ACTIONS[action.value].line(value.value)}${isToken ? ` @ ${step + 1}` : at}`]}, {push: true});
      };
      line.addEventListener("keydown", (event) => { if (event.key === "Enter") add(); });
      const words = trace.tokens.map((token, i) => make("button", {type: "button", class: trace.tokens.length > 40 ? "word letter" : "word", "aria-pressed": String(i === step), onclick: () => app.change({step: i})}, token));
      builder.replaceChildren(make("section", {class: "figure", "aria-label": "the edit"},
        make("h2", {}, "Choose a moment, and what changes there"), make("div", {class: "words", role: "group", "aria-label": "moment"}, words),
        make("div", {class: "row"}, select(names, chosen, (i) => app.change({array: names[i]}), "what changes"), isToken ? null : make("label", {class: "field"}, "units", units), action, value, isToken ? null : when,
          make("button", {type: "button", class: "primary", onclick: add}, "Add the edit")),
        make("div", {class: "row"}, line)));
    }

    // ---- edits, the tree of forks, the recipe ----------------------------------------------------------------

    function drawList() {
      const items = [...base().map((edit) => ({edit, fixed: true})), ...edits().map((edit) => ({edit, fixed: false}))].map(({edit, fixed}, i) => make("li", {}, make("code", {}, typeof edit === "string" ? edit : JSON.stringify(edit)),
        fixed ? make("span", {class: "soft"}, "in both runs") : make("button", {type: "button", class: "tool", onclick: () => app.change({edits: edits().filter((_, k) => k !== i - base().length)}, {push: true})}, "remove")));
      const keep = () => {
        const path = [...base(), ...edits()], known = tree().some((other) => JSON.stringify(other) === JSON.stringify(path));
        app.change({tree: known ? tree() : [...tree(), path], base: path, edits: []}, {push: true});
      };
      const recipe = () => download("edits.json", JSON.stringify({format: "unspool edits", version: 1, edits: [...base(), ...edits()]}, null, 1) + "\n", "application/json");
      list.replaceChildren(make("section", {class: "figure", "aria-label": "edits"}, make("h2", {}, items.length ? "Edits" : "No edit yet: both runs are equal"), make("ul", {class: "plain"}, items),
        items.length ? make("div", {class: "row"}, edits().length ? make("button", {type: "button", onclick: keep}, "Fork from here") : null, make("button", {type: "button", onclick: recipe}, "Save as a recipe"),
          make("span", {class: "soft"}, `replay it over a file: unspool predict ${app.model.folder} FILE --edits edits.json`)) : null,
        tree().length ? make("div", {}, make("p", {class: "soft"}, "Forks so far; a fork goes on from the edits before it."), make("ul", {class: "plain"},
          [[], ...tree()].map((path) => make("li", {}, make("button", {type: "button", class: "tool fork", "aria-pressed": String(JSON.stringify(path) === JSON.stringify(base())), onclick: () => app.change({base: path, edits: []}, {push: true})}, "\u2003".repeat(path.length) + (path.at(-1) ?? "the original")))))) : null));
    }

    // ---- both runs -------------------------------------------------------------------------------------------

    function chances(step) {
      const names = Object.keys(step.original);
      return make("table", {}, make("tr", {}, ["", "original", "fork"].map((title) => make("th", {scope: "col"}, title || make("span", {class: "sr"}, "choice")))),
        names.map((name) => make("tr", {}, make("td", {class: "name"}, visible(name)), make("td", {}, bar(step.original[name], step.original[name])), make("td", {}, bar(step.edited[name], step.edited[name])))));
    }

    function drawResult() {
      const nodes = [], perToken = fork.divergence.length === fork.tokens.length && fork.tokens.length > 1, at = perToken ? Math.min(app.state.step ?? fork.tokens.length - 1, fork.steps.length - 1) : 0;
      if (fork.divergence.length) {
        const largest = Math.max(...fork.divergence.filter(Number.isFinite), 1e-9), colour = ramp("s");
        const words = perToken ? fork.edited_tokens.map((token, i) => {
          const word = make("button", {type: "button", class: fork.tokens.length > 40 ? "word letter" : "word", "aria-pressed": String(i === at), title: `${number(fork.divergence[i])} nats`, onclick: () => app.change({step: i})}, token, fork.tokens.length > 40 ? null : make("small", {}, number(fork.divergence[i])));
          shade(word, colour((fork.divergence[i] ?? 0) / largest));
          return word;
        }) : [];
        const sentence = fork.first_divergence === null ? "The predictions are equal, bit for bit." : perToken ? `The predictions part first at token ${fork.first_divergence}; at most by ${number(largest)} nats.` : `The prediction moved by ${number(largest)} nats.`;
        nodes.push(figure("What the fork changes", [make("p", {}, sentence), words.length ? [make("div", {class: "words"}, words), make("p", {class: "soft"}, "Divergence KL(original ‖ fork) of the predictions at each token.")] : null,
          fork.steps.length ? chances(fork.steps[at]) : null], {csv: () => [["token", "divergence"], ...fork.divergence.map((value, i) => [fork.tokens[i] ?? i + 1, value])],
          python: `import unspool\n\nmodel = unspool.load(${JSON.stringify(app.model.folder)})\nfork = model.fork(${JSON.stringify(app.state.text)}, ${JSON.stringify(edits())}, base=${JSON.stringify(base())})\nprint(fork.divergence)\n`}));
      } else nodes.push(figure("What the fork changes", ["original", "edited"].map((side) => make("p", {}, make("b", {}, side === "edited" ? "fork: " : "original: "), outcome(fork[side])))));
      if (app.model.writes) nodes.push(writing());
      const moved = difference();
      if (moved) nodes.push(moved);
      result.replaceChildren(...nodes);
    }

    function outcome(prediction) {
      const value = prediction.translation ?? prediction.label ?? prediction.labels ?? prediction.tags ?? prediction.intent ?? prediction;
      return typeof value === "string" ? value : Array.isArray(value) ? value.join(" ") : JSON.stringify(value);
    }

    function writing() {
      const length = make("input", {type: "number", min: 0, max: 2000, value: app.state.length ?? 0, "aria-label": "units to write"}), seed = make("input", {type: "number", min: 0, value: app.state.seed ?? 0, "aria-label": "seed"});
      const go = () => app.change({length: Number(length.value), seed: Number(seed.value)}, {push: true});
      const texts = fork.continuations ? make("div", {class: "two"}, ["original", "edited"].map((side) => make("div", {}, make("h3", {}, side === "edited" ? "fork" : "original"), make("div", {class: "written"}, app.state.text, make("b", {}, fork.continuations[side]))))) : null;
      return figure("How it goes on", [make("div", {class: "row"}, make("label", {class: "field"}, "units", length), make("label", {class: "field"}, "seed", seed), make("button", {type: "button", onclick: go}, "Write both")), texts]);
    }

    function difference() {
      const names = arraysOf(trace).filter((array) => arraysOf(edited).some((other) => other.name === array.name && other.units === array.units && other.side.tokens.length === array.side.tokens.length)).map((array) => array.name);
      if (!names.length || !edits().length) return null;
      const main = Math.max(0, names.findIndex((name) => / \/ (h|hidden|state)$/.test(name))), chosen = names.includes(app.state.array) ? names.indexOf(app.state.array) : main, array = arraysOf(trace).find((each) => each.name === names[chosen]), other = arraysOf(edited).find((each) => each.name === names[chosen]);
      const before = valuesOf(array), after = valuesOf(other), values = before.map((value, i) => after[i] - value), top = Math.max(values.reduce((most, value) => Math.max(most, Math.abs(value)), 0), 1e-6);
      const map = heatMap({values, rows: array.side.tokens, columns: array.units, low: -top, high: top}, {row: app.state.step ?? null, pinned: app.state.units ?? [], label: `change of ${array.name}`, onPick: (step, unit) => app.change({step, units: [unit]})});
      queueMicrotask(map.draw);
      return figure("Where the state moved", [make("div", {class: "row"}, select(names, chosen, (i) => app.change({array: names[i]}), "array"), scaleLegend(-top, top, "d")), map.node, make("p", {class: "soft"}, "Fork minus original: a row per token, a column per unit.")], {svg: map.svg, canvas: () => map.canvas, csv: map.csv});
    }

    return {
      update(state, changed) {
        if (state.text !== undefined && document.activeElement !== ask.field) ask.field.value = state.text;
        if (["text", "edits", "base", "length", "seed", "temperature", "view", "model"].some((name) => changed.includes(name)) || !fork) run(state);
        else { drawBuilder(); drawList(); if (fork && edited) drawResult(); }
      },
      redraw() { if (fork && edited) drawResult(); },
      close: () => controller.abort(),
      key(event) {
        if (!trace || !["ArrowLeft", "ArrowRight"].includes(event.key)) return false;
        app.change({step: Math.min(trace.tokens.length - 1, Math.max(0, (app.state.step ?? 0) + (event.key === "ArrowRight" ? 1 : -1)))});
        return true;
      },
    };
  },
};
