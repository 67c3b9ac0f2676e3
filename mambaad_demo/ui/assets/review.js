// Draws one part at a time, takes keys and strokes, and tells the server what was pressed. `element`, `props`,
// `trigger` and `watch` come from gr.HTML. Text from people reaches the page through textContent and value only.

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas");
const context = canvas.getContext("2d");
const stage = find(".review-canvas");
const form = {
  type: find(".type"),
  severity: find(".severity"),
  note: find(".note"),
  golden: find(".golden input"),
};
const MASK_COLOR = "#22d3ee";
const ANSWER_MS = 20000;
const RENEW_MS = 60000; // a third of the time for which the server keeps a part from other reviewers

let item = null;
let picture = null; // decoded images of the item
let mask = document.createElement("canvas"); // white where the defect is, at the size of the preview
let isMasking = false;
let isErasing = false;
let isTouched = false; // whether the mask differs from the one that is kept
let hasHeat = true;
let brush = 12; // radius in pixels of the preview
let shownAt = 0;
let isWaiting = false;
let draftTimer = 0;
let answerTimer = 0;
let loads = 0;

async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

const isOf = (one, other) => Boolean(one && other && one.image === other.image);

async function load() {
  const value = props.value;
  if (!value) return;
  const turn = ++loads;
  const next = value.item;
  const addresses = next ? [next.preview, next.heat, next.kept, next.predicted] : [];
  const images = await Promise.all(addresses.map((address) => address && decoded(address)));
  if (turn !== loads) return;
  drawQueue(value.queue, next);
  find(".pace").textContent = value.pace;
  showProblem(value.problem);
  item = next;
  picture = next && { preview: images[0], heat: images[1], kept: images[2], predicted: images[3] };
  element.querySelectorAll(".review-keys button, .review-side :is(input, select, textarea)").forEach((control) => {
    control.disabled = !item && !["undo", "redo", "previous"].includes(control.dataset.do);
  });
  find(".nothing").textContent = item ? "" : nothingText(value.queue);
  fillPart();
  startMask();
  clearTimeout(answerTimer);
  isWaiting = false;
  shownAt = performance.now();
  draw();
  if (element.offsetParent && !isTyping(document.activeElement)) find(".review").focus({ preventScroll: true });
}

function nothingText(queue) {
  if (queue.left === null) return "Type your name and press Start. Parts come nearest to the limit first.";
  if (queue.seen) return "Nothing is left in this queue. Parts you skipped come back when you start again.";
  return "There is nothing to review here. Inspect a batch first, or choose another filter.";
}

function fillPart() {
  const part = item || { facts: [], types: [], history: [], form: {}, name: "" };
  find(".facts-list").replaceChildren(
    ...part.facts.flatMap(([term, value]) => [made("dt", term), made("dd", value)]),
  );
  find("#review-types").replaceChildren(
    ...part.types.map((type) => Object.assign(document.createElement("option"), { value: type })),
  );
  find(".history").replaceChildren(...part.history.map(historyLine));
  form.type.value = part.form.defect_type || "";
  form.severity.value = part.form.severity || "";
  form.note.value = part.form.note || "";
  form.golden.checked = Boolean(part.form.is_golden);
  element.querySelectorAll("[data-do]").forEach((button) => {
    if (["good", "defect", "unsure"].includes(button.dataset.do))
      button.classList.toggle("is-said", button.dataset.do === part.form.finding);
  });
  canvas.setAttribute("aria-label", item ? item.name + ", " + item.verdict : "No part");
}

function made(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

function historyLine(line) {
  const node = made("li", line.when + " " + line.text);
  if (line.undone) node.className = "undone";
  if (line.note) node.append(made("span", line.note));
  return node;
}

function drawQueue(queue, next) {
  find(".review-queue h3").textContent = queue.left === null ? "Queue" : queue.left + " left";
  find(".review-queue ul").replaceChildren(
    ...queue.items.map((one) => {
      const button = made("button", "");
      button.type = "button";
      button.dataset.open = one.image;
      button.setAttribute("aria-current", String(isOf(one, next)));
      const image = new Image(52, 52);
      image.src = one.picture;
      image.alt = "";
      const words = made("span", one.product);
      words.append(made("small", one.multiple));
      button.append(image, words);
      const entry = document.createElement("li");
      entry.append(button);
      return entry;
    }),
  );
}

function showProblem(problem) {
  const notice = find(".review-stage .notice");
  notice.textContent = problem || "";
  notice.hidden = !problem;
}

// The mask that is kept, or one that a draft holds, or nothing; the brush starts from the map.
function startMask() {
  isTouched = false;
  setMasking(false);
  if (!picture) return;
  mask.width = picture.preview.width;
  mask.height = picture.preview.height;
  if (picture.kept) mask.getContext("2d").drawImage(picture.kept, 0, 0);
  const drafted = item.form.mask || "";
  if (!drafted.startsWith("data:")) return;
  const at = item;
  decoded(drafted).then((image) => {
    if (item !== at) return;
    replaceMask(image);
    setMasking(true);
  });
}

function replaceMask(image) {
  const pen = mask.getContext("2d");
  pen.clearRect(0, 0, mask.width, mask.height);
  if (image) pen.drawImage(image, 0, 0);
  isTouched = true;
  draw();
}

function setMasking(on) {
  isMasking = on && Boolean(item);
  find(".review-tools").hidden = !isMasking;
  find("[data-do=mask]").setAttribute("aria-pressed", String(isMasking));
  stage.classList.toggle("is-masking", isMasking);
  if (isMasking && !picture.kept && !isTouched && picture.predicted) replaceMask(picture.predicted);
  draw();
}

function placement() {
  const scale = Math.min(stage.clientWidth / mask.width, stage.clientHeight / mask.height);
  const width = mask.width * scale;
  const height = mask.height * scale;
  return { scale, left: (stage.clientWidth - width) / 2, top: (stage.clientHeight - height) / 2, width, height };
}

function draw() {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(stage.clientWidth * density);
  canvas.height = Math.round(stage.clientHeight * density);
  context.setTransform(density, 0, 0, density, 0, 0);
  if (!picture || !mask.width) return;
  const at = placement();
  const area = [at.left, at.top, at.width, at.height];
  context.drawImage(picture.preview, ...area);
  if (hasHeat && !isMasking) {
    context.globalAlpha = 0.6;
    context.drawImage(picture.heat, ...area);
    context.globalAlpha = 1;
  }
  if (isMasking || item.kept) {
    context.globalAlpha = 0.55;
    context.drawImage(tinted(), ...area);
    context.globalAlpha = 1;
  }
}

function tinted() {
  const copy = document.createElement("canvas");
  copy.width = mask.width;
  copy.height = mask.height;
  const pen = copy.getContext("2d");
  pen.drawImage(mask, 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = MASK_COLOR;
  pen.fillRect(0, 0, copy.width, copy.height);
  return copy;
}

// Paints whole pixels, so that the mask has no half-covered edge.
function paint(event) {
  const box = stage.getBoundingClientRect();
  const at = placement();
  const x = (event.clientX - box.left - at.left) / at.scale;
  const y = (event.clientY - box.top - at.top) / at.scale;
  const pen = mask.getContext("2d");
  pen.fillStyle = "#fff";
  const erases = isErasing || event.buttons === 2;
  for (let row = Math.max(0, Math.floor(y - brush)); row <= Math.min(mask.height - 1, y + brush); row += 1) {
    const half = Math.sqrt(Math.max(0, brush * brush - (row + 0.5 - y) ** 2));
    const left = Math.max(0, Math.round(x - half));
    const width = Math.min(mask.width, Math.round(x + half)) - left;
    if (width > 0) pen[erases ? "clearRect" : "fillRect"](left, row, width, 1);
  }
  isTouched = true;
  draw();
}

canvas.addEventListener("pointerdown", (event) => {
  if (!isMasking) return;
  canvas.setPointerCapture(event.pointerId);
  paint(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (isMasking && event.buttons) paint(event);
});
canvas.addEventListener("pointerup", () => isMasking && keepDraft());
canvas.addEventListener("contextmenu", (event) => isMasking && event.preventDefault());

function formValues() {
  const drawn = isTouched ? mask.toDataURL("image/png") : "";
  return {
    defect_type: form.type.value,
    severity: form.severity.value,
    note: form.note.value,
    is_golden: form.golden.checked,
    mask: drawn || (item.kept ? "kept" : ""),
  };
}

function keepDraft() {
  clearTimeout(draftTimer);
  const at = item;
  draftTimer = setTimeout(() => {
    if (item === at && item && !isWaiting) trigger("draft", { do: "draft", image: item.image, form: formValues() });
  }, 700);
}

function send(action) {
  if (isWaiting) return;
  clearTimeout(draftTimer);
  isWaiting = true; // until the next value comes; a key pressed meanwhile would decide on a part nobody has seen
  clearTimeout(answerTimer);
  answerTimer = setTimeout(() => {
    isWaiting = false;
    showProblem("The server did not answer. Nothing is lost that it confirmed; press again.");
  }, ANSWER_MS);
  trigger("act", action);
}

function decide(finding, teach) {
  if (!item) return;
  const seconds = (performance.now() - shownAt) / 1000;
  send({ do: "decide", image: item.image, finding, teach: Boolean(teach), seconds, form: formValues() });
}

const actions = {
  good: () => decide("good"),
  defect: () => decide("defect"),
  unsure: () => decide("unsure"),
  teach: () => decide("good", true),
  undo: () => send({ do: "undo" }),
  redo: () => send({ do: "redo" }),
  next: () => send({ do: "next" }),
  previous: () => send({ do: "previous" }),
  mask: () => setMasking(!isMasking),
  heat: () => {
    hasHeat = !hasHeat;
    find("[data-do=heat]").setAttribute("aria-pressed", String(hasHeat));
    draw();
  },
};

const brushes = {
  "-": () => (brush = Math.max(1, Math.round(brush / 1.4))),
  "+": () => (brush = Math.min(120, Math.round(brush * 1.4) + 1)),
  erase: () => {
    isErasing = !isErasing;
    find("[data-brush=erase]").setAttribute("aria-pressed", String(isErasing));
  },
  predicted: () => picture && replaceMask(picture.predicted),
  clear: () => replaceMask(null),
};

const keys = {
  g: actions.good,
  d: actions.defect,
  u: actions.unsure,
  t: actions.teach,
  z: actions.undo,
  y: actions.redo,
  n: actions.next,
  arrowright: actions.next,
  p: actions.previous,
  arrowleft: actions.previous,
  m: actions.mask,
  h: actions.heat,
  o: () => {
    form.golden.checked = !form.golden.checked;
    keepDraft();
  },
};
const brushKeys = { "[": "-", "]": "+", e: "erase", r: "predicted", x: "clear" };

function isTyping(target) {
  return Boolean(target && target.closest && target.closest("input:not([type=checkbox]), textarea, select, [contenteditable=true]"));
}

document.addEventListener("keydown", (event) => {
  if (!element.offsetParent || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = event.key.toLowerCase();
  const action = isMasking && key in brushKeys ? brushes[brushKeys[key]] : keys[key];
  if (!action) return;
  event.preventDefault();
  action();
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do], [data-brush], [data-open]");
  if (!button) return;
  if (button.dataset.open) send({ do: "open", image: Number(button.dataset.open) });
  else (actions[button.dataset.do] || brushes[button.dataset.brush])();
});
find(".review-side").addEventListener("input", keepDraft);

setInterval(() => {
  if (item && !isWaiting && !document.hidden && element.offsetParent) trigger("draft", { do: "renew", image: item.image });
}, RENEW_MS);
new ResizeObserver(draw).observe(stage);
watch("value", load);
load();
