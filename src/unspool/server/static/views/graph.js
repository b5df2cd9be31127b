// The unrolled graph: the network, one step of its cell, and the cells over a text.
"use strict";
import {download, figure, make} from "../inspection/dom.js";
import {asking} from "../asking.js";

export const view = {
  id: "graph",
  title: "Graph",
  applies: (model) => Boolean(model),

  open(root, app) {
    let asked = null, controller = new AbortController();
    const ask = asking(app, (text) => app.change({text, step: null}, {push: true}), [], "Unroll"), picture = make("div");
    root.append(ask.node, picture);

    async function run(state) {
      const key = state.text ?? "";
      if (key === asked) return;
      asked = key;
      controller.abort();
      controller = new AbortController();
      const result = await app.guard(() => app.api.postJson("api/graph", {model: app.model.name, input: state.text || null}, controller.signal), "Drawing …");
      if (!result) { asked = null; return; }
      const image = make("img", {class: "graph", alt: `graph of ${result.model}`, src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(result.svg)}`});
      const cell = result.cell, nodes = [figure("The network, folded and unrolled", [make("div", {class: "scroll"}, image), make("ul", {}, result.notes.map((note) => make("li", {}, note)))], {
        svg: () => result.svg, python: `import unspool\n\nmodel = unspool.load(${JSON.stringify(app.model.folder)})\nmodel.graph(${JSON.stringify(state.text ?? null).replace("null", "None")}).save("graph.svg")\n`})];
      if (cell?.nodes) {
        const rows = cell.nodes.map((node) => make("tr", {}, ["name", "operation", "shape"].map((part) => make("td", {}, String(node[part] ?? "")))));
        nodes.push(figure("Nodes of one step", [make("details", {}, make("summary", {class: "soft"}, `${cell.nodes.length} nodes`), make("div", {class: "scroll"}, make("table", {}, rows))),
          make("button", {type: "button", class: "tool", onclick: () => download("graph.json", JSON.stringify({...result, svg: undefined}, null, 1), "application/json")}, "Save as JSON")]));
      }
      picture.replaceChildren(...nodes);
    }

    return {
      update(state) {
        if (state.text !== undefined && document.activeElement !== ask.field) ask.field.value = state.text;
        run(state);
      },
      close: () => controller.abort(),
    };
  },
};
