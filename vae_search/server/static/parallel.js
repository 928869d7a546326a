"use strict";
// Parallel coordinates from plotly.js' own specification (a `parcoords` trace), as SVG: plotly.js compiles its WebGL
// calls at run time, which the page's security policy forbids. Dragging along an axis keeps the lines that pass there;
// a click without a drag lets all pass again.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 400;
const EDGE = {top: 64, bottom: 28, left: 48, right: 76};
const LEAST_BRUSH = 4; // pixels

function node(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function plain(text) { // labels are written for plotly.js, which reads a kind of HTML
  return new DOMParser().parseFromString(String(text), "text/html").body.textContent;
}

function mixed(scale, at) {
  const place = Math.min(Math.max(at, 0), 1);
  const after = Math.max(1, scale.findIndex(([stop]) => stop >= place));
  const [[low, from], [high, to]] = [scale[after - 1], scale[after]];
  const share = high > low ? (place - low) / (high - low) : 0;
  const part = (colour, digit) => parseInt(colour.slice(digit, digit + 2), 16);
  const channels = [1, 3, 5].map((digit) => Math.round(part(from, digit) + share * (part(to, digit) - part(from, digit))));
  return `rgb(${channels.join(",")})`;
}

function parallel(place, trace) {
  const brushes = place.brushes ?? {};
  place.brushes = brushes;
  const width = Math.max(place.clientWidth, Number(place.dataset.leastWidth) || 0);
  const step = (width - EDGE.left - EDGE.right) / Math.max(1, trace.dimensions.length - 1);
  const across = (axis) => EDGE.left + axis * step;
  const axes = trace.dimensions.map((dimension) => {
    const known = dimension.values.filter((value) => value !== null);
    const [low, high] = dimension.range ?? [Math.min(...known), Math.max(...known)];
    const span = high - low || 1;
    const length = HEIGHT - EDGE.top - EDGE.bottom;
    return {
      ...dimension, low, high,
      up: (value) => HEIGHT - EDGE.bottom - ((value - low) / span) * length,
      value: (y) => low + ((HEIGHT - EDGE.bottom - y) / length) * span,
    };
  });
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  drawing.setAttribute("width", width);
  drawing.setAttribute("height", HEIGHT);
  drawing.setAttribute("class", "parallel");
  drawing.setAttribute("aria-hidden", "true"); // the table of trials tells the same to those who cannot see it

  const {color, colorscale, cmin, cmax} = trace.line;
  const lines = color.map((value, row) => {
    const points = axes.map((axis, at) => [across(at), axis.values[row]]).filter(([, each]) => each !== null);
    const path = points.map(([x, each], at) => `${x.toFixed(1)},${axes[Math.round((x - EDGE.left) / (step || 1))].up(each).toFixed(1)}`);
    const share = (value - cmin) / (cmax - cmin || 1);
    return node("polyline", {points: path.join(" "), stroke: mixed(colorscale, share)}, drawing);
  });

  function choose() {
    lines.forEach((line, row) => {
      const passes = Object.entries(brushes).every(([at, [low, high]]) => {
        const value = axes[at]?.values[row];
        return value !== null && value >= low && value <= high;
      });
      line.classList.toggle("out", !passes);
    });
  }

  axes.forEach((axis, at) => {
    const group = node("g", {transform: `translate(${across(at)} 0)`}, drawing);
    node("line", {y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: "axis"}, group);
    node("text", {y: EDGE.top - 14, transform: `rotate(-20 0 ${EDGE.top - 14})`, class: "label"}, group, plain(axis.label));
    const ticks = axis.tickvals ?? [axis.low, (axis.low + axis.high) / 2, axis.high];
    ticks.forEach((tick, index) => {
      const text = axis.ticktext ? plain(axis.ticktext[index]) : Number(tick.toPrecision(3));
      node("text", {x: 6, y: axis.up(tick) + 4, class: "tick"}, group, text);
    });
    const mark = node("rect", {x: -5, width: 10, y: 0, height: 0, class: "brush"}, group);
    const show = () => {
      const [low, high] = brushes[at] ?? [null, null];
      mark.setAttribute("y", low === null ? 0 : axis.up(high));
      mark.setAttribute("height", low === null ? 0 : axis.up(low) - axis.up(high));
    };
    const hold = node("rect", {x: -14, width: 28, y: EDGE.top, height: HEIGHT - EDGE.top - EDGE.bottom, class: "hold"}, group);
    const y = (event) => (event.clientY - drawing.getBoundingClientRect().top) * (HEIGHT / drawing.getBoundingClientRect().height);
    let began = null;
    hold.addEventListener("pointerdown", (event) => { began = y(event); hold.setPointerCapture(event.pointerId); event.preventDefault(); });
    hold.addEventListener("pointermove", (event) => {
      if (began === null) return;
      const ends = [axis.value(began), axis.value(y(event))].sort((a, b) => a - b);
      if (Math.abs(y(event) - began) < LEAST_BRUSH) delete brushes[at];
      else brushes[at] = ends;
      show();
      choose();
    });
    hold.addEventListener("pointerup", (event) => {
      if (Math.abs(y(event) - began) < LEAST_BRUSH) delete brushes[at];
      began = null;
      show();
      choose();
    });
    show();
  });
  choose();
  place.replaceChildren(drawing);
  if (!place.watched) {
    place.watched = true;
    window.addEventListener("resize", () => parallel(place, specifications[place.dataset.figure].data[0]));
  }
}
