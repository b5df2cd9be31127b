// Elements, numbers, colours and downloads: what all figures share.
"use strict";

/** Make an element: `make("td", {class: "at", onclick: f}, "text", child)`; properties that are functions are listeners. */
export function make(tag, properties = {}, ...children) {
  const space = ["svg", "g", "path", "line", "rect", "text", "title", "image", "polyline", "circle"].includes(tag);
  const node = space ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") node.addEventListener(name.replace(/^on/, ""), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Two digits for people; a dash for what is not finite. */
export function number(value) {
  return Number.isFinite(value) ? value.toFixed(2) : "–";
}

const SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣", "": "∅"};

/** A token as people can read it: white space as signs. */
export function visible(token) {
  return Array.from(token).length > 1 ? token.replaceAll("\n", "⏎") : (SIGNS[token] ?? token);
}

/** Shortest digits that read back to the same float32. */
export function exact(value) {
  if (!Number.isFinite(value)) return String(value);
  for (let digits = 1; digits < 9; digits++) if (Math.fround(+value.toPrecision(digits)) === value) return String(+value.toPrecision(digits));
  return String(+value.toPrecision(9));
}

/** Colours of a scale as a function of a share between 0 and 1: `s` for 0 to 1, `d` for signed values. */
export function ramp(kind) {
  const style = getComputedStyle(document.documentElement);
  const stops = [0, 1, 2].map((i) => style.getPropertyValue(`--${kind}${i}`).split(",").map(Number));
  return (share) => {
    const at = Math.min(1, Math.max(0, share)) * 2, i = Math.min(1, Math.floor(at));
    return stops[i].map((a, k) => Math.round(a + (stops[i + 1][k] - a) * (at - i)));
  };
}

/** The colours of a scale as 256 pixels, for pictures with many cells. */
export function pixels(kind) {
  const colour = ramp(kind);
  return Uint32Array.from({length: 256}, (_, i) => {
    const [r, g, b] = colour(i / 255);
    return 0xff000000 | (b << 16) | (g << 8) | r;
  });
}

/** The colour of text that can be read on a ground: black or white, a contrast of 4.58 at least (WCAG 2). */
export function ink(ground) {
  const [r, g, b] = ground.map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** Paint a node's ground by a share of a scale. */
export function shade(node, colour) {
  node.style.background = `rgb(${colour})`;
  node.style.color = ink(colour);
}

export function bar(share, value) {
  const fill = make("i");
  fill.style.width = (Number.isFinite(share) ? Math.min(1, Math.max(0, share)) * 100 : 0) + "%";
  return [make("span", {class: "bar"}, fill), make("span", {class: "number"}, number(value))];
}

/** A row of buttons of which one is chosen. */
export function choices(names, chosen, choose, label) {
  return make("div", {class: "row", role: "group", "aria-label": label}, names.map((name, i) =>
    make("button", {type: "button", "aria-pressed": String(i === chosen), onclick: () => choose(i)}, name)));
}

export function select(names, chosen, choose, label) {
  const node = make("select", {"aria-label": label, onchange: () => choose(node.selectedIndex)},
    names.map((name, i) => make("option", {value: i, selected: i === chosen}, name)));
  return node;
}

/** The ends of a scale with its colours between. */
export function scaleLegend(low, high, kind) {
  const colour = ramp(kind), ground = make("span", {class: "ramp"});
  ground.style.background = `linear-gradient(90deg, ${[0, 0.5, 1].map((x) => `rgb(${colour(x)})`).join(",")})`;
  return make("span", {class: "soft"}, make("span", {}, +low.toPrecision(3)), ground, make("span", {}, +high.toPrecision(3)));
}

export function download(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], {type});
  const link = make("a", {href: URL.createObjectURL(blob), download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A CSV of rows; texts are quoted. */
export function csv(rows) {
  return rows.map((row) => row.map((cell) => (typeof cell === "number" ? cell : `"${String(cell).replaceAll('"', '""')}"`)).join(",")).join("\n") + "\n";
}

function styled(source) {
  const copy = source.cloneNode(true), from = [source, ...source.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const style = getComputedStyle(from[i]);
    for (const name of ["fill", "stroke", "stroke-width", "font-family", "font-size", "font-weight", "opacity", "text-anchor", "stroke-dasharray"])
      node.style.setProperty(name, style.getPropertyValue(name));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

/**
 * A figure with buttons that save it.
 *
 * @param title Heading.
 * @param body Nodes of the figure.
 * @param saves `svg()` returns an SVG element or text, `canvas()` a canvas, `csv()` rows, `python` a text; each optional.
 */
export function figure(title, body, saves = {}) {
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "figure";
  const tools = make("div", {class: "tools"});
  const tool = (label, act, hint) => tools.append(make("button", {type: "button", class: "tool", title: hint, onclick: act}, label));
  if (saves.svg) tool("SVG", () => { const svg = saves.svg(); download(`${name}.svg`, typeof svg === "string" ? svg : styled(svg), "image/svg+xml"); }, "Save as SVG");
  if (saves.canvas) tool("PNG", () => saves.canvas().toBlob((blob) => download(`${name}.png`, blob)), "Save as PNG");
  if (saves.csv) tool("CSV", () => download(`${name}.csv`, csv(saves.csv()), "text/csv"), "Save the numbers as CSV");
  if (saves.python) tool("Python", async (event) => {
    const button = event.currentTarget;
    await navigator.clipboard.writeText(typeof saves.python === "function" ? saves.python() : saves.python);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "Python"; }, 1500);
  }, "Copy the Python that computes these numbers");
  return make("section", {class: "figure", "aria-label": title}, make("div", {class: "head"}, make("h2", {}, title), tools), body);
}

/** Replace the content of a node; what has the focus keeps it, if the new content has the same element at its place. */
export function replaceKeepingFocus(root, nodes) {
  const path = [];
  let at = document.activeElement;
  if (!root.contains(at)) at = root;
  for (; at !== root; at = at.parentElement) path.unshift(Array.prototype.indexOf.call(at.parentElement.children, at));
  root.replaceChildren(...nodes.filter((node) => node));
  if (!path.length) return;
  const next = path.reduce((node, i) => node?.children[i], root);
  next?.focus({preventScroll: true});
}

/** A line of text that follows the pointer. */
export function tip(text, event) {
  let node = document.getElementById("tip");
  if (!node) document.body.append(node = make("div", {id: "tip", hidden: true}));
  node.hidden = !text;
  if (!text) return;
  node.textContent = text;
  node.style.left = Math.min(event.clientX + 14, innerWidth - node.offsetWidth - 8) + "px";
  node.style.top = Math.min(event.clientY + 14, innerHeight - node.offsetHeight - 8) + "px";
}
