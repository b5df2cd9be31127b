// Concept finder: which unit tracks a property of a text, whether by chance, and whether the network uses it.
"use strict";
import {bar, figure, make, number, visible} from "../inspection/dom.js";

const PROPERTIES = {depth: "depth of brackets", "code-depth": "depth of brackets in C code", "code-parentheses": "depth of parentheses in C code", "code-braces": "depth of braces in C code", quotes: "inside quotes", comment: "inside a comment (C)", "line-position": "position in the line", regex: "inside a match of …", column: "a column of the data"};
const SHOWN = 15;

export const view = {
  id: "concepts",
  title: "Concept finder",
  fromUnit: "what does it track?",
  applies: (model) => Boolean(model) && ["write", "classify", "tag"].includes(model.task) && /\d layer/.test(model.summary),

  open(root, app) {
    let controller = new AbortController(), report = null, data = {text: "", suffix: ".txt", name: ""};
    const text = make("textarea", {"aria-label": "text to search", rows: 3, placeholder: "Paste a text of some thousand words or lines of code, or choose a file", spellcheck: "false"});
    const file = make("input", {type: "file", "aria-label": "file to search", accept: ".txt,.tsv,.csv,.jsonl,.conll,.conllu,.c,.h,.py,.md"});
    const property = make("select", {"aria-label": "property"}, Object.entries(PROPERTIES).map(([key, words]) => make("option", {value: key, selected: key === (app.state.property ?? "depth")}, words)));
    const pattern = make("input", {type: "text", size: 24, value: app.state.pattern ?? "", "aria-label": "regular expression or column"});
    const tokens = make("input", {type: "number", min: 1000, max: 1000000, step: 1000, value: 50000, "aria-label": "tokens to read"});
    const go = make("button", {type: "button", class: "primary"}, "Search"), stop = make("button", {type: "button", hidden: true, onclick: () => controller.abort()}, "Stop");
    const progress = make("progress", {max: 1, value: 0, hidden: true, "aria-label": "progress"}), result = make("div");
    const showPattern = () => { pattern.hidden = !["regex", "column"].includes(property.value); };
    property.onchange = showPattern;
    showPattern();
    file.onchange = async () => {
      const chosen = file.files[0];
      if (!chosen) return;
      const known = /\.(txt|tsv|csv|jsonl|conll|conllu)$/.exec(chosen.name);
      data = {text: (await chosen.text()).slice(0, Math.floor(app.info.limits.max_body / 4)), suffix: known ? known[0] : ".txt", name: chosen.name};
      text.value = `${data.name}: ${data.text.length.toLocaleString("en")} characters`;
    };
    text.oninput = () => { data = {text: "", suffix: ".txt", name: ""}; };
    go.onclick = run;
    root.append(make("section", {class: "figure", "aria-label": "search"}, make("h2", {}, "Search for a property"), make("div", {class: "ask"}, text), make("div", {class: "row"}, file, property, pattern,
      make("label", {class: "field"}, "tokens", tokens), go, stop, progress), make("p", {class: "soft"}, "Half of the text chooses the unit, the other half scores it. Chance is corrected for the number of units; controls stand beside.")), result);

    async function run() {
      const content = data.text || text.value;
      if (!content.trim()) return void text.focus();
      controller = new AbortController();
      app.change({property: property.value, pattern: pattern.value});
      const body = {model: app.model.name, text: content, suffix: data.text ? data.suffix : ".txt", tokens: Number(tokens.value), [["regex", "column"].includes(property.value) ? property.value : "property"]: ["regex", "column"].includes(property.value) ? pattern.value : property.value};
      stop.hidden = progress.hidden = false;
      await app.guard(() => app.api.events("api/concepts", body, (event) => {
        if (event.report) { report = event.report; draw(); return; }
        app.say(`${event.stage}: ${event.done.toLocaleString("en")} of ${event.total.toLocaleString("en")}`);
        progress.value = event.done / event.total;
      }, controller.signal));
      stop.hidden = progress.hidden = true;
      if (report) app.say("");
    }

    function where(row) {
      for (const [name, count] of Object.entries(report.arrays)) { if (row < count) return [name, row]; row -= count; }
      return ["", row];
    }

    function draw() {
      const best = report.best, scores = report.units.scores, flat = scores.map((row, i) => ({score: Array.isArray(row) ? row[0] : row, low: pick(report.units.low, i), high: pick(report.units.high, i), p: pick(report.units.p, i), place: where(i)}));
      const ranked = [...flat].filter((unit) => Number.isFinite(unit.score)).sort((a, b) => b.score - a.score).slice(0, SHOWN), top = Math.max(ranked[0]?.score ?? 1, 0.01);
      const verdict = {"tracks and uses": "good", "nothing": "bad"}[report.verdict] ?? "", name = make("input", {type: "text", value: report.concept, "aria-label": "name of the unit", size: 18});
      const save = make("button", {type: "button", onclick: async () => { if (await app.guard(() => app.api.postJson("api/units", {model: app.model.name, array: best.array, unit: best.unit - 1, name: name.value}))) app.say(`${best.array}, unit ${best.unit} is named ${name.value}`); }}, "Name the unit");
      const pruned = make("input", {type: "text", value: `${app.model.name}-pruned`, "aria-label": "name of the pruned model", size: 18});
      const prune = make("button", {type: "button", onclick: async () => {
        const answer = await app.guard(() => app.api.postJson("api/prune", {model: app.model.name, units: [`${best.array}[${best.unit}]`], name: pruned.value}));
        if (answer && (await app.guard(async () => { await app.refresh(); return true; }))) app.say(`${answer.folder} is ${app.model.name} without ${answer.units.at(-1)}; open it above, or in Compare`);
      }}, "Prune the unit");
      const pruning = app.info.limits.pruned ? [pruned, prune] : [make("span", {class: "soft"}, "Start the studio with --pruned FOLDER to write a copy of the model without the unit.")];
      const nodes = [figure("Verdict", [make("p", {id: "label", class: verdict}, report.verdict), make("ul", {}, report.sentences.map((sentence) => make("li", {}, sentence))),
        make("div", {class: "row"}, name, save, make("button", {type: "button", onclick: () => app.go("travel", {array: best.array, units: [best.unit - 1]})}, "Change it"), make("button", {type: "button", onclick: () => app.go("gates", {array: best.array, units: [best.unit - 1]})}, "Watch it")), make("div", {class: "row"}, pruning)],
        {csv: () => [["array", "unit", "score", "low", "high", "p"], ...flat.map((unit) => [unit.place[0], unit.place[1] + 1, unit.score ?? "", unit.low ?? "", unit.high ?? "", unit.p ?? ""])]})];
      nodes.push(figure(`The best units by held-out ${report.score}`, make("div", {class: "scroll"}, make("table", {}, make("tr", {}, ["unit", "score", "95 % interval", "corrected p"].map((title) => make("th", {scope: "col"}, title))),
        ranked.map((unit) => make("tr", {}, make("td", {class: "name"}, make("button", {type: "button", class: "tool", onclick: () => app.go("gates", {array: unit.place[0], units: [unit.place[1]]})}, `${unit.place[0]}, ${unit.place[1] + 1}`)), make("td", {}, bar(unit.score / top, unit.score)), make("td", {class: "number"}, `${number(unit.low)} to ${number(unit.high)}`), make("td", {class: "number"}, unit.p === null ? "–" : unit.p.toPrecision(2))))))));
      nodes.push(figure("Controls", make("table", {}, Object.entries({[`unit ${best.unit}`]: best.score, ...report.controls, [`${report.probe.units.length} units together`]: report.probe.score, "the same, random labels": report.probe.control_task}).map(([label, value]) => make("tr", {}, make("td", {class: "name"}, label), make("td", {}, bar(value / Math.max(top, report.probe.score, 1e-9), value)))))));
      if (report.ablation) nodes.push(figure("Clamped at its mean: what the loss does", make("div", {class: "scroll"}, make("table", {}, make("tr", {}, [report.ablation.what, "count", "loss", "change", "random units", "times"].map((title) => make("th", {scope: "col"}, title))),
        report.ablation.categories.map((each) => make("tr", {class: each.category === report.ablation.expected ? "chosen" : ""}, make("td", {}, each.category), make("td", {class: "number"}, each.count.toLocaleString("en")), make("td", {class: "number"}, number(each.loss)), make("td", {class: "number"}, each.change.toFixed(4)), make("td", {class: "number"}, each.random_mean.toFixed(4)), make("td", {class: "number"}, each.times === null ? "–" : `${each.times.toFixed(1)} ×`)))))));
      nodes.push(figure("Where it is highest and lowest", make("div", {class: "two"}, [["highest", report.highest], ["lowest", report.lowest]].map(([title, excerpts]) => make("div", {}, make("h3", {}, title), excerpts.map((each) => make("div", {class: "written"}, excerpt(each))))))));
      result.replaceChildren(...nodes);
    }

    const pick = (values, i) => (Array.isArray(values[i]) ? values[i][0] : values[i]);
    const excerpt = (each) => [each.before ?? "", make("mark", {}, visible(each.token ?? "")), each.after ?? "", make("span", {class: "soft"}, ` ${number(each.value ?? NaN)}`)];

    return {redraw: () => { if (report) draw(); }, close: () => controller.abort()};
  },
};
