"use strict";

// Figures are SVG, gzipped: unpacked here, one after the other, so that the page stays small and a figure sharp.
async function unpack(image) {
  const bytes = Uint8Array.from(atob(image.dataset.svg), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const svg = await new Response(stream).arrayBuffer();
  image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  image.removeAttribute("data-svg");
}

async function unpackAll() {
  for (const image of document.querySelectorAll("img[data-svg]")) await unpack(image);
  document.documentElement.dataset.ready = "yes";
}

// Tables: a button in each header sorts by its column; what has no value stands last.
const said = document.getElementById("said");

function keyOf(cell) {
  const text = cell.textContent.trim();
  if (text === "" || text === "–") return null;
  // "5 (41.7 %)", "0.2 to 0.4": the leading number counts.
  const number = text.replace(/,/g, "").replace("−", "-").match(/^-?\d+(\.\d+)?(e[-+]?\d+)?(?=$|[\s%(])/i);
  return number ? Number(number[0]) : text.toLowerCase();
}

function compare(first, second) {
  if (typeof first === typeof second) return first < second ? -1 : first > second ? 1 : 0;
  return typeof first === "number" ? -1 : 1;
}

function sortBy(header) {
  const table = header.closest("table");
  const column = header.cellIndex;
  const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  // A row that says more stays below its own.
  const rows = [];
  for (const row of table.tBodies[0].rows)
    if (row.classList.contains("more")) rows.at(-1).all.push(row);
    else rows.push({ all: [row], key: keyOf(row.cells[column]) });
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((a, b) =>
    a.key === null || b.key === null ? (a.key === null) - (b.key === null) : sign * compare(a.key, b.key));
  table.tBodies[0].append(...rows.flatMap((entry) => entry.all));
  said.textContent = `Sorted by ${header.textContent.trim()}, ${direction}.`;
}

for (const header of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  button.addEventListener("click", () => sortBy(header));
  header.append(button);
}

// A figure opens large in a dialog; the browser closes it at Escape.
const dialog = document.getElementById("large");
const buttons = [...document.querySelectorAll("button.zoom")];
let shown = 0;
let width = 100;

function scale(change) {
  width = Math.min(400, Math.max(50, width + change));
  dialog.querySelector("img").style.width = `${width}%`;
}

function show(number) {
  shown = (number + buttons.length) % buttons.length;
  const figure = buttons[shown].closest("figure");
  const small = figure.querySelector("img");
  const large = dialog.querySelector("img");
  large.src = small.src;
  large.alt = small.alt;
  dialog.querySelector("h2").textContent = figure.dataset.title;
  dialog.querySelector("p").textContent = figure.closest(".kind").querySelector(".caption").textContent;
  width = innerWidth < 640 ? 250 : 100;
  scale(0);
  dialog.querySelector(".sheet").scrollTo(0, 0);
}

buttons.forEach((button, number) => button.addEventListener("click", () => { show(number); dialog.showModal(); }));
dialog.addEventListener("click", (event) => {
  const action = event.target.dataset.action;
  if (action === "close" || event.target === dialog) dialog.close();
  if (action === "before") show(shown - 1);
  if (action === "next") show(shown + 1);
  if (action === "larger") scale(50);
  if (action === "smaller") scale(-50);
});
dialog.addEventListener("close", () => buttons[shown].focus());

// The methods go to the clipboard as plain text; where that is not allowed they are selected.
const copy = document.getElementById("copy");
copy.addEventListener("click", async () => {
  const text = document.getElementById("methods-text");
  try {
    await navigator.clipboard.writeText(text.innerText);
    said.textContent = copy.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    said.textContent = copy.textContent = "Selected: copy with the keyboard";
  }
});

unpackAll();
