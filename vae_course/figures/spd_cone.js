// The cone of positive semi-definite 2 x 2 matrices, two ends in it and three shortest ways. A matrix is [a, b, c].

const METRICS = { log_euclidean: "log-Euclidean", affine_invariant: "affine-invariant", bures: "Bures" };
const HUES = { log_euclidean: PALETTE[0], affine_invariant: PALETTE[1], bures: PALETTE[2] };
const DASHES = { log_euclidean: [], affine_invariant: [9, 5], bures: [2, 4] };
const SINGULAR = 1e-12;                                // an eigenvalue below this share of the other is 0
const RISE = (30 * Math.PI) / 180;                     // how far from above the cone is seen

// Eigenvalues of a semi-definite matrix, and the direction of (x, y): twice the angle of the first eigenvector.
function eigen([a, b, c]) {
  const h = (a + c) / 2, x = (a - c) / 2, large = h + Math.hypot(x, b), small = large ? (a * c - b * b) / large : 0;
  return { large, small: small > SINGULAR * large ? small : 0, turn: Math.atan2(b, x) };
}
function matrix({ large, small, turn }) {
  const h = (large + small) / 2, r = (large - small) / 2;
  return [h + r * Math.cos(turn), r * Math.sin(turn), h - r * Math.cos(turn)];
}
const apply = (s, f) => { const e = eigen(s); return matrix({ large: f(e.large), small: f(e.small), turn: e.turn }); };
function exponential([a, b, c]) {                       // of any symmetric matrix
  const h = (a + c) / 2, r = Math.hypot((a - c) / 2, b);
  return matrix({ large: Math.exp(h + r), small: Math.exp(h - r), turn: Math.atan2(b, (a - c) / 2) });
}
const singular = (s) => eigen(s).small === 0;
const mix = (p, s, q, t) => s.map((v, i) => p * v + q * t[i]);
const det = ([a, b, c]) => Math.max(0, a * c - b * b);
function sandwich([p, q, r], [a, b, c]) {              // R S R for symmetric R and S
  const top = [p * a + q * b, p * b + q * c], foot = [q * a + r * b, q * b + r * c];
  return [top[0] * p + top[1] * q, top[0] * q + top[1] * r, foot[0] * q + foot[1] * r];
}
const norm = ([a, b, c]) => Math.sqrt(a * a + 2 * b * b + c * c);

// trace (A^1/2 B A^1/2)^1/2, and the symmetric part of 2 (A B)^1/2: Cayley and Hamilton's root of a 2 x 2 matrix.
function cross(s, t) {
  const { large, small } = eigen(s), { large: big, small: little } = eigen(t), delta = Math.sqrt(large * small * big * little);
  const trace = Math.sqrt(Math.max(0, s[0] * t[0] + 2 * s[1] * t[1] + s[2] * t[2]) + 2 * delta);
  const anti = [2 * (s[0] * t[0] + s[1] * t[1]) + 2 * delta, s[0] * t[1] + s[1] * t[2] + t[0] * s[1] + t[1] * s[2], 2 * (s[1] * t[1] + s[2] * t[2]) + 2 * delta];
  return { trace, both: trace > 1e-150 ? anti.map((v) => v / trace) : [0, 0, 0] };
}

// Eigenvalues and direction of A^-1/2 B A^-1/2; the small one by the determinants, where nothing cancels.
function whitened(s, t) {
  const e = eigen(sandwich(apply(s, (v) => 1 / Math.sqrt(v)), t)), [one, other] = [eigen(s), eigen(t)];
  return { ...e, small: ((other.large / one.large) * (other.small / one.small)) / e.large };
}

function distances(s, t) {
  const bures = Math.sqrt(Math.max(0, s[0] + s[2] + t[0] + t[2] - 2 * cross(s, t).trace));
  if (singular(s) || singular(t)) return { log_euclidean: Infinity, affine_invariant: Infinity, bures };
  const { large, small } = whitened(s, t);
  return { log_euclidean: norm(mix(1, apply(s, Math.log), -1, apply(t, Math.log))), affine_invariant: Math.hypot(Math.log(large), Math.log(small)), bures };
}

// t -> the point of the shortest path from s to t; null where there is none of finite length.
function geodesic(metric, s, t) {
  if (metric === "bures") { const { both } = cross(s, t); return (u) => mix(1, mix((1 - u) ** 2, s, u * u, t), u * (1 - u), both); }
  if (singular(s) || singular(t)) return null;
  if (metric === "log_euclidean") { const logs = [s, t].map((m) => apply(m, Math.log)); return (u) => exponential(mix(1 - u, logs[0], u, logs[1])); }
  const root = apply(s, Math.sqrt), seen = whitened(s, t);
  return (u) => sandwich(root, matrix({ ...seen, large: seen.large ** u, small: seen.small ** u }));
}

const infinite = (v) => (v === Infinity ? "∞" : v.toFixed(3));

function render({ model, el }) {
  const figure = frame(el, "The cone of 2 × 2 covariance matrices and three shortest ways between two of them", "vf-cone");
  const keys = ["a", "b", "metric"], first = ["a", "b"].map((key) => eigen(model.get(key))), tallest = model.get("tallest"), H = tallest / 2;
  let ends = [...first], metric = model.get("metric"), turned = -0.6, seen = null;
  const [sine, cosine] = [Math.sin(RISE), Math.cos(RISE)];
  const points = () => ends.map(matrix), ways = () => Object.fromEntries(Object.keys(METRICS).map((key) => [key, geodesic(key, ...points())]));
  const stroke = (g, key, width) => { g.strokeStyle = HUES[key]; g.lineWidth = width; g.setLineDash(DASHES[key]); g.stroke(); g.setLineDash([]); };

  // ------------------------------------------------------------ the cone, seen from above its rim
  const flat = (x, y, h) => {                          // [right, up] on the page, in units of the matrices
    const right = x * Math.cos(turned) - y * Math.sin(turned), deep = x * Math.sin(turned) + y * Math.cos(turned);
    return [right, h * cosine + deep * sine];
  };
  const drawn = ([a, b, c]) => flat((a - c) / 2, b, (a + c) / 2);
  const circle = (h) => Array.from({ length: 73 }, (_, k) => { const u = (k * Math.PI) / 36; return flat(h * Math.cos(u), h * Math.sin(u), h); });
  const cone = surface(figure, { label: "The cone of positive semi-definite matrices with the two ends and the three shortest ways between them", aspect: 1.1, draw(g, width, tall, c) {
    const below = 52, unit = Math.min((width - 24) / (2 * H), (tall - below - 26) / (H * (cosine + sine))), x0 = width / 2, y0 = tall - below;
    const a = (seen = { x: (v) => x0 + unit * v, y: (v) => y0 - unit * v, toX: (p) => (p - x0) / unit, toY: (p) => (y0 - p) / unit });
    // the silhouette: where the line of sight touches the boundary
    const low = Math.asin(-sine / cosine), rim = (u) => [H * Math.cos(u), H * (cosine + sine * Math.sin(u))];
    const arc = Array.from({ length: 61 }, (_, k) => rim(low + ((Math.PI - 2 * low) * k) / 60));
    path(g, a, [[0, 0], ...arc, [0, 0]]); g.fillStyle = c.accent; g.globalAlpha = 0.09; g.fill(); g.globalAlpha = 1;
    g.strokeStyle = c.muted; g.lineWidth = 1.5;
    path(g, a, [arc[0], [0, 0], arc.at(-1)]); g.stroke();
    path(g, a, circle(H)); g.stroke();
    g.strokeStyle = c.line; g.lineWidth = 1;
    path(g, a, [[0, 0], [0, H * cosine]]); g.stroke();
    points().forEach(([p, , r]) => { path(g, a, circle((p + r) / 2)); g.setLineDash([3, 3]); g.strokeStyle = c.muted; g.stroke(); g.setLineDash([]); });
    const all = ways();
    for (const key of [...Object.keys(METRICS).filter((k) => k !== metric), metric]) if (all[key]) {
      path(g, a, Array.from({ length: 161 }, (_, k) => drawn(all[key](k / 160)))); stroke(g, key, key === metric ? 4 : 2.5);
    }
    g.textBaseline = "middle"; g.textAlign = "left";
    Object.keys(METRICS).forEach((key, k) => {
      const y = tall - 46 + 18 * k;
      g.beginPath(); g.moveTo(4, y); g.lineTo(28, y); stroke(g, key, key === metric ? 4 : 2.5);
      g.fillStyle = c.ink; g.fillText(METRICS[key], 34, y);
    });
    g.textAlign = "right"; g.fillStyle = c.muted;
    ["boundary: rank 1", "apex: rank 0"].forEach((text, k) => g.fillText(text, width - 4, tall - 28 + 18 * k));
    g.font = `bold ${g.font.replace("12px", "15px")}`; g.textAlign = "center"; g.lineJoin = "round";
    points().forEach((s, k) => {
      const [x, y] = drawn(s), side = x < 0 ? -20 : 20;
      g.strokeStyle = c.paper; g.lineWidth = 4; g.strokeText("AB"[k], a.x(x) + side, a.y(y) - 8);
      g.fillStyle = c.ink; g.fillText("AB"[k], a.x(x) + side, a.y(y) - 8);
      grips[k].put(a.x(x), a.y(y));
    });
  } });
  // Only the rings drag: of two on one canvas neither may take the canvas for itself.
  const rings = { box: cone.box, canvas: { addEventListener() {}, getBoundingClientRect: () => cone.canvas.getBoundingClientRect() } };
  function carry(k, right, up) {                       // at its height, and no farther out than the boundary
    const h = (ends[k].large + ends[k].small) / 2, deep = (up - h * cosine) / sine, r = Math.min(h, Math.hypot(right, deep));
    place(k, { large: h + r, small: h - r, turn: Math.atan2(deep, right) - turned });
  }
  const grips = [0, 1].map((k) => {
    const grip = handle(rings, {
      label: `End ${"AB"[k]}; arrow keys move it at its height`,
      moveTo([x, y]) { carry(k, seen.toX(x), seen.toY(y)); },
      nudge([right, up], far) { const [x, y] = drawn(matrix(ends[k])), step = (far ? 0.1 : 0.02) * H; carry(k, x + step * right, y + step * up * sine); },
    });
    grip.ring.classList.add(`vf-${"ab"[k]}`);
    return grip;
  });

  // ------------------------------------------------------------ ellipses and areas along the ways
  const outline = (g, s, x, y, unit) => {
    const { large, small, turn } = eigen(s), p = unit * Math.sqrt(large), q = Math.max(0.5, unit * Math.sqrt(small));
    g.beginPath(); g.ellipse(x, y, p, q, -turn / 2, 0, 2 * Math.PI);
  };
  const row = surface(figure, { label: "Ellipses along the chosen way, from A to B", aspect: 5.5, draw(g, width, tall, c) {
    const n = width < 420 ? 6 : 8, cell = width / (n + 1), way = geodesic(metric, ...points()), unit = (0.5 * Math.min(cell * 1.05, tall - 24)) / Math.sqrt(1.05 * tallest);
    g.textAlign = "center"; g.textBaseline = "bottom";
    for (let i = 0; i <= n; i++) {
      const end = i === 0 ? 0 : i === n ? 1 : -1, x = cell * (i + 0.5), y = (tall - 18) / 2;
      if (end < 0 && !way) continue;
      outline(g, end < 0 ? way(i / n) : points()[end], x, y, unit);
      g.fillStyle = HUES[metric]; g.globalAlpha = 0.2; g.fill(); g.globalAlpha = 1;
      g.strokeStyle = end < 0 ? HUES[metric] : c.ink; g.lineWidth = 2; g.stroke();
      g.fillStyle = c.ink; if (end >= 0) g.fillText("AB"[end], x, tall - 2);
    }
    g.fillStyle = c.ink;
    if (!way) { g.textBaseline = "middle"; g.fillText("no way of finite length", width / 2, (tall - 18) / 2); }
  } });
  const areas = surface(figure, { label: "Area of the ellipse along the three ways", aspect: 1.5, draw(g, width, tall, c) {
    const all = ways(), steps = Array.from({ length: 81 }, (_, k) => k / 80), area = (s) => Math.PI * Math.sqrt(det(s));
    const lines = Object.entries(all).filter(([, way]) => way).map(([key, way]) => [key, steps.map((u) => [u, area(way(u))])]);
    const a = axes({ left: 44, top: 8, width: width - 52, height: tall - 50 }, [0, 1], [0, Math.max(1, 1.15 * Math.max(...lines.flatMap(([, line]) => line.map(([, v]) => v))))]);
    border(g, a, c, { columns: [0, 0.5, 1], rows: niceTicks(0, a.toY(a.top), 4), across: "share of the way from A to B", up: "area of the ellipse" });
    within(g, a, () => lines.forEach(([key, line]) => { path(g, a, line); stroke(g, key, key === metric ? 4 : 2.5); }));
  } });

  // ------------------------------------------------------------ controls
  const metricChoice = choice("Ellipses along the way of", METRICS, metric, (key) => { metric = key; show(); send(); });
  const traces = [0, 1].map((k) => slider({ label: `Trace of ${"AB"[k]}`, min: 0.2, max: tallest, step: 0.01, value: 1, format: (v) => v.toFixed(2), onInput(v) {
    const { large, small, turn } = ends[k], scale = v / (large + small);
    place(k, { large: scale * large, small: scale * small, turn });
  } }));
  const spin = slider({ label: "Turn cone", min: -180, max: 180, step: 2, value: Math.round((turned * 180) / Math.PI), format: (v) => `${minus(v)}°`, onInput: (v) => { turned = (v * Math.PI) / 180; cone.redraw(); } });
  const thin = button("Divide B’s small eigenvalue by 10", () => { const { large, small, turn } = ends[1]; place(1, { large, small: small > 1e-8 * large ? small / 10 : 0, turn }); });
  const numbers = cards(), told = readout(figure);
  figure.root.append(
    make("div", { className: "vf-plane" }, cone.box),
    make("div", { className: "vf-side" }, numbers.root, areas.box, make("div", { className: "vf-buttons" }, thin, button("Start again", () => { ends = [...first]; show(); send(); }))),
    make("div", { className: "vf-wide vf-controls" }, ...traces.map((one) => one.root), spin.root),
    make("div", { className: "vf-wide" }, make("p", { className: "vf-chart-name", textContent: "Ellipses along the way of", "aria-hidden": "true" }), metricChoice.root, make("div", { className: "vf-row" }, row.box)),
    make("div", { className: "vf-wide" }, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Height: half the trace. Distance from the axis: half the difference of the eigenvalues. Way around the axis: twice the angle of the ellipse. Rings move the ends at their heights, on the dashed circles at most. Half axes of an ellipse: roots of the eigenvalues." }),
  );

  function show() {
    const [s, t] = points(), far = distances(s, t), thinned = [0, 1].filter((k) => ends[k].small === 0).map((k) => "AB"[k]);
    numbers.show({ ...Object.fromEntries(Object.entries(METRICS).map(([key, name]) => [name, infinite(far[key])])), "λ₂ of B": ends[1].small ? ends[1].small.toPrecision(2) : "0" });
    const middle = geodesic("bures", s, t)(0.5), swell = Math.sqrt(det(middle)) / (ends[0].large * ends[0].small * ends[1].large * ends[1].small) ** 0.25;
    told.say(`Distances: log-Euclidean ${infinite(far.log_euclidean)}, affine-invariant ${infinite(far.affine_invariant)}, Bures ${infinite(far.bures)}. `
      + (thinned.length ? `${thinned.join(" and ")} ${thinned.length > 1 ? "have" : "has"} rank 1, a line: only Bures gets there.`
        : `Half-way, the area is the geometric mean of the ends’ under the first two, and ${swell < 99.5 ? swell.toFixed(2) : swell.toFixed(0)} times that under Bures.`));
    ends.forEach(({ large, small, turn }, k) => {
      const angle = Math.round((turn * 90) / Math.PI);
      grips[k].tell(large ? small / large : 0, `eigenvalues ${large.toFixed(2)} and ${small.toPrecision(2)}, turned by ${minus(angle)}°`, [0, 1]);
      traces[k].set(large + small);
    });
    metricChoice.set(metric); thin.disabled = ends[1].small === 0;
    [cone, row, areas].forEach((one) => one.redraw());
  }

  const tell = twoWay(figure, model, keys, () => {
    const [s, t, chosen] = keys.map((key) => model.get(key));
    if (!(chosen in METRICS) || !(s[0] + s[2] > 0 && t[0] + t[2] > 0)) return;
    ends = [eigen(s), eigen(t)]; metric = chosen; show();
  });
  function send() { tell([...points(), metric]); }
  function place(k, end) { ends[k] = end.small > SINGULAR * end.large ? end : { ...end, small: 0 }; show(); send(); }
  show();
  return figure.cleanup;
}

export { distances, eigen, geodesic, matrix };
export default { render };
