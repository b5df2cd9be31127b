open((model) => {
  const prompt = make("textarea", { id: "text", "aria-label": "Beginning of the text", placeholder: "Begin a text" });
  const go = make("button", { type: "button", className: "main", id: "go" }, "Write");
  const heat = make("input", { type: "range", min: 0, max: 1.5, step: 0.05, value: 0.7, id: "heat" });
  const heats = make("output", { htmlFor: "heat" });
  const size = make("input", { type: "number", min: 1, max: 100000, value: 500, id: "size" });
  const page = make("div", { className: "card", id: "page", hidden: true });
  const status = make("p", { className: "soft", role: "status" });
  $("view").append(prompt, make("div", { className: "row" }, go,
    make("label", {}, "Temperature ", heat, heats), make("label", {}, "Length ", size)), page, status);
  let running = null;

  // Write for some milliseconds of each frame.
  function frame() {
    if (!running) return;
    const start = performance.now();
    let unit, count = 0;
    while (performance.now() - start < 12 && !(unit = running.units.next()).done) running.ids.push(unit.value[0]), count++;
    running.spent += performance.now() - start;
    running.text.textContent = model.text(running.ids);
    status.textContent = `${running.ids.length} units, ${Math.round((1000 * running.ids.length) / running.spent).toLocaleString("en")} a second`;
    page.scrollTop = page.scrollHeight;
    if (unit.done) stop();
    else requestAnimationFrame(frame);
  }

  function stop() {
    running = null;
    go.textContent = "Write";
  }

  function write() {
    if (running) return stop();
    const text = make("span");
    page.replaceChildren(make("b", {}, prompt.value), text);
    page.hidden = false;
    go.textContent = "Stop";
    running = { units: model.write(prompt.value, { temperature: +heat.value, longest: +size.value }), ids: [], spent: 0, text };
    frame();
  }

  const say = () => (heats.textContent = +heat.value ? (+heat.value).toFixed(2) : "most probable");
  heat.oninput = say;
  say();
  go.onclick = write;
  prompt.onkeydown = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && write();
  prompt.focus();
});
