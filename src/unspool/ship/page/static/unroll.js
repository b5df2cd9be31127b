// A step of a cell, and its run over time.

// Make the table of addresses of a step. `layout`: n, entries of the table; i, pairs of an entry and the number of the
// source that it reads; o, the entry of each result; w, its width; r, which result is the output, then each part of the
// new state. `memories` are the places of weights and scratch memory by entry.
function cell(step, layout, memories) {
  const table = room(layout.n);
  for (const [entry, place] of memories) I[table + entry] = place * 4;
  return { run: steps[step], table, ...layout };
}

// Make one step: from the places of inputs and of the parts of the state to those of the results.
function advance(c, sources, results) {
  for (const [entry, source] of c.i) I[c.table + entry] = sources[source] * 4;
  c.o.forEach((entry, n) => (I[c.table + entry] = results[n] * 4));
  c.run(c.table);
}

// Run a step over time. `feeds` return the place of each input at a step, and outputs stand `across` apart from y on.
// Returns the places of the parts of the last state.
function unroll(c, feeds, count, y, across, state, reverse) {
  const rooms = c.w.map((width) => [room(width), room(width)]);
  for (let t = 0; t < count; t++) {
    const at = reverse ? count - 1 - t : t;
    const results = rooms.map((pair, n) => (n === c.r[0] ? y + at * across : pair[t & 1]));
    advance(c, [...feeds.map((feed) => feed(at)), ...state], results);
    state = c.r.slice(1).map((n) => results[n]);
  }
  return state;
}

// Return a function from the number of a row of a table to the place of its product with a packed matrix; each is
// computed when it is first needed.
function multiplied(table, down, count, depth, matrix, width) {
  const across = (width + 3) & ~3, at = room(count * across), ready = new Uint8Array(count);
  return (row) => {
    const y = at + row * across;
    if (!ready[row]) ready[row] = 1, product(table + row * down, matrix, depth, across / 4, y);
    return y;
  };
}
