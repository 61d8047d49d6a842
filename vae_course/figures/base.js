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
