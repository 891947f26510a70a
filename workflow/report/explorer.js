"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const CHOICES = ["dataset", "model", "task", "activation", "shape", "layer", "quantity", "epoch"];
const RUN = CHOICES.slice(0, 5);
const MODELS = { mlp: "MLP", cnn: "CNN", rnn: "RNN", lstm: "LSTM", bert: "BERT" };
const WORDS = { spectral_ratio: "spectral ratio", gradient_difference: "gradient difference" };
const show = (value) => (value === null ? "–" : value === 0 ? "0" : String(Number(value.toPrecision(3))));
const showP = (p) => (p === null ? "–" : p >= 0.001 ? p.toFixed(3) : p.toExponential(1));

// Offer what there is for a choice, and keep what was chosen where that is still there.
function offer(name, values) {
  const select = element(name);
  const before = select.value;
  select.replaceChildren(...values.map((value) => new Option(MODELS[value] ?? value, value)));
  const last = name === "epoch" ? values.length - 1 : 0;
  select.value = values.map(String).includes(before) ? before : values[last];
}

function choose() {
  let runs = data.runs;
  for (const name of RUN) {
    offer(name, [...new Set(runs.map((run) => run[name]))]);
    runs = runs.filter((run) => run[name] === element(name).value);
  }
  const run = runs[0];
  offer("layer", run.layers.map((layer) => layer.name));
  const layer = run.layers.find((one) => one.name === element("layer").value);
  offer("quantity", Object.keys(layer.spectra));
  offer("epoch", run.epochs);
  return { run, layer, quantity: element("quantity").value, epoch: Number(element("epoch").value) };
}

// One spectrum: for each group the mean, lowest and highest of each index; null where there is none.
function read(spectra, epochs, epoch) {
  const bytes = Uint8Array.from(atob(spectra.data), (letter) => letter.charCodeAt(0));
  const codes = new Int16Array(bytes.buffer);
  const size = spectra.count * 3;
  const value = (code) =>
    code === data.missing ? null : code === data.zero ? 0 : Math.exp(code / data.steps);
  return spectra.groups.map((group, number) => {
    const start = (number * epochs.length + epochs.indexOf(epoch)) * size;
    const values = [...codes.slice(start, start + size)].map(value);
    return {
      group,
      points: Array.from({ length: spectra.count }, (_, k) =>
        ({ mean: values[3 * k], low: values[3 * k + 1], high: values[3 * k + 2] })),
    };
  });
}

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Round numbers (1, 2 and 5 times powers of ten, or the powers alone), at least two, around all values.
function ticks(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.log10(high) + 1; power++)
    for (const factor of [1, 2, 5]) all.push(Number(`${factor}e${power}`));
  const first = all.findLastIndex((tick) => tick <= low * 1.0001);
  const last = all.findIndex((tick) => tick >= high / 1.0001);
  const within = all.slice(first, Math.max(last, first + 1) + 1);
  const decades = within.filter((tick) => /^(1|0\.0*1)(e|0*$)/.test(String(tick)));
  const few = within.length > 7 && decades.length > 1 ? decades : within;
  return { shown: few, low: within[0], high: within.at(-1) };
}

const LOOKS = [["reference", ""], ["other", "6 3"], ["all", "2 3"]];
function look(group, run) {
  const [name, dash] = LOOKS[group === "all" ? 2 : run.groups.indexOf(group)];
  return { colour: data.colours[name], dash };
}

function draw(curves, run, quantity) {
  const drawing = element("drawing");
  const width = Math.max(280, element("drawing").parentElement.clientWidth);
  const [left, right, top, bottom] = [64, width - 12, 34, 310];
  drawing.setAttribute("viewBox", `0 0 ${width} 360`);
  const positive = curves.flatMap((curve) => curve.points.flatMap((p) => [p.mean, p.low, p.high])).filter((v) => v > 0);
  drawing.replaceChildren();
  if (!positive.length) {
    drawing.append(svg("text", { x: width / 2, y: 180, "text-anchor": "middle" }, "Every singular value is 0 here."));
    return;
  }
  const axis = ticks(Math.min(...positive), Math.max(...positive));
  const count = Math.max(...curves.map((curve) => curve.points.length));
  const x = (index) => (count === 1 ? (left + right) / 2 : left + 16 + ((index - 1) * (right - left - 32)) / (count - 1));
  const y = (value) =>
    bottom - ((Math.log(value) - Math.log(axis.low)) / (Math.log(axis.high) - Math.log(axis.low))) * (bottom - top);
  for (const tick of axis.shown) {
    drawing.append(svg("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), stroke: "#e4e4e4" }));
    drawing.append(svg("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end", fill: "#333", class: "tick" }, String(tick)));
  }
  for (let index = 1; index <= count; index++)
    drawing.append(svg("text", { x: x(index), y: bottom + 18, "text-anchor": "middle", fill: "#333" }, index));
  drawing.append(svg("text", { x: (left + right) / 2, y: bottom + 40, "text-anchor": "middle", fill: "#333" }, "index of the singular value"));
  drawing.append(svg("text", { x: 14, y: (top + bottom) / 2, "text-anchor": "middle", fill: "#333", transform: `rotate(-90 14 ${(top + bottom) / 2})` }, `singular value of the ${quantity}`));
  curves.forEach((curve, number) => {
    const { colour, dash } = look(curve.group, run);
    const points = curve.points.map((point, k) => ({ ...point, index: k + 1 })).filter((point) => point.low > 0);
    const band = [...points.map((p) => `${x(p.index)},${y(p.high)}`), ...points.toReversed().map((p) => `${x(p.index)},${y(p.low)}`)];
    const line = points.map((p) => `${x(p.index)},${y(p.mean)}`);
    if (points.length) drawing.append(svg("polygon", { points: band.join(" "), fill: colour, opacity: 0.15 }));
    drawing.append(svg("polyline", { points: line.join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }));
    for (const p of points)
      drawing.append(svg("circle", { cx: x(p.index), cy: y(p.mean), r: 4, fill: number === 1 ? "#fff" : colour, stroke: colour, "stroke-width": 2, "data-group": curve.group, "data-index": p.index }));
    const at = 8 + ((width - 16) / 3) * number;
    drawing.append(svg("line", { x1: at, x2: at + 26, y1: 14, y2: 14, stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }));
    drawing.append(svg("text", { x: at + 32, y: 18, fill: "#333" }, curve.group === "all" ? "everyone" : curve.group));
  });
}

function cell(name, text, number) {
  const made = document.createElement(name);
  made.textContent = text;
  if (number) made.className = "n";
  if (name === "th") made.scope = number === undefined ? "row" : "col";
  return made;
}

function tested(run, quantity) {
  return run.test && quantity === "gradient" ? run.test : null;
}

// Where training used the labels the truth's rank is no p.
function testNames(test) {
  const name = test.exact ? "p" : "rank, no p";
  return [`${name}, over epochs`, test.exact ? "q" : "the same, corrected", `${name}, at this epoch`];
}

function testCells(test, statistic, layer, epoch, index) {
  const of = (table) => table.filter((one) => one[0] === statistic && one[1] === layer.name);
  const over = of(test.cells).find((one) => one[2] === index);
  const now = of(test.epochs).find((one) => one[2] === epoch && one[3] === index);
  return [over?.[3], over?.[4], now?.[4]].map((p) => cell("td", showP(p ?? null), true));
}

function withRange(point) {
  const made = cell("td", show(point.mean), true);
  const range = document.createElement("span");
  range.className = "range";
  range.textContent = `${show(point.low)} to ${show(point.high)}`;
  made.append(range);
  return made;
}

function tabulate(curves, run, layer, quantity, epoch) {
  const test = tested(run, quantity);
  const [reference, other] = run.groups.map((group) => curves.find((curve) => curve.group === group));
  const names = curves.map(({ group }) => (group === "all" ? "everyone" : group));
  if (reference && other) names.push(`${run.groups[1]} / ${run.groups[0]}`);
  if (test) names.push(...testNames(test));
  element("columns").replaceChildren(cell("th", "index", false), ...names.map((name) => cell("th", name, true)));
  const rows = Array.from({ length: Math.max(...curves.map((curve) => curve.points.length)) }, (_, k) => {
    const row = document.createElement("tr");
    row.append(cell("th", k + 1));
    for (const curve of curves) row.append(withRange(curve.points[k] ?? { mean: null, low: null, high: null }));
    if (reference && other) {
      const ratio = reference.points[k].mean > 0 ? other.points[k].mean / reference.points[k].mean : null;
      row.append(cell("td", show(ratio), true));
    }
    if (test) row.append(...testCells(test, "spectral_ratio", layer, epoch, k + 1));
    return row;
  });
  element("numbers").replaceChildren(...rows);
  tabulateDifference(test, layer, epoch);
}

function tabulateDifference(test, layer, epoch) {
  const cells = test ? test.cells.filter((one) => one[0] === "gradient_difference" && one[1] === layer.name) : [];
  element("difference").hidden = !cells.length;
  if (!cells.length) return;
  const names = ["size", ...testNames(test)];
  element("difference-columns").replaceChildren(cell("th", "index", false), ...names.map((name) => cell("th", name, true)));
  const rows = cells.toSorted((a, b) => a[2] - b[2]).map(([statistic, , index, , , effect]) => {
    const row = document.createElement("tr");
    row.append(cell("th", index === 0 ? "F" : index), cell("td", show(effect), true));
    row.append(...testCells(test, statistic, layer, epoch, index));
    return row;
  });
  element("difference-numbers").replaceChildren(...rows);
}

function sayTest(run, layer, quantity) {
  if (!run.test) return "No test of groups was configured for this network.";
  if (quantity !== "gradient") return "Groups are tested on the gradient alone; choose it under Quantity.";
  if (run.test.p === null) return run.test.why;
  const start = run.test.exact
    ? `Swaps within matched pairs, ${run.test.labelings} labelings: p = ${showP(run.test.p)} over all layers.`
    : `Descriptive only, since training used the labels: the truth's rank among ${run.test.labelings} labelings is ${showP(run.test.p)} over all layers, and no test.`;
  const here = run.test.layers.filter((one) => one[1] === layer.name && one[2] !== null).map(
    ([statistic, , p, q, index]) =>
      `${WORDS[statistic]} ${run.test.exact ? "p" : "rank"} = ${showP(p)}, ${run.test.exact ? "q" : "corrected"} = ${showP(q)}, strongest at ${index === 0 ? "the Frobenius norm" : `index ${index}`}`);
  const there = here.length ? ` In ${layer.name}, over epochs: ${here.join("; ")}.` : " This layer has no test.";
  return `${start}${there} In the tables below, ${run.test.exact ? "p" : "the rank"} at this epoch is corrected for every layer, index and epoch.`;
}

function update() {
  const { run, layer, quantity, epoch } = choose();
  const curves = read(layer.spectra[quantity], run.epochs, epoch);
  const names = [run.dataset, MODELS[run.model], run.task, run.activation, run.shape].filter((name) => name !== "base");
  element("title").textContent = `${names.join(", ")}: ${quantity} of ${layer.name}, epoch ${epoch}`;
  element("simulated").hidden = !run.simulated;
  const first = curves.map(({ group, points: [p] }) =>
    `${group === "all" ? "everyone" : group} ${show(p.mean)} (${show(p.low)} to ${show(p.high)})`);
  element("summary").textContent = `Largest singular value: ${first.join(", ")}; ${run.seeds} trainings.`;
  const left = run.epochs.length < run.epochs_trained
    ? ` Of ${run.epochs_trained} epochs, ${run.epochs.length} are kept on this page.` : "";
  const weight = curves.length === 1 ? " Weights belong to no group." : "";
  const sum = quantity === "gradient" ? " The groups' gradients add up to everyone's; their singular values do not." : "";
  element("note").textContent =
    `Lines: geometric means over ${run.seeds} trainings of the same people; bands: their range.${sum}${weight}${left}`;
  element("test").textContent = sayTest(run, layer, quantity);
  draw(curves, run, quantity);
  tabulate(curves, run, layer, quantity, epoch);
}

if (data.runs.length) {
  for (const name of CHOICES) element(name).addEventListener("change", update);
  addEventListener("resize", update);
  update();
} else {
  element("choices").hidden = true;
  element("title").textContent = "Every training diverged: there is nothing to draw";
}
document.documentElement.dataset.ready = "yes";
