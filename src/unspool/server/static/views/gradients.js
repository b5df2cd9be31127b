// Gradient through time: how far the loss at each step reaches back, and how fast the gradient decays.
"use strict";
import {figure, make, number, scaleLegend, select} from "../inspection/dom.js";
import {heatMap} from "../inspection/heatmap.js";
import {asking} from "../asking.js";
import {legend, linePlot} from "../plot.js";

const SMALLEST = -12;  // log10 of a norm below which the picture shows the lowest colour

export const view = {
  id: "gradients",
  title: "Gradient through time",
  applies: (model) => Boolean(model) && /\d layer/.test(model.summary) && model.task !== "answer",

  open(root, app) {
    let results = new Map(), asked = null, controller = new AbortController();
    const ask = asking(app, (text) => app.change({text, step: null}, {push: true})), others = make("div", {class: "row"}), picture = make("div");
    root.append(ask.node, others, picture);

    const compared = () => app.info.models.filter((model) => model.task === app.model.task && (model === app.model || (app.state.runs ?? []).includes(model.name)));

    function drawOthers() {
      const rest = app.info.models.filter((model) => model.task === app.model.task && model !== app.model), chosen = app.state.runs ?? [];
      others.replaceChildren(...(rest.length ? [make("span", {class: "soft"}, "Compare with:"), ...rest.map((model) => make("button", {type: "button", "aria-pressed": String(chosen.includes(model.name)),
        onclick: () => app.change({runs: chosen.includes(model.name) ? chosen.filter((name) => name !== model.name) : [...chosen, model.name]})}, model.name))] : []));
    }

    async function run(state) {
      drawOthers();
      const key = JSON.stringify([state.text, compared().map((model) => model.name)]);
      if (!state.text || key === asked) return draw();
      asked = key;
      controller.abort();
      controller = new AbortController();
      const {signal} = controller, next = new Map();
      const done = await app.guard(async () => {
        for (const model of compared()) next.set(model.name, await app.api.postJson("api/gradients", {model: model.name, input: state.text}, signal));
        return true;
      }, "Measuring gradients …");
      if (!done || asked !== key) { asked = done ? asked : null; return; }
      results = next;
      draw();
    }

    function draw() {
      const result = results.get(app.model.name);
      if (!result) return;
      const names = Object.keys(result.norms), name = names.includes(app.state.array) ? app.state.array : result.main, rows = result.norms[name];
      const logs = Float32Array.from(rows.flat(), (value) => (value === null ? NaN : value <= 0 ? -Infinity : Math.max(SMALLEST, Math.log10(value)))), finite = logs.filter(Number.isFinite);
      const high = finite.length ? Math.max(...finite) : 0, low = Math.min(high - 1, finite.length ? Math.min(...finite) : -1);
      const map = heatMap({values: logs, rows: result.losses, columns: result.tokens, low, high, kind: "s"}, {label: "log10 of the gradient norm: a row per loss, a column per step"});
      queueMicrotask(map.draw);
      const lines = [...results].flatMap(([model, each], k) => {
        const decay = each.decay[each.norms[name] ? name : each.main], x = decay.distances, y = decay.mean_log_norms;
        const centre = x.reduce((a, b) => a + b, 0) / x.length, mean = y.filter(Number.isFinite).reduce((a, b) => a + b, 0) / y.length;
        const words = decay.half_life === null ? " no decay" : ` halves every ${number(decay.half_life)} steps; factor ${number(Math.exp(decay.slope))} a step`;
        return [{name: model, x, y, colour: k, words}, ...(decay.slope === null ? [] : [{name: "", x: [x[0], x.at(-1)], y: [x[0], x.at(-1)].map((v) => mean + decay.slope * (v - centre)), colour: k, dashed: true}])];
      });
      const plot = linePlot(lines, {xTitle: "steps between loss and state", yTitle: "ln of the norm", label: "decay of the gradient"}), nodes = [
        figure("How far the loss reaches back", [
          make("div", {class: "row"}, select(names, names.indexOf(name), (i) => app.change({array: names[i]}), "gradient"), make("span", {class: "soft"}, "log10 of the norm"), scaleLegend(low, high, "s")),
          map.node,
          make("p", {class: "soft"}, "A row per loss, a column per step of the text. Blank: the step comes after the loss."),
          make("ul", {}, result.sentences[name].map((sentence) => make("li", {}, sentence))),
        ], {svg: map.svg, canvas: () => map.canvas, csv: () => [["loss", ...result.tokens], ...rows.map((row, i) => [result.losses[i], ...row.map((value) => value ?? "")])],
          python: `import unspool\n\nmodel = unspool.load(${JSON.stringify(app.model.folder)})\ngradients = model.gradients(${JSON.stringify(app.state.text)})\nprint(gradients.array(${JSON.stringify(name)}))\n`}),
        figure("Decay with the distance", [plot, legend(lines)], {svg: () => plot, csv: () => [["model", "distance", "mean ln norm"], ...lines.filter((line) => line.name).flatMap((line) => line.x.map((v, i) => [line.name, v, line.y[i]]))]}),
      ];
      const steps = Object.entries(result.jacobians).map(([place, jacobian]) => ({name: place, x: jacobian.largest_singular_values.map((_, i) => i + 1), y: jacobian.largest_singular_values.map((value) => value ?? NaN)}));
      if (steps.length) {
        const bars = linePlot(steps, {xTitle: "step", yTitle: "largest singular value", label: "largest singular value of each step's Jacobian"});
        nodes.push(figure("What one step does", [bars, legend(steps), make("p", {class: "soft"}, "Largest singular value of ∂state(t)/∂state(t−1): below 1, every direction shrinks.")], {svg: () => bars, csv: () => [["place", "step", "value"], ...steps.flatMap((line) => line.x.map((v, i) => [line.name, v, line.y[i]]))]}));
      }
      nodes.push(make("p", {class: "soft"}, "Cures to compare: another cell (--cell), orthogonal start (--initialization orthogonal), forget bias (--forget-bias), clipping (--clip). Train each, then open both here."));
      picture.replaceChildren(...nodes);
    }

    return {
      update(state, changed) {
        if (state.text !== undefined && document.activeElement !== ask.field) ask.field.value = state.text;
        if (changed.includes("array") && results.size && !changed.includes("text") && !changed.includes("runs")) draw();
        else run(state);
      },
      redraw: draw,
      close: () => controller.abort(),
    };
  },
};
