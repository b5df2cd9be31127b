open((model) => {
  const text = make("textarea", { id: "text", "aria-label": "Text", placeholder: "Write a text" });
  const result = make("div", { className: "card words", hidden: true, "aria-live": "polite" });
  const map = make("div", { className: "card map", hidden: true });
  $("view").append(text, result, map);

  function show(units, written) {
    const words = written.map(([id]) => model.text([id]) || "␣");
    result.replaceChildren(...(words.length ? [model.text(written.map(([id]) => id))] : ["nothing"]));
    result.hidden = false;
    map.hidden = !written.some(([, attention]) => attention);
    if (map.hidden) return;
    const cell = (share, k, j) => make("td", { style: `background:color-mix(in srgb, var(--accent) ${Math.round(100 * share)}%, transparent)`,
      title: `${words[j]} looks at ${units[k]}: ${(100 * share).toFixed(0)} %` });
    map.replaceChildren(make("p", { className: "soft" }, "Which words of the text each written word looked at: the stronger the colour, the more."),
      make("div", { className: "scroll" }, make("table", {},
        make("thead", {}, make("tr", {}, make("th"), ...units.map((unit) => make("th", { scope: "col" }, make("span", {}, unit))))),
        make("tbody", {}, ...written.map(([, attention], j) =>
          make("tr", {}, make("th", { scope: "row" }, words[j]), ...attention.map((share, k) => cell(share, k, j))))))));
  }

  let timer;
  text.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const units = model.units(text.value);
      if (units.length) show(units, [...model.write(text.value)]);
      else result.hidden = map.hidden = true;
    }, 150);
  };
  text.focus();
});
