// Operations of a sheet on one text. A value is the place of its first row; rows of a sequence of width w stand
// pad(w) apart. `n` counts rows.

const pad = (w) => (w + 3) & ~3;

// Make n rows of width w from a function of row and column.
function rows(n, w, f) {
  const across = pad(w), y = room(n * across);
  for (let t = 0; t < n; t++) for (let i = 0; i < w; i++) F[y + t * across + i] = f(t, i);
  return y;
}

// A table of rows.
const table = (numbers, w) => rows(numbers.length / w, w, (t, i) => numbers[t * w + i]);

function lookUp(ids, at, w) {
  return rows(ids.length, w, (t, i) => F[at + ids[t] * pad(w) + i]);
}

// Sum rows of a table, each times its weight.
function sumRows([ids, weights], at, w, bias) {
  return rows(1, w, (_, i) => {
    let sum = 0;
    ids.forEach((id, k) => (sum += weights[k] * F[at + id * pad(w) + i]));
    return sum + (bias ? F[bias + i] : 0);
  });
}

function multiply(x, down, n, depth, matrix, w, bias) {
  const across = pad(w), y = room(n * across);
  for (let t = 0; t < n; t++) {
    product(x + t * down, matrix, depth, across / 4, y + t * across);
    if (bias) for (let i = 0; i < w; i++) F[y + t * across + i] += F[bias + i];
  }
  return y;
}

// Join values side by side; each part is its place, its width, and how far its rows stand apart.
function concat(n, parts) {
  const across = pad(parts.reduce((sum, part) => sum + part[1], 0)), y = room(n * across);
  let to = y;
  for (const [x, w, down] of parts) {
    for (let t = 0; t < n; t++) F.copyWithin(to + t * across, x + t * down, x + t * down + w);
    to += w;
  }
  return y;
}

// Write the softmax, or its logarithm, of n numbers `down` apart from x on to y.
function soften(x, y, n, down, log) {
  let most = -Infinity, sum = 0;
  for (let i = 0; i < n; i++) most = Math.max(most, F[x + i * down]);
  for (let i = 0; i < n; i++) sum += Math.exp(F[x + i * down] - most);
  for (let i = 0; i < n; i++) {
    const shifted = F[x + i * down] - most;
    F[y + i * down] = log ? shifted - Math.log(sum) : Math.exp(shifted) / sum;
  }
}

function softmax(x, n, w, time, log) {
  const across = pad(w), y = room(n * across);
  if (time) for (let i = 0; i < w; i++) soften(x + i, y + i, n, across, log);
  else for (let t = 0; t < n; t++) soften(x + t * across, y + t * across, w, 1, log);
  return y;
}

// Pool a sequence to a row.
function pool(x, n, w, kind, directions, weights) {
  const across = pad(w);
  return rows(1, w, (_, i) => {
    const at = (t) => F[x + t * across + i];
    if (kind === "first") return at(0);
    if (kind === "last") return at(directions > 1 && i >= w / 2 ? 0 : n - 1);
    let result = kind === "max" ? -Infinity : 0;
    for (let t = 0; t < n; t++)
      result = kind === "max" ? Math.max(result, at(t)) : result + at(t) * (weights ? F[weights + 4 * t] : 1);
    return kind === "mean" ? result / n : result;
  });
}

// Attention of m queries over n keys; returns the places of the results and of the weights, a row of n for each
// query and head.
function attend(query, m, keys, values, n, w, width, heads, scale) {
  const weights = room(m * heads * pad(n)), deep = w / heads, wide = width / heads, y = room(m * pad(width));
  for (let q = 0; q < m; q++)
    for (let h = 0; h < heads; h++) {
      const at = weights + (q * heads + h) * pad(n), row = query + q * pad(w) + h * deep;
      for (let t = 0; t < n; t++) {
        let sum = 0;
        for (let i = 0, k = keys + t * pad(w) + h * deep; i < deep; i++) sum += F[row + i] * F[k + i];
        F[at + t] = sum * scale;
      }
      soften(at, at, n, 1);
      for (let i = 0; i < wide; i++) {
        let sum = 0;
        for (let t = 0; t < n; t++) sum += F[at + t] * F[values + t * pad(width) + h * wide + i];
        F[y + q * pad(width) + h * wide + i] = sum;
      }
    }
  return [y, weights];
}

// The weights of one query as a sequence of width 1.
const upright = (weights, n) => rows(n, 1, (t) => F[weights + t]);

function normalise(x, n, w, kind, epsilon, weight, bias) {
  const across = pad(w), y = room(n * across);
  for (let t = 0; t < n; t++) {
    const from = x + t * across;
    let mean = 0, sum = 0;
    if (kind === "layer") for (let i = 0; i < w; i++) mean += F[from + i] / w;
    for (let i = 0; i < w; i++) sum += (F[from + i] - mean) ** 2;
    const scale = kind === "layer" ? 1 / Math.sqrt(sum / w + epsilon) : 1 / Math.max(Math.sqrt(sum), epsilon);
    for (let i = 0; i < w; i++)
      F[y + t * across + i] = (F[from + i] - mean) * scale * (weight ? F[weight + i] : 1) + (bias ? F[bias + i] : 0);
  }
  return y;
}

// Add row `first + t` of a table, which continues as sines and cosines.
function positions(x, n, w, at, steps, first) {
  return rows(n, w, (t, i) => {
    const step = first + t, angle = step * Math.exp((i - (i % 2)) * (-Math.log(10000) / w));
    return F[x + t * pad(w) + i] + (step < steps ? F[at + step * pad(w) + i] : i % 2 ? Math.cos(angle) : Math.sin(angle));
  });
}

// The best tags by a linear-chain CRF; of equal paths, the lowest tags.
function bestPath(x, n, w, transitions, first, last) {
  const across = pad(w), back = [], best = (f) => {
    let most = 0;
    for (let i = 1; i < w; i++) if (f(i) > f(most)) most = i;
    return most;
  };
  let scores = [...Array(w).keys()].map((i) => F[first + i] + F[x + i]);
  for (let t = 1; t < n; t++) {
    const before = scores, through = (j) => (i) => Math.fround(before[i] + F[transitions + i * across + j]);
    back.push(before.map((_, j) => best(through(j))));
    scores = before.map((_, j) => Math.fround(through(j)(back[t - 1][j]) + F[x + t * across + j]));
  }
  const path = [best((i) => Math.fround(scores[i] + F[last + i]))];
  while (path.length < n) path.unshift(back[n - 1 - path.length][path[0]]);
  return path;
}

// The column with the highest number of each row, of equal ones the first.
function highest(x, n, w) {
  return Array.from({ length: n }, (_, t) => {
    let best = 0;
    for (let i = 1; i < w; i++) if (F[x + t * pad(w) + i] > F[x + t * pad(w) + best]) best = i;
    return best;
  });
}

// Convolve along time, with zeros around: `matrix` takes `size` rows side by side.
function convolve(x, n, w, matrix, size, width, bias) {
  const half = (size - 1) / 2, padded = room((n + size) * w);
  F.fill(0, padded, padded + (n + size) * w);
  for (let t = 0; t < n; t++) F.copyWithin(padded + (t + half) * w, x + t * pad(w), x + t * pad(w) + w);
  return multiply(padded, w, n, size * w, matrix, width, bias);
}
