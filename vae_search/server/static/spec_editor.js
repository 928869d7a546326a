"use strict";
// The spec editor: line numbers beside the text, and its mistakes at their lines soon after each change.

const WAIT_MS = 400; // after the last key
const form = document.getElementById("editor");
const text = document.getElementById("spec");
const gutter = form.querySelector(".gutter");
const told = document.getElementById("spec-errors");
let wrong = new Map(); // line: its mistakes
let asked = 0;
let due;

function draw() {
  const count = text.value.split("\n").length;
  const rows = [];
  for (let line = 1; line <= count; line += 1) {
    const row = document.createElement("div");
    row.textContent = String(line);
    if (wrong.has(line)) {
      row.className = "wrong";
      row.title = wrong.get(line).join("\n");
    }
    rows.push(row);
  }
  gutter.replaceChildren(...rows);
  gutter.hidden = false;
  gutter.scrollTop = text.scrollTop;
}

function goTo(line) {
  const lines = text.value.split("\n");
  const begin = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  text.focus();
  text.setSelectionRange(begin, begin + (lines[line - 1] ?? "").length);
  text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
}

function item(error) {
  const found = document.createElement("li");
  if (error.line) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = `line ${error.line}`;
    button.addEventListener("click", () => goTo(error.line));
    found.append(button, " ");
  }
  if (error.key) {
    const key = document.createElement("code");
    key.textContent = error.key;
    found.append(key, ": ");
  }
  found.append(error.detail);
  return found;
}

function show({ errors, words }) {
  wrong = new Map();
  for (const error of errors) {
    if (error.line) wrong.set(error.line, [...(wrong.get(error.line) ?? []), error.detail]);
  }
  const head = document.createElement("p");
  head.textContent = errors.length === 0 ? "The spec is valid." : `${errors.length} mistake${errors.length > 1 ? "s" : ""} to mend:`;
  told.className = errors.length === 0 ? "notice" : "warning";
  told.replaceChildren(head);
  if (words) {
    const said = document.createElement("p");
    said.textContent = words;
    told.append(said);
  }
  if (errors.length > 0) {
    const list = document.createElement("ol");
    list.className = "errors";
    list.append(...errors.map(item));
    told.append(list);
    text.setAttribute("aria-invalid", "true");
  } else {
    text.removeAttribute("aria-invalid");
  }
  draw();
}

async function check() {
  asked += 1;
  const number = asked;
  try {
    const answer = await fetch(form.dataset.check, { method: "POST", body: text.value, headers: { "Content-Type": "application/yaml" } });
    if (answer.ok && number === asked) show(await answer.json());
  } catch {
    // The service is away for a moment; the next key asks again, and submitting checks in any case.
  }
}

text.addEventListener("input", () => {
  draw();
  clearTimeout(due);
  due = setTimeout(check, WAIT_MS);
});
text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; });
for (const place of told.querySelectorAll("li[data-line]")) wrong.set(Number(place.dataset.line), [place.textContent]);
draw();
if (told.querySelector("li") === null) check();
