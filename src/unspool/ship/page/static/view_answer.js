open((model) => {
  const log = make("div", { className: "log", "aria-live": "polite" });
  const text = make("input", { id: "text", "aria-label": "Question", placeholder: "Ask a question", autocomplete: "off" });
  const form = make("form", { className: "ask" }, text, make("button", { className: "main" }, "Ask"));
  $("view").append(log, form);

  const say = (who, ...content) => log.append(make("div", { className: "turn " + who }, ...content));
  const chips = (questions) => make("div", { className: "row" }, ...questions.map((question) =>
    make("button", { type: "button", className: "chip", onclick: () => ask(question) }, question)));

  function ask(question) {
    const start = performance.now(), found = model.nearest(question), ms = performance.now() - start;
    say("person", make("p", {}, question));
    const sure = `${Math.round(100 * found.sure)} % sure, in ${ms.toFixed(1)} ms`;
    if (found.known) say("model", make("p", {}, found.answers[0]), make("p", { className: "soft" }, `From “${found.questions[0]}”, ${sure}.`));
    else say("model", make("p", {}, model.refusal), make("p", { className: "soft" }, `${sure}. Nearest:`), chips(found.questions.slice(0, 3)));
    text.value = "";
    log.lastChild.scrollIntoView({ block: "end" });
    text.focus();
  }

  say("model", make("p", {}, "Ask a question, for instance:"), chips(model.some(4)));
  form.onsubmit = (event) => {
    event.preventDefault();
    if (text.value.trim()) ask(text.value.trim());
  };
  text.focus();
});
