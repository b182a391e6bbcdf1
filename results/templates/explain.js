"use strict";

const page = JSON.parse(document.getElementById("data").textContent);
const INDICES = { banzhaf: "Banzhaf", shapley: "Shapley" };
const METHODS = {
  exact: "exact",
  sampled: "sampled: unbiased Monte Carlo",
  released: "released: the published label sampler",
  estimated: "estimated: the learned network",
};

// What is looked at. `less`: what is taken off, another method or another run; null: nothing.
// `held` and `active`: a word, a frame, or both, as {word, frame}; what is held stays when the pointer leaves.
const state = { run: 0, level: null, index: "banzhaf", method: "exact", less: null, share: 0, count: 5, held: null, ...page.shown };
let active = null;
let view = null;

// ---- numbers --------------------------------------------------------------------------------------------------------

function levelOf(run, name) {
  return page.runs[run].levels.find((level) => level.level === name);
}

// Two runs have the same players where they have merged alike.
function comparable(one, other) {
  const players = (level) => JSON.stringify([level.words, level.frames]);
  return other !== undefined && players(one) === players(other);
}

function minus(a, b) {
  return Array.isArray(a) ? a.map((one, n) => minus(one, b[n])) : a - b;
}

// The level as it is shown: players, matrix [words][frames], values; `largest`: of the matrix, in modulus.
function seen() {
  const level = levelOf(state.run, state.level);
  let matrix = level.interactions[state.index][state.method];
  let values = level.values[state.index];
  if (state.less) {
    const other = levelOf(state.less.run, state.level);
    matrix = minus(matrix, other.interactions[state.index][state.less.method]);
    const theirs = other.values[state.index];
    values = state.less.run === state.run ? null : { words: minus(values.words, theirs.words), frames: minus(values.frames, theirs.frames) };
  }
  const largest = Math.max(0, ...matrix.map((row) => Math.max(...row.map(Math.abs))));
  const pairs = matrix.flatMap((row, word) => row.map((number, frame) => ({ word, frame, number })));
  pairs.sort((a, b) => Math.abs(b.number) - Math.abs(a.number));
  return { level, matrix, values, largest, pairs };
}

// In units of a power of ten in which the largest has two digits before the point.
function unitOf(largest) {
  const power = largest > 0 ? Math.floor(Math.log10(largest)) - 1 : 0;
  return { power, told: power === 0 ? "" : ` in units of 10${superscript(power)}` };
}

function superscript(number) {
  return String(number).replace(/./g, (sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]));
}

function signed(text, number) {
  return Number(text) === 0 ? text : (number < 0 ? "−" : "+") + text;
}

function short(number, power) {
  return signed(Math.abs(number / 10 ** power).toFixed(1), number);
}

function full(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  if (size >= 1e-4 && size < 1000) return signed(size.toPrecision(3), number);
  const [digits, power] = size.toExponential(2).split("e");
  return signed(digits, number) + "·10" + superscript(Number(power));
}

function dyed(element, number, largest) {
  const strength = largest > 0 ? Math.min(1, Math.abs(number) / largest) : 0;
  element.classList.remove("positive", "negative");
  if (strength >= 0.02) element.classList.add(number < 0 ? "negative" : "positive");
  element.style.setProperty("--s", `${(100 * strength).toFixed(1)}%`);
}

// ---- building -------------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function put(id, ...children) {
  document.getElementById(id).replaceChildren(...children);
}

function pictures(frames, most) {
  const shown = frames.length > most ? spread(frames, most) : frames;
  const images = shown.map((frame) => make("img", { src: page.pictures[frame], alt: "", width: 64, height: 64 }));
  return make("span", { class: "pictures" }, ...(images.length ? images : [make("span", { class: "empty" }, "empty")]));
}

function spread(list, count) {
  if (count === 1) return [list[0]];
  return Array.from({ length: count }, (_, n) => list[Math.round((n * (list.length - 1)) / (count - 1))]);
}

function several(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function methodName(run, method) {
  return page.runs.length > 1 ? `${method} of ${page.runs[run].name}` : method;
}

// ---- controls -------------------------------------------------------------------------------------------------------

function choice(name, options, chosen, choose) {
  if (options.length < 2) return [];
  const buttons = options.map(({ value, label, title, disabled }) => {
    const button = make("button", { type: "button", title, "aria-pressed": String(chosen(value)) }, label);
    button.disabled = Boolean(disabled);
    button.addEventListener("click", () => {
      choose(value);
      draw();
      const again = [...document.querySelectorAll(`[data-choice="${name}"] button`)];
      again.find((one) => one.textContent === label)?.focus();
    });
    return button;
  });
  return [make("div", { class: "choice", role: "group", "aria-label": name, "data-choice": name }, make("span", {}, name), ...buttons)];
}

function controls() {
  const level = levelOf(state.run, state.level);
  const plain = (value) => ({ value, label: value });
  const methods = (run, index = state.index) => Object.keys(levelOf(run, state.level)?.interactions[index] ?? {});
  const less = [{ value: null, label: "none" }];
  page.runs.forEach((run, number) => {
    const same = comparable(level, levelOf(number, state.level));
    for (const method of methods(number)) {
      if (number === state.run && method === state.method) continue;
      const value = { run: number, method };
      const asked = JSON.stringify(value) === JSON.stringify(page.shown.less);
      if (number !== state.run && method !== state.method && !asked) continue;
      const label = number === state.run ? method : `${method} of ${run.name}`;
      const title = same ? METHODS[method] : "the two merge differently at this level: there is no difference";
      less.push({ value, label, title, disabled: !same });
    }
  });
  put(
    "controls",
    ...choice("Run", page.runs.map((run, value) => ({ value, label: run.name })), (value) => value === state.run, (value) => {
      state.run = value;
      state.less = null;
    }),
    ...choice("Level", page.runs[state.run].levels.map((one) => plain(one.level)), (value) => value === state.level, (value) => {
      state.level = value;
      state.held = null;
    }),
    ...choice("Index", Object.keys(level.interactions).map((value) => ({ value, label: INDICES[value] })), (value) => value === state.index, (value) => {
      state.index = value;
    }),
    ...choice("Method", methods(state.run).map((value) => ({ value, label: value, title: METHODS[value] })), (value) => value === state.method, (value) => {
      state.method = value;
    }),
    ...choice("Difference to", less, (value) => JSON.stringify(value) === JSON.stringify(state.less), (value) => {
      state.less = value;
    }),
  );
}

// What cannot be chosen together gives way.
function settle() {
  const levels = page.runs[state.run].levels;
  if (!levels.some((one) => one.level === state.level)) state.level = levels[0].level;
  const level = levelOf(state.run, state.level);
  if (!(state.method in level.interactions[state.index])) state.method = "exact";
  if (!state.less) return;
  const other = levelOf(state.less.run, state.level);
  const itself = state.less.run === state.run && state.less.method === state.method;
  if (itself || !comparable(level, other) || !(state.less.method in other.interactions[state.index])) state.less = null;
}

// ---- sentence and film ----------------------------------------------------------------------------------------------

function player(kind, number, content, name) {
  const number_ = make("span", { class: "number", "aria-hidden": "true" });
  const held = state.held?.[kind] === number && state.held.word === undefined !== (state.held.frame === undefined);
  const button = make("button", { type: "button", class: "player", "data-kind": kind, "data-number": number, "aria-pressed": String(held), "aria-label": name }, ...content, number_);
  button.tabIndex = number === 0 ? 0 : -1;
  return button;
}

function people() {
  const { level } = view;
  const merged = level.level !== "entity";
  for (const id of ["sentence", "film"]) document.getElementById(id).classList.toggle("merged", merged);
  put("sentence", ...level.words.map((word, n) => player("word", n, [make("span", { class: "text" }, word.text)], word.text)));
  document.getElementById("film").classList.toggle("many", page.pictures.length > 24);
  put("film", ...level.frames.map((frame, n) => player("frame", n, [pictures(frame.frames, 64), make("span", { class: "text" }, frame.time)], frame.time)));
}

// What is pointed at, or held: every player of the other side is dyed by its interaction with it.
function mark() {
  const shown = active ?? state.held;
  const { matrix, largest, level, values } = view;
  for (const button of document.querySelectorAll(".player")) {
    const [kind, number] = [button.dataset.kind, Number(button.dataset.number)];
    const other = kind === "word" ? "frame" : "word";
    const alone = shown !== null && shown[kind] === undefined;
    const found = alone ? (kind === "word" ? matrix[number][shown.frame] : matrix[shown.word][number]) : 0;
    dyed(button, found, largest);
    button.querySelector(".number").textContent = alone ? short(found, unitOf(largest).power) : "";
    button.classList.toggle("active", shown !== null && shown[kind] === number && (shown[other] === undefined || active !== null));
  }
  for (const heading of document.querySelectorAll("#matrix th[data-kind]")) {
    heading.classList.toggle("met", shown !== null && shown[heading.dataset.kind] === Number(heading.dataset.number));
  }
  put("told", told(shown, level, matrix, values));
}

function told(shown, level, matrix, values) {
  if (shown === null) return "Point at a word or a frame, or reach one with Tab and the arrow keys; Enter holds it, Escape lets go.";
  if (shown.word !== undefined && shown.frame !== undefined) {
    const number = matrix[shown.word][shown.frame];
    const place = view.pairs.findIndex((pair) => pair.word === shown.word && pair.frame === shown.frame) + 1;
    return `“${level.words[shown.word].text}” with ${level.frames[shown.frame].time}: ${full(number)}, number ${place} of ${view.pairs.length} in strength`;
  }
  const word = shown.word !== undefined;
  const row = word ? matrix[shown.word] : matrix.map((one) => one[shown.frame]);
  const name = (n) => (word ? level.frames[n].time : `“${level.words[n].text}”`);
  const own = word ? `“${level.words[shown.word].text}”` : level.frames[shown.frame].time;
  const [most, least] = [row.indexOf(Math.max(...row)), row.indexOf(Math.min(...row))];
  const value = values ? `; own value ${full(values[word ? "words" : "frames"][word ? shown.word : shown.frame])}` : "";
  const other = most === least ? "" : `, least with ${name(least)} (${full(row[least])})`;
  return `${own}: most with ${name(most)} (${full(row[most])})${other}${value}`;
}

// ---- matrix ---------------------------------------------------------------------------------------------------------

function table() {
  const { level, matrix, values, largest, pairs } = view;
  const { power, told } = unitOf(largest);
  const limit = (state.share / 100) * largest;
  const strong = (number) => Math.abs(number) >= limit;
  const rows = level.words.map((_, n) => n).filter((n) => state.share === 0 || matrix[n].some(strong));
  const columns = level.frames.map((_, n) => n).filter((n) => state.share === 0 || rows.some((row) => strong(matrix[row][n])));
  const top = new Set(pairs.slice(0, state.count).map((pair) => `${pair.word} ${pair.frame}`));
  const value = (number) => make("td", { class: "value" }, full(number));
  const most = Math.max(1, Math.floor(12 / level.frames.length));
  const head = make("tr", {}, make("th", { scope: "col" }, ""));
  for (const n of columns) {
    const frame = level.frames[n];
    head.append(make("th", { scope: "col", "data-kind": "frame", "data-number": n }, pictures(frame.frames, most), frame.time));
  }
  if (values) head.append(make("th", { scope: "col" }, "own value"));
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr", {}, make("th", { scope: "row", "data-kind": "word", "data-number": row }, level.words[row].text));
    for (const column of columns) {
      const number = matrix[row][column];
      const cell = make("td", { "data-word": row, "data-frame": column, tabindex: -1 }, short(number, power));
      if (strong(number)) dyed(cell, number, largest);
      else cell.classList.add("weak");
      if (top.has(`${row} ${column}`)) cell.classList.add("top");
      line.append(cell);
    }
    if (values) line.append(value(values.words[row]));
    body.append(line);
  }
  if (values) {
    const line = make("tr", {}, make("th", { scope: "row" }, "own value"), ...columns.map((n) => value(values.frames[n])), make("td", { class: "value" }));
    body.append(line);
  }
  const plain = values && told ? "; own values as they are" : "";
  put("units", `Interactions${told}${plain}; framed: the ${several(Math.min(state.count, pairs.length), "strongest pair")}.`);
  put("matrix", make("table", { class: level.level === "entity" ? "matrix" : "matrix merged" }, make("thead", {}, head), body));
  const first = document.querySelector("#matrix td[data-word]");
  if (first) first.tabIndex = 0;
  document.getElementById("share-told").textContent = `${state.share} % of the largest`;
  const hidden = rows.length < level.words.length || columns.length < level.frames.length;
  const left = `${rows.length} of ${several(level.words.length, "word")} and ${columns.length} of ${several(level.frames.length, "frame")} have such a pair`;
  document.getElementById("kept").textContent = hidden ? left : "";
}

function strongest() {
  const { level, pairs, largest } = view;
  const rows = pairs.slice(0, state.count).map(({ word, frame, number }, n) => {
    const cell = make("td", { class: "sign" }, full(number));
    dyed(cell, number, largest);
    const [text, time] = [level.words[word].text, level.frames[frame]];
    return make("tr", {}, make("td", { class: "numeric" }, String(n + 1)), cell, make("td", {}, text), make("td", {}, time.time));
  });
  const heads = ["", "interaction", "words", "frames"].map((one) => make("th", { scope: "col" }, one));
  put("strongest", make("table", { class: "list" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
}

function agreement() {
  const { level } = view;
  const found = Object.entries(level.agreement[state.index]);
  const percent = (number) => `${(100 * number).toFixed(1)} %`;
  const rows = found.map(([method, one]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, METHODS[method]),
      make("td", { class: "numeric" }, one.correlation === null ? "–" : one.correlation.toFixed(4).replace("-", "−")),
      make("td", { class: "numeric" }, percent(one.sign)),
      make("td", { class: "numeric" }, full(one.mean_absolute_error).replace("+", "")),
    ),
  );
  const heads = ["method", "correlation", "sign right", "mean abs. error"].map((one) => make("th", { scope: "col" }, one));
  const whose = page.runs.length > 1 ? `, games of ${page.runs[state.run].name}` : "";
  put("agreement-meaning", `With the exact ${INDICES[state.index]} interaction, over all pairs of the ${level.level} level of this caption and video${whose}.`);
  put("agreement", make("table", { class: "list" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
}

// ---- all of it ------------------------------------------------------------------------------------------------------

function title() {
  const { level, largest } = view;
  const size = `${several(level.words.length, level.level === "entity" ? "word" : "group")} × ${several(level.frames.length, level.level === "entity" ? "frame" : "group")}`;
  const name = level.level[0].toUpperCase() + level.level.slice(1);
  put("title", `${name} level: ${size}`);
  const what = `${INDICES[state.index]} interaction, ${methodName(state.run, state.method)}`;
  const less = state.less ? `, less ${methodName(state.less.run, state.less.method)}` : "";
  const counts = level.rate > 0 ? "" : " (it does not count in the ranking)";
  const merged = level.level === "entity" ? "" : " A box holds what the model has merged into one player.";
  put("plus", state.less ? "more than in what is taken off" : "together they add more than apart");
  put("minus", state.less ? "less than in it" : "less than apart");
  put("meaning", `${what}${less}. Similarity at this level ${level.similarity.toFixed(4).replace("-", "−")}${counts}.${merged} Numbers at words, frames and cells are${unitOf(largest).told || " as they are"}.`);
}

function draw() {
  settle();
  view = seen();
  active = null;
  controls();
  title();
  people();
  table();
  strongest();
  agreement();
  mark();
}

function pointed(target) {
  const button = target.closest?.(".player, #matrix th[data-kind]");
  if (button) return { [button.dataset.kind]: Number(button.dataset.number) };
  const cell = target.closest?.("td[data-word]");
  return cell ? { word: Number(cell.dataset.word), frame: Number(cell.dataset.frame) } : null;
}

function follow(event) {
  const next = pointed(event.target);
  if (JSON.stringify(next) === JSON.stringify(active)) return;
  active = next;
  mark();
}

// The arrow keys go from player to player, and from cell to cell.
function stepped(event) {
  const { key, target } = event;
  if (key === "Escape" && (state.held || active)) {
    state.held = active = null;
    for (const one of document.querySelectorAll(".player")) one.setAttribute("aria-pressed", "false");
    mark();
    return;
  }
  const cell = target.closest("td[data-word]");
  const row = target.closest(".player")?.parentElement;
  let next = null;
  if (cell) {
    const line = cell.parentElement;
    const sideways = { ArrowLeft: cell.previousElementSibling, ArrowRight: cell.nextElementSibling, Home: line.cells[1], End: [...line.cells].filter((one) => one.dataset.word).pop() };
    const along = { ArrowUp: line.previousElementSibling, ArrowDown: line.nextElementSibling };
    next = key in along ? along[key]?.cells[cell.cellIndex] : sideways[key];
    if (next && next.dataset.word === undefined) next = null;
  } else if (row) {
    const players = [...row.children];
    const at = players.indexOf(target.closest(".player"));
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: players.length - 1 }[key];
    next = players[to];
  }
  if (!next) return;
  event.preventDefault();
  (cell ?? target.closest(".player")).tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function hold(event) {
  const button = event.target.closest(".player");
  if (!button) return;
  const mine = { [button.dataset.kind]: Number(button.dataset.number) };
  state.held = JSON.stringify(state.held) === JSON.stringify(mine) ? null : mine;
  for (const one of document.querySelectorAll(".player")) one.setAttribute("aria-pressed", String(state.held !== null && one === button));
  mark();
}

document.addEventListener("mouseover", follow);
document.addEventListener("focusin", follow);
document.addEventListener("keydown", stepped);
document.addEventListener("click", hold);
document.getElementById("share").addEventListener("input", (event) => {
  state.share = Number(event.target.value);
  table();
  mark();
});
document.getElementById("count").addEventListener("input", (event) => {
  if (Number.isNaN(event.target.valueAsNumber)) return; // while it is typed the last number holds
  state.count = Math.min(500, Math.max(0, Math.floor(event.target.valueAsNumber)));
  table();
  strongest();
  mark();
});
document.getElementById("count").addEventListener("change", (event) => {
  event.target.value = state.count;
});
draw();
