// What the server does: states of models, requests and their times, memory.

import { $, duration, fill, rowWith } from "/page/common.js";

const EVERY = 2000; // milliseconds
const COUNT = ":tensorflow:serving:request_count";
const SECONDS = "eigenfit_request_seconds";

let timer = null;

export function show(server, on) {
  clearInterval(timer);
  timer = null;
  if (!on) return;
  timer = setInterval(() => look(server), EVERY);
  look(server);
}

async function look(server) {
  try {
    const [models, metrics] = await Promise.all([server.models(), server.metrics()]);
    $("trouble").hidden = true;
    showModels(models);
    showRequests(metrics);
    showProcess(metrics);
  } catch (error) {
    $("trouble").textContent = `The server cannot be asked: ${error.message}`;
    $("trouble").hidden = false;
  }
}

function showModels(models) {
  fill("models", models.flatMap((model) => model.versions.length
    ? model.versions.map((one) => stateRow(model.name, one.version, one.state, one.status.error_message))
    : [stateRow(model.name, "–", "NONE", "No version has been seen.")]));
}

function stateRow(name, version, state, error) {
  const row = rowWith([name, version, "", error || "–"]);
  const badge = row.cells[2].appendChild(document.createElement("span"));
  badge.className = "badge";
  badge.dataset.kind = { AVAILABLE: "good", LOADING: "running" }[state] ?? (error ? "bad" : "idle");
  badge.textContent = state.toLowerCase().replaceAll("_", " ");
  return row;
}

function showRequests(metrics) {
  const rows = metrics.filter((one) => one.name === `${SECONDS}_count`).map((one) => {
    const { model_name, signature } = one.labels;
    const same = (other) => other.labels.model_name === model_name && other.labels.signature === signature;
    const buckets = metrics.filter((other) => other.name === `${SECONDS}_bucket` && same(other));
    const sum = metrics.find((other) => other.name === `${SECONDS}_sum` && same(other)).value;
    const times = [sum / one.value, quantile(buckets, 0.5), quantile(buckets, 0.95)];
    const [mean, ...most] = times.map((time) => duration(1000 * time));
    return rowWith([model_name, signature, one.value, mean, ...most.map((time) => `≤ ${time}`)]);
  });
  fill("requests", rows.length ? rows : [rowWith(["No request has been answered yet.", "", "", "", "", ""])]);
}

// The end of the bucket in which a quantile is.
function quantile(buckets, part) {
  const wanted = part * buckets[buckets.length - 1].value;
  return Number(buckets.find((one) => one.value >= wanted).labels.le);
}

function showProcess(metrics) {
  const total = (name, test = () => true) => metrics
    .filter((one) => one.name === name && test(one.labels))
    .reduce((sum, one) => sum + one.value, 0);
  $("memory").textContent = `${Math.round(total("process_resident_memory_bytes") / 2 ** 20)} MiB`;
  $("flight").textContent = total("eigenfit_in_flight");
  $("answered").textContent = total(COUNT, (labels) => labels.status === "OK");
  const failed = total(COUNT, (labels) => labels.status !== "OK");
  $("failed").textContent = failed + total("eigenfit_rejected_total");
  $("cpu").textContent = duration(1000 * total("process_cpu_seconds_total"));
  const began = total("process_start_time_seconds");
  $("since").textContent = began ? new Date(1000 * began).toLocaleString("sv").slice(0, 16) : "–";
}
