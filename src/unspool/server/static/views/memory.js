// Attention and memory: all heads, hops and memory heads of one text, each with an action that changes it.
"use strict";
import {bar, figure, make, scaleLegend} from "../inspection/dom.js";
import {heatMap} from "../inspection/heatmap.js";
import {valuesOf} from "../inspection/trace_view.js";
import {asking} from "../asking.js";

export const view = {
  id: "memory",
  title: "Attention and memory",
  applies: (model) => Boolean(model) && (["translate", "read", "algorithm"].includes(model.task) || /transformer|attention|memory|ntm/i.test(model.summary)),

  open(root, app) {
    let trace = null, traced = null, dropped = null, controller = new AbortController();
    const ask = asking(app, (text) => app.change({text, step: null}, {push: true})), picture = make("div");
    root.append(ask.node, picture);

    async function run(state) {
      if (!state.text || state.text === traced) return draw();
      traced = state.text;
      dropped = null;
      controller.abort();
      controller = new AbortController();
      trace = await app.guard(() => app.api.trace(app.model.name, state.text, controller.signal), "Running …");
      if (!trace) traced = null;
      draw();
    }

    function draw() {
      if (!trace) return;
      const draws = [], nodes = [], maps = make("div", {class: "maps"});
      for (const map of trace.maps) {
        const drawn = heatMap({values: valuesOf(map), rows: map.rows, columns: map.columns, low: map.low, high: map.high}, {label: map.name, row: app.state.step ?? null, onPick: (row) => app.change({step: row})});
        draws.push(drawn.draw);
        const node = figure(map.name, [make("div", {class: "row"}, scaleLegend(map.low, map.high, map.low < 0 ? "d" : "s"), actions(map)), drawn.node], {svg: drawn.svg, canvas: () => drawn.canvas, csv: drawn.csv});
        node.classList.toggle("wide", map.columns.length > 12);
        maps.append(node);
      }
      if (maps.children.length) nodes.push(maps);
      if (app.model.task === "read") nodes.unshift(sentences());
      if (!trace.maps.length && app.model.task !== "read") nodes.push(make("p", {}, "This model has no attention and no memory: nothing is looked up. Its gates and states are in the first view."));
      picture.replaceChildren(...nodes);
      draws.forEach((one) => one());
    }

    function actions(map) {
      const edit = (line, words) => make("button", {type: "button", class: "tool", onclick: () => app.go("travel", {edits: [line]})}, words);
      if (app.model.task === "read") return null;
      if (/ (read|write) head \d+$/.test(map.name)) {
        const place = map.name.replace(/ \/ .*$/, ""), slot = make("input", {type: "number", min: 1, max: map.columns.length, value: 1, "aria-label": "slot"}), step = Math.floor((app.state.step ?? map.rows.length / 2 - 1)) + 1;
        return make("span", {class: "row"}, make("label", {class: "field"}, "slot", slot), make("button", {type: "button", class: "tool", onclick: () => app.go("travel", {edits: [`${place} / memory slot ${slot.value} = 0 @ ${step}`]})}, `erase it after step ${step}`));
      }
      return edit(`${map.name} = zero`, /head \d+$/.test(map.name) ? "forbid this head" : "forbid it");
    }

    function sentences() {
      const answer = trace.prediction.labels.join(", "), hops = trace.arrays.filter((array) => /^hops \/ hop \d+$/.test(array.name));
      const weights = hops.map((array) => valuesOf(array)), title = (name) => make("th", {scope: "col"}, name);
      const head = make("tr", {}, title("at"), title("sentence"), hops.map((array) => title(array.name.slice(7))), title("for all hops"), title("of the story"));
      const rows = trace.tokens.map((sentence, i) => make("tr", {class: dropped === i ? "chosen" : ""}, make("td", {class: "at"}, i + 1), make("td", {}, sentence), hops.map((_, k) => make("td", {}, bar(Math.max(0, weights[k][i]), weights[k][i]))),
        make("td", {}, make("button", {type: "button", class: "tool", onclick: () => forbid(i)}, "forbid")), make("td", {}, make("button", {type: "button", class: "tool", onclick: () => drop(i)}, "drop"))));
      const note = make("p", {"aria-live": "polite"}, answer ? `answer: ${answer}` : "");
      return figure("The story", [make("div", {class: "scroll"}, make("table", {}, head, rows)), note]);

      async function forbid(i) {
        const edit = `hops / attention[${i + 1}] = zero`;
        const result = await app.guard(() => app.api.trace(app.model.name, app.state.text, controller.signal, {edits: [edit]}), "Asking again …");
        dropped = i;
        if (result) note.replaceChildren(`answer: ${answer}; with `, make("code", {}, edit), `: ${result.prediction.labels.join(", ")}`);
      }

      async function drop(i) {
        const parts = app.state.text.match(/[^.?!\n]+[.?!\n]*/g) ?? [], rest = parts.filter((_, k) => k !== i).join("");
        const result = await app.guard(() => app.api.postJson("api/predict", {model: app.model.name, input: rest}), "Asking again …");
        dropped = i;
        if (result) note.textContent = `answer: ${answer}; without sentence ${i + 1}: ${result.prediction.answer ?? JSON.stringify(result.prediction)}`;
      }
    }

    return {
      update(state) {
        if (state.text !== undefined && document.activeElement !== ask.field) ask.field.value = state.text;
        run(state);
      },
      redraw: draw,
      close: () => controller.abort(),
    };
  },
};
