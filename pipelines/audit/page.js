"use strict";
// Names come from files: they reach the page as text only, never as HTML.
const report = JSON.parse(document.getElementById("report").textContent);
const element = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const number = (value, digits = 3) => Number(value.toPrecision(digits)).toString().replace("-", "\u2212");
const fixed = (value) => (Math.round(100 * value) / 100 + 0).toFixed(2).replace("-", "\u2212");
const withUnit = (value, unit, digits) => number(value, digits) + (unit ? `\u00a0${unit}` : "");

const COLUMNS = [
  { title: "Image", value: (image) => image.name, text: (image) => image.name },
  { title: "Findings", value: (image) => image.severity, text: (image) => findingsOf(image), beyond: (image) => image.warnings.length > 0 },
  { title: "Removed", hint: "Standard deviation of the removed part, an estimate of the noise level", value: (image) => image.std, text: (image) => withUnit(image.std, image.unit) },
  { title: "Edges", hint: "Correlation of the removed part with edges and details", value: (image) => image.structure, text: (image) => fixed(image.structure), beyond: (image) => image.marked.includes("structure") },
  { title: "Neighbors", hint: "Largest correlation of neighboring pixels of the removed part", value: (image) => image.neighbors, text: (image) => fixed(image.neighbors), beyond: (image) => image.marked.includes("neighbors") },
  { title: "Places", hint: "Places where more of one sign was removed than noise explains", value: (image) => image.places, text: (image) => String(image.places), beyond: (image) => image.marked.includes("places") },
  { title: "Shift", hint: "Mean of the removed part", value: (image) => Math.abs(image.mean), text: (image) => withUnit(image.mean, image.unit, 2), beyond: (image) => image.marked.includes("shift") },
];
const state = { image: null, slice: 0, divider: 50, window: 0, gain: 0, sort: 1, descending: true, pixels: null };

function findingsOf(image) {
  if (!image.warnings.length) return "none";
  if (image.slices > 1) return `${image.suspicious} of ${image.slices} slices`;
  return String(image.warnings.length);
}

function buildTable() {
  const head = document.querySelector("#images thead tr");
  COLUMNS.forEach((column, index) => {
    const cell = make("th");
    cell.scope = "col";
    const button = make("button", column.title);
    button.type = "button";
    if (column.hint) button.title = column.hint;
    button.addEventListener("click", () => {
      state.descending = state.sort === index ? !state.descending : index !== 0;
      state.sort = index;
      fillTable();
    });
    cell.append(button);
    head.append(cell);
  });
  fillTable();
}

function fillTable() {
  document.querySelectorAll("#images th").forEach((cell, index) => {
    if (index === state.sort) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
  const value = COLUMNS[state.sort].value;
  const compare = (a, b) => (typeof value(a) === "string" ? value(a).localeCompare(value(b), "en", { numeric: true }) : value(a) - value(b));
  const sorted = [...report.images].sort((a, b) => (state.descending ? -1 : 1) * compare(a, b));
  const body = document.querySelector("#images tbody");
  body.replaceChildren(...sorted.map((image) => {
    const row = make("tr");
    row.classList.toggle("chosen", image === state.image);
    COLUMNS.forEach((column, index) => {
      const cell = make("td");
      if (index === 0) {
        const button = make("button", column.text(image));
        button.type = "button";
        if (image === state.image) button.setAttribute("aria-current", "true");
        cell.append(button);
      } else {
        cell.textContent = column.text(image);
        if (column.beyond && column.beyond(image)) cell.className = "beyond";
        else if (cell.textContent === "none") cell.className = "none";
      }
      row.append(cell);
    });
    row.addEventListener("click", () => choose(image));
    row.imageOfRow = image;
    return row;
  }));
}

function choose(image) {
  state.image = image;
  state.gain = 0;
  state.window = 0;
  state.slice = Math.max(0, image.pictures.findIndex((picture) => picture.slice === image.shown));
  document.querySelectorAll("#images tbody tr").forEach((row) => {
    const current = row.imageOfRow === image;
    row.classList.toggle("chosen", current);
    const button = row.querySelector("button");
    if (current) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  element("viewer").hidden = false;
  element("name").textContent = image.name;
  element("facts").textContent = factsOf(image);
  const findings = image.warnings.length ? image.warnings.map((text) => make("li", text)) : [make("li", "No finding.", "none")];
  element("findings").replaceChildren(...findings);
  element("picture-note").hidden = !image.note;
  element("picture-note").textContent = image.note;
  element("stage").hidden = !image.pictures.length;
  if (!image.pictures.length) return;
  const slider = element("slice");
  element("slice-control").hidden = image.slices < 2;
  slider.max = image.pictures.length - 1;
  slider.value = state.slice;
  element("gain").value = 0;
  element("windows").hidden = image.windows.length < 2;
  element("choices").replaceChildren(...image.windows.map((each, index) => {
    const label = make("label");
    const input = make("input");
    input.type = "radio";
    input.name = "window";
    input.value = index;
    input.checked = index === 0;
    input.addEventListener("change", () => { state.window = index; draw(); });
    label.append(input, make("span", each.name));
    label.title = `${number(each.low)} to ${withUnit(each.high, image.unit)}`;
    return label;
  }));
  showSlice();
}

function factsOf(image) {
  const facts = [];
  if (image.files > 1) facts.push(`${image.files} files`);
  if (image.slices > 1) facts.push(`${image.slices} slices`);
  if (image.size) facts.push(`${image.size[1]} \u00d7 ${image.size[0]} pixels`);
  facts.push(`removed: standard deviation ${withUnit(image.std, image.unit)}`);
  if (image.strength !== 1) facts.push(`strength ${image.strength}; the numbers are those of full strength`);
  return facts.join(" \u00b7 ");
}

async function showSlice() {
  const image = state.image;
  const index = state.slice;
  const picture = image.pictures[index];
  const pixels = picture.pixels || (picture.pixels = await unpack(picture));
  if (image !== state.image || index !== state.slice) return;
  state.pixels = pixels;
  const position = `${picture.slice + 1} of ${image.slices}`;
  element("slice-value").textContent = position;
  element("slice").setAttribute("aria-valuetext", position);
  for (const id of ["before-after", "removed"]) {
    const canvas = element(id);
    canvas.width = picture.width;
    canvas.height = picture.height;
    const aspect = (picture.width * picture.aspect) / picture.height;
    canvas.style.aspectRatio = String(aspect);
    canvas.parentElement.style.maxWidth = `calc(${aspect} * max(58vh, 300px))`;
    canvas.classList.toggle("enlarged", picture.width < 400);
    const what = id === "removed" ? "Removed part" : "Before and after";
    canvas.setAttribute("aria-label", `${what}: ${image.name}, slice ${position}`);
  }
  drawPlaces(picture);
  draw();
}

// Bytes: all low ones, then (for 16 bits) all high ones, each as the difference from its left neighbor's value.
async function unpack(picture) {
  const packed = Uint8Array.from(atob(element(picture.id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const { width, height, channels, bits } = picture;
  const count = width * height * channels;
  const both = new Uint16Array(2 * count);
  const mask = bits === 16 ? 0xffff : 0xff;
  for (let start = 0; start < both.length; start += width) {
    let value = 0;
    for (let i = start; i < start + width; i++) {
      value = (value + bytes[i] + (bits === 16 ? bytes[2 * count + i] << 8 : 0)) & mask;
      both[i] = value;
    }
  }
  return { before: both.subarray(0, count), after: both.subarray(count) };
}

function rendered(picture, values, low, high) {
  const area = picture.width * picture.height;
  const data = new ImageData(picture.width, picture.height);
  const scale = (255 * picture.step) / (high - low);
  const shift = (255 * (picture.offset - low)) / (high - low);
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 3; channel++) {
      data.data[4 * i + channel] = scale * values[i + (picture.channels === 3 ? channel * area : 0)] + shift;
    }
    data.data[4 * i + 3] = 255;
  }
  return data;
}

let views = null;
function draw() {
  const picture = state.image.pictures[state.slice];
  const { low, high } = state.image.windows[state.window];
  const { before, after } = state.pixels;
  views = { before: rendered(picture, before, low, high), after: rendered(picture, after, low, high) };
  drawCompare();
  drawRemoved();
}

function drawCompare() {
  const canvas = element("before-after");
  const context = canvas.getContext("2d");
  const column = Math.round((canvas.width * state.divider) / 100);
  context.putImageData(views.after, 0, 0);
  if (column > 0) context.putImageData(views.before, 0, 0, 0, 0, column, canvas.height);
  const divider = element("divider");
  divider.style.left = `${state.divider}%`;
  divider.setAttribute("aria-valuenow", Math.round(state.divider));
  divider.setAttribute("aria-valuetext", `${Math.round(state.divider)} % before`);
}

function drawRemoved() {
  const image = state.image;
  const picture = image.pictures[state.slice];
  const { before, after } = state.pixels;
  const area = picture.width * picture.height;
  const limit = image.gainLimit * 2 ** -state.gain;
  const scale = (127.5 * picture.step) / (limit * picture.channels);
  const data = new ImageData(picture.width, picture.height);
  for (let i = 0; i < area; i++) {
    let difference = 0;
    for (let j = i; j < area * picture.channels; j += area) difference += before[j] - after[j];
    const gray = 127.5 + scale * difference;
    data.data.fill(gray, 4 * i, 4 * i + 3);
    data.data[4 * i + 3] = 255;
  }
  element("removed").getContext("2d").putImageData(data, 0, 0);
  const text = `${number(2 ** state.gain, 2)}\u00d7`;
  element("gain-value").textContent = text;
  element("gain").setAttribute("aria-valuetext", text);
  const circled = element("places").childElementCount ? "; circles: more of one sign than noise explains" : "";
  element("removed-scale").textContent = `Black ${withUnit(-limit, image.unit)}, white +${withUnit(limit, image.unit)}${circled}`;
}

function drawPlaces(picture) {
  const svg = element("places");
  svg.setAttribute("viewBox", `0 0 ${picture.width * picture.aspect} ${picture.height}`);
  svg.replaceChildren(...picture.places.map(([row, column, radius]) => {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    circle.setAttribute("cx", column * picture.aspect);
    circle.setAttribute("cy", row);
    circle.setAttribute("r", radius);
    return circle;
  }));
}

function moveDivider(percent) {
  state.divider = Math.min(100, Math.max(0, percent));
  drawCompare();
}

function listen() {
  const compare = element("compare");
  const follow = (event) => {
    const frame = compare.getBoundingClientRect();
    moveDivider((100 * (event.clientX - frame.left)) / frame.width);
  };
  compare.addEventListener("pointerdown", (event) => {
    compare.setPointerCapture(event.pointerId);
    follow(event);
    element("divider").focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });
  compare.addEventListener("pointermove", (event) => {
    if (compare.hasPointerCapture(event.pointerId)) follow(event);
  });
  const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -20, PageUp: 20, Home: -100, End: 100 };
  element("divider").addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    moveDivider(state.divider + steps[event.key]);
    event.preventDefault();
  });
  element("slice").addEventListener("input", (event) => {
    state.slice = Number(event.target.value);
    showSlice();
  });
  element("gain").addEventListener("input", (event) => {
    state.gain = Number(event.target.value);
    drawRemoved();
  });
}

element("summary").textContent = report.summary;
element("left-out").hidden = !report.note;
element("left-out").textContent = report.note;
buildTable();
listen();
if (report.images.length) choose(document.querySelector("#images tbody tr").imageOfRow);
