// Requests to the server: JSON, traces as float32, and server-sent events.
"use strict";
import {takeToken} from "./store.js";

const token = takeToken();
const BASE = new URL(".", document.baseURI);
const files = new Map();  // content in Base64 of each chosen file by its name, which stands for it in the address

/** Read a file, so that its name as an input stands for its content. */
export async function keepFile(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  files.set(file.name, btoa(text));
  return file.name;
}

function withContent(body) {
  return files.has(body?.input) ? {...body, input: files.get(body.input)} : body;
}

function headers(body) {
  return {...(body === undefined ? {} : {"Content-Type": "application/json"}), ...(token ? {Authorization: `Bearer ${token}`} : {})};
}

async function send(path, body, signal, method = body === undefined ? "GET" : "POST") {
  const answer = await fetch(new URL(path, BASE), {method, headers: headers(body), body: body === undefined ? undefined : JSON.stringify(withContent(body)), signal});
  if (answer.ok) return answer;
  let sentence = `the server answered ${answer.status}`;
  try { sentence = (await answer.json()).error.message; } catch { /* no JSON: the status must do */ }
  throw Object.assign(new Error(sentence), {status: answer.status});
}

export async function getJson(path, signal) {
  return (await send(path, undefined, signal)).json();
}

export async function postJson(path, body, signal) {
  return (await send(path, body, signal)).json();
}

export async function remove(path) {
  await send(path, undefined, undefined, "DELETE");
}

/** Decode the binary form of a trace: what a page draws, with the values of all arrays and maps. */
export function unpack(buffer) {
  const size = Number(new DataView(buffer).getBigUint64(0, true)), header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  const places = new Map(header.numbers.map((place) => [place.name, place]));
  const fill = (content) => {
    for (const each of [...content.arrays, ...content.maps]) {
      const place = places.get(each.name), count = place.shape.reduce((a, b) => a * b, 1);
      each.values = new Float32Array(buffer, 8 + size + 4 * place.begin, count);
    }
    if (content.written) fill(content.written);
  };
  fill(header.view);
  return {...header.view, trace: header.trace};
}

export async function trace(model, input, signal, extra = {}) {
  return unpack(await (await send("api/trace", {model, input, form: "binary", ...extra}, signal)).arrayBuffer());
}

/** Read server-sent events: calls `receive` with each JSON value until `[DONE]`. */
export async function events(path, body, receive, signal) {
  const reader = (await send(path, body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    const blocks = (waiting + value).split("\n\n");
    waiting = blocks.pop();
    for (const block of blocks) {
      const data = block.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const content = JSON.parse(data);
      if (content.error) throw new Error(content.error.message);
      receive(content);
    }
  }
}
