open((model) => {
  const text = make("textarea", { id: "text", "aria-label": "Text", placeholder: "Write or paste a text" });
  const result = make("div", { className: "card tags", hidden: true });
  const legend = make("p", { className: "soft" });
  $("view").append(text, result, legend);

  // A hue for each kind of tag; what stands outside of all spans has none.
  const kind = (tag) => tag.replace(/^[BIESLU]-/, ""), kinds = [...new Set(model.names.map(kind))].filter((k) => k !== "O");
  const hue = (tag) => (kind(tag) === "O" ? "" : `--hue:${Math.round((kinds.indexOf(kind(tag)) * 137.5) % 360)}`);

  text.oninput = () => {
    const units = model.units(text.value), tags = model.answer(text.value), counts = {};
    result.hidden = !units.length;
    result.replaceChildren(...units.map((unit, k) => make("span", { className: hue(tags[k]) && "tag", style: hue(tags[k]) },
      unit, make("small", {}, tags[k]))));
    tags.forEach((tag) => (counts[kind(tag)] = (counts[kind(tag)] ?? 0) + 1));
    legend.textContent = Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([tag, count]) => `${tag} ${count}`).join(" · ");
  };
  text.focus();
});
