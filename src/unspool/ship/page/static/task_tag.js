// A tagger: from a text, or from its units, to one tag for each unit.
function tagger(front, run, names) {
  const answer = (text) => {
    const q = encode(front, text);
    return q.n ? run(q)[0].map((tag) => names[tag]) : [];
  };
  return { names, answer, units: (text) => encode(front, text).written };
}
