// The page: reads the form, drives `init` and `step`, and shows what happens.

import { drawLevels, drawLoss, drawMatrix, levelColour, short } from "/page/drawing.js";
import { Refused, Server, rowOf } from "/page/server.js";

const MOST_POINTS = 600;
const SEEN_STEPS = 40; // the first steps are slow enough to be seen
const PAUSE = 45;
const REFRESH = 250; // milliseconds after which the matrix is asked for anew
const HELP = "Ascending numbers, apart by commas or spaces";
const PATIENCE = 60; // steps without gain after which `fit` decides

const server = new Server();
const $ = (id) => document.getElementById(id);
const results = fetch("/page/results.json").then((answer) => answer.json());

let models = [];
let signatures = {};
let running = null;
let last = null;

// ---- Models ----

async function findModels() {
  try {
    models = await server.models();
  } catch (error) {
    $("key-field").hidden = !(error instanceof Refused && error.status === 401);
    return say("bad", "no models", error.message);
  }
  $("key-field").hidden = true;
  const served = models.filter((model) => model.versions.length);
  $("model").replaceChildren(...served.map((model) => new Option(model.name)));
  $("model").disabled = !served.length;
  if (!served.length) return say("warn", "no models", "No model has a version that is available.");
  return chooseModel();
}

async function chooseModel() {
  const model = models.find((one) => one.name === $("model").value);
  $("version").replaceChildren(...model.versions.map((version) => new Option(version)));
  $("version").disabled = false;
  return chooseVersion();
}

async function chooseVersion() {
  $("run").disabled = true;
  forget();
  try {
    signatures = await server.signatures($("model").value, $("version").value);
  } catch (error) {
    return say("bad", "failed", error.message);
  }
  const missing = ["fit", "fit_from_random"].filter((name) => !(name in signatures));
  if (missing.length) {
    return say("warn", "not a solver", `This model has no signature ${missing.join(", ")}: eigenfit did not export it.`);
  }
  const count = numberOfTargets();
  if (count > 0) $("targets-help").textContent = `${count} ${HELP.toLowerCase()}`;
  if (readNumbers($("targets").value).length !== count && count > 0) {
    $("targets").value = Array.from({ length: count }, (_, i) => i + 1).join(", ");
  }
  const single = signatures.fit.inputs.targets.dtype === "DT_FLOAT";
  $("tolerance").placeholder = single ? "relative 1e-5" : "relative 1e-10";
  $("run").disabled = false;
  return say("idle", "ready", "Enter targets and press Run.");
}

function numberOfTargets() {
  return Number(signatures.fit.inputs.targets.tensor_shape.dim[1].size);
}

// ---- The form ----

function readNumbers(text) {
  return text.split(/[\s,;]+/).filter(Boolean).map(Number);
}

function complain(id, message) {
  const field = $(id);
  field.setAttribute("aria-invalid", "true");
  $("targets-error").textContent = message;
  $("targets-error").hidden = false;
  field.focus();
  say("warn", "not run", message);
  return null;
}

function readForm() {
  for (const id of ["targets", "tolerance", "steps", "seed"]) $(id).removeAttribute("aria-invalid");
  $("targets-error").hidden = true;
  const targets = readNumbers($("targets").value);
  const count = numberOfTargets();
  const bad = targets.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) return complain("targets", `Entry ${bad + 1} is not a number.`);
  if (!targets.length) return complain("targets", "Enter the eigenvalues.");
  if (count > 0 && targets.length !== count) {
    return complain("targets", `This model wants ${count} numbers, not ${targets.length}.`);
  }
  const given = $("tolerance").value.trim();
  const tolerance = given ? Number(given) : 0; // 0 is the default of the model
  if (given && !(tolerance > 0)) return complain("tolerance", "The tolerance must be a positive number, or empty.");
  const steps = Number($("steps").value);
  if (!Number.isInteger(steps) || steps < 0) return complain("steps", "The steps must be a whole number.");
  const seed = Number($("seed").value);
  if (!Number.isInteger(seed) || Math.abs(seed) >= 2 ** 31) return complain("seed", "The seed must be a whole number.");
  return { targets, tolerance, steps, seed };
}

// ---- A run ----

async function run(asked) {
  const stopper = new AbortController();
  running = stopper;
  const name = $("model").value, version = $("version").value, used = signatures;
  const call = async (signature, inputs) => rowOf(
    await server.call(name, version, signature, inputs, stopper.signal), used[signature]);
  const began = performance.now();
  const view = { ...asked, history: [], began };
  setRunning(true);
  say("running", "running", "Choosing a start.");
  try {
    const { targets, tolerance, seed } = asked;
    const start = await call("fit_from_random", { seed, targets, tolerance, max_steps: 0 });
    show(view, 0, start);
    const ends = { initial: start.initial, steps: 0 };
    if ("step" in used && "init" in used && start.result === 2) {
      await walk(call, used, view, start.initial, ends);
    }
    const left = Math.max(0, asked.steps - ends.steps);
    const end = await call("fit", { initial: ends.initial, targets, tolerance, max_steps: left });
    show(view, ends.steps + end.num_steps, end);
    await conclude(end, ends.steps + end.num_steps);
  } catch (error) {
    if (error.name === "AbortError") say("warn", "stopped", "Stopped. What was reached is shown.");
    else say("bad", "failed", error.message);
  } finally {
    running = null;
    setRunning(false);
  }
}

// Steps until the tolerance is met, nothing is gained any more, or none is left.
async function walk(call, used, view, initial, ends) {
  const { targets, tolerance, steps } = view;
  const enough = tolerance || relativeTolerance(targets, used.fit.inputs.targets.dtype);
  let state = await call("init", { initial, targets });
  if (!("loss" in state && "parameters" in state)) return;
  let best = Infinity, waited = 0, seen = performance.now();
  say("running", "running", "Each step is one call of the signature step.");
  for (let step = 1; step <= steps; step += 1) {
    state = await call("step", { ...state, targets });
    if (!Number.isFinite(state.loss)) return;
    Object.assign(ends, { initial: state.parameters, steps: step });
    if (performance.now() - seen > REFRESH) {
      // A state has no matrix; a fit of no steps has.
      const here = await call("fit", { initial: state.parameters, targets, tolerance, max_steps: 0 });
      show(view, step, here);
      seen = performance.now();
    } else show(view, step, state);
    waited = state.loss < best * (1 - 1e-6) ? 0 : waited + 1;
    best = Math.min(best, state.loss);
    // A method that has a code may be at its end.
    if (state.loss <= enough || waited >= (state.code > 0 ? 3 : PATIENCE)) return;
    if (step <= SEEN_STEPS) await new Promise((done) => setTimeout(done, PAUSE));
  }
}

// About that of the model, which knows the weights and decides at the end.
function relativeTolerance(targets, dtype) {
  const largest = Math.max(...targets.map(Math.abs));
  return targets.length * (largest * (dtype === "DT_FLOAT" ? 1e-5 : 1e-10)) ** 2;
}

async function conclude(end, steps) {
  const known = await results;
  const { name, text, success } = known[end.result] ?? { name: `result ${end.result}`, text: "" };
  const kind = success ? "good" : end.result >= 4 ? "bad" : "warn";
  say(kind, name, text);
  document.title = `${name} after ${steps} steps – eigenfit`;
}

// ---- What is shown ----

function say(kind, word, text) {
  $("badge").dataset.kind = kind;
  $("badge").textContent = word.replace("_", " ");
  $("text").textContent = text;
}

function setRunning(on) {
  $("run").disabled = on;
  $("stop").disabled = !on;
  for (const id of ["model", "version"]) $(id).disabled = on;
  $("form").setAttribute("aria-busy", String(on));
}

// Empties what an earlier run has left.
function forget() {
  last = null;
  for (const id of ["loss", "count", "time"]) $(id).textContent = "–";
  for (const id of ["loss-chart", "levels-chart", "heat", "scale"]) $(id).replaceChildren();
  $("loss-chart").setAttribute("aria-label", "Loss by step, not yet run");
  $("levels-chart").setAttribute("aria-label", "Eigenvalues by step, not yet run");
  $("heat").setAttribute("aria-label", "Matrix, not yet run");
  for (const id of ["levels", "numbers"]) $(id).tBodies[0].replaceChildren();
  $("block").hidden = true;
  $("targets").removeAttribute("aria-invalid");
  $("targets-error").hidden = true;
  $("targets-help").textContent = HELP;
}

let drawing = false;

function show(view, step, values) {
  const { history } = view;
  if (Number.isFinite(values.loss) && values.eigenvalues) {
    const entry = { step, loss: values.loss, levels: values.eigenvalues };
    if (history.length && history[history.length - 1].step === step) history.pop();
    history.push(entry);
  }
  if (history.length > MOST_POINTS) {
    view.history = history.filter((_, i) => i % 2 === 0 || i === history.length - 1);
  }
  const matrices = Object.fromEntries(
    Object.entries(values).filter(([name]) => /^matrix(_|$)/.test(name)));
  last = {
    view, step, loss: values.loss, levels: values.eigenvalues ?? [],
    matrices: Object.keys(matrices).length ? matrices : last?.matrices ?? {},
    seconds: (performance.now() - view.began) / 1000,
  };
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw(); // nothing, if another model has been chosen since
  });
}

function draw() {
  if (!last) return;
  const { view, step, loss, levels, matrices, seconds } = last;
  $("loss").textContent = short(loss, 3);
  $("count").textContent = String(step);
  $("time").textContent = `${short(seconds, 3)} s`;
  drawLoss($("loss-chart"), view.history, view.tolerance);
  drawLevels($("levels-chart"), view.history, view.targets);
  fillLevels(view.targets, levels);
  const names = Object.keys(matrices);
  if (!names.length) return;
  if (names.join() !== [...$("block").options].map((option) => option.value).join()) {
    $("block").replaceChildren(...names.map((name) => new Option(name)));
  }
  $("block").hidden = names.length < 2;
  const matrix = matrices[$("block").value];
  drawMatrix($("heat"), $("scale"), matrix);
  $("numbers").tBodies[0].replaceChildren(...matrix.map((row) => rowWith(row.map((entry) => short(entry, 8)))));
}

function fillLevels(targets, levels) {
  const same = targets.length === levels.length;
  const rows = levels.map((level, k) => {
    const row = rowWith([k + 1, same ? short(targets[k], 8) : "", short(level, 8)]);
    row.cells[0].style.color = levelColour(k, levels.length);
    return row;
  });
  $("levels").tBodies[0].replaceChildren(...rows);
}

function rowWith(texts) {
  const row = document.createElement("tr");
  for (const text of texts) row.insertCell().textContent = text;
  return row;
}

// ---- Events ----

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = running ? null : readForm();
  if (asked) run(asked);
});
$("stop").addEventListener("click", () => running?.abort());
$("model").addEventListener("change", chooseModel);
$("version").addEventListener("change", chooseVersion);
$("block").addEventListener("change", draw);
$("use-key").addEventListener("click", () => {
  server.key = $("key").value.trim();
  findModels();
});
$("targets").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
window.addEventListener("resize", draw);
findModels();
