// Words, word n-grams and character n-grams of a text, with tf-idf weights: ids and weights.
function bag(ngrams, written) {
  const counts = new Map(), words = written.slice(0, ngrams.words).map((word) => word.toLowerCase());
  const add = (entry) => {
    const id = ngrams.ids.get(entry);
    if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
  };
  for (let size = 1; size <= ngrams.orders; size++)
    for (let k = 0; k + size <= words.length; k++) add(" " + words.slice(k, k + size).join(" "));
  for (const word of ngrams.longest ? words : []) {
    const letters = [..."<" + word + ">"];
    for (let size = 2; size <= ngrams.longest; size++) {
      if (letters.length <= size) {
        add(letters.join(""));
        break;
      }
      for (let k = 0; k + size <= letters.length; k++) add(letters.slice(k, k + size).join(""));
    }
  }
  const ids = [...counts.keys()].sort((a, b) => a - b);
  const weights = ids.map((id) => (1 + Math.log(counts.get(id))) * ngrams.rarity[id]);
  const isWord = ids.map((id) => ngrams.entries[id][0] === " ");
  for (const kind of [true, false]) {
    let sum = 0;
    weights.forEach((weight, k) => isWord[k] === kind && (sum += weight * weight));
    const norm = Math.max(Math.sqrt(sum), 1e-12);
    weights.forEach((weight, k) => isWord[k] === kind && (weights[k] = weight / norm));
  }
  return [ids, weights.map(Math.fround)];
}
