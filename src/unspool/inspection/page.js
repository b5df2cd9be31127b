"use strict";
const trace = JSON.parse(document.getElementById("trace").textContent);
const $ = (id) => document.getElementById(id);
const LABELS = 130, SPACE = 16;  // room for the tokens and for the unit numbers, pixels
let place = 0, column = 0;

function make(parent, tag, text, kind) {
  const node = parent.appendChild(document.createElement(tag));
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function number(value) {
  return value === null || !Number.isFinite(value) ? "–" : value.toFixed(2);
}

function ramp(kind) {
  const style = getComputedStyle(document.documentElement);
  return [0, 1, 2].map((i) => style.getPropertyValue(`--${kind}${i}`).split(",").map(Number));
}

function mix(share, colours) {
  const at = Math.min(1, Math.max(0, share)) * 2, i = Math.min(1, Math.floor(at));
  return colours[i].map((a, k) => Math.round(a + (colours[i + 1][k] - a) * (at - i)));
}

function ink([r, g, b]) {
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#14171a" : "#fff";
}

function bar(cell, share, value) {
  const width = Number.isFinite(share) ? Math.min(1, Math.max(0, share)) * 100 : 0;
  make(make(cell, "span", undefined, "bar"), "i").style.width = width + "%";
  make(cell, "span", number(value), "number");
}

function drawPrediction() {
  const p = trace.prediction;
  $("prediction").hidden = !p.shown;
  if (p.labels.length) { $("label").hidden = false; $("label").textContent = p.labels.join(", "); }
  for (const [name, value] of p.probabilities) {
    const row = make($("probabilities"), "tr");
    make(row, "td", name, "name");
    bar(make(row, "td"), value, value);
  }
  for (const line of p.others) make($("others"), "p", line);
  for (const note of trace.notes) make($("notes"), "p", "Note: " + note);
}

function buttons(parent, names, chosen, choose) {
  parent.replaceChildren();
  names.forEach((name, i) => {
    const button = make(parent, "button", name);
    button.type = "button";
    button.setAttribute("aria-pressed", String(i === chosen));
    button.onclick = () => choose(i);
  });
}

function drawWords() {
  const here = trace.places[place], one = here.columns[column], colours = ramp("s");
  buttons($("places"), trace.places.length > 1 ? trace.places.map((p) => p.name) : [], place, (i) => { place = i; column = Math.min(column, trace.places[i].columns.length - 1); drawWords(); });
  buttons($("choices"), here.columns.map((c) => c.title), column, (i) => { column = i; drawWords(); });
  $("words").replaceChildren();
  trace.tokens.forEach((token, i) => {
    const word = make($("words"), "span", token), value = one ? one.values[i] : null;
    if (one && value !== null) {
      const colour = mix(value / one.high, colours);
      word.style.background = `rgb(${colour})`;
      word.style.color = ink(colour);
      make(word, "small", number(value));
    }
    if (trace.prediction.tags.length) make(word, "small", trace.prediction.tags[i]);
  });
  $("sentences").replaceChildren();
  for (const said of here.sentences) make($("sentences"), "li", said);
  $("legend").textContent = here.legend;
  drawColumns(here);
}

function drawColumns(here) {
  const table = $("columns"), extra = trace.prediction.perToken;
  table.replaceChildren();
  const head = make(table, "tr");
  for (const title of ["", "token", ...extra.map((e) => e.title), ...here.columns.map((c) => c.title)]) make(head, "th", title);
  trace.tokens.forEach((token, i) => {
    const row = make(table, "tr");
    make(row, "td", i + 1, "at");
    make(row, "td", token, "name").title = token;
    for (const e of extra) make(row, "td", typeof e.values[i] === "number" ? number(e.values[i]) : e.values[i] ?? "–");
    for (const c of here.columns) bar(make(row, "td"), c.values[i] / c.high, c.values[i]);
  });
}

function decode(array) {
  const bytes = Uint8Array.from(atob(array.data), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float32Array.from({length: bytes.length / 4}, (_, i) => view.getFloat32(4 * i, true));
}

function shape(array) {
  const room = $("map").clientWidth - 42 - LABELS, tall = Math.floor(Math.min(22, Math.max(2, 16000 / trace.tokens.length)));
  return {wide: Math.max(2, Math.min(34, Math.floor(room / array.units))), tall};
}

function drawMap() {
  const array = trace.arrays[$("arrays").value], canvas = $("canvas"), {wide, tall} = shape(array);
  array.values ??= decode(array);
  const colours = ramp(array.low < 0 ? "d" : "s"), ratio = Math.min(window.devicePixelRatio || 1, 2), style = getComputedStyle(document.body);
  const width = LABELS + wide * array.units, height = SPACE + tall * trace.tokens.length;
  Object.assign(canvas, {width: width * ratio, height: height * ratio});
  Object.assign(canvas.style, {width: width + "px", height: height + "px"});
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "13px system-ui, sans-serif";
  pen.fillStyle = style.color;
  if (tall >= 12) trace.tokens.forEach((token, i) => pen.fillText(fit(pen, `${i + 1} ${token}`), 0, SPACE + tall * i + tall / 2 + 4));
  pen.font = "10px system-ui, sans-serif";
  const every = Math.max(1, Math.ceil(30 / wide));
  for (let u = 0; u < array.units; u += every) pen.fillText(u + 1, LABELS + wide * u, 10);
  const gap = wide > 5 && tall > 5 ? 1 : 0;
  for (let i = 0; i < trace.tokens.length; i++)
    for (let u = 0; u < array.units; u++) {
      const value = array.values[i * array.units + u];
      if (!Number.isFinite(value)) continue;
      pen.fillStyle = `rgb(${mix((value - array.low) / (array.high - array.low), colours)})`;
      pen.fillRect(LABELS + wide * u, SPACE + tall * i, wide - gap, tall - gap);
    }
  $("low").textContent = +array.low.toPrecision(3);
  $("high").textContent = +array.high.toPrecision(3);
  $("ramp").style.background = `linear-gradient(90deg, ${colours.map((c) => `rgb(${c})`).join(",")})`;
}

function fit(pen, text) {
  if (pen.measureText(text).width <= LABELS - 10) return text;
  let signs = Array.from(text);
  while (signs.length && pen.measureText(signs.join("") + "…").width > LABELS - 10) signs.pop();
  return signs.join("") + "…";
}

function point(event) {
  const array = trace.arrays[$("arrays").value], {wide, tall} = shape(array), box = $("canvas").getBoundingClientRect(), tip = $("tip");
  const unit = Math.floor((event.clientX - box.left - LABELS) / wide), row = Math.floor((event.clientY - box.top - SPACE) / tall);
  tip.hidden = unit < 0 || row < 0 || unit >= array.units || row >= trace.tokens.length;
  if (tip.hidden) return;
  tip.textContent = `${row + 1} ${trace.tokens[row]}, unit ${unit + 1}: ${array.values[row * array.units + unit].toPrecision(4)}`;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  if (trace.places.length) drawWords();
  if (trace.arrays.length) drawMap();
}

$("model").textContent = trace.model || "A trace";
drawPrediction();
trace.arrays.forEach((array, i) => { make($("arrays"), "option", array.name).value = i; });
if (!trace.places.length && trace.prediction.perToken.length) trace.places.push({name: "", columns: [], sentences: [], legend: ""});
$("gates").hidden = !trace.places.length;
$("map").hidden = !trace.arrays.length;
if (trace.places.length) column = Math.max(0, trace.places[0].columns.findIndex((c) => c.title === "forget"));
$("arrays").onchange = drawMap;
$("canvas").onmousemove = point;
$("canvas").onmouseleave = () => { $("tip").hidden = true; };
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
addEventListener("resize", () => { if (trace.arrays.length) drawMap(); });
theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
