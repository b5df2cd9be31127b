// An assistant: finds the stored question nearest to a new one. The rules are those of `unspool.ship.memory`.

// The words and marks of a text, in Python's `casefold` of NFKC.
const WORD = `[\\p{L}\\p{N}_]+(?:'[\\p{L}\\p{N}_]+)*|[^\\p{L}\\p{N}_${BLANK}]`;
function splitWords(text) {
  const fold = (c) => (c === "ı" ? c : c === "ẞ" ? "ss" : [...c.toUpperCase()].map((u) => u.toLowerCase()).join(""));
  const cut = (t) => (t.length > 4000 ? [...t].slice(0, 4000).join("") : t);
  const folded = /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : [...cut(text).normalize("NFKC")].map(fold).join("").replace(/’/g, "'");
  return cut(folded).match((splitWords.pattern ??= new RegExp(WORD, "gu"))) ?? [];
}

// Rounded weights: a level stands for a logarithm, 0 for no weight.
const levels = (numbers, low, step) => numbers.map((level) => level && Math.sign(level) * Math.exp(low + (Math.abs(level) - 1) * step));

// `weights` and `importance` hold the weights of all entries, in the order in which they come first in the texts;
// negative ones have no vector.
function assistant(m, texts, weights, importance, vectors, size) {
  const rarity = weights.map(Math.abs), ids = new Map(), known = new Map();

  // The entries of a word.
  function pieces(word) {
    const bounded = "<" + word + ">", letters = /[\ud800-\udfff]/.test(word) ? [...bounded] : null, found = [" " + word];
    const length = letters ? letters.length : bounded.length;
    for (let n = m.shortest; n <= m.longest; n++) {
      if (length <= n) {
        found.push(bounded);
        break;
      }
      for (let k = 0; k + n <= length; k++) found.push(letters ? letters.slice(k, k + n).join("") : bounded.slice(k, k + n));
    }
    return found;
  }

  function number(name) {
    if (!ids.has(name)) ids.set(name, ids.size);
    return ids.get(name);
  }

  const pairs = texts.split("\n").map((line) => line.split("\v").map((part) => part.split("\t").map((text) => text.replaceAll("\f", "\n"))));
  const split = pairs.map((pair) => pair.map((part) => part.map(splitWords)));
  for (const pair of split) for (const part of pair) for (const words of part) for (const word of words)
    if (!known.has(word)) known.set(word, pieces(word).map(number));
  m.more.forEach(number);
  if (ids.size !== rarity.length) throw Error("this browser reads the texts of the model in another way");

  // Sums by entry; `list` holds the entries that may be above 0.
  const sum = () => ({ of: new Float64Array(ids.size), list: [] });
  const counts = new Uint16Array(ids.size), whole = sum(), told = sum();
  function add(to, id, x) {
    if (!to.of[id]) to.list.push(id);
    to.of[id] += x;
  }

  // Count known entries, and return their ids.
  function counted(words) {
    const found = [];
    for (const word of words) for (const id of known.get(word) ?? pieces(word).map((name) => ids.get(name) ?? -1)) if (rarity[id] && !counts[id]++) found.push(id);
    return found;
  }

  const value = (count) => (count > 1 ? 1 + Math.log(count) : 1), length = (square) => Math.sqrt(Math.max(square, 1e-30));

  // Add the bag of a text, of length 1 if `unit`.
  function addText(to, words, unit) {
    const found = counted(words);
    let square = 0;
    for (const id of found) square += (value(counts[id]) * rarity[id]) ** 2;
    const scale = unit ? 1 / length(square) : 1;
    for (const id of found) {
      add(to, id, value(counts[id]) * rarity[id] * scale);
      counts[id] = 0;
    }
  }

  // Empty a sum, and return it with length 1 by learned importance; its vector, and the share of it that has vectors.
  function encoded(from, unknown) {
    const result = { ids: from.list, xs: new Float64Array(from.list.length) };
    let square = unknown, old = 0, all = 0;
    from.list.forEach((id, k) => {
      result.xs[k] = from.of[id] * importance[id];
      square += result.xs[k] ** 2;
      from.of[id] = 0;
    });
    from.list = [];
    const vector = new Float64Array(size);
    result.ids.forEach((id, k) => {
      const x = (result.xs[k] /= length(square));
      all += x * x;
      if (weights[id] < 0) return;
      old += x * x;
      for (let i = 0; i < size; i++) vector[i] += x * vectors[id * size + i];
    });
    const scale = length(old) / Math.max(Math.sqrt(vector.reduce((s, x) => s + x * x, 0)), 1e-12);
    return { ...result, vector: vector.map((x) => x * scale), share: length(old) / length(all) };
  }

  // The sum of squares of entries without a weight.
  function unknownOf(words) {
    const unknown = new Map();
    for (const word of words) for (const name of pieces(word)) if (!rarity[ids.get(name) ?? -1]) unknown.set(name, (unknown.get(name) ?? 0) + 1);
    return [...unknown.values()].reduce((total, count) => total + (value(count) * m.unknown) ** 2, 0);
  }

  // The words of a text with final marks, and without.
  function forms(words) {
    let end = words.length;
    while (end > 1 && ".?!…,;".includes(words[end - 1])) end--;
    return [words.join(" "), words.slice(0, end).join(" ")];
  }

  const exact = [new Map(), new Map()];
  const keys = split.map(([wordings, answers], pair) => {
    for (const words of wordings) addText(whole, words, true);
    for (const words of answers) addText(told, words, true);
    const scale = m.answers / length(told.list.reduce((square, id) => square + told.of[id] ** 2, 0));
    for (const id of told.list) {
      if (scale) add(whole, id, told.of[id] * scale);
      told.of[id] = 0;
    }
    told.list = [];
    for (const words of wordings)
      forms(words).forEach((form, k) => exact[k].set(form, (exact[k].get(form) ?? new Set()).add(pair)));
    return encoded(whole, 0);
  });

  // The nearest stored questions, and how sure the first one is.
  function nearest(text) {
    const words = splitWords(text), both = forms(words);
    addText(whole, words, false);
    const query = encoded(whole, unknownOf(words)), balance = size ? m.balance : 0;
    query.ids.forEach((id, k) => (whole.of[id] = query.xs[k]));
    const evidence = keys.map((key) => {
      let common = 0, alike = 0;
      for (let k = 0; k < key.ids.length; k++) common += whole.of[key.ids[k]] * key.xs[k];
      for (let i = 0; i < size; i++) alike += key.vector[i] * query.vector[i];
      return (common + balance * alike) / (1 + balance * query.share * key.share);
    });
    query.ids.forEach((id) => (whole.of[id] = 0));
    const same = exact[0].get(both[0]) ?? exact[1].get(both[1]) ?? new Set();
    const score = (pair) => (same.has(pair) ? 1 : evidence[pair]);
    const order = [...evidence.keys()].sort((a, b) => score(b) - score(a) || evidence[b] - evidence[a] || a - b);
    const sure = same.size ? 1 : 1 / (1 + Math.exp(Math.min(700, m.scale * (m.nothing - score(order[0])))));
    return { sure, known: sure >= m.threshold, questions: order.slice(0, 4).map((pair) => pairs[pair][0][0]), answers: pairs[order[0]][1] };
  }

  return {
    nearest,
    some: (count) => Array.from({ length: count }, (_, k) => pairs[Math.floor(((k + 0.5) * pairs.length) / count)][0][0]),
    refusal: m.refusal,
    answer(text) {
      const found = nearest(text);
      return found.known ? found.answers[0] : m.refusal;
    },
  };
}
