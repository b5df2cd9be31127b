// View of a trace: prediction, attention, gates word by word, every unit, and pinned units over time.
"use strict";
import {bar, choices, exact, figure, make, number, ramp, replaceKeepingFocus, scaleLegend, select, shade} from "./dom.js";
import {heatMap, ORDERS} from "./heatmap.js";

const BY_WEIGHT = "by weight to the output";
const MANY = 40;  // tokens above which the words are small and the numbers folded

/** Float32 values of an array: decoded from base64 in a saved page, or there already. */
export function valuesOf(array) {
  if (array.values) return array.values;
  const bytes = Uint8Array.from(atob(array.data), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  return (array.values = Float32Array.from({length: bytes.length / 4}, (_, i) => view.getFloat32(4 * i, true)));
}

function predictionFigure(p) {
  const rows = p.probabilities.map(([name, value]) => make("tr", {}, make("td", {class: "name"}, name), make("td", {}, bar(value, value))));
  return figure("Prediction", [
    p.labels.length ? make("p", {id: "label"}, p.labels.join(", ")) : null,
    rows.length ? make("table", {}, rows) : null,
    ...p.others.map((line) => make("p", {class: "soft"}, line)),
  ], {csv: () => [["name", "probability"], ...p.probabilities]});
}

function looksFigure(trace, state, change) {
  const chosen = Math.max(0, trace.maps.findIndex((map) => map.name === state.map)), map = trace.maps[chosen], colour = ramp(map.low < 0 ? "d" : "s");
  const values = valuesOf(map), lying = Math.max(...map.columns.map((c) => Array.from(c).length)) < 4;
  const lookup = make("p", {id: "lookup", "aria-live": "polite"}, "\u00a0");
  const head = make("tr", {}, make("th"), make("th"), map.columns.map((title) => make("th", {class: lying ? "lying" : "", title}, make("span", {}, title))));
  const rows = map.rows.map((token, i) => make("tr", {onmouseenter: () => { lookup.textContent = `${token} → ${map.lookups[i]}`; }},
    make("td", {class: "at"}, i + 1), make("td", {class: "name", title: token}, token), map.columns.map((title, j) => {
      const value = values[i * map.columns.length + j];
      if (!Number.isFinite(value)) return make("td", {}, "–");
      const cell = make("td", {title: `${token} → ${title}: ${value.toPrecision(4)}`}, Math.abs(value) >= 0.005 ? number(value) : "");
      shade(cell, colour((value - map.low) / (map.high - map.low)));
      return cell;
    })));
  return figure("Where it looked", [
    make("div", {class: "row"}, select(trace.maps.map((m) => m.name), chosen, (i) => change({map: trace.maps[i].name}), "map"), scaleLegend(map.low, map.high, map.low < 0 ? "d" : "s")),
    make("div", {class: "scroll"}, make("table", {id: "grid"}, head, rows)),
    make("p", {class: "soft"}, "A row per token that looked, a column per token looked at. Point at a cell for its value, at a row for what it saw most."),
    lookup,
  ], {csv: () => [["token", ...map.columns], ...map.rows.map((token, i) => [token, ...values.subarray(i * map.columns.length, (i + 1) * map.columns.length)])]});
}

/** The pixels of a shown image, lit by the weights of its boxes, on a canvas. */
function litImage(image, weights, title) {
  const bytes = image.bytes ??= Uint8Array.from(atob(image.pixels), (c) => c.charCodeAt(0)), {width, height} = image;
  const canvas = make("canvas", {width, height, class: "lit", role: "img", "aria-label": title}), pen = canvas.getContext("2d");
  const picture = pen.createImageData(width, height), shades = new Float32Array(width * height);
  const most = weights ? Math.max(...weights, 1e-12) : 1;
  image.boxes.forEach(([left, top, right, bottom], k) => {
    for (let y = Math.round(top * height); y < Math.round(bottom * height); y++)
      for (let x = Math.round(left * width); x < Math.round(right * width); x++) shades[y * width + x] = weights ? weights[k] / most : 1;
  });
  shades.forEach((share, i) => {
    for (let k = 0; k < 3; k++) picture.data[4 * i + k] = bytes[3 * i + k] * (0.25 + 0.75 * share);
    picture.data[4 * i + 3] = 255;
  });
  pen.putImageData(picture, 0, 0);
  return make("figure", {}, canvas, make("figcaption", {}, title));
}

function imageFigure(trace, state, change) {
  const maps = trace.maps.filter((map) => map.columns.length === trace.image.boxes.length);
  const chosen = Math.max(0, maps.findIndex((map) => map.name === state.map)), map = maps[chosen];
  if (!map) return null;
  const values = valuesOf(map), width = map.columns.length;
  return figure("Where it looked", [
    make("div", {class: "row"}, select(maps.map((m) => m.name), chosen, (i) => change({map: maps[i].name}), "map")),
    make("div", {class: "images"}, litImage(trace.image, null, "image"), map.rows.map((word, i) => litImage(trace.image, values.subarray(i * width, (i + 1) * width), word))),
    make("p", {class: "soft"}, "For each word, the image is bright where the network looked; the brightest cell has the largest weight."),
  ], {csv: () => [["word", ...map.columns], ...map.rows.map((word, i) => [word, ...values.subarray(i * width, (i + 1) * width)])]});
}

function placesOf(trace) {
  return [trace, trace.written].filter((side) => side).flatMap((side) => {
    const bare = !side.places.length && side.prediction.perToken.length;
    const places = bare ? [{name: side === trace ? "" : "written", columns: [], sentences: [], legend: ""}] : side.places;
    return places.map((place) => ({...place, side}));
  });
}

function gatesFigure(trace, state, change) {
  const places = placesOf(trace), at = Math.max(0, places.findIndex((place) => place.name === state.place)), here = places[at];
  const extra = here.side.prediction.perToken.filter((each) => typeof each.values[0] === "number" || each.values[0] === null);
  const columns = [...here.columns, ...extra.map((each) => ({title: each.title, values: each.values, high: Math.max(...each.values.filter(Number.isFinite), 1e-9)}))];
  const wanted = state.column ?? "forget", one = columns[Math.max(0, columns.findIndex((column) => column.title === wanted))], colour = ramp("s");
  const tags = here.side.prediction.tags, step = state.step ?? null, many = here.side.tokens.length > MANY;
  const words = here.side.tokens.map((token, i) => {
    const value = one ? one.values[i] : null;
    const word = make("button", {type: "button", class: many ? "word letter" : "word", "aria-pressed": String(step === i), title: one ? `${one.title} ${number(value)}` : token, onclick: () => change({step: step === i ? null : i})},
      token, one && value !== null && !many ? make("small", {}, number(value)) : null, tags.length ? make("small", {}, tags[i]) : null);
    if (one && value !== null) shade(word, colour(value / one.high));
    return word;
  });
  const head = make("tr", {}, ["#", "token", ...tags.length ? ["tag"] : [], ...columns.map((c) => c.title)].map((title) => make("th", {scope: "col"}, title)));
  const rows = here.side.tokens.map((token, i) => make("tr", {class: step === i ? "chosen" : ""}, make("td", {class: "at"}, i + 1), make("td", {class: "name", title: token}, token),
    tags.length ? make("td", {}, tags[i]) : null, columns.map((c) => make("td", {}, bar(c.values[i] / c.high, c.values[i])))));
  return figure("Word by word", [
    places.length > 1 ? choices(places.map((place) => place.name), at, (i) => change({place: places[i].name}), "layer") : null,
    choices(columns.map((column) => column.title), columns.indexOf(one), (i) => change({column: columns[i].title}), "quantity"),
    make("div", {class: "words"}, words),
    make("ul", {}, here.sentences.map((sentence) => make("li", {}, sentence))),
    make("details", {open: !many}, make("summary", {class: "soft"}, "numbers"), make("div", {class: "scroll"}, make("table", {}, head, rows))),
    make("p", {class: "soft"}, here.legend),
  ], {csv: () => [["position", "token", ...columns.map((c) => c.title)], ...here.side.tokens.map((token, i) => [i + 1, token, ...columns.map((c) => c.values[i] ?? "")])]});
}

/** All arrays of a trace, those of the written text included, each with its side. */
export function arraysOf(trace) {
  return [trace, trace.written].filter((side) => side).flatMap((side) => side.arrays.map((array) => Object.assign(array, {side})));
}

function mapFigure(trace, state, change, options) {
  const arrays = arraysOf(trace), at = Math.max(0, arrays.findIndex((array) => array.name === state.array)), array = arrays[at];
  const values = valuesOf(array), tokens = array.side.tokens, weights = options.weights?.[array.name];
  const orders = [...Object.keys(ORDERS), ...(weights ? [BY_WEIGHT] : [])], chosen = Math.max(0, orders.indexOf(state.order));
  const order = orders[chosen] === BY_WEIGHT ? weights.map((_, j) => j).sort((a, b) => weights[b] - weights[a]) : ORDERS[orders[chosen]](values, tokens.length, array.units), pinned = state.units ?? [];
  const map = heatMap({values, rows: tokens, columns: array.units, low: array.low, high: array.high}, {
    order, pinned, row: state.step ?? null, label: `${array.name}: ${tokens.length} tokens by ${array.units} units; arrow keys read values, enter pins a unit`,
    onPick: (step, unit) => change({step, units: pinned.includes(unit) ? pinned.filter((other) => other !== unit) : [...pinned, unit].slice(-6)}),
  });
  const node = figure("Every unit", [
    make("div", {class: "row"}, select(arrays.map((each) => each.name), at, (i) => change({array: arrays[i].name, units: []}), "array"),
      select(orders, chosen, (i) => change({order: orders[i]}), "order of the units"), scaleLegend(array.low, array.high, array.low < 0 ? "d" : "s")),
    map.node,
    make("p", {class: "soft"}, "A row per token, a column per unit. Point at a cell for its value, click to pin its unit and moment."),
    pinned.length ? tracks(array, values, pinned, state, change, options) : null,
  ], {svg: map.svg, canvas: () => map.canvas, csv: map.csv, python: options.python?.(array.name)});
  queueMicrotask(map.draw);
  return {node, draw: map.draw};
}

function tracks(array, values, pinned, state, change, options) {
  const tokens = array.side.tokens, width = Math.max(360, Math.min(1000, 40 * tokens.length)), height = 120, span = array.high - array.low;
  const x = (i) => 30 + (i + 0.5) * (width - 40) / tokens.length, y = (v) => 10 + (height - 30) * (1 - (v - array.low) / span);
  const every = Math.ceil(tokens.length / 24), svg = make("svg", {viewBox: `0 0 ${width} ${height}`, width, class: "tracks", role: "img", "aria-label": "pinned units over the tokens"});
  for (const value of [array.low, (array.low + array.high) / 2, array.high])
    svg.append(make("line", {x1: 30, x2: width - 10, y1: y(value), y2: y(value), class: "rule"}), make("text", {x: 0, y: y(value) + 4}, +value.toPrecision(2)));
  tokens.forEach((token, i) => { if (i % every === 0) svg.append(make("text", {x: x(i), y: height - 4, "text-anchor": "middle"}, token.slice(0, 9))); });
  if (state.step !== null && state.step !== undefined) svg.append(make("line", {x1: x(state.step), x2: x(state.step), y1: 8, y2: height - 18, class: "moment"}));
  pinned.forEach((unit, k) => svg.append(make("polyline", {class: `track t${k}`, points: tokens.map((_, i) => `${x(i).toFixed(1)},${y(Number.isFinite(values[i * array.units + unit]) ? values[i * array.units + unit] : array.low).toFixed(1)}`).join(" ")})));
  const rows = pinned.map((unit, k) => make("li", {class: `t${k}`}, make("b", {}, `unit ${unit + 1}`), state.step === null || state.step === undefined ? "" : ` ${exact(values[state.step * array.units + unit])} at ${tokens[state.step]}`,
    ...(options.actions?.(array, unit, state.step) ?? []), make("button", {type: "button", class: "tool", onclick: () => change({units: pinned.filter((other) => other !== unit)})}, "unpin")));
  return make("div", {class: "pinned"}, svg, make("ul", {class: "plain"}, rows));
}

/**
 * Draw a trace into a node.
 *
 * @param root The node; its content is replaced.
 * @param trace Content of a trace, as `unspool.inspection.page` writes it.
 * @param state What is chosen: `map`, `place`, `column`, `array`, `order`, `units`, `step`.
 * @param change Called with the parts of the state that a person changes.
 * @param options `actions(array, unit, step)` returns buttons for a pinned unit, `python(array)` the code of an array,
 *   `weights` the output weights of the units, by array.
 */
export function drawTrace(root, trace, state, change, options = {}) {
  const nodes = [], redraws = [];
  if (trace.prediction.shown) nodes.push(predictionFigure(trace.prediction));
  const over = trace.image && trace.maps.length ? imageFigure(trace, state, change) : null;
  if (over) nodes.push(over);
  else if (trace.maps.length) nodes.push(looksFigure(trace, state, change));
  if (placesOf(trace).length) nodes.push(gatesFigure(trace, state, change));
  if (arraysOf(trace).length) {
    const map = mapFigure(trace, state, change, options);
    nodes.push(map.node);
    redraws.push(map.draw);
  }
  nodes.push(make("div", {class: "soft"}, trace.notes.map((note) => make("p", {}, "Note: " + note))));
  replaceKeepingFocus(root, nodes);
  return {redraw: () => redraws.forEach((draw) => draw())};
}
