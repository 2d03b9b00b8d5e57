// What all views use.

export const $ = (id) => document.getElementById(id);

export function say(kind, word, text) {
  $("badge").dataset.kind = kind;
  $("badge").textContent = word.replaceAll("_", " ");
  $("text").textContent = text;
}

export function rowWith(texts) {
  const row = document.createElement("tr");
  for (const text of texts) row.insertCell().textContent = text;
  return row;
}

export function fill(table, rows) {
  $(table).tBodies[0].replaceChildren(...rows);
}

// "0.41 ms" or "1.2 s".
export function duration(milliseconds) {
  if (!Number.isFinite(milliseconds)) return "–";
  const [value, unit] = milliseconds < 1000 ? [milliseconds, "ms"] : [milliseconds / 1000, "s"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

// A select keeps what was chosen, where it is still offered.
export function offer(id, values) {
  const before = $(id).value;
  $(id).replaceChildren(...values.map((value) => new Option(value)));
  if (values.includes(before)) $(id).value = before;
  $(id).disabled = !values.length;
}
