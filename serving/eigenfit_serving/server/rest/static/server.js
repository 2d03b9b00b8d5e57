// The REST API: models, their signatures, calls of these, and metrics.

// JSON as the server writes it, where NaN and Infinity are bare tokens.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;

export function parse(text) {
  const marked = text.replace(TOKENS, (token) =>
    token.startsWith('"') ? token : `{"number":"${token}"}`);
  return JSON.parse(marked, (key, value) =>
    value !== null && typeof value === "object" && typeof value.number === "string"
      ? Number(value.number) : value);
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

  // All models with the states of their versions, newest first.
  async models() {
    const { models } = parse((await this.request("/v1/models")).text);
    return models.map((model) => ({ name: model.name, versions: model.model_version_status }));
  }

  async signatures(name, version) {
    const { text } = await this.request(`${path(name, version)}/metadata`);
    return parse(text).metadata.signature_def.signature_def;
  }

  // Metrics of Prometheus: a list of { name, labels, value }.
  async metrics() {
    const { text } = await this.request("/page/metrics");
    return [...text.matchAll(/^([\w:]+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels, value]) => ({
      name,
      labels: Object.fromEntries(
        [...(labels ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text])),
      value: value === "+Inf" ? Infinity : Number(value),
    }));
  }

  // Runs a signature; gives outputs by name, and milliseconds that the server took.
  async call(name, version, outputs, body, signal) {
    const { text, headers } = await this.request(
      predictPath(name, version), { method: "POST", body, signal });
    const found = parse(text).outputs;
    const names = Object.keys(outputs);
    return {
      outputs: names.length > 1 ? found : { [names[0]]: found },
      milliseconds: Number(/dur=([\d.]+)/.exec(headers.get("server-timing"))?.[1]),
    };
  }

  // What asks for the same on a command line; the key stays out of sight.
  curl(name, version, body) {
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const key = this.key ? ' \\\n  -H "x-api-key: $API_KEY"' : "";
    return `curl ${quoted(location.origin + predictPath(name, version))}${key} \\\n  -d ${quoted(body)}`;
  }

  async request(url, options = {}) {
    const headers = { "Content-Type": "application/json" };
    if (this.key) headers["x-api-key"] = this.key;
    const response = await fetch(url, { ...options, headers });
    const text = await response.text();
    if (response.ok) return { text, headers: response.headers };
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

function predictPath(name, version) {
  return `${path(name, version)}:predict`;
}
