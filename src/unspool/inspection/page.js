"use strict";
const trace = JSON.parse(document.getElementById("trace").textContent);
const $ = (id) => document.getElementById(id);
const LABELS = 130, SPACE = 16;  // room for the tokens and for the unit numbers, pixels
const sides = [trace, trace.written].filter((side) => side);
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

function drawLooks() {
  const map = trace.maps[$("maps").value], table = $("grid"), colours = ramp(map.low < 0 ? "d" : "s");
  map.values ??= decode(map);
  table.replaceChildren();
  const head = make(table, "tr"), lying = Math.max(...map.columns.map((c) => Array.from(c).length)) < 4;
  make(head, "th"); make(head, "th");
  for (const title of map.columns) make(make(head, "th", undefined, lying ? "lying" : ""), "span", title).title = title;
  map.rows.forEach((token, i) => {
    const row = make(table, "tr");
    make(row, "td", i + 1, "at");
    make(row, "td", token, "name").title = token;
    row.onmouseenter = () => { $("lookup").textContent = `${token} → ${map.lookups[i]}`; };
    map.columns.forEach((_, j) => {
      const value = map.values[i * map.columns.length + j], cell = make(row, "td");
      if (!Number.isFinite(value)) { cell.textContent = "–"; return; }
      const colour = mix((value - map.low) / (map.high - map.low), colours);
      cell.style.background = `rgb(${colour})`;
      cell.style.color = ink(colour);
      if (Math.abs(value) >= 0.005) cell.textContent = number(value);
      cell.title = `${token} → ${map.columns[j]}: ${value.toPrecision(4)}`;
    });
  });
  bounds(map, colours, "least", "shades", "most");
}

function bounds(of, colours, low, ground, high) {
  $(low).textContent = +of.low.toPrecision(3);
  $(high).textContent = +of.high.toPrecision(3);
  $(ground).style.background = `linear-gradient(90deg, ${colours.map((c) => `rgb(${c})`).join(",")})`;
}

function drawWords() {
  const here = places[place], one = here.columns[column], colours = ramp("s");
  buttons($("places"), places.length > 1 ? places.map((p) => p.name) : [], place, (i) => { place = i; column = Math.min(column, places[i].columns.length - 1); drawWords(); });
  buttons($("choices"), here.columns.map((c) => c.title), column, (i) => { column = i; drawWords(); });
  $("words").replaceChildren();
  here.side.tokens.forEach((token, i) => {
    const word = make($("words"), "span", token), value = one ? one.values[i] : null;
    if (one && value !== null) {
      const colour = mix(value / one.high, colours);
      word.style.background = `rgb(${colour})`;
      word.style.color = ink(colour);
      make(word, "small", number(value));
    }
    if (here.side.prediction.tags.length) make(word, "small", here.side.prediction.tags[i]);
  });
  $("sentences").replaceChildren();
  for (const said of here.sentences) make($("sentences"), "li", said);
  $("legend").textContent = here.legend;
  drawColumns(here);
}

function drawColumns(here) {
  const table = $("columns"), extra = here.side.prediction.perToken;
  table.replaceChildren();
  const head = make(table, "tr");
  for (const title of ["", "token", ...extra.map((e) => e.title), ...here.columns.map((c) => c.title)]) make(head, "th", title);
  here.side.tokens.forEach((token, i) => {
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
  const room = $("map").clientWidth - 42 - LABELS, tall = Math.floor(Math.min(22, Math.max(2, 16000 / array.side.tokens.length)));
  return {wide: Math.max(2, Math.min(34, Math.floor(room / array.units))), tall};
}

function drawMap() {
  const array = arrays[$("arrays").value], canvas = $("canvas"), {wide, tall} = shape(array);
  array.values ??= decode(array);
  const colours = ramp(array.low < 0 ? "d" : "s"), ratio = Math.min(window.devicePixelRatio || 1, 2), style = getComputedStyle(document.body);
  const width = LABELS + wide * array.units, height = SPACE + tall * array.side.tokens.length;
  Object.assign(canvas, {width: width * ratio, height: height * ratio});
  Object.assign(canvas.style, {width: width + "px", height: height + "px"});
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "13px system-ui, sans-serif";
  pen.fillStyle = style.color;
  if (tall >= 12) array.side.tokens.forEach((token, i) => pen.fillText(fit(pen, `${i + 1} ${token}`), 0, SPACE + tall * i + tall / 2 + 4));
  pen.font = "10px system-ui, sans-serif";
  const every = Math.max(1, Math.ceil(30 / wide));
  for (let u = 0; u < array.units; u += every) pen.fillText(u + 1, LABELS + wide * u, 10);
  const gap = wide > 5 && tall > 5 ? 1 : 0;
  for (let i = 0; i < array.side.tokens.length; i++)
    for (let u = 0; u < array.units; u++) {
      const value = array.values[i * array.units + u];
      if (!Number.isFinite(value)) continue;
      pen.fillStyle = `rgb(${mix((value - array.low) / (array.high - array.low), colours)})`;
      pen.fillRect(LABELS + wide * u, SPACE + tall * i, wide - gap, tall - gap);
    }
  bounds(array, colours, "low", "ramp", "high");
}

function fit(pen, text) {
  if (pen.measureText(text).width <= LABELS - 10) return text;
  let signs = Array.from(text);
  while (signs.length && pen.measureText(signs.join("") + "…").width > LABELS - 10) signs.pop();
  return signs.join("") + "…";
}

function point(event) {
  const array = arrays[$("arrays").value], {wide, tall} = shape(array), box = $("canvas").getBoundingClientRect(), tip = $("tip");
  const unit = Math.floor((event.clientX - box.left - LABELS) / wide), row = Math.floor((event.clientY - box.top - SPACE) / tall);
  tip.hidden = unit < 0 || row < 0 || unit >= array.units || row >= array.side.tokens.length;
  if (tip.hidden) return;
  tip.textContent = `${row + 1} ${array.side.tokens[row]}, unit ${unit + 1}: ${array.values[row * array.units + unit].toPrecision(4)}`;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  if (trace.maps.length) drawLooks();
  if (places.length) drawWords();
  if (arrays.length) drawMap();
}

$("model").textContent = trace.model || "A trace";
drawPrediction();
const places = sides.flatMap((side) => {
  const bare = !side.places.length && side.prediction.perToken.length;
  return (bare ? [{name: side === trace ? "" : "written", columns: [], sentences: [], legend: ""}] : side.places).map((p) => ({...p, side}));
});
const arrays = sides.flatMap((side) => side.arrays.map((array) => ({...array, side})));
arrays.forEach((array, i) => { make($("arrays"), "option", array.name).value = i; });
trace.maps.forEach((map, i) => { make($("maps"), "option", map.name).value = i; });
$("gates").hidden = !places.length;
$("map").hidden = !arrays.length;
$("looks").hidden = !trace.maps.length;
if (places.length) column = Math.max(0, places[0].columns.findIndex((c) => c.title === "forget"));
$("arrays").onchange = drawMap;
$("maps").onchange = drawLooks;
$("canvas").onmousemove = point;
$("canvas").onmouseleave = () => { $("tip").hidden = true; };
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
addEventListener("resize", () => { if (arrays.length) drawMap(); });
theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
