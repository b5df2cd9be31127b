// A classifier: from a text, or from its units, to probabilities by label.
function classifier(front, run, back) {
  const shares = (text) => {
    const q = encode(front, text);
    if (!q.n) Object.assign(q, { ids: [0], n: 1, characters: [[1]] }); // one padding unit
    const [row] = run(q);
    return Object.fromEntries(back.names.map((name, i) => [name, F[row + i]]));
  };
  return {
    answer: shares,
    without: (units, k) => {
      const others = units.filter((_, place) => place !== k);
      return shares(front.units.units === "character" ? others.join("") : others);
    },
    units: (text) => encode(front, text).written,
    labels(text) {
      const found = shares(text), order = back.names.map((_, i) => i);
      order.sort((a, b) => found[back.names[b]] - found[back.names[a]] || a - b);
      const limit = (i) => (back.thresholds ? back.thresholds[i] : 0.5);
      return (back.several ? order.filter((i) => found[back.names[i]] >= limit(i)) : order.slice(0, 1)).map((i) => back.names[i]);
    },
  };
}
