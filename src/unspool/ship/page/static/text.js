// From a text to units and their ids: 0 padding, 1 the unknown unit, 2 the end. The rules are those of
// `unspool.data.units`, for one text at a time.

const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LETTER = "\\p{L}\\p{M}\\p{N}_";
const SPLITS = {
  word: `<(?:[pP][aA][dD]|[uU][nN][kK\\u212a]|[eE][oO][sS\\u017f])>|[${LETTER}]+(?:['\u2019][${LETTER}]+)*|[^${LETTER}${BLANK}]`,
  blank: `[^${BLANK}]+`,
};

// Replace halves of surrogate pairs.
const clean = (text) => text.replace(/\p{Cs}/gu, "?");

function normal(units, text) {
  text = clean(text);
  if (units.lowercase) text = [...text].map((c) => c.toLowerCase()).join("");
  return units.digits ? text.replace(/[1-9]/g, "0") : text;
}

// Split a text, or take its units: ids, and the units as written.
function split(units, text) {
  const find = (unit) => units.ids.get(unit) ?? 1, isList = Array.isArray(text);
  if (units.units === "character") {
    const written = isList ? text : [...text].flatMap((c) => [...normal(units, c)].map(() => c));
    return [[...normal(units, isList ? text.join(" ") : text)].map(find), written];
  }
  if (isList) return [text.map((word) => find(normal(units, word))), text];
  const pattern = new RegExp(SPLITS[units.units], "gu");
  return [(normal(units, text).match(pattern) ?? []).map(find), text.match(pattern) ?? []];
}

// The inputs of a program for a text.
function encode(front, text) {
  const [ids, written] = split(front.units, text).map((list) => list.slice(0, front.most || Infinity));
  const q = { ids, n: ids.length, written };
  if (front.spelling) q.characters = written.map((unit) => spell(front.spelling, unit));
  if (front.ngrams) q.bag = bag(front.ngrams, written);
  return q;
}

// Units, or n-grams, with the id of each.
const places = (names) => new Map(names.map((name, id) => [name, id]));
const known = (entries, more) => ({ entries, ids: places(entries), ...more });
