// Training monitor: curves of runs while they are written and after, samples, and warnings in words.
"use strict";
import {figure, make, number} from "../inspection/dom.js";

const COLUMNS = 700, SIGNED = /loss|perplexity|nats/;

export const view = {
  id: "monitor",
  title: "Training",
  whileLoading: true,
  applies: (model, info) => Boolean(info?.runs),

  open(root, app) {
    const list = make("div"), pictures = make("div"), side = make("div"), plots = [];
    let known = new Map(), records = new Map(), closed = false, timer = null;
    root.append(list, pictures, side);

    const hidden = () => new Set(app.state.runs ?? []);
    const colours = () => [0, 1, 2, 3, 4, 5].map((k) => getComputedStyle(document.documentElement).getPropertyValue(`--t${k}`).trim());

    async function poll() {
      if (closed) return;
      try {
        const {runs} = await app.api.getJson("api/runs");
        let changed = runs.length !== known.size;
        for (const run of runs) {
          const before = known.get(run.name);
          if (before && before.update === run.update && before.state === run.state) continue;
          records.set(run.name, await app.api.getJson(`api/runs/${run.name.split("/").map(encodeURIComponent).join("/")}?columns=${COLUMNS}`));
          changed = true;
        }
        known = new Map(runs.map((run) => [run.name, run]));
        records = new Map([...records].filter(([name]) => known.has(name)));
        if (changed) draw();
      } catch (error) { app.say(error.message, true); }
      timer = setTimeout(poll, 1000);
    }

    function draw() {
      drawList();
      drawCurves();
      drawSide();
    }

    function drawList() {
      const palette = colours(), off = hidden();
      const rows = [...records.values()].map((run, k) => {
        const dot = make("span", {class: "dot"}), metric = run.metric ? run.curves[run.metric] : null;
        dot.style.background = off.has(run.name) ? "transparent" : palette[k % 6];
        dot.style.borderColor = palette[k % 6];
        const toggle = make("button", {type: "button", class: "tool", "aria-pressed": String(!off.has(run.name)), onclick: () => app.change({runs: off.has(run.name) ? [...off].filter((name) => name !== run.name) : [...off, run.name]})}, dot, " ", run.name);
        const open = app.info.models.find((model) => model.folder === run.folder);
        return make("tr", {}, make("td", {}, toggle), make("td", {class: run.state === "interrupted" ? "bad" : run.state === "running" ? "good" : ""}, run.state),
          make("td", {class: "number"}, `${run.update.toLocaleString("en")}${run.updates ? ` of ${run.updates.toLocaleString("en")}` : ""}`), make("td", {class: "number"}, run.epoch === null ? "" : number(run.epoch)),
          make("td", {class: "number"}, metric ? `${run.metric} ${+Number(metric.latest).toPrecision(5)}` : ""), make("td", {}, open ? make("button", {type: "button", class: "tool", onclick: () => app.go("gates", {model: open.name})}, "look inside") : null));
      });
      list.replaceChildren(figure("Runs", [make("div", {class: "scroll"}, make("table", {}, make("tr", {}, ["run", "state", "update", "epoch", "score", "open"].map((title) => make("th", {scope: "col"}, title))), rows)),
        ...[...records.values()].flatMap((run) => run.warnings.map((warning) => make("p", {class: "bad"}, make("b", {}, `${run.name}: `), `${warning.text}; ${warning.cure}`)))]));
    }

    function drawCurves() {
      for (const plot of plots.splice(0)) plot.destroy();
      const off = hidden(), palette = colours(), shown = [...records.values()].filter((run) => !off.has(run.name)), places = [...records.keys()];
      const names = [...new Set(shown.flatMap((run) => Object.keys(run.curves)))], style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--soft"), line = style.getPropertyValue("--line");
      const nodes = names.map((name) => {
        const body = make("div"), runs = shown.filter((run) => run.curves[name]), xs = [...new Set(runs.flatMap((run) => run.curves[name].updates.filter((_, i) => run.curves[name].last[i] !== null || run.curves[name].low[i] !== null)))].sort((a, b) => a - b), place = new Map(xs.map((x, i) => [x, i]));
        const series = [{label: "update"}], data = [xs], bands = [];
        for (const run of runs) {
          const curve = run.curves[name], colour = palette[places.indexOf(run.name) % 6], columns = {low: Array(xs.length).fill(undefined), high: Array(xs.length).fill(undefined), last: Array(xs.length).fill(undefined)};
          curve.updates.forEach((x, i) => { if (place.has(x)) { columns.low[place.get(x)] = curve.low[i] ?? undefined; columns.high[place.get(x)] = curve.high[i] ?? undefined; columns.last[place.get(x)] = curve.last[i] ?? undefined; } });
          series.push({label: run.name, stroke: colour, width: 1.6, spanGaps: true, points: {show: curve.points < 60}}, {label: "", stroke: colour + "55", width: 1, spanGaps: true, points: {show: false}}, {label: "", stroke: colour + "55", width: 1, spanGaps: true, points: {show: false}});
          data.push(columns.last, columns.high, columns.low);
          bands.push({series: [data.length - 2, data.length - 1], fill: colour + "30"});
        }
        const positive = data.slice(1).flat().every((value) => value === undefined || value === null || value > 0), log = positive && SIGNED.test(name) && app.state.scale !== "linear";
        const bad = runs.filter((run) => run.curves[name].not_finite_updates.length);
        queueMicrotask(() => {
          if (closed || !xs.length || !body.isConnected) return;
          plots.push(new window.uPlot({width: Math.max(280, Math.min(960, body.clientWidth)), height: 210, series, bands, legend: {show: false}, scales: {x: {time: false}, y: {distr: log ? 3 : 1}}, cursor: {y: false, sync: {key: "updates"}},
            axes: [{stroke: ink, grid: {stroke: line, width: 1}}, {stroke: ink, grid: {stroke: line, width: 1}, size: 64}]}, data, body));
        });
        return figure(name, [body, ...bad.map((run) => make("p", {class: "bad"}, `${run.name}: not finite at update ${run.curves[name].not_finite_updates.slice(0, 8).join(", ")}`)),
          make("p", {class: "sr"}, runs.map((run) => `${run.name}: ${run.curves[name].latest}`).join("; "))], {canvas: () => body.querySelector("canvas"),
          csv: () => [["run", "update", "low", "high", "last"], ...runs.flatMap((run) => run.curves[name].updates.map((x, i) => [run.name, x, run.curves[name].low[i] ?? "", run.curves[name].high[i] ?? "", run.curves[name].last[i] ?? ""]))]});
      });
      pictures.replaceChildren(make("div", {class: "row"}, make("button", {type: "button", "aria-pressed": String(app.state.scale !== "linear"), onclick: () => app.change({scale: app.state.scale === "linear" ? null : "linear"})}, "logarithmic"),
        make("span", {class: "soft"}, "A band spans the lowest and highest value of each column, so that a spike of one update stays visible.")), ...nodes);
    }

    function drawSide() {
      const off = hidden(), samples = [...records.values()].filter((run) => !off.has(run.name) && run.samples.length);
      side.replaceChildren(...samples.map((run) => figure(`Samples of ${run.name}`, run.samples.slice(-6).reverse().map((sample) => make("div", {}, make("p", {class: "soft"}, `after update ${sample.update.toLocaleString("en")}`),
        ...Object.entries(sample).filter(([name]) => name !== "update").map(([name, text]) => make("div", {class: "written"}, `${name}: `, text)))))));
    }

    poll();
    return {
      update(state, changed) { if (["runs", "scale"].some((name) => changed.includes(name))) draw(); },
      redraw: () => { if (records.size) draw(); },
      close() { closed = true; clearTimeout(timer); for (const plot of plots.splice(0)) plot.destroy(); },
    };
  },
};
