// What the views share.

const $ = (id) => document.getElementById(id);

// Make an element with attributes, and children or text.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    name in element ? (element[name] = value) : element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const root = document.documentElement;
const theme = (dark) => (root.dataset.theme = dark ? "dark" : "light");
theme(matchMedia("(prefers-color-scheme: dark)").matches);
$("theme").onclick = () => theme(root.dataset.theme === "light");

const share = (p) => (100 * p).toFixed(p > 0.0995 && p < 0.9995 ? 0 : 1) + " %";

// Load the model, and say what runs it.
async function open(view) {
  const start = performance.now(), model = await load();
  view(model);
  const ms = Math.round(performance.now() - start);
  $("foot").textContent = `Runs on this device, ${model.language ? `in ${model.language}` : "in JavaScript"}; nothing is sent anywhere. Ready after ${ms} ms.`;
}
