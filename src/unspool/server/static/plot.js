// Small line plots as SVG: axes with round ticks, several lines, an optional vertical line.
"use strict";
import {make} from "./inspection/dom.js";

function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const result = [];
  for (let at = Math.ceil(low / step) * step; at <= high + 1e-9 * step; at += step) result.push(+at.toPrecision(12));
  return result;
}

/**
 * @param lines Each `{name, x, y, dashed}`; what is not finite leaves a gap.
 * @param options `width`, `height`, `xTitle`, `yTitle`, `at` (a vertical line), `format(y)`, `label`.
 */
export function linePlot(lines, options = {}) {
  const width = options.width ?? 640, height = options.height ?? 240, left = 56, bottom = 34;
  const xs = lines.flatMap((line) => line.x), ys = lines.flatMap((line) => line.y).filter(Number.isFinite);
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)], [y0, y1] = ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 1];
  if (x0 === x1) x1 = x0 + 1;
  if (y0 === y1) { y0 -= 0.5; y1 += 0.5; }
  const x = (v) => left + (width - left - 12) * (v - x0) / (x1 - x0), y = (v) => 10 + (height - bottom - 10) * (1 - (v - y0) / (y1 - y0)), format = options.format ?? ((v) => String(v));
  const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, width, class: "tracks plot", role: "img", "aria-label": options.label ?? "plot"});
  for (const v of ticks(y0, y1, 5)) svg.append(make("line", {x1: left, x2: width - 12, y1: y(v), y2: y(v), class: "rule"}), make("text", {x: left - 6, y: y(v) + 4, "text-anchor": "end"}, format(v)));
  for (const v of ticks(x0, x1, 8)) svg.append(make("text", {x: x(v), y: height - bottom + 14, "text-anchor": "middle"}, v));
  if (options.xTitle) svg.append(make("text", {x: (left + width) / 2, y: height - 4, "text-anchor": "middle"}, options.xTitle));
  if (options.yTitle) svg.append(make("text", {x: 12, y: height / 2 - 10, "text-anchor": "middle", transform: `rotate(-90 12 ${height / 2 - 10})`}, options.yTitle));
  if (options.at !== undefined && options.at !== null) svg.append(make("line", {x1: x(options.at), x2: x(options.at), y1: 10, y2: height - bottom, class: "moment"}));
  lines.forEach((line, k) => {
    let path = "", pen = "M";
    line.x.forEach((v, i) => { if (Number.isFinite(line.y[i])) { path += `${pen}${x(v).toFixed(1)},${y(line.y[i]).toFixed(1)}`; pen = "L"; } else pen = "M"; });
    svg.append(make("path", {d: path, class: `track t${(line.colour ?? k) % 6}`, "stroke-dasharray": line.dashed ? "5 4" : null}, make("title", {}, line.name)));
  });
  return svg;
}

/** The names of the lines with their colours. */
export function legend(lines) {
  return make("ul", {class: "plain"}, lines.filter((line) => line.name).map((line, k) => make("li", {class: `t${(line.colour ?? k) % 6}`}, make("b", {}, line.name), line.words ?? "")));
}
