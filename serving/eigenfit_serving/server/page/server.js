// The REST API: models, their signatures, and calls of these.

// JSON as the server writes it, where NaN and Infinity are bare tokens.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;

export function parse(text) {
  const marked = text.replace(TOKENS, (token) =>
    token.startsWith('"') ? token : `{"number":"${token}"}`);
  return JSON.parse(marked, (key, value) =>
    value !== null && typeof value === "object" && typeof value.number === "string"
      ? Number(value.number) : value);
}

export function write(value) {
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(
      ([name, member]) => `${JSON.stringify(name)}:${write(member)}`);
    return `{${members.join(",")}}`;
  }
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return JSON.stringify(value);
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Server {
  constructor() {
    this.key = "";
  }

  async models() {
    const { models } = await this.request("/v1/models");
    return models.map((model) => ({
      name: model.name,
      versions: model.model_version_status
        .filter((version) => version.state === "AVAILABLE")
        .map((version) => version.version),
    }));
  }

  async signatures(name, version) {
    const answer = await this.request(`${path(name, version)}/metadata`);
    return answer.metadata.signature_def.signature_def;
  }

  // Runs one row: inputs and outputs have no batch dimension here.
  async call(name, version, signature, inputs, signal) {
    const batched = Object.fromEntries(
      Object.entries(inputs).map(([input, value]) => [input, [value]]));
    const body = write({ signature_name: signature, inputs: batched });
    const answer = await this.request(
      `${path(name, version)}:predict`, { method: "POST", body, signal });
    return answer.outputs;
  }

  async request(url, options = {}) {
    const headers = { "Content-Type": "application/json" };
    if (this.key) headers["x-api-key"] = this.key;
    const response = await fetch(url, { ...options, headers });
    const text = await response.text();
    if (response.ok) return parse(text);
    let message = `${response.status} ${response.statusText}`;
    try {
      message = JSON.parse(text).error;
    } catch { /* The status says it. */ }
    throw new Refused(response.status, message);
  }
}

function path(name, version) {
  return `/v1/models/${encodeURIComponent(name)}/versions/${version}`;
}

// Outputs of one row, named whether there was one or several.
export function rowOf(outputs, signature) {
  const names = Object.keys(signature.outputs);
  const named = names.length > 1 ? outputs : { [names[0]]: outputs };
  return Object.fromEntries(names.map((name) => [name, named[name][0]]));
}
