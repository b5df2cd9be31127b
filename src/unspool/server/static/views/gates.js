// Gates and states, live: the trace of a typed text, or of a text while the model writes it.
"use strict";
import {make} from "../inspection/dom.js";
import {arraysOf, drawTrace} from "../inspection/trace_view.js";
import {asking} from "../asking.js";

const SHOWN = 400;  // units of a written text that are traced again while it grows

export const view = {
  id: "gates",
  title: "Gates and states",
  applies: (model) => Boolean(model),

  open(root, app) {
    let trace = null, weights = {}, drawn = null, controller = new AbortController(), traced = null;
    const length = make("input", {type: "number", min: 1, max: 2000, value: app.state.length ?? 100, "aria-label": "units to write"});
    const temperature = make("input", {type: "number", min: 0, max: 5, step: 0.1, value: app.state.temperature ?? 0.8, "aria-label": "temperature"});
    const stop = make("button", {type: "button", hidden: true, onclick: () => controller.abort()}, "Stop");
    const writing = app.model.writes ? make("div", {class: "row"}, make("button", {type: "button", onclick: write}, "Write on"), stop,
      make("label", {class: "field"}, "units", length), make("label", {class: "field"}, "temperature", temperature)) : null;
    const ask = asking(app, (text) => app.change({text, step: null}, {push: true})), picture = make("div");
    root.append(ask.node, ...(writing ? [writing] : []), picture);

    async function run(text) {
      if (!text || text === traced) return;
      controller.abort();
      controller = new AbortController();
      traced = text;
      const result = await app.guard(() => app.api.trace(app.model.name, text, controller.signal), "Running …");
      if (!result || traced !== text) { if (!result) traced = null; return; }
      trace = result;
      draw();
      weigh(text);
    }

    /** Fetch how much each unit counts for the prediction, for the order of the map. */
    async function weigh(text) {
      const prediction = trace.trace.prediction, choice = Object.keys(prediction.probabilities ?? {}).sort((a, b) => prediction.probabilities[b] - prediction.probabilities[a])[0];
      if (choice === undefined || !["classify", "write", "command"].includes(app.model.task)) return;
      try { weights = (await app.api.postJson("api/weights", {model: app.model.name, choice})).weights; } catch { return; }
      if (traced === text && Object.keys(weights).length) draw();
    }

    async function write() {
      controller.abort();
      controller = new AbortController();
      const {signal} = controller, prompt = ask.field.value, parts = {length: Number(length.value), temperature: Number(temperature.value)};
      let text = prompt, busy = false, latest = 0;
      const look = async () => {
        if (busy || performance.now() - latest < 300 || !text) return;
        busy = true;
        try { trace = await app.api.trace(app.model.name, text.slice(-SHOWN), signal); draw(); } finally { busy = false; latest = performance.now(); }
      };
      stop.hidden = false;
      await app.guard(() => app.api.events("api/generate", {model: app.model.name, prompt, stream: true, ...parts}, (event) => {
        text += event.text;
        ask.field.value = text;
        look().catch(() => {});
      }, signal), "Writing …");
      stop.hidden = true;
      app.say("");
      traced = null;
      app.change({text: text.slice(-4 * SHOWN), step: null, ...parts}, {push: true});
    }

    function draw() {
      if (!trace) return;
      drawn = drawTrace(picture, trace, app.state, (parts) => app.change(parts), {
        weights,
        python: (name) => `import unspool\n\nmodel = unspool.load(${JSON.stringify(app.model.folder ?? app.model.name)})\ntrace = model.trace(${JSON.stringify(app.state.text ?? "")})\nprint(trace.array(${JSON.stringify(name)}))\n`,
        actions: (array, unit, step) => app.views.filter((other) => other.fromUnit && other.applies(app.model, app.info)).map((other) =>
          make("button", {type: "button", class: "tool", onclick: () => app.go(other.id, {array: array.name, units: [unit], step})}, other.fromUnit)),
      });
    }

    return {
      update(state, changed) {
        if (state.text !== undefined && document.activeElement !== ask.field) ask.field.value = state.text;
        if (state.text && state.text !== traced) run(state.text);
        else if (changed.some((name) => ["step", "units", "array", "place", "column", "map", "order"].includes(name))) draw();
      },
      redraw: draw,
      close: () => controller.abort(),
      key(event) {
        if (!trace) return false;
        const arrays = arraysOf(trace), at = Math.max(0, arrays.findIndex((array) => array.name === app.state.array)), tokens = arrays[at]?.side.tokens ?? trace.tokens;
        const step = app.state.step ?? -1;
        if (event.key === "ArrowRight") app.change({step: Math.min(tokens.length - 1, step + 1)});
        else if (event.key === "ArrowLeft") app.change({step: Math.max(0, step - 1)});
        else if (event.key === "]" || event.key === "[") app.change({array: arrays[(at + (event.key === "]" ? 1 : arrays.length - 1)) % arrays.length]?.name, units: []});
        else return false;
        return true;
      },
    };
  },
};
