// The cells of a codebook on the latent plane: move a centre, see its cell, its image and the forces.

const MEMBERS = 6;

// For each code (x, y, x, y, ...) its nearest centre; of equals, the first.
function nearest(centres, z) {
  return Uint8Array.from({ length: z.length / 2 }, (_, i) => {
    let best = 0, least = Infinity;
    centres.forEach(([x, y], k) => {
      const square = (z[2 * i] - x) ** 2 + (z[2 * i + 1] - y) ** 2;
      if (square < least) { least = square; best = k; }
    });
    return best;
  });
}

const count = (index, K) => index.reduce((n, k) => { n[k]++; return n; }, new Array(K).fill(0));

function perplexity(counts) {                          // an unused code adds nothing: 0 log 0 = 0
  const total = counts.reduce((a, b) => a + b, 0);
  return Math.exp(-counts.reduce((sum, n) => (n ? sum + (n / total) * Math.log(n / total) : sum), 0));
}

// Mean squared distance of the codes to their centres: of all, or of one cell.
function squared(centres, z, index, cell = null) {
  let sum = 0, n = 0;
  index.forEach((k, i) => {
    if (cell !== null && k !== cell) return;
    sum += (z[2 * i] - centres[k][0]) ** 2 + (z[2 * i + 1] - centres[k][1]) ** 2; n++;
  });
  return n ? sum / n : 0;
}

// The mean of each cell, one step of k-means; a centre without codes stays.
function means(centres, z, index) {
  const sums = centres.map(() => [0, 0, 0]);
  index.forEach((k, i) => { sums[k][0] += z[2 * i]; sums[k][1] += z[2 * i + 1]; sums[k][2]++; });
  return centres.map((e, k) => (sums[k][2] ? [sums[k][0] / sums[k][2], sums[k][1] / sums[k][2]] : [...e]));
}

// Dead centres move to codes drawn in proportion to their squared error, no code twice: the first
// to arrive in a race at these speeds, as in the library.
function revived(centres, z, index, counts, seed) {
  const random = uniforms(seed);
  const arrivals = [...index].map((k, i) => [((z[2 * i] - centres[k][0]) ** 2 + (z[2 * i + 1] - centres[k][1]) ** 2) / -Math.log(1 - random()), i]);
  arrivals.sort((a, b) => b[0] - a[0]);
  return centres.map((e, k) => { if (counts[k] || !arrivals.length) return e; const [, i] = arrivals.shift(); return [z[2 * i], z[2 * i + 1]]; });
}

// The cell of centre k within a frame: what is left of it when each other centre has cut off its half.
function cell(centres, k, [x0, y0], [x1, y1]) {
  let polygon = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  const [a, b] = centres[k];
  centres.forEach(([x, y], j) => {
    if (j === k || !polygon.length) return;
    const u = x - a, v = y - b;
    if (u === 0 && v === 0) { if (j < k) polygon = []; return; }
    const beyond = ([p, q]) => u * (p - (a + x) / 2) + v * (q - (b + y) / 2);
    polygon = polygon.flatMap((p, i) => {
      const q = polygon[(i + 1) % polygon.length], s = beyond(p), t = beyond(q);
      const cut = [p[0] + (s / (s - t)) * (q[0] - p[0]), p[1] + (s / (s - t)) * (q[1] - p[1])];
      return s <= 0 ? (t <= 0 ? [p] : [p, cut]) : t <= 0 ? [cut] : [];
    });
  });
  return polygon;
}

const signed = (x) => x.toFixed(2).replace(/^-(0\.00)$/, "$1").replace("-", "−");
const three = (x) => (x >= 100 ? x.toFixed(0) : x.toPrecision(3));

function read(model) {
  const spec = model.get("spec"), n = spec.count, K = model.get("centres").length, size = spec.shape[0] * spec.shape[1];
  const codes = model.get("codes"), pixels = bytes(model.get("images")), trained = floats(codes, 0, 2 * K);
  return {
    ...spec, K,
    trained: Array.from({ length: K }, (_, k) => [trained[2 * k], trained[2 * k + 1]]),
    z: floats(codes, 8 * K, 2 * n),
    labels: pixels.subarray(0, n),
    image: (i) => pixels.subarray(n + i * size, n + (i + 1) * size),
    layers: readDecoder(spec.decoder, model.get("weights")),
  };
}

function render({ model, el }) {
  const figure = frame(el, "Voronoi cells of a codebook on the latent plane", "vf-voronoi");
  const data = read(model), { K, z, low, high } = data, animate = tween(figure, 400);
  let centres = model.get("centres").map((e) => [...e]), selected = clamp(model.get("selected"), 0, K - 1);
  let index, counts, plot = null, revivals = 0;
  const goal = (k) => means(centres, z, index)[k];

  // A centre is decoded again only when it has moved.
  const decoded = new Array(K).fill({ at: [] });
  function image(k) {
    const e = centres[k];
    if (decoded[k].at[0] !== e[0] || decoded[k].at[1] !== e[1]) decoded[k] = { at: [...e], pixels: decode(data.layers, e) };
    return decoded[k].pixels;
  }
  function distortion() {
    let sum = 0;
    index.forEach((k, i) => { const shown = image(k); data.image(i).forEach((v, p) => { sum += (v / 255 - shown[p]) ** 2; }); });
    return sum / data.count;
  }

  // ------------------------------------------------------------ the plane
  const plane = surface(figure, { label: "Latent plane: codes coloured by class, centres, and the cell of each centre", draw });
  const ring = make("div", {
    className: "vf-handle", tabIndex: 0, role: "slider", "aria-label": "Chosen centre; arrow keys move it",
    "aria-roledescription": "two-dimensional slider", "aria-valuemin": low[0], "aria-valuemax": high[0],
  });
  plane.box.append(ring);

  function arrow(g, from, to, size) {
    const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
    g.beginPath(); g.moveTo(...from); g.lineTo(...to);
    for (const turn of [2.6, -2.6]) { g.moveTo(...to); g.lineTo(to[0] + size * Math.cos(angle + turn), to[1] + size * Math.sin(angle + turn)); }
    g.stroke();
  }

  function draw(g, width, height, c) {
    const side = Math.min(width - 38, height - 34);
    plot = axes({ left: width - side - 6, top: 6, width: side, height: side }, [low[0], high[0]], [low[1], high[1]]);
    within(g, plot, () => paint(g, c));
    border(g, plot, c, { columns: niceTicks(low[0], high[0]), rows: niceTicks(low[1], high[1]) });
    ring.style.left = `${plot.x(centres[selected][0])}px`; ring.style.top = `${plot.y(centres[selected][1])}px`;
  }

  function paint(g, c) {
    const at = ([x, y]) => [plot.x(x), plot.y(y)], code = (i) => at([z[2 * i], z[2 * i + 1]]);
    const outline = (k) => { g.beginPath(); cell(centres, k, low, high).forEach((p, i) => (i ? g.lineTo : g.moveTo).call(g, ...at(p))); g.closePath(); };
    outline(selected); g.globalAlpha = 0.12; g.fillStyle = c.accent; g.fill(); g.globalAlpha = 1;
    g.strokeStyle = c.muted; g.lineWidth = 1; g.globalAlpha = 0.7;
    for (let k = 0; k < K; k++) { outline(k); g.stroke(); }
    g.globalAlpha = 1;
    for (let i = 0; i < data.count; i++) {
      if (index[i] === selected) continue;
      g.globalAlpha = 0.85; dot(g, ...code(i), 2.4, PALETTE[data.labels[i]]);
    }
    g.globalAlpha = 1;

    // In the chosen cell each code has a hair line to the centre and on it the commitment's force.
    const e = centres[selected], mine = [...index.keys()].filter((i) => index[i] === selected);
    for (const i of mine) {
      const [x, y] = [z[2 * i], z[2 * i + 1]], pull = [x + data.commitment * (e[0] - x), y + data.commitment * (e[1] - y)];
      g.strokeStyle = c.ink; g.globalAlpha = 0.4; g.lineWidth = 1; g.beginPath(); g.moveTo(...at([x, y])); g.lineTo(...at(e)); g.stroke();
      g.globalAlpha = 1; dot(g, ...at([x, y]), 3.2, PALETTE[data.labels[i]], c.ink);
      g.strokeStyle = c.accent; g.lineWidth = 2;
      if (data.commitment * Math.hypot((e[0] - x) * plot.sx, (e[1] - y) * plot.sy) > 5) arrow(g, at([x, y]), at(pull), 5);
    }
    for (const [width, colour] of [[5, c.paper], [2, c.ink]]) centres.forEach((p, k) => {
      const [x, y] = at(p), r = 5;
      g.lineWidth = width; g.strokeStyle = colour; g.beginPath();
      if (counts[k]) { g.moveTo(x - r, y); g.lineTo(x + r, y); g.moveTo(x, y - r); g.lineTo(x, y + r); }
      else { g.moveTo(x - r, y - r); g.lineTo(x + r, y + r); g.moveTo(x - r, y + r); g.lineTo(x + r, y - r); if (colour !== c.paper) g.strokeStyle = c.warn; }
      g.stroke();
    });
    const to = at(goal(selected));
    if (Math.hypot(to[0] - plot.x(e[0]), to[1] - plot.y(e[1])) > 6)
      for (const [width, colour] of [[6, c.paper], [3, c.warn]]) { g.lineWidth = width; g.strokeStyle = colour; arrow(g, at(e), to, 7); }
  }

  // ------------------------------------------------------------ controls and pictures
  const where = readout(figure), numbers = cards();
  const picked = slider({ label: "Centre", min: 0, max: K - 1, value: selected, format: (k) => `no. ${k + 1}, ${counts ? counts[k] : 0} codes`, onInput: select });
  const coordinate = (k) => slider({
    label: `z${"₁₂"[k]}`, min: low[k], max: high[k], step: (high[k] - low[k]) / 200, value: centres[selected][k], format: () => signed(centres[selected][k]),
    onInput: (v) => moveTo(centres[selected].map((old, j) => (j === k ? v : old))),
  });
  const sliders = [coordinate(0), coordinate(1)];
  const centre = picture(data.shape, "the decoded centre"), members = Array.from({ length: MEMBERS }, () => picture(data.shape, "an image of the cell"));
  const membersName = make("figcaption");
  figure.root.append(
    make("div", { className: "vf-wide" }, numbers.root),
    make("div", { className: "vf-plane" }, plane.box),
    make("div", { className: "vf-side" },
      picked.root, make("div", { className: "vf-coordinates" }, ...sliders.map((s) => s.root)),
      make("div", { className: "vf-decoded" },
        make("figure", {}, centre.canvas, make("figcaption", { textContent: "the decoded centre" })),
        make("figure", {}, make("div", { className: "vf-members" }, ...members.map((m) => m.canvas)), membersName)),
      ...where.nodes),
    make("div", { className: "vf-wide vf-buttons" },
      button("Every centre to its cell's mean", () => moveAll(means(centres, z, index))),
      button("Revive the dead codes", () => moveAll(revived(centres, z, index, counts, ++revivals))),
      button("Back to the trained centres", () => moveAll(data.trained))),
    make("p", { className: "vf-note vf-wide", textContent: "Plus: a centre; crossed: a dead one, to which no code is nearest. Dots: codes, coloured by class. Lines lead from the codes of the chosen cell to its centre; a thin arrow is the commitment's pull on a code, the thick arrow the cell's pull on its centre. Drag the ring, or any centre." }),
  );

  // ------------------------------------------------------------ what the reader can do
  function say() {
    const n = counts[selected], named = `Centre ${selected + 1}`;
    if (!n) return where.say(`${named} is dead: no code is nearest to it, so nothing pulls it and no image is decoded from it.`);
    const classes = count([...data.labels].filter((_, i) => index[i] === selected), 10).map((m, label) => [m, label]).filter(([m]) => m).sort((a, b) => b[0] - a[0]);
    const most = classes.slice(0, 3).map(([m, label]) => `${m} of class ${label}`).join(", ");
    where.say(`${named}: ${n} of ${data.count} codes (${(100 * n / data.count).toFixed(0)} %): ${most}${classes.length > 3 ? " and others" : ""}. All are decoded as one image. Their commitment, ${data.commitment} × ${three(squared(centres, z, index, selected))}, pulls them to it.`);
  }

  function show() {
    index = nearest(centres, z); counts = count(index, K);
    const used = counts.filter(Boolean).length;
    numbers.show({
      "perplexity": `${perplexity(counts).toFixed(1)} of ${K}`, "codes used": `${used} of ${K}`,
      "quantisation error": three(squared(centres, z, index)), "distortion of images": three(distortion()),
    });
    centre.show(image(selected), `centre ${selected + 1}, decoded`);
    const far = (i) => (z[2 * i] - centres[selected][0]) ** 2 + (z[2 * i + 1] - centres[selected][1]) ** 2;
    const mine = [...index.keys()].filter((i) => index[i] === selected).sort((i, j) => far(i) - far(j));
    // Spread over the cell, from its middle to its rim: the nearest six alone would flatter it.
    const shown = mine.length <= MEMBERS ? mine : Array.from({ length: MEMBERS }, (_, m) => mine[Math.round(m * (mine.length - 1) / (MEMBERS - 1))]);
    members.forEach((member, m) => {
      member.canvas.hidden = m >= shown.length;
      if (m < shown.length) member.show(Float32Array.from(data.image(shown[m]), (v) => v / 255), `an image of this cell, of class ${data.labels[shown[m]]}`);
    });
    membersName.textContent = mine.length ? "images of its cell, from its middle to its rim" : "no image in its cell";
    picked.set(selected); sliders.forEach((s, k) => s.set(centres[selected][k]));
    ring.setAttribute("aria-valuenow", centres[selected][0].toFixed(2));
    ring.setAttribute("aria-valuetext", `centre ${selected + 1} at (${centres[selected].map(signed).join(", ")})`);
    say(); plane.redraw();
  }

  function select(k) { animate(() => {}); selected = k; show(); tell(); }

  function moveTo(target) {
    animate(() => {});
    centres[selected] = target.map((v, k) => clamp(v, low[k], high[k]));
    show(); tell();
  }

  function moveAll(targets) {
    const from = centres;
    animate((t) => { centres = from.map((e, k) => (t === 1 ? [...targets[k]] : e.map((v, j) => v + t * (targets[k][j] - v)))); show(); });
    tell(targets);
  }

  const send = twoWay(figure, model, ["centres", "selected"], heed);
  const tell = (places = centres) => send([places.map((e) => [...e]), selected]);

  // ------------------------------------------------------------ pointer, touch, keys
  // On touch only the ring drags, so that a finger on the plane still scrolls the page.
  let dragging = false;
  const at = (e) => { const r = plane.canvas.getBoundingClientRect(); return [plot.toX(e.clientX - r.left), plot.toY(e.clientY - r.top)]; };
  const owner = (target) => nearest(centres, target)[0];
  const grabs = (target, k) => Math.hypot((centres[k][0] - target[0]) * plot.sx, (centres[k][1] - target[1]) * plot.sy) < 14;
  for (const node of [plane.canvas, ring]) {
    node.addEventListener("pointerdown", (e) => {
      if (e.button || (node === plane.canvas && e.pointerType === "touch")) return;
      const k = owner(at(e));
      if (node === plane.canvas) select(k);
      dragging = node === ring || grabs(at(e), k);
      if (dragging) node.setPointerCapture(e.pointerId);
    });
    node.addEventListener("pointermove", (e) => { if (dragging) moveTo(at(e)); });
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { dragging = false; });
  }
  plane.canvas.addEventListener("click", (e) => { if (e.pointerType === "touch") select(owner(at(e))); });
  ring.addEventListener("keydown", (e) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (!way) return;
    e.preventDefault();
    const step = (high[0] - low[0]) / (e.shiftKey ? 20 : 120);
    moveTo(centres[selected].map((v, k) => v + step * way[k]));
  });

  function heed() {                                    // Python moved something
    const to = model.get("centres"), k = model.get("selected");
    if (to.length === K && to.every((e) => e.length === 2)) centres = to.map((e) => e.map((v, j) => clamp(v, low[j], high[j])));
    if (k >= 0 && k < K) selected = k;
    animate(() => {}); show();
  }

  show();
  return figure.cleanup;
}

export { cell, count, means, nearest, perplexity, revived, squared };
export default { render };
