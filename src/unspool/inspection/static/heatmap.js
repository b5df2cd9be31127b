// Heat map: one cell per row and column on a canvas, with labels, a pointer, a cursor for the keyboard and a table.
"use strict";
import {exact, make, number, pixels, tip} from "./dom.js";

const LABELS = 130, HEAD = 16, HEIGHT = 660;  // pixels: names of rows, numbers of columns, height of many rows

/** Shorten a text to a width. */
function fit(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  const signs = Array.from(text);
  while (signs.length && pen.measureText(signs.join("") + "…").width > width) signs.pop();
  return signs.join("") + "…";
}

/** Paint the cells, one pixel each, into a canvas of that size. */
export function paintCells(values, rows, columns, order, low, high, kind) {
  const canvas = make("canvas"), table = pixels(kind), factor = 255 / (high - low || 1);
  canvas.width = columns;
  canvas.height = rows;
  const pen = canvas.getContext("2d"), image = pen.createImageData(columns, rows), cells = new Uint32Array(image.data.buffer);
  for (let i = 0, at = 0; i < rows; i++)
    for (let j = 0; j < columns; j++, at++) {
      const value = values[i * columns + (order ? order[j] : j)];
      if (value === -Infinity) continue;  // no value by nature: left blank
      // NaN is hatched: neighbouring cells differ, and no scale has these greys
      cells[at] = value === value ? table[value <= low ? 0 : value >= high ? 255 : ((value - low) * factor + 0.5) | 0] : (i + j) % 2 ? 0xff888888 : 0xffcccccc;
    }
  pen.putImageData(image, 0, 0);
  return canvas;
}

/**
 * A heat map.
 *
 * @param data `values` (rows × columns, float32), `rows` (names), `columns` (number of columns, or names), `low`, `high`,
 *   `kind` of the scale (`d` for signed values, `s` for others; by the sign of `low` if omitted).
 * @param options `order` of the columns, `unit` (noun for a column), `pinned` (columns), `row` (chosen row),
 *   `onPick(row, column)`, `width` in pixels.
 * @returns `node`, `canvas`, `svg()`, `csv()`.
 */
export function heatMap(data, options = {}) {
  const rows = data.rows.length, names = Array.isArray(data.columns) ? data.columns : null;
  const columns = names ? names.length : data.columns, kind = data.kind ?? (data.low < 0 ? "d" : "s"), order = options.order ?? null;
  const short = names?.map((name) => name.replace(/^slot /, ""));
  const unit = options.unit ?? "unit", canvas = make("canvas", {tabindex: 0, role: "img", "aria-label": options.label ?? "heat map"});
  const live = make("div", {class: "sr", "aria-live": "polite"}), node = make("div", {class: "scroll"}, canvas, live, tableOf());
  let cursor = [options.row ?? 0, 0], shape = null;

  function measure() {
    const room = Math.max(200, (options.width ?? node.clientWidth ?? 900) - LABELS - 4);
    const tall = Math.floor(Math.min(22, Math.max(rows > 700 ? 1 : 3, HEIGHT / rows)));
    shape = {wide: Math.max(1, Math.min(34, Math.floor(room / columns))), tall, every: Math.ceil(13 / tall)};
    return shape;
  }

  function draw() {
    const {wide, tall} = measure(), ratio = Math.min(window.devicePixelRatio || 1, 2), style = getComputedStyle(document.body);
    const width = LABELS + wide * columns, height = HEAD + tall * rows;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(paintCells(data.values, rows, columns, order, data.low, data.high, kind), LABELS, HEAD, wide * columns, tall * rows);
    pen.fillStyle = style.color;
    pen.font = "13px system-ui, sans-serif";
    data.rows.forEach((name, i) => { if (i % shape.every === 0) pen.fillText(fit(pen, `${i + 1} ${name}`, LABELS - 10), 0, HEAD + tall * i + tall / 2 + 4); });
    pen.font = "10px system-ui, sans-serif";
    const every = Math.max(1, Math.ceil(30 / wide));
    for (let j = 0; j < columns; j += every) pen.fillText(names ? fit(pen, short[j], every * wide) : column(j) + 1, LABELS + wide * j, 10);
    pen.lineWidth = 2;
    pen.strokeStyle = style.getPropertyValue("--accent") || "#14558c";
    for (const one of options.pinned ?? []) {
      const j = order ? order.indexOf(one) : one;
      pen.strokeRect(LABELS + wide * j, HEAD, Math.max(2, wide), tall * rows);
    }
    if (options.row !== undefined && options.row !== null) pen.strokeRect(LABELS, HEAD + tall * options.row, wide * columns, tall);
  }

  const column = (j) => (order ? order[j] : j);
  const value = (i, j) => data.values[i * columns + column(j)];
  const words = (i, j) => `${i + 1} ${data.rows[i]}, ${names ? names[column(j)] : `${unit} ${column(j) + 1}`}: ${exact(value(i, j))}`;

  function place(event) {
    const box = canvas.getBoundingClientRect(), j = Math.floor((event.clientX - box.left - LABELS) / shape.wide);
    const i = Math.floor((event.clientY - box.top - HEAD) / shape.tall);
    return i >= 0 && j >= 0 && i < rows && j < columns ? [i, j] : null;
  }

  canvas.addEventListener("mousemove", (event) => { const at = place(event); tip(at && words(...at), event); });
  canvas.addEventListener("mouseleave", (event) => tip("", event));
  canvas.addEventListener("click", (event) => { const at = place(event); if (at && options.onPick) options.onPick(at[0], column(at[1])); });
  canvas.addEventListener("keydown", (event) => {
    const move = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (move) {
      cursor = [Math.min(rows - 1, Math.max(0, cursor[0] + move[0])), Math.min(columns - 1, Math.max(0, cursor[1] + move[1]))];
      live.textContent = words(...cursor);
      const box = canvas.getBoundingClientRect();
      tip(words(...cursor), {clientX: box.left + LABELS + shape.wide * cursor[1], clientY: box.top + HEAD + shape.tall * cursor[0]});
      event.preventDefault();
    } else if (event.key === "Enter" && options.onPick) options.onPick(cursor[0], column(cursor[1]));
  });
  canvas.addEventListener("blur", (event) => tip("", event));

  function tableOf() {
    const most = 40, details = make("details", {}, make("summary", {class: "soft"}, "as a table"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.querySelector("table")) return;
      const head = make("tr", {}, make("th", {}, ""), Array.from({length: Math.min(most, columns)}, (_, j) => make("th", {scope: "col"}, names ? names[column(j)] : `${column(j) + 1}`)));
      const body = data.rows.slice(0, 200).map((name, i) => make("tr", {}, make("th", {scope: "row"}, `${i + 1} ${name}`), Array.from({length: Math.min(most, columns)}, (_, j) => make("td", {class: "number"}, number(value(i, j))))));
      details.append(make("div", {class: "scroll"}, make("table", {class: "plain"}, head, body)));
      if (columns > most || rows > 200) details.append(make("p", {class: "soft"}, `The first ${Math.min(most, columns)} columns and ${Math.min(200, rows)} rows; the CSV has all.`));
    });
    return details;
  }

  function svg() {
    const {wide, tall} = measure(), width = LABELS + wide * columns, height = HEAD + tall * rows;
    const cells = paintCells(data.values, rows, columns, order, data.low, data.high, kind).toDataURL();
    const root = make("svg", {viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif", "font-size": 12});
    root.append(make("image", {href: cells, x: LABELS, y: HEAD, width: wide * columns, height: tall * rows, preserveAspectRatio: "none", "image-rendering": "pixelated"}));
    data.rows.forEach((name, i) => { if (i % shape.every === 0) root.append(make("text", {x: 0, y: HEAD + tall * i + tall / 2 + 4}, `${i + 1} ${name}`.slice(0, 22))); });
    root.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    return new XMLSerializer().serializeToString(root);
  }

  function rowsOfCsv() {
    const head = ["position", "token", ...Array.from({length: columns}, (_, j) => (names ? names[j] : j + 1))];
    return [head, ...data.rows.map((name, i) => [i + 1, name, ...Array.from(data.values.subarray(i * columns, (i + 1) * columns), Number)])];
  }

  return {node, canvas, draw, svg, csv: rowsOfCsv};
}

/** Orders of columns: as stored, by similarity of their course over time, by the row of their peak. */
export const ORDERS = {
  "as stored": () => null,
  "by similarity": (values, rows, columns) => byAngle(values, rows, columns),
  "by first peak": (values, rows, columns) => {
    const peaks = Array.from({length: columns}, (_, j) => {
      let best = 0;
      for (let i = 1; i < rows; i++) if (Math.abs(values[i * columns + j]) > Math.abs(values[best * columns + j])) best = i;
      return best;
    });
    return peaks.map((_, j) => j).sort((a, b) => peaks[a] - peaks[b] || a - b);
  },
};

/** Order columns by their angle in the plane of the two largest principal components. */
function byAngle(values, rows, columns) {
  const centred = new Float64Array(rows * columns);
  for (let j = 0; j < columns; j++) {
    let mean = 0, norm = 0;
    for (let i = 0; i < rows; i++) mean += values[i * columns + j] / rows;
    for (let i = 0; i < rows; i++) norm += (values[i * columns + j] - mean) ** 2;
    for (let i = 0; i < rows; i++) centred[i * columns + j] = (values[i * columns + j] - mean) / (Math.sqrt(norm) || 1);
  }
  const axes = [];
  for (const _ of [0, 1]) {
    let axis = Float64Array.from({length: rows}, (_, i) => Math.sin(i * 1.7 + axes.length + 1));
    for (let round = 0; round < 30; round++) {
      const scores = new Float64Array(columns), next = new Float64Array(rows);
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) scores[j] += centred[i * columns + j] * axis[i];
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) next[i] += centred[i * columns + j] * scores[j];
      for (const other of axes) {
        const shared = next.reduce((sum, x, i) => sum + x * other[i], 0);
        for (let i = 0; i < rows; i++) next[i] -= shared * other[i];
      }
      const length = Math.hypot(...next) || 1;
      axis = next.map((x) => x / length);
    }
    axes.push(axis);
  }
  const angles = Array.from({length: columns}, (_, j) => {
    let x = 0, y = 0;
    for (let i = 0; i < rows; i++) { x += centred[i * columns + j] * axes[0][i]; y += centred[i * columns + j] * axes[1][i]; }
    return Math.atan2(y, x);
  });
  return angles.map((_, j) => j).sort((a, b) => angles[a] - angles[b] || a - b);
}
