// Charts and the heat map, as SVG.

const NAMESPACE = "http://www.w3.org/2000/svg";
const MARGIN = { left: 56, right: 14, top: 10, bottom: 26 };

function add(parent, name, attributes = {}, text = "") {
  const node = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}

export function short(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3
    ? value.toExponential(Math.max(0, digits - 2)) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−").replace("e-", "e−").replace("e+", "e");
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

// An empty frame with axes; gives where a step and a value are.
function frame(svg, lastStep, low, high, labels) {
  const { width, height } = svg.getBoundingClientRect();
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
  const x = (step) => MARGIN.left + (right - MARGIN.left) * step / Math.max(1, lastStep);
  const y = (value) => bottom - (bottom - MARGIN.top) * (value - low) / (high - low);
  for (const [value, label] of labels) {
    add(svg, "line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) });
    add(svg, "text", { x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, label);
  }
  const marks = ticks(0, Math.max(1, lastStep), Math.max(2, Math.min(6, width / 90)));
  for (const step of marks.filter((mark) => Number.isInteger(mark) && mark <= lastStep)) {
    const anchor = x(step) > right - 12 ? "end" : "middle";
    add(svg, "text", { x: x(step), y: height - 8, "text-anchor": anchor }, String(step));
  }
  return { x, y, right };
}

function line(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

// A curve by step: faint as a whole, strong up to the place that is looked at.
function curve(svg, points, until, attributes) {
  const rest = { ...attributes, class: `${attributes.class} rest` };
  add(svg, "path", { ...rest, d: line(points) });
  add(svg, "path", { ...attributes, d: line(points.slice(0, until)) });
}

// A tolerance of 0, the default of the model, has no line.
export function drawLoss(svg, history, at, tolerance) {
  const shown = history.filter((entry) => Number.isFinite(entry.loss));
  const until = history.slice(0, at + 1).filter((entry) => Number.isFinite(entry.loss)).length;
  // A loss of 0 is drawn below all others.
  const limits = tolerance > 0 ? [tolerance] : [];
  const above = shown.map((entry) => entry.loss).filter((loss) => loss > 0);
  const floor = limits.length || above.length ? Math.min(...limits, ...above) / 10 : 1e-16;
  const log = (loss) => Math.log10(Math.max(loss, floor));
  const values = [...shown.map((entry) => log(entry.loss)), ...limits.map(Math.log10)];
  if (!values.length) values.push(0);
  const low = Math.floor(Math.min(...values)), high = Math.max(low + 1, Math.ceil(Math.max(...values)));
  const stride = Math.max(1, Math.ceil((high - low) / 6));
  const labels = [];
  for (let power = low; power <= high; power += stride) labels.push([power, power === 0 ? "1" : `1e${power}`.replace("-", "−")]);
  const last = history.length ? history[history.length - 1].step : 0;
  const { x, y, right } = frame(svg, last, low, high, labels);
  for (const limit of limits.map((one) => y(Math.log10(one)))) {
    add(svg, "line", { class: "tolerance", x1: MARGIN.left, x2: right, y1: limit, y2: limit });
    add(svg, "text", { class: "tolerance-label", x: MARGIN.left + 4, y: limit - 6 }, "tolerance");
  }
  const points = shown.map((entry) => [x(entry.step), y(log(entry.loss))]);
  curve(svg, points, until, { class: "loss" });
  if (until) {
    const [cx, cy] = points[until - 1];
    add(svg, "circle", { class: "dot", cx, cy, r: 4 });
  }
  const end = shown.length ? short(shown[shown.length - 1].loss) : "none";
  svg.setAttribute("aria-label", `Loss by step, logarithmic: ${end} after ${last} steps`);
}

export function levelColour(index, count) {
  const hue = count > 1 ? 215 + 250 * index / (count - 1) : 222;
  return `hsl(${hue % 360} 65% 55%)`;
}

export function drawLevels(svg, history, at, targets) {
  const finite = (entry) => entry.levels.every(Number.isFinite);
  const shown = history.filter(finite);
  const until = history.slice(0, at + 1).filter(finite).length;
  const count = shown.length ? shown[0].levels.length : targets.length;
  const values = [...targets, ...shown.flatMap((entry) => entry.levels)];
  const least = Math.min(...values), most = Math.max(...values);
  const pad = (most - least) * 0.06 || Math.abs(most) * 0.1 || 1;
  const low = least - pad, high = most + pad;
  const labels = ticks(low, high, 5).map((value) => [value, short(value)]);
  const last = history.length ? history[history.length - 1].step : 0;
  const { x, y, right } = frame(svg, last, low, high, labels);
  for (const target of targets) {
    add(svg, "line", { class: "target", x1: MARGIN.left, x2: right, y1: y(target), y2: y(target) });
  }
  for (let k = 0; k < count; k += 1) {
    const points = shown.map((entry) => [x(entry.step), y(entry.levels[k])]);
    const stroke = levelColour(k, count);
    curve(svg, points, until, { class: "level", stroke });
    if (until) {
      const [cx, cy] = points[until - 1];
      add(svg, "circle", { class: "level-dot", fill: stroke, cx, cy, r: 3.5 });
    }
  }
  const end = shown.length ? shown[shown.length - 1].levels.map((value) => short(value)).join(", ") : "none";
  svg.setAttribute("aria-label", `Eigenvalues by step; last ${end}`);
}

// Blue for negative, white for zero, red for positive.
const ENDS = [[33, 84, 178], [246, 246, 248], [190, 44, 36]];

function colour(share) {
  const [from, to] = share < 0 ? [ENDS[1], ENDS[0]] : [ENDS[1], ENDS[2]];
  const part = Math.sqrt(Math.min(1, Math.abs(share)));
  return from.map((value, i) => Math.round(value + (to[i] - value) * part));
}

function css(rgb) {
  return `rgb(${rgb.join(" ")})`;
}

// Which ink stands out more, by the contrast of WCAG 2.
function ink(rgb) {
  const [r, g, b] = rgb.map((value) => (value / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.19 ? "dark" : "light";
}

export function drawMatrix(svg, scale, matrix) {
  const order = matrix.length, size = 100 / order;
  const largest = Math.max(...matrix.flat().filter(Number.isFinite).map(Math.abs), 1e-300);
  svg.replaceChildren();
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("aria-label", `Matrix of order ${order}, entries up to ${short(largest)}; all numbers below`);
  matrix.forEach((row, i) => row.forEach((entry, k) => {
    const share = Number.isFinite(entry) ? entry / largest : 0;
    const cell = add(svg, "rect", {
      class: "cell", x: k * size, y: i * size, width: size, height: size,
      rx: Math.min(2, size / 8), fill: css(colour(share)), "vector-effect": "non-scaling-stroke",
    });
    add(cell, "title", {}, `row ${i + 1}, column ${k + 1}: ${entry}`);
    if (order > 12) return;
    const label = add(svg, "text", {
      x: (k + 0.5) * size, y: (i + 0.5) * size, class: ink(colour(share)),
    }, short(entry, 3));
    label.style.fontSize = `${Math.min(4.6, size / 4.2)}px`;
  }));
  drawScale(scale, largest);
}

function drawScale(svg, largest) {
  const { width } = svg.getBoundingClientRect();
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} 42`);
  const parts = 150;
  for (let i = 0; i < parts; i += 1) {
    add(svg, "rect", {
      x: width * i / parts, y: 4, width: width / parts + 0.6, height: 14, fill: css(colour(2 * (i + 0.5) / parts - 1)),
    });
  }
  add(svg, "text", { x: 0, y: 36 }, short(-largest));
  add(svg, "text", { x: width / 2, y: 36, "text-anchor": "middle" }, "0");
  add(svg, "text", { x: width, y: 36, "text-anchor": "end" }, short(largest));
}
