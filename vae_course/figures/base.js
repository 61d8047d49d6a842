// What every figure shares: the decoder, the controls, the canvas, the colours.
// Python joins this text in front of a figure's own module, so a figure imports nothing.

// ---------------------------------------------------------------- numbers from Python
// A binary trait is a DataView in Jupyter, but may be a buffer or an array elsewhere.
const bytes = (v) =>
  v.buffer ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength) : new Uint8Array(v);

const view = (v) => { const u = bytes(v); return new DataView(u.buffer, u.byteOffset, u.byteLength); };

function half(h) {                                     // IEEE float16; Float16Array is too new
  const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const halfs = (v, at, n) => { const d = view(v); return Float32Array.from({ length: n }, (_, i) => half(d.getUint16(at + 2 * i, true))); };
const floats = (v, at, n) => { const d = view(v); return Float32Array.from({ length: n }, (_, i) => d.getFloat32(at + 4 * i, true)); };

// ---------------------------------------------------------------- the decoder
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const ACTIVATIONS = { silu: (x) => x * sigmoid(x), tanh: Math.tanh, relu: (x) => Math.max(0, x), sigmoid };

// The layout is export_decoder's (base.py): bias, then weights row by row; int8 rows have a scale.
function readDecoder(spec, data) {
  return spec.layers.map((layer) => {
    if (layer.kind !== "linear") return { f: ACTIVATIONS[layer.kind] };
    const { inputs, outputs } = layer;
    const bias = floats(data, layer.at, outputs);
    let at = layer.at + 4 * outputs, weight;
    if (layer.dtype === "float16") weight = halfs(data, at, inputs * outputs);
    else {
      const scale = floats(data, at, outputs), d = view(data);
      at += 4 * outputs;
      weight = Float32Array.from({ length: inputs * outputs }, (_, k) => d.getInt8(at + k) * scale[Math.floor(k / inputs)]);
    }
    return { inputs, outputs, weight, bias };
  });
}

function decode(layers, z) {
  let x = Float32Array.from(z);
  for (const { f, inputs, outputs, weight, bias } of layers) {
    if (f) { x = x.map(f); continue; }
    const y = new Float32Array(outputs);
    for (let i = 0, k = 0; i < outputs; i++) {
      let sum = bias[i];
      for (let j = 0; j < inputs; j++, k++) sum += weight[k] * x[j];
      y[i] = sum;
    }
    x = y;
  }
  return x;
}

// ---------------------------------------------------------------- random numbers, from a seed
function uniforms(seed) {                              // mulberry32
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
function normals(seed) {                               // Box-Muller; 1 - u is never 0
  const u = uniforms(seed);
  return () => Math.sqrt(-2 * Math.log(1 - u())) * Math.cos(2 * Math.PI * u());
}

// ---------------------------------------------------------------- page and colours
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// The first six are plotting.PALETTE; all keep 3:1 on light and dark. Ten colours cannot all be
// told apart by every eye, so a class is also named by its glyph wherever it matters.
const PALETTE = ["#0072B2", "#D55E00", "#00916A", "#C0699A", "#A87900", "#7A7A7A", "#8A5FD0", "#B5483A", "#5E8C1F", "#1F93A8"];

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties))
    key in node && !key.includes("-") ? (node[key] = value) : node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// The book sets data-theme, JupyterLab data-jp-theme-light, Colab theme; else the system decides.
function isDark() {
  const root = document.documentElement, body = document.body;
  const named = root.dataset.theme ?? root.getAttribute("theme");
  if (named === "dark" || named === "light") return named === "dark";
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

// The frame of a figure: its root element, its colours, what to redraw, what to undo.
function frame(el, label, kind) {
  const root = make("div", { className: `vae-figure ${kind}`, role: "group", "aria-label": label });
  const undo = [], painters = [];
  let ink = null;
  const colours = () => {
    const style = getComputedStyle(root);
    return (ink ??= Object.fromEntries(["ink", "muted", "line", "paper", "accent", "warn"].map((n) => [n, style.getPropertyValue("--vf-" + n).trim()])));
  };
  const theme = () => { root.dataset.scheme = isDark() ? "dark" : "light"; ink = null; painters.forEach((paint) => paint()); };
  const watch = new MutationObserver(theme), system = matchMedia("(prefers-color-scheme: dark)");
  for (const node of [document.documentElement, document.body])
    watch.observe(node, { attributes: true, attributeFilter: ["data-theme", "theme", "data-jp-theme-light"] });
  system.addEventListener("change", theme);
  undo.push(() => watch.disconnect(), () => system.removeEventListener("change", theme));
  el.append(root);
  theme();
  return { root, colours, painters, undo, cleanup: () => { undo.forEach((f) => f()); root.remove(); } };
}

// A canvas as wide as its container and sharp on any screen; draw(g, width, height, colours).
function surface(figure, { label, aspect = 1, draw }) {
  const canvas = make("canvas", { role: "img", "aria-label": label });
  const box = make("div", { className: "vf-canvas" }, canvas);
  canvas.style.aspectRatio = aspect;
  let width = 0, height = 0, queued = 0;
  const paint = () => {
    queued = 0;
    if (!width) return;
    const g = canvas.getContext("2d"), ratio = canvas.width / width;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = `12px ${getComputedStyle(box).fontFamily}`;
    draw(g, width, height, figure.colours());
  };
  const redraw = () => { queued ||= requestAnimationFrame(paint); };
  const resize = new ResizeObserver(() => {
    width = canvas.clientWidth; height = canvas.clientHeight;
    canvas.width = Math.round(width * devicePixelRatio); canvas.height = Math.round(height * devicePixelRatio);
    paint();                                           // at once: a resized canvas is blank
  });
  resize.observe(canvas);
  figure.painters.push(redraw);
  figure.undo.push(() => { resize.disconnect(); cancelAnimationFrame(queued); });
  return { box, canvas, redraw, get width() { return width; }, get height() { return height; } };
}

// Data to pixels and back on a rectangle of the canvas; y points up.
function axes({ left, top, width, height }, [x0, x1], [y0, y1]) {
  return {
    left, top, width, height, right: left + width, bottom: top + height,
    x: (x) => left + (x - x0) / (x1 - x0) * width, y: (y) => top + (y1 - y) / (y1 - y0) * height,
    toX: (p) => x0 + (p - left) / width * (x1 - x0), toY: (p) => y1 - (p - top) / height * (y1 - y0),
    sx: width / (x1 - x0), sy: height / (y1 - y0),
  };
}

function niceTicks(low, high, about = 5) {             // 1, 2 or 5 times a power of ten
  const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(Number((i * step).toPrecision(6)));
  return ticks;
}

const minus = (x) => String(x).replace("-", "−");

// The frame of a plot with its ticks and the names of its axes; rows and columns may be left out.
function border(g, a, c, { columns = [], rows = [], across = "", up = "", text = minus }) {
  g.strokeStyle = c.line; g.lineWidth = 1; g.fillStyle = c.muted;
  g.strokeRect(a.left, a.top, a.width, a.height);
  g.textAlign = "center"; g.textBaseline = "top";
  for (const t of columns) g.fillText(text(t), a.x(t), a.bottom + 5);
  g.fillText(across, (a.left + a.right) / 2, a.bottom + (columns.length ? 23 : 6));
  g.textAlign = "right"; g.textBaseline = "middle";
  for (const t of rows) g.fillText(text(t), a.left - 5, a.y(t));
  g.save(); g.translate(9, (a.top + a.bottom) / 2); g.rotate(-Math.PI / 2);
  g.textAlign = "center"; g.fillText(up, 0, 0); g.restore();
}

function within(g, a, draw) {                          // draw, cut off at the frame
  g.save(); g.beginPath(); g.rect(a.left, a.top, a.width, a.height); g.clip();
  draw();
  g.restore();
}

function dot(g, x, y, r, fill, edge) {
  g.beginPath(); g.arc(x, y, r, 0, 2 * Math.PI);
  g.fillStyle = fill; g.fill();
  if (edge) { g.strokeStyle = edge; g.lineWidth = 1; g.stroke(); }
}

function path(g, a, points) {                          // a line through [[x, y], ...], not stroked yet
  g.beginPath();
  for (const [x, y] of points) g.lineTo(a.x(x), a.y(y));
}

// ---------------------------------------------------------------- controls: native, labelled
function slider({ label, min, max, step = 1, value, format = String, onInput }) {
  const input = make("input", { type: "range", min, max, step, value });
  const shown = make("span", { className: "vf-value", "aria-hidden": "true" });
  const root = make("div", { className: "vf-slider" }, make("label", {}, make("span", { textContent: label }), input), shown);
  const show = () => { shown.textContent = format(Number(input.value)); input.setAttribute("aria-valuetext", shown.textContent); };
  input.addEventListener("input", () => { onInput(Number(input.value)); show(); });
  show();
  return { root, input, set(v, limit) { if (limit) { input.min = -limit; input.max = limit; } input.value = v; show(); } };
}

const button = (text, onClick, properties = {}) => {
  const node = make("button", { type: "button", textContent: text, ...properties });
  node.addEventListener("click", onClick);
  return node;
};

// Buttons of which one is pressed; options: { key: text }.
function choice(label, options, value, onChoose) {
  const root = make("div", { className: "vf-buttons", role: "group", "aria-label": label });
  const press = (key) => [...root.children].forEach((b, i) => b.setAttribute("aria-pressed", Object.keys(options)[i] === key));
  root.append(...Object.entries(options).map(([key, text]) => button(text, () => { press(key); onChoose(key); })));
  press(value);
  return { root, set: press };
}

function check(text, checked, onChange) {
  const input = make("input", { type: "checkbox", checked });
  input.addEventListener("change", () => onChange(input.checked));
  return { root: make("label", { className: "vf-check" }, input, make("span", { textContent: text })), input };
}

// Numbers with their names: { name: text }.
function cards() {
  const root = make("dl", { className: "vf-cards" });
  const show = (entries) => root.replaceChildren(...Object.entries(entries).map(([name, text]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: text }))));
  return { root, show };
}

// A ring on a plane, for pointer and keys: moveTo([x, y]) in pixels, nudge([dx, dy], far) for an
// arrow, enter() for Enter and the space bar. With pick([x, y]) a click picks, and only a drag moves.
// On touch only the ring drags, so that a finger on the plane still scrolls the page.
function handle(plane, { label, moveTo, nudge, pick, enter }) {
  const ring = make("div", { className: "vf-handle", tabIndex: 0, role: "slider", "aria-label": label, "aria-roledescription": "two-dimensional slider" });
  plane.box.append(ring);
  let from = null, moved = false;
  const at = (e) => { const r = plane.canvas.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
  for (const node of [plane.canvas, ring]) {
    node.addEventListener("pointerdown", (e) => {
      moved = false;
      if (e.button || (node === plane.canvas && e.pointerType === "touch")) return;
      from = [e.clientX, e.clientY]; node.setPointerCapture(e.pointerId);
      if (!pick && node === plane.canvas) moveTo(at(e));
    });
    node.addEventListener("pointermove", (e) => {
      if (!from) return;
      moved ||= !pick || Math.hypot(e.clientX - from[0], e.clientY - from[1]) > 3;
      if (moved) moveTo(at(e));
    });
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { from = null; });
    node.addEventListener("click", (e) => {
      if (pick ? !moved : node === plane.canvas && e.pointerType === "touch") (pick ?? moveTo)(at(e));
    });
  }
  ring.addEventListener("keydown", (e) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (way) { e.preventDefault(); nudge(way, e.shiftKey); }
    if (enter && (e.key === "Enter" || e.key === " ")) { e.preventDefault(); enter(); }
  });
  return {
    ring,
    put(x, y) { ring.style.left = `${x}px`; ring.style.top = `${y}px`; },
    tell(value, text, [low, high]) { for (const [k, v] of Object.entries({ valuemin: low, valuemax: high, valuenow: value, valuetext: text })) ring.setAttribute(`aria-${k}`, v); },
  };
}

// A live kernel hears where the reader is, once the hand rests; and the figure hears Python.
function twoWay(figure, model, keys, heed) {
  let timer, telling = false;
  const hear = () => { if (!telling) heed(); };
  keys.forEach((key) => model.on(`change:${key}`, hear));
  figure.undo.push(() => { clearTimeout(timer); keys.forEach((key) => model.off(`change:${key}`, hear)); });
  return (values) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      telling = true; keys.forEach((key, i) => model.set(key, values[i])); telling = false;
      model.save_changes();
    }, 250);
  };
}

// Text that is seen at once but read aloud only when it has rested: a drag is not a monologue.
function readout(figure) {
  const seen = make("p", { className: "vf-readout", "aria-hidden": "true" });
  const heard = make("p", { className: "vf-heard", "aria-live": "polite" });
  let timer;
  figure.undo.push(() => clearTimeout(timer));
  return { nodes: [seen, heard], say(text) { seen.textContent = text; clearTimeout(timer); timer = setTimeout(() => { heard.textContent = text; }, 500); } };
}

// A grey image, one canvas pixel a pixel, enlarged by CSS without smoothing; 0 is black, 1 white.
function picture([rows, columns], label) {
  const canvas = make("canvas", { className: "vf-image", width: columns, height: rows, role: "img", "aria-label": label });
  const g = canvas.getContext("2d"), pixels = g.createImageData(columns, rows);
  return {
    canvas,
    show(values, label) {
      values.forEach((v, i) => { const grey = Math.round(255 * clamp(v, 0, 1)); pixels.data.set([grey, grey, grey, 255], 4 * i); });
      g.putImageData(pixels, 0, 0);
      if (label) canvas.setAttribute("aria-label", label);
    },
  };
}

// Runs step(t) with t from 0 to 1 in ms milliseconds, or only step(1) where motion is unwelcome.
function tween(figure, ms) {
  let id = 0;
  figure.undo.push(() => cancelAnimationFrame(id));
  return (step) => {
    cancelAnimationFrame(id);
    if (still()) return step(1);
    const start = performance.now();
    const tick = (now) => { const t = clamp((now - start) / ms, 0, 1); step(t * t * (3 - 2 * t)); if (t < 1) id = requestAnimationFrame(tick); };
    tick(start);
  };
}

export { bytes, decode, half, normals, readDecoder, uniforms };
