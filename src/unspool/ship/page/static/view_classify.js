open((model) => {
  const text = make("textarea", { id: "text", "aria-label": "Text", placeholder: "Write or paste a text" });
  const result = make("div", { className: "card", hidden: true, "aria-live": "polite" });
  const words = make("div", { className: "card", hidden: true });
  $("view").append(text, result, words);

  // Show how far each word moves the probability of the first label: that of the text without the word.
  function explain(units, label, p) {
    const note = make("p", { className: "soft" });
    const moves = units.slice(0, 200).map((_, k) => p - model.without(units, k)[label]);
    const most = Math.max(0.02, ...moves.map(Math.abs));
    const say = (k) => () => (note.textContent = k < 0 ? `Green words speak for “${label}”, red ones against it.`
      : `Without “${units[k]}”: ${share(p - moves[k])} instead of ${share(p)}.`);
    const list = units.slice(0, 200).map((unit, k) => {
      const color = moves[k] > 0 ? "plus" : "minus", depth = (0.6 * Math.abs(moves[k])) / most;
      return make("button", { type: "button", style: `background:rgba(var(--${color}),${depth.toFixed(2)})`,
        onfocus: say(k), onmouseenter: say(k), onmouseleave: say(-1) }, unit);
    });
    say(-1)();
    words.replaceChildren(note, make("div", { className: "words" }, ...list));
  }

  function update() {
    const written = text.value.trim() !== "";
    result.hidden = words.hidden = !written;
    if (!written) return;
    const shares = model.answer(text.value), chosen = model.labels(text.value);
    const order = Object.keys(shares).sort((a, b) => shares[b] - shares[a]);
    const bars = order.slice(0, 8).map((label) => make("div", { className: "bar" }, make("span", {}, label),
      make("i", {}, make("b", { style: `width:${100 * shares[label]}%` })), make("span", {}, share(shares[label]))));
    result.replaceChildren(make("strong", {}, chosen.join(", ") || "none of the labels"), ...bars);
    explain(model.units(text.value), order[0], shares[order[0]]);
  }

  text.oninput = update;
  text.focus();
});
