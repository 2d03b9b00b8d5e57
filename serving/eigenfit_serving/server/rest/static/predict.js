// The form for models that are no solvers: one field for each input of a signature.

import { $, duration, offer, say } from "/page/common.js";
import { parse } from "/page/server.js";

export const HINT = "No solver of eigenfit: enter inputs as JSON and press Run.";

const MOST_ENTRIES = 200; // of an input that is filled in
const MOST_SHOWN = 20000; // characters of an answer

let model = null;

export function open(server, opened) {
  model = opened;
  $("signature").replaceChildren(); // What was chosen of another model is forgotten.
  offer("signature", Object.keys(model.signatures).filter((name) => !name.startsWith("__")));
  makeFields();
  changed(server);
}

export function changed(server) {
  if ($("inputs").dataset.signature !== $("signature").value) makeFields();
  $("curl").textContent = server.curl(model.name, model.version, body());
}

function makeFields() {
  const name = $("signature").value;
  $("inputs").dataset.signature = name;
  $("outputs").textContent = "";
  const inputs = Object.entries(model.signatures[name].inputs).sort();
  $("inputs").replaceChildren(...inputs.map(([input, info]) => {
    const field = document.createElement("div");
    field.className = "field";
    const label = field.appendChild(document.createElement("label"));
    label.htmlFor = `input-${input}`;
    label.textContent = `${input}: ${info.dtype.slice(3).toLowerCase()} [${sizes(info).map((size) => size < 0 ? "?" : size).join(", ")}]`;
    const area = field.appendChild(document.createElement("textarea"));
    Object.assign(area, { id: `input-${input}`, name: input, spellcheck: false, value: sample(info) });
    return field;
  }));
}

function sizes(info) {
  return info.tensor_shape.dim.map((dim) => Number(dim.size));
}

// Zeros of the right shape, in a batch of one.
function sample(info) {
  const shape = sizes(info).map((size) => Math.max(1, size));
  if (shape.reduce((product, size) => product * size, 1) > MOST_ENTRIES) return "";
  const entry = { DT_STRING: "", DT_BOOL: false }[info.dtype] ?? 0;
  return JSON.stringify(shape.reduceRight((inner, size) => Array(size).fill(inner), entry));
}

// The text of the fields goes out as it is: no number is rounded on the way.
function body() {
  const inputs = [...$("inputs").querySelectorAll("textarea")].map(
    (area) => `${JSON.stringify(area.name)}: ${area.value.trim() || "null"}`);
  return `{"signature_name": ${JSON.stringify($("signature").value)}, "inputs": {${inputs.join(", ")}}}`;
}

export function read() {
  for (const area of $("inputs").querySelectorAll("textarea")) {
    area.removeAttribute("aria-invalid");
    try {
      parse(area.value);
    } catch {
      area.setAttribute("aria-invalid", "true");
      area.focus();
      say("warn", "not run", `The input ${area.name} is not JSON.`);
      return null;
    }
  }
  return body();
}

export async function run(server, asked, signal) {
  $("curl").textContent = server.curl(model.name, model.version, asked);
  const { outputs } = model.signatures[$("signature").value];
  const answer = await server.call(model.name, model.version, outputs, asked, signal);
  const text = Object.entries(answer.outputs).sort().map(
    ([name, value]) => `${name} = ${show(value)}`).join("\n\n");
  $("outputs").textContent = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} …` : text;
  say("good", "answered", `The server took ${duration(answer.milliseconds)}.`);
}

// A row of numbers a line.
function show(value, indent = "") {
  if (!Array.isArray(value)) return typeof value === "string" ? JSON.stringify(value) : String(value);
  if (!Array.isArray(value[0])) return `[${value.map((entry) => show(entry)).join(", ")}]`;
  return `[${value.map((entry) => show(entry, `${indent} `)).join(`,\n${indent} `)}]`;
}
