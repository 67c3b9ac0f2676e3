// Draws one inspected picture in its five views. All views, opacity, wipe and zoom happen here, without the server.
// `element`, `props` and `watch` come from gr.HTML. Text from people reaches the page through textContent only.

const BOX_COLOR = "#67e8f9";
const CHOSEN_COLOR = "#fb923c";
const LABEL_INK = "#08202a";
const LARGEST_ZOOM = 16;
const ZOOM_STEP = 1.4;
const PAN_STEP = 40;

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas");
const stage = find(".stage");
const context = canvas.getContext("2d");
const opacity = find(".opacity input");
const wipe = find(".wipe input");

let picture = null; // what the server sent, with decoded images
let zoom = 1;
let pan = { x: 0, y: 0 }; // in CSS pixels, from the centered position
let chosen = -1;
let loads = 0;

const mode = () => find("input[name=viewer-mode]:checked").value;

async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

async function load() {
  const value = props.value;
  const turn = ++loads;
  const images = value && (await Promise.all([value.preview, value.heat, value.seen].map(decoded)));
  if (turn !== loads) return; // a newer picture overtook this one
  picture = null;
  if (value) {
    const [preview, heat, seen] = images;
    const regions = value.regions.map((region) => ({ ...region, path: new Path2D(region.outline) }));
    picture = { width: value.width, height: value.height, regions, preview, heat, seen };
    find(".name").textContent = value.title;
    find(".size").textContent = value.width + " × " + value.height + " px";
    canvas.setAttribute("aria-label", value.alt);
    stage.style.setProperty("--aspect", value.width / value.height);
  }
  find(".viewer").classList.toggle("is-empty", !picture);
  document.dispatchEvent(new CustomEvent("inspector:shown", { detail: value ? value.sample : null }));
  chosen = -1;
  fit();
}

function fit() {
  zoom = 1;
  pan = { x: 0, y: 0 };
  draw();
}

// Scale and offset that place a picture of some size on the canvas, in CSS pixels.
function placement(width, height) {
  const scale = Math.min(stage.clientWidth / width, stage.clientHeight / height) * zoom;
  return {
    scale,
    left: (stage.clientWidth - width * scale) / 2 + pan.x,
    top: (stage.clientHeight - height * scale) / 2 + pan.y,
  };
}

function draw() {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(stage.clientWidth * density);
  canvas.height = Math.round(stage.clientHeight * density);
  context.setTransform(density, 0, 0, density, 0, 0);
  stage.classList.toggle("is-zoomed", zoom > 1);
  if (!picture) return;
  const view = mode();
  if (view === "seen") {
    const at = placement(picture.seen.width, picture.seen.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture.seen, at.left, at.top, picture.seen.width * at.scale, picture.seen.height * at.scale);
    return;
  }
  const at = placement(picture.width, picture.height);
  const area = [at.left, at.top, picture.width * at.scale, picture.height * at.scale];
  context.imageSmoothingEnabled = at.scale * picture.width < 4 * picture.preview.width;
  context.drawImage(picture.preview, ...area);
  if (view === "overlay") drawHeat(area);
  if (view === "wipe") drawWipe(area);
  if (view === "contours") drawOutlines(at);
  if (view === "overlay" || view === "contours") drawBoxes(at, view === "overlay");
}

function drawHeat(area) {
  context.save();
  context.imageSmoothingEnabled = true;
  context.globalAlpha = opacity.value / 100;
  context.drawImage(picture.heat, ...area);
  context.restore();
}

function drawWipe(area) {
  const [left, top, width, height] = area;
  const edge = left + (width * wipe.value) / 100;
  context.save();
  context.beginPath();
  context.rect(edge, top, left + width - edge, height);
  context.clip();
  drawHeat(area);
  context.restore();
  context.fillStyle = CHOSEN_COLOR;
  context.fillRect(edge - 1, top, 2, height);
  context.beginPath();
  context.arc(edge, top + height / 2, 9, 0, 2 * Math.PI);
  context.fill();
}

function drawOutlines(at) {
  context.save();
  context.translate(at.left, at.top);
  context.scale(at.scale, at.scale);
  picture.regions.forEach((region, index) => {
    context.lineWidth = (index === chosen ? 3.5 : 2) / at.scale;
    context.strokeStyle = index === chosen ? CHOSEN_COLOR : BOX_COLOR;
    context.stroke(region.path);
  });
  context.restore();
}

function drawBoxes(at, framed) {
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "center";
  picture.regions.forEach((region, index) => {
    const color = index === chosen ? CHOSEN_COLOR : BOX_COLOR;
    const left = at.left + region.x * at.scale;
    const top = at.top + region.y * at.scale;
    if (framed) {
      context.lineWidth = index === chosen ? 3.5 : 2;
      context.strokeStyle = color;
      context.strokeRect(left, top, region.width * at.scale, region.height * at.scale);
    }
    const label = String(index + 1);
    const side = 12 + 7 * label.length;
    const labelTop = Math.max(top - 22, 0);
    context.fillStyle = color;
    context.fillRect(left - 1, labelTop, side, 18);
    context.fillStyle = LABEL_INK;
    context.fillText(label, left - 1 + side / 2, labelTop + 9.5);
  });
}

// Keeps the point under (x, y), measured from the center of the stage, where it is.
function zoomBy(factor, x = 0, y = 0) {
  const next = Math.min(Math.max(zoom * factor, 1), LARGEST_ZOOM);
  const ratio = next / zoom;
  pan = next === 1 ? { x: 0, y: 0 } : { x: x - (x - pan.x) * ratio, y: y - (y - pan.y) * ratio };
  zoom = next;
  draw();
}

function show(index) {
  const region = picture && picture.regions[index];
  if (!region) return;
  chosen = index;
  if (["original", "seen", "wipe"].includes(mode())) choose("overlay");
  zoom = 1;
  const whole = placement(picture.width, picture.height).scale;
  const wanted = 0.35 * Math.min(stage.clientWidth / (region.width * whole), stage.clientHeight / (region.height * whole));
  zoom = Math.min(Math.max(wanted, 1), 6);
  const scale = whole * zoom;
  const center = { x: region.x + region.width / 2, y: region.y + region.height / 2 };
  pan = zoom === 1 ? { x: 0, y: 0 } : { x: (picture.width / 2 - center.x) * scale, y: (picture.height / 2 - center.y) * scale };
  draw();
}

function choose(view) {
  find("input[value=" + view + "]").checked = true;
  changed();
}

function changed() {
  const view = mode();
  find(".opacity").hidden = !["overlay", "wipe"].includes(view);
  find(".wipe").hidden = view !== "wipe";
  draw();
}

element.querySelectorAll("input[name=viewer-mode]").forEach((input) => input.addEventListener("change", changed));
opacity.addEventListener("input", draw);
wipe.addEventListener("input", draw);

find(".zoom").addEventListener("click", (event) => {
  const action = event.target.dataset.zoom;
  if (action === "fit") fit();
  if (action === "in") zoomBy(ZOOM_STEP);
  if (action === "out") zoomBy(1 / ZOOM_STEP);
});

canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const move = moves[event.key];
  if (event.key === "+" || event.key === "=") zoomBy(ZOOM_STEP);
  else if (event.key === "-") zoomBy(1 / ZOOM_STEP);
  else if (event.key === "0") fit();
  else if (move && zoom > 1) {
    pan = { x: pan.x + move[0] * PAN_STEP, y: pan.y + move[1] * PAN_STEP };
    draw();
  } else return;
  event.preventDefault();
});

canvas.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const factor = Math.exp(-event.deltaY / 300);
    zoomBy(factor, event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
  },
  { passive: false },
);

function drag(event) {
  if (event.buttons !== 1 || !picture) return;
  if (mode() === "wipe") {
    const at = placement(picture.width, picture.height);
    const x = event.clientX - stage.getBoundingClientRect().left - at.left;
    wipe.value = (100 * x) / (picture.width * at.scale);
    draw();
  } else if (zoom > 1 && event.type === "pointermove") {
    pan = { x: pan.x + event.movementX, y: pan.y + event.movementY };
    draw();
  }
}
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  drag(event);
});
canvas.addEventListener("pointermove", drag);
canvas.addEventListener("dblclick", () => (zoom > 1 ? fit() : zoomBy(3)));

document.addEventListener("inspector:region", (event) => show(event.detail));
new ResizeObserver(draw).observe(stage);
watch("value", load);
load();
