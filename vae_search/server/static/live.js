"use strict";
// One event stream per page. After an event the live parts of the page are asked for anew: elements with
// hx-trigger="news from:body" (htmx morphs them) and whatever listens for "news" on the body.

const LEAST_MS = 2000; // between two times of news, however many events come
const SETTLE_MS = 1200; // after an event: the server may keep what it has read for a second
const place = document.getElementById("live-state");

function follow(address) {
  const source = new EventSource(address);
  let due = null;
  let told = Date.now();
  let first = true;

  function news() {
    due = null;
    if (document.hidden) { due = true; return; } // asked for when somebody looks again
    told = Date.now();
    document.body.dispatchEvent(new CustomEvent("news"));
  }

  function soon() {
    if (due === null) due = setTimeout(news, Math.max(SETTLE_MS, LEAST_MS - (Date.now() - told)));
  }

  source.addEventListener("open", () => { place.textContent = "Live."; });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED; // refused: the browser does not try again
    place.textContent = isOver ? "No longer live: reload for news." : "Not live: the stream is broken; trying again.";
  });
  source.addEventListener("progress", (event) => { // the first one says how things stand, which the page mostly knows
    const shown = document.getElementById("live")?.dataset.finished;
    if (!first || String(JSON.parse(event.data).finished) !== shown) soon();
    first = false;
  });
  for (const kind of ["trial", "changed", "trouble"]) source.addEventListener(kind, soon);
  source.addEventListener("end", () => { source.close(); soon(); place.textContent = "No longer live: reload for news."; });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && due === true) news(); });
  window.addEventListener("pagehide", () => source.close());
}

if (document.body.dataset.stream) follow(document.body.dataset.stream);

// A button that cannot be undone asks once more; without JavaScript its form says the same in words.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
