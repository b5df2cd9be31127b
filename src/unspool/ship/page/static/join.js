// The text of ids, without padding.
function join(units, ids) {
  if (units.units === "character") return ids.map((id) => (id > 2 ? units.entries[id] : id === 1 ? "\ufffd" : "")).join("");
  return ids.filter((id) => id).map((id, k, all) => (id === 2 ? "\n" : (k && all[k - 1] !== 2 ? " " : "") + units.entries[id])).join("");
}
