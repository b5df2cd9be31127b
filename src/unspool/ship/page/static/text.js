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

// Split a text: ids, and the units as written.
function split(units, text) {
  const find = (unit) => units.ids.get(unit) ?? 1;
  if (units.units === "character") return { ids: [...normal(units, text)].map(find), written: [...text] };
  const written = text.match(new RegExp(SPLITS[units.units], "gu")) ?? [];
  return { ids: written.map((word) => find(normal(units, word))), written };
}

// The inputs of a program for a text, or for units as written.
function encode(front, text) {
  const ids = (word) => front.units.ids.get(normal(front.units, word)) ?? 1;
  const { ids: found, written } = Array.isArray(text) ? { ids: text.map(ids), written: text } : split(front.units, text);
  const most = front.most || Infinity;
  const q = { ids: found.slice(0, most), n: Math.min(found.length, most), written: written.slice(0, most) };
  if (front.spelling) q.characters = q.written.map((unit) => spell(front.spelling, unit));
  if (front.ngrams) q.bag = bag(front.ngrams, written);
  return q;
}

// Units, or n-grams, with the id of each.
const places = (names) => new Map(names.map((name, id) => [name, id]));
const known = (entries, more) => ({ entries, ids: places(entries), ...more });
