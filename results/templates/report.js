"use strict";

// A heading becomes a button: first click, best or smallest first; second, the other way round; third, as it was.
// Sections stay apart, and what has no number stays below what has one.
function sortable(table) {
  const headings = [...table.querySelectorAll("th[data-column]")];
  const bodies = [...table.tBodies].map((body) => {
    const rows = [...body.rows].filter((row) => !row.classList.contains("section"));
    return { body, rows };
  });
  for (const heading of headings) {
    const order = heading.textContent.includes("↑") ? ["descending", "ascending"] : ["ascending", "descending"];
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const next = order[order.indexOf(heading.getAttribute("aria-sort")) + 1];
      for (const other of headings) other.removeAttribute("aria-sort");
      if (next) heading.setAttribute("aria-sort", next);
      for (const { body, rows } of bodies) body.append(...(next ? sorted(rows, heading, next) : rows));
    });
  }
}

const words = new Intl.Collator("en", { numeric: true });

function sorted(rows, heading, order) {
  const sign = order === "ascending" ? 1 : -1;
  const keyed = rows.map((row) => {
    const cell = row.cells[Number(heading.dataset.column)];
    const number = cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
    return { row, number, text: cell.textContent.trim() };
  });
  keyed.sort((a, b) => {
    if (isNaN(a.number) || isNaN(b.number)) {
      return isNaN(a.number) - isNaN(b.number) || sign * words.compare(a.text, b.text);
    }
    return sign * (a.number - b.number);
  });
  return keyed.map((one) => one.row);
}

// A run is shown where the plan's line and the run's own, together, have every word of the filter.
function filtered() {
  const boxes = [...document.querySelectorAll(".filter")];
  const runs = new Map();
  for (const element of document.querySelectorAll("[data-run]")) {
    const run = runs.get(element.dataset.run) ?? { elements: [], text: "" };
    run.elements.push(element);
    run.text += " " + (element.querySelector("summary") ?? element).textContent.toLowerCase();
    runs.set(element.dataset.run, run);
  }
  const inputs = boxes.map((box) => box.querySelector("input"));
  const apply = (text) => {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const run of runs.values()) {
      const fits = wanted.every((word) => run.text.includes(word));
      for (const element of run.elements) element.hidden = !fits;
      shown += fits;
    }
    for (const input of inputs) if (input.value !== text) input.value = text;
    const told = wanted.length ? `${shown} of ${runs.size} runs` : "";
    for (const box of boxes) box.querySelector("output").textContent = told;
  };
  for (const box of boxes) box.hidden = false;
  for (const input of inputs) input.addEventListener("input", () => apply(input.value));
}

// On paper nothing can be opened.
function printed() {
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
}

// What a link leads to is opened, also by browsers that would not.
function opened() {
  const show = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target?.closest("details");
    if (details && !details.open) {
      details.open = true;
      target.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", show);
  show();
}

for (const table of document.querySelectorAll("table")) sortable(table);
filtered();
printed();
opened();
