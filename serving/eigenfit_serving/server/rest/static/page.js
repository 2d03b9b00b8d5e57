// The page: its two views, and which model is looked at.

import { $, offer, say } from "/page/common.js";
import * as fit from "/page/fit.js";
import * as monitor from "/page/monitor.js";
import * as predict from "/page/predict.js";
import { Refused, Server } from "/page/server.js";

const server = new Server();
let models = [];
let chosen = fit; // the form that is shown

function available(model) {
  return model.versions.filter((one) => one.state === "AVAILABLE").map((one) => one.version);
}

async function findModels() {
  let served;
  try {
    models = await server.models();
    served = models.filter((model) => available(model).length);
    offer("model", served.map((model) => model.name));
    const first = await firstSolver(served);
    if (first) $("model").value = first.name;
  } catch (error) {
    $("key-field").hidden = !(error instanceof Refused && error.status === 401);
    return say("bad", "no models", error.message);
  }
  $("key-field").hidden = true;
  if (!served.length) return say("warn", "no models", "No model has a version that is available.");
  return chooseModel();
}

async function firstSolver(served) {
  for (const model of served) {
    const signatures = await server.signatures(model.name, available(model)[0]);
    if (fit.canShow(signatures)) return model;
  }
  return null;
}

function chooseModel() {
  offer("version", available(models.find((one) => one.name === $("model").value)));
  return chooseVersion();
}

async function chooseVersion() {
  $("run").disabled = true;
  const model = { name: $("model").value, version: $("version").value };
  try {
    model.signatures = await server.signatures(model.name, model.version);
    chosen = fit.canShow(model.signatures) ? fit : predict;
    for (const part of document.querySelectorAll("[data-form]")) {
      part.hidden = part.dataset.form !== (chosen === fit ? "fit" : "predict");
    }
    await chosen.open(server, model);
  } catch (error) {
    return say("bad", "failed", error.message);
  }
  $("run").disabled = false;
  return say("idle", "ready", chosen.HINT);
}

// ---- A run ----

let running = null;

async function run() {
  const asked = running ? null : chosen.read();
  if (!asked) return;
  running = new AbortController();
  setRunning(true);
  say("running", "running", "Waiting for the server.");
  try {
    await chosen.run(server, asked, running.signal);
  } catch (error) {
    if (error.name === "AbortError") say("warn", "stopped", "Stopped before the answer came.");
    else say("bad", "failed", error.message);
  } finally {
    running = null;
    setRunning(false);
  }
}

function setRunning(on) {
  $("run").disabled = on;
  $("stop").disabled = !on;
  for (const id of ["model", "version"]) $(id).disabled = on;
  $("form").setAttribute("aria-busy", String(on));
}

// ---- Views ----

function choose() {
  const view = location.hash === "#server" ? "server" : "fit";
  for (const part of document.querySelectorAll("main")) part.hidden = part.id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  monitor.show(server, view === "server");
  if (view === "fit") fit.draw();
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
$("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("form").addEventListener("change", (event) => {
  if (event.target.id === "model") chooseModel();
  else if (event.target.id === "version") chooseVersion();
  else chosen.changed(server);
});
$("stop").addEventListener("click", () => running?.abort());
$("use-key").addEventListener("click", () => {
  server.key = $("key").value.trim();
  findModels();
});
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("curl").textContent);
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});
window.addEventListener("hashchange", choose);
window.addEventListener("resize", fit.draw);
choose();
findModels();
