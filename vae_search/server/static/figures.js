"use strict";
// Plots of a sweep's page: their specifications come as JSON, the page's colours go into them, and they are drawn.

const figures = document.querySelector("[data-figures]");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const touch = !window.matchMedia("(hover: hover)").matches; // there a finger on a plot must scroll the page
let specifications = {};

function theme(layout) {
  const style = getComputedStyle(document.documentElement);
  const line = style.getPropertyValue("--line").trim();
  const text = style.getPropertyValue("--text").trim();
  const colours = {"font.color": text, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"};
  for (const name of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(name)) {
      for (const part of ["gridcolor", "zerolinecolor", "linecolor"]) colours[name + "." + part] = line;
    }
  }
  return colours;
}

function draw(place, {data, layout}) {
  if (place.dataset.leastWidth) place.style.minWidth = place.dataset.leastWidth + "px";
  if (data.length && data[0].type === "parcoords") return parallel(place, data[0]);
  if (touch) layout.dragmode = false;
  const options = {responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover"};
  return Plotly.react(place, data, layout, options).then(() => Plotly.relayout(place, theme(layout)));
}

function drawAll() {
  const places = [...figures.querySelectorAll("[data-figure]")].filter((place) => specifications[place.dataset.figure]);
  return Promise.all(places.map((place) => draw(place, specifications[place.dataset.figure])));
}

let tag = null;
async function fetched() {
  const answer = await fetch(figures.dataset.figures, {cache: "no-cache"});
  if (!answer.ok || answer.headers.get("etag") === tag) return;
  tag = answer.headers.get("etag");
  specifications = await answer.json();
  await drawAll();
  document.documentElement.dataset.drawn = String(Object.keys(specifications).length);
}

if (figures) {
  fetched();
  document.body.addEventListener("news", fetched);
  dark.addEventListener("change", drawAll);
}
