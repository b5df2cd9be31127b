// The ids of the characters of a unit.
function spell(spelling, unit) {
  let letters = [...(unit || "\ufffd")];
  const half = spelling.longest >> 1;
  if (letters.length > spelling.longest) letters = letters.slice(0, half).concat(letters.slice(-half));
  return letters.map((c) => spelling.ids.get(clean(c)) ?? 1);
}

// Run a program over the characters of each unit; its rows become a sequence.
function spellAll(characters, run, w) {
  const y = room(characters.length * pad(w));
  characters.forEach((ids, t) => {
    const [row] = run({ ids, n: ids.length });
    F.copyWithin(y + t * pad(w), row, row + w);
  });
  return y;
}
