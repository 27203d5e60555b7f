"use strict";
// One quantity over training steps, as SVG: a curve for each run, axes with round numbers and units.

const WIDTH = 440,
  HEIGHT = 250,
  LEFT = 62, // at least; long numbers take more
  CHARACTER = 7,
  RIGHT = 12, // likewise
  TOP = 10,
  BOTTOM = 40;

function made(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function drawn(name, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function unitOf(name) {
  if (name.startsWith("seconds_") || name === "elapsed") return "s";
  if (name.endsWith("_gb")) return "GB";
  return /accuracy|top\d/.test(name) ? "share, 0 to 1" : "";
}

// A number in so many digits.
function short(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(digits - 2);
  if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: digits - 3 });
  return String(Number(value.toPrecision(digits)));
}

// Numbers in as many digits as it takes to tell them apart.
function apart(values) {
  for (let digits = 3; digits < 16; digits += 1) {
    const texts = values.map((value) => short(value, digits));
    if (new Set(texts).size === texts.length) return texts;
  }
  return values.map(String);
}

// Round numbers between two values, about as many as are asked for.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1) found.push(at * step);
  return found;
}

function extent(values) {
  let low = Infinity,
    high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === high) return [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  return [low, high];
}

// runs: [{name, steps, values, colour, dash}]
function chart(name, runs, logarithmic) {
  const lifted = (value) => (value === null || !logarithmic ? value : value > 0 ? Math.log10(value) : null);
  const curves = runs.map((run) => ({ ...run, values: run.values.map(lifted) }));
  const [low, high] = extent(curves.flatMap((run) => run.values));
  const [begin, end] = extent(curves.flatMap((run) => run.steps));
  const unit = unitOf(name);
  const caption = made(
    "figcaption",
    {},
    name,
    made("span", {}, (unit ? ` (${unit})` : "") + (logarithmic ? ", log scale" : "")),
  );
  if (!Number.isFinite(low)) return made("figure", {}, caption, made("p", {}, "no finite value yet"));
  const marks = ticks(low, high, 6);
  const texts = apart(marks.map((mark) => (logarithmic ? 10 ** mark : mark)));
  const left = Math.max(LEFT, 12 + CHARACTER * Math.max(0, ...texts.map((text) => text.length)));
  const room = CHARACTER * end.toLocaleString("en").length + 14;
  const right = Math.max(RIGHT, room / 2 - 4);
  const x = (step) => left + ((step - begin) / (end - begin)) * (WIDTH - left - right);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const parts = [];
  marks.forEach((value, at) => {
    parts.push(drawn("path", { class: "grid", d: `M${left} ${y(value)}H${WIDTH - right}` }));
    parts.push(drawn("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, texts[at]));
  });
  // As many steps as have room for their numbers.
  const most = Math.max(1, Math.min(5, Math.floor((WIDTH - left - right) / room)));
  for (const step of ticks(begin, end, most).filter((at) => Number.isInteger(at))) {
    parts.push(drawn("path", { class: "axis", d: `M${x(step)} ${HEIGHT - BOTTOM}v5` }));
    const place = { x: x(step), y: HEIGHT - BOTTOM + 19, "text-anchor": "middle" };
    parts.push(drawn("text", place, step.toLocaleString("en")));
  }
  parts.push(drawn("path", { class: "axis", d: `M${left} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - right}` }));
  parts.push(drawn("text", { x: (left + WIDTH - right) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, "training step"));
  for (const run of curves) parts.push(...curve(run, x, y));
  const label = `${name} over training steps, of ${runs.length} ${runs.length === 1 ? "training" : "trainings"}`;
  return made(
    "figure",
    {},
    caption,
    drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, ...parts),
  );
}

// A line, broken where a value was not finite; a single point is a dot.
function curve(run, x, y) {
  const pieces = [[]];
  run.values.forEach((value, at) => {
    if (value === null) pieces.push([]);
    else pieces[pieces.length - 1].push(`${x(run.steps[at]).toFixed(1)} ${y(value).toFixed(1)}`);
  });
  return pieces
    .filter((piece) => piece.length)
    .map((piece) => {
      const d = piece.length === 1 ? `M${piece[0]}h0.01` : "M" + piece.join("L");
      const path = drawn("path", { class: "curve", d, "stroke-dasharray": piece.length === 1 ? "none" : run.dash });
      path.style.stroke = run.colour;
      if (piece.length === 1) Object.assign(path.style, { strokeWidth: "5", strokeLinecap: "round" });
      path.append(drawn("title", {}, run.name));
      return path;
    });
}
