// Compare: two models or two texts token by token, and where two models disagree on labelled data.
"use strict";
import {bar, figure, make, number, scaleLegend, select} from "../inspection/dom.js";
import {heatMap} from "../inspection/heatmap.js";
import {asking} from "../asking.js";

const SIGNS = {equal: "", replaced: "~", removed: "−", added: "+"};

export const view = {
  id: "compare",
  title: "Compare",
  applies: (model) => Boolean(model) && model.task !== "answer",

  open(root, app) {
    let difference = null, disagreements = null, asked = null, controller = new AbortController();
    const same = () => app.info.models.filter((model) => model.task === app.model.task), other = () => same().find((model) => model.name === app.state.other) ?? same().find((model) => model !== app.model) ?? app.model;
    const ask = asking(app, (text) => app.change({text, step: null}, {push: true})), second = make("input", {type: "text", size: 50, value: app.state.second ?? "", placeholder: "the same text", "aria-label": "other text"});
    const setSecond = () => app.change({second: second.value || null}, {push: true});
    second.addEventListener("change", setSecond);
    const models = make("select", {"aria-label": "other model", onchange: () => app.change({other: models.value}, {push: true})}), result = make("div"), lower = make("div");
    const file = make("input", {type: "file", "aria-label": "labelled data", accept: ".txt,.tsv,.csv,.jsonl,.conll,.conllu"}), find = make("button", {type: "button", onclick: disagree}, "Find disagreements");
    root.append(ask.node, make("div", {class: "row"}, make("label", {class: "field"}, "against", models), make("label", {class: "field"}, "text", second)), result,
      make("section", {class: "figure", "aria-label": "disagreements"}, make("h2", {}, "Where two models disagree"), make("div", {class: "row"}, file, find), make("p", {class: "soft"}, "Labelled data, as for training; a text for language models. The largest difference comes first."), lower));

    async function run(state) {
      models.replaceChildren(...same().map((model) => make("option", {value: model.name, selected: model === other()}, model.name)));
      const key = JSON.stringify([state.text, state.second, other().name]);
      if (!state.text || key === asked) return draw();
      asked = key;
      controller.abort();
      controller = new AbortController();
      difference = await app.guard(() => app.api.postJson("api/compare", {model: app.model.name, other: other().name, input: state.text, ...(state.second ? {other_input: state.second} : {})}, controller.signal), "Comparing …");
      if (!difference) asked = null;
      draw();
    }

    function draw() {
      if (!difference) return;
      const names = Object.keys(difference.arrays), chosen = Math.max(0, names.indexOf(app.state.array)), rows = difference.rows.map((row) => `${SIGNS[row.kind] ?? ""} ${row.token}`.trim()), nodes = [];
      const sides = [`${app.model.name}`, app.state.second ? `${other().name}, other text` : other().name];
      nodes.push(figure("Predictions", [make("p", {}, difference.is_zero ? "Both runs are equal, bit for bit." : ""), Object.keys(difference.probabilities).length ? make("table", {}, make("tr", {}, make("th", {scope: "col"}, "choice"), sides.map((side) => make("th", {scope: "col"}, side))),
        Object.entries(difference.probabilities).slice(0, 20).map(([name, pair]) => make("tr", {}, make("td", {class: "name"}, name), pair.map((value) => make("td", {}, bar(value ?? 0, value ?? NaN)))))) : make("div", {class: "two"}, difference.predictions.map((prediction, i) => make("p", {}, make("b", {}, `${sides[i]}: `), text(prediction))))]));
      if (names.length) {
        const values = difference.arrays[names[chosen]], units = values[0].length, flat = Float32Array.from(values.flat(), (value) => (value === null ? NaN : value)), top = Math.max(...flat.filter(Number.isFinite).map(Math.abs), 1e-6);
        const map = heatMap({values: flat, rows, columns: units, low: -top, high: top}, {label: `difference of ${names[chosen]}`});
        queueMicrotask(map.draw);
        nodes.push(figure("Difference of every unit", [make("div", {class: "row"}, select(names, chosen, (i) => app.change({array: names[i]}), "array"), scaleLegend(-top, top, "d")), map.node,
          make("p", {class: "soft"}, `${sides[1]} minus ${sides[0]}. ~ marks a token in place of another, − and + a token that only one text has; hatched: no value.`)], {svg: map.svg, canvas: () => map.canvas, csv: map.csv,
          python: `import unspool\nfrom unspool.inspection import compare_traces\n\none = unspool.load(${JSON.stringify(app.model.folder)}).trace(${JSON.stringify(app.state.text)})\nother = unspool.load(${JSON.stringify(other().folder)}).trace(${JSON.stringify(app.state.second ?? app.state.text)})\nprint(compare_traces(one, other))\n`}));
      }
      const left = [...difference.only_one.map((name) => `${sides[0]} alone: ${name}`), ...difference.only_other.map((name) => `${sides[1]} alone: ${name}`)];
      if (left.length) nodes.push(make("details", {}, make("summary", {class: "soft"}, `${left.length} arrays have no counterpart`), make("ul", {}, left.map((line) => make("li", {class: "soft"}, line)))));
      result.replaceChildren(...nodes);
    }

    const text = (prediction) => { const value = prediction.translation ?? prediction.label ?? prediction.tags ?? prediction.answer ?? prediction.intent ?? ""; return Array.isArray(value) ? value.join(" ") : String(value); };

    async function disagree() {
      const chosen = file.files[0];
      if (!chosen) return void app.say("Choose a file of labelled data first.", true);
      const suffix = (/\.(txt|tsv|csv|jsonl|conll|conllu)$/.exec(chosen.name) ?? [".tsv"])[0];
      disagreements = await app.guard(async () => app.api.postJson("api/disagreements", {model: app.model.name, other: other().name, text: await chosen.text(), suffix}), "Reading the data with both models …");
      if (!disagreements) return;
      const examples = disagreements.disagreements, rows = examples.map((each) => make("tr", {}, make("td", {class: "number"}, number(each.difference)), make("td", {class: "name", title: each.text}, make("button", {type: "button", class: "tool", onclick: () => app.change({text: each.text, second: null}, {push: true})}, each.text.slice(0, 80))),
        make("td", {}, each.right), each.answers.map((answer) => make("td", {class: each.right && answer !== each.right ? "bad" : ""}, answer))));
      const categories = disagreements.categories.map((each) => make("tr", {}, make("td", {}, each.grouping), make("td", {}, each.category), make("td", {class: "number"}, each.units.toLocaleString("en")), each.nats.map((value) => make("td", {class: "number"}, number(value)))));
      lower.replaceChildren(make("p", {}, `${disagreements.differing.toLocaleString("en")} of ${disagreements.examples.toLocaleString("en")} differ.`),
        ...(categories.length ? [make("div", {class: "scroll"}, make("table", {}, make("tr", {}, ["grouping", "category", "units", ...disagreements.models].map((title) => make("th", {scope: "col"}, title))), categories))] : []),
        make("div", {class: "scroll"}, make("table", {}, make("tr", {}, ["difference", "text", "right", ...disagreements.models].map((title) => make("th", {scope: "col"}, title))), rows)));
    }

    return {
      update(state, changed) {
        if (state.text !== undefined && document.activeElement !== ask.field) ask.field.value = state.text;
        if (changed.length === 1 && changed[0] === "array") draw();
        else run(state);
      },
      redraw: draw,
      close: () => controller.abort(),
    };
  },
};
