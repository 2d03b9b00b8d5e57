// The form of solvers: one request traces all starts, and what came is replayed.

import { $, duration, fill, rowWith, say } from "/page/common.js";
import { drawLevels, drawLoss, drawMatrix, levelColour, short } from "/page/drawing.js";

export const HINT = "Enter targets and press Run.";

const HELP = "Ascending numbers, apart by commas or spaces";
const REPLAY = 700; // milliseconds
const MOST_STARTS = 64;
const SAME = 1e-3; // relative difference of parameters up to which solutions are one

const results = fetch("/page/results.json").then((answer) => answer.json());
const still = matchMedia("(prefers-reduced-motion: reduce)");

let model = null;
let drawn = null; // { key, starts }: what the model drew last
let last = null; // { asked, fits, fit, at }: what is shown

export function canShow(signatures) {
  return "fit_trace" in signatures && "fit_from_random" in signatures;
}

export async function open(server, opened) {
  model = opened;
  forget();
  const count = numberOfTargets();
  if (count > 0) {
    $("targets-help").textContent = `${count} ${HELP.toLowerCase()}`;
    if (readNumbers($("targets").value).length !== count) {
      $("targets").value = Array.from({ length: count }, (_, i) => i + 1).join(", ");
    }
  }
  const single = model.signatures.fit_trace.inputs.targets.dtype === "DT_FLOAT";
  $("tolerance").placeholder = single ? "relative 1e-5" : "relative 1e-10";
  await changed(server);
}

function numberOfTargets() {
  return Number(model.signatures.fit_trace.inputs.targets.tensor_shape.dim[1].size);
}

// The starts are drawn before they are needed, so that a run is one request.
export async function changed(server) {
  const asked = check();
  if ("complaint" in asked) return;
  try {
    await drawStarts(server, asked);
    $("curl").textContent = server.curl(model.name, model.version, body(asked));
  } catch { /* A run will say so. */ }
}

// ---- The form ----

function readNumbers(text) {
  return text.split(/[\s,;]+/).filter(Boolean).map(Number);
}

// What is asked for, or the field that is wrong and a complaint.
function check() {
  const targets = readNumbers($("targets").value);
  const count = numberOfTargets();
  const wrong = (id, complaint) => ({ id, complaint });
  const bad = targets.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) return wrong("targets", `Entry ${bad + 1} is not a number.`);
  if (!targets.length) return wrong("targets", "Enter the eigenvalues.");
  if (count > 0 && targets.length !== count) {
    return wrong("targets", `This model wants ${count} numbers, not ${targets.length}.`);
  }
  const given = $("tolerance").value.trim();
  const tolerance = given ? Number(given) : 0; // 0 is the default of the model
  if (given && !(tolerance > 0)) return wrong("tolerance", "The tolerance must be a positive number, or empty.");
  const steps = Number($("steps").value);
  if (!Number.isInteger(steps) || steps < 0 || steps >= 2 ** 31) return wrong("steps", "The steps must be a whole number.");
  const starts = Number($("starts").value);
  if (!Number.isInteger(starts) || starts < 1 || starts > MOST_STARTS) {
    return wrong("starts", `The starts must be a whole number from 1 to ${MOST_STARTS}.`);
  }
  const seed = Number($("seed").value);
  if (!Number.isInteger(seed) || Math.abs(seed) >= 2 ** 30) return wrong("seed", "The seed must be a whole number.");
  return { targets, tolerance, steps, starts, seed };
}

export function read() {
  for (const id of ["targets", "tolerance", "steps", "starts", "seed"]) $(id).removeAttribute("aria-invalid");
  $("targets-error").hidden = true;
  const asked = check();
  if (!("complaint" in asked)) return asked;
  $(asked.id).setAttribute("aria-invalid", "true");
  $("targets-error").textContent = asked.complaint;
  $("targets-error").hidden = false;
  $(asked.id).focus();
  say("warn", "not run", asked.complaint);
  return null;
}

// ---- A run ----

async function drawStarts(server, asked, signal) {
  const key = JSON.stringify([model.name, model.version, asked.targets, asked.starts, asked.seed]);
  if (drawn?.key === key) return;
  const seeds = Array.from({ length: asked.starts }, (_, k) => asked.seed + k);
  const inputs = { seed: seeds, ...rows(asked), max_steps: seeds.map(() => 0) };
  const answer = await server.call(
    model.name, model.version, model.signatures.fit_from_random.outputs,
    JSON.stringify({ signature_name: "fit_from_random", inputs }), signal);
  drawn = { key, starts: answer.outputs.initial };
}

function rows({ targets, tolerance, steps, starts }) {
  const each = (value) => Array(starts).fill(value);
  return { targets: each(targets), tolerance: each(tolerance), max_steps: each(steps) };
}

function body(asked) {
  const inputs = { initial: drawn.starts, ...rows(asked) };
  return JSON.stringify({ signature_name: "fit_trace", inputs });
}

export async function run(server, asked, signal) {
  await drawStarts(server, asked, signal);
  const text = body(asked);
  $("curl").textContent = server.curl(model.name, model.version, text);
  const { outputs, milliseconds } = await server.call(
    model.name, model.version, model.signatures.fit_trace.outputs, text, signal);
  const known = await results;
  const fits = outputs.result.map((code, k) => fitOf(outputs, k, asked.seed + k, known[code]));
  last = { asked, fits, fit: null, at: 0 };
  $("time").textContent = duration(milliseconds);
  choose(showSolutions());
}

// One row of the answer: how it ended, and its snapshots without repetitions.
function fitOf(outputs, k, seed, result) {
  const steps = outputs.trace_steps[k];
  const end = outputs.num_steps[k];
  const size = steps.findIndex((step) => step === end) + 1;
  const matricesAt = (prefix, place) => Object.fromEntries(Object.keys(outputs)
    .filter((name) => new RegExp(`^${prefix}matrix(_|$)`).test(name))
    .map((name) => [name.slice(prefix.length), place(outputs[name][k])]));
  const ended = matricesAt("", (matrix) => matrix);
  const history = steps.slice(0, size).map((step, i) => {
    const traced = matricesAt("trace_", (matrices) => matrices[i]);
    return {
      step, loss: outputs.trace_loss[k][i], levels: outputs.trace_eigenvalues[k][i],
      // Large matrices are known at the end only.
      matrices: Object.keys(traced).length ? traced : ended,
    };
  });
  return {
    seed, history, steps: end, result, loss: outputs.loss[k], parameters: outputs.parameters[k],
  };
}

// ---- Solutions ----

// Fits that ended alike at the same parameters: first what was asked for, and of these
// what most starts led to.
function solutions(fits) {
  const found = [];
  for (const fit of fits) {
    const same = found.find(([one]) => one.result === fit.result && near(one.parameters, fit.parameters));
    if (same) same.push(fit);
    else found.push([fit]);
  }
  const quality = ([fit]) => (fit.result.success ? 0 : 1);
  return found.sort((a, b) => quality(a) - quality(b) || b.length - a.length || a[0].loss - b[0].loss);
}

function near(a, b) {
  const size = Math.max(...a.map(Math.abs), ...b.map(Math.abs));
  return a.every((value, i) => Math.abs(value - b[i]) <= SAME * size);
}

// Lists the solutions, and gives the first one.
function showSolutions() {
  const groups = solutions(last.fits);
  const good = groups.filter(([fit]) => fit.result.success).length;
  const starts = last.fits.length > 1 ? ` from ${last.fits.length} starts` : "";
  $("found").textContent = `${good}${starts}`;
  fill("solutions", groups.map((group) => {
    const [fit] = group;
    const shown = fit.parameters.slice(0, 6).map((value) => short(value)).join(", ");
    const row = rowWith(["", group.length, fit.result.name.replaceAll("_", " "), short(fit.loss, 3), fit.steps,
      fit.parameters.length > 6 ? `${shown}, …` : shown]);
    const button = row.cells[0].appendChild(document.createElement("button"));
    Object.assign(button, { type: "button", textContent: fit.seed, title: "Show how this start went" });
    button.addEventListener("click", () => choose(fit));
    row.fit = fit;
    return row;
  }));
  return groups[0][0];
}

function choose(fit) {
  last.fit = fit;
  for (const row of $("solutions").tBodies[0].rows) row.ariaCurrent = String(row.fit === fit);
  const { name, text, success } = fit.result;
  const failed = ["nonfinite", "invalid_input"].includes(name);
  say(success ? "good" : failed ? "bad" : "warn", name, text);
  document.title = `${name} after ${fit.steps} steps – eigenfit`;
  $("loss").textContent = short(fit.loss, 3);
  $("count").textContent = String(fit.steps);
  $("at").max = String(fit.history.length - 1);
  for (const id of ["at", "replay"]) $(id).disabled = fit.history.length < 2;
  replay();
}

// ---- The replay ----

let frame = 0;

function replay() {
  cancelAnimationFrame(frame);
  const { length } = last.fit.history;
  const began = performance.now();
  const next = (now) => {
    const part = still.matches ? 1 : Math.min(1, Math.max(0, now - began) / REPLAY);
    last.at = Math.round(part * (length - 1));
    draw();
    if (part < 1) frame = requestAnimationFrame(next);
  };
  next(began);
}

export function draw() {
  if (!last) return;
  const { fit, at, asked } = last;
  const { step, levels, matrices } = fit.history[at];
  $("at").value = String(at);
  $("at-step").textContent = `step ${step}`;
  drawLoss($("loss-chart"), fit.history, at, asked.tolerance);
  drawLevels($("levels-chart"), fit.history, at, asked.targets);
  fillLevels(asked.targets, levels);
  const names = Object.keys(matrices);
  if (names.join() !== [...$("block").options].map((option) => option.value).join()) {
    $("block").replaceChildren(...names.map((name) => new Option(name)));
  }
  $("block").hidden = names.length < 2;
  const matrix = matrices[$("block").value];
  drawMatrix($("heat"), $("scale"), matrix);
  fill("numbers", matrix.map((row) => rowWith(row.map((entry) => short(entry, 8)))));
}

function fillLevels(targets, levels) {
  const same = targets.length === levels.length;
  fill("levels", levels.map((level, k) => {
    const row = rowWith([k + 1, same ? short(targets[k], 8) : "", short(level, 8)]);
    row.cells[0].style.color = levelColour(k, levels.length);
    return row;
  }));
}

// Empties what an earlier model has left.
function forget() {
  cancelAnimationFrame(frame);
  last = null;
  drawn = null;
  for (const id of ["loss", "count", "time", "found"]) $(id).textContent = "–";
  for (const id of ["loss-chart", "levels-chart", "heat", "scale"]) $(id).replaceChildren();
  $("loss-chart").setAttribute("aria-label", "Loss by step, not yet run");
  $("levels-chart").setAttribute("aria-label", "Eigenvalues by step, not yet run");
  $("heat").setAttribute("aria-label", "Matrix, not yet run");
  for (const id of ["levels", "numbers", "solutions"]) fill(id, []);
  for (const id of ["at", "replay"]) $(id).disabled = true;
  $("at-step").textContent = "";
  $("curl").textContent = "";
  $("block").hidden = true;
  $("targets").removeAttribute("aria-invalid");
  $("targets-error").hidden = true;
  $("targets-help").textContent = HELP;
}

$("replay").addEventListener("click", replay);
$("block").addEventListener("change", draw);
$("at").addEventListener("input", () => {
  cancelAnimationFrame(frame);
  last.at = Number($("at").value);
  draw();
});
