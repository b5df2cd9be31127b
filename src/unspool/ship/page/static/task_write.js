// A writer: `start` and `step` of a sheet, and units to text.
//
// w: first, end, longest, ratio, never; asked, how many units are written by default; state, the widths of the results of `start` that every step replaces, by their
// number; prompted, whether a text is a prompt, which steps read; otherwise `start` reads it.
function writer(front, start, step, w) {
  let results, n, base, attention;
  const rooms = w.state.map(([number, width]) => [number, width, room(width)]), mark = top;
  const units = front.units;

  // Begin a text; returns the logarithms of the probabilities of the first unit.
  function begin(text) {
    const q = encode(front, w.prompted ? "" : text);
    top = mark;
    results = start(q);
    n = q.n;
    rooms.forEach(([number, width, at]) => {
      F.copyWithin(at, results[number], results[number] + width);
      results[number] = at;
    });
    base = top;
    let scores = next(w.first);
    if (w.prompted) for (const id of encode(front, text).ids) scores = next(id);
    return scores;
  }

  // Read a unit; returns the place of the logarithms of the probabilities of the next one.
  function next(id) {
    top = base;
    const [scores, ...after] = step(n, id, ...results);
    rooms.forEach(([, width, at], k) => F.copyWithin(at, after[k], after[k] + width));
    attention = after[rooms.length];
    return scores;
  }

  // Choose a unit: the most probable, of equal ones the first; or one drawn at a temperature.
  function choose(scores, temperature) {
    const size = (w.units ?? units).entries.length, allowed = (id) => !w.never.includes(id);
    let best = -1, sum = 0;
    for (let id = 0; id < size; id++) if (allowed(id) && (best < 0 || F[scores + id] > F[scores + best])) best = id;
    if (!temperature) return best;
    const share = (id) => (allowed(id) ? Math.exp((F[scores + id] - F[scores + best]) / temperature) : 0);
    for (let id = 0; id < size; id++) sum += share(id);
    let left = Math.random() * sum;
    for (let id = 0; id < size; id++) if ((left -= share(id)) < 0) return id;
    return best;
  }

  // Write unit by unit: yields the id, and the attention over the units of the text if there is one.
  function* write(text, { temperature = 0, longest = w.asked } = {}) {
    let scores = begin(text);
    if (w.longest) longest = Math.floor(Math.fround(Math.fround(n) * Math.fround(w.ratio)) + w.longest);
    for (let count = 0; count < longest; count++) {
      const id = choose(scores, temperature);
      if (id === w.end) return;
      yield [id, attention && Array.from({ length: n }, (_, t) => F[attention + 4 * t])];
      scores = next(id);
    }
  }

  const text = (ids) => join(w.units ?? units, ids);
  return {
    write,
    text,
    units: (text) => encode(front, text).written,
    answer: (source) => text([...write(source)].map(([id]) => id)),
  };
}
