// Forecasts with their intervals: after the training data, or after values that a person writes.
"use strict";
import {figure, make} from "../inspection/dom.js";
import {asking} from "../asking.js";

export const view = {
  id: "forecast",
  title: "Forecast",
  applies: (model) => Boolean(model?.forecasts),

  open(root, app) {
    let asked = null, controller = new AbortController();
    const steps = make("input", {type: "number", min: 1, max: 10000, "aria-label": "steps to forecast", placeholder: "steps"});
    const change = (text) => app.change({text, length: steps.value ? Number(steps.value) : null}, {push: true});
    const ask = asking(app, change, [steps, make("button", {type: "button", onclick: () => change(null)}, "After the training data")], "Forecast");
    const result = make("div");
    ask.field.placeholder = "the values so far, a step on each line, with times as in training";
    steps.addEventListener("change", () => change(app.state.text ?? null));
    root.append(ask.node, result);

    async function run(state) {
      const key = JSON.stringify([state.text ?? "", state.length ?? null]);
      if (key === asked) return;
      asked = key;
      controller.abort();
      controller = new AbortController();
      const body = {model: app.model.name, input: state.text || null, horizon: state.length ?? null};
      const answer = await app.guard(() => app.api.postJson("api/forecast", body, controller.signal), "Forecasting …");
      if (!answer) { asked = null; return; }
      const names = Object.keys(answer.columns), cells = answer.columns[names[0]].map((_, row) => names.map((name) => answer.columns[name][row]));
      const image = make("img", {class: "graph", alt: "history, forecast and interval", src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(answer.svg)}`});
      const canvas = () => {
        const drawn = make("canvas", {width: image.naturalWidth, height: image.naturalHeight}), context = drawn.getContext("2d");
        context.fillStyle = getComputedStyle(document.body).backgroundColor;
        context.fillRect(0, 0, drawn.width, drawn.height);
        context.drawImage(image, 0, 0);
        return drawn;
      };
      const rows = cells.map((row) => make("tr", {}, row.map((cell) => make("td", {class: typeof cell === "number" ? "number" : ""}, typeof cell === "number" ? String(Number(cell.toPrecision(6))) : cell))));
      const head = make("tr", {}, names.map((name) => make("th", {scope: "col"}, name)));
      const python = `import unspool\n\nmodel = unspool.load(${JSON.stringify(app.model.folder)})\nresult = model.predict(${state.text ? JSON.stringify(state.text) : ""}${state.length ? `${state.text ? ", " : ""}horizon=${state.length}` : ""})\nforecast = ${state.text ? "result" : "result[0]"}\nforecast.save("forecast.svg")\n`;
      result.replaceChildren(figure("What comes next", [make("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "picture"}, image), answer.caution ? make("p", {class: "soft"}, answer.caution) : [], make("details", {}, make("summary", {class: "soft"}, `${rows.length} values`), make("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "values"}, make("table", {}, head, rows)))],
        {svg: () => answer.svg, canvas, csv: () => [names, ...cells], python}));
    }

    return {
      update(state) {
        if (document.activeElement !== ask.field) ask.field.value = state.text ?? "";
        if (document.activeElement !== steps) steps.value = state.length ?? "";
        run(state);
      },
      close: () => controller.abort(),
    };
  },
};
