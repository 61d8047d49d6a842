// Two spherical Cauchy laws as points of the Poincaré disk; the KL both ways, by quadrature of its definition.

const PAIRS = 24, FARTHEST = 7.5;                      // FARTHEST: the plot's last hyperbolic distance

// Nodes and weights of Gauss-Legendre on [0, 1], by Newton's method on the polynomial.
function legendre(n) {
  return Array.from({ length: n }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5)), slope;
    for (let step = 0; step < 8; step++) {
      let p = 1, before = 0;
      for (let k = 1; k <= n; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = (n * (x * p - before)) / (x * x - 1);
      x -= p / slope;
    }
    return [(1 + x) / 2, 1 / ((1 - x * x) * slope * slope)];
  });
}

// The uniform law on the sphere of R^d, seen on a plane through its centre: a point lies at
// sqrt(1 - c^2) (cos t, sin t), with density (d - 2) c^(d-3) dc dt / 2 pi; for d = 2 on the circle.
function shadow(d, fine = 1) {
  const around = fine * (d === 2 ? 1024 : 384 + 24 * d);
  const rings = d === 2 ? [[0, 1]] : legendre(fine * (40 + 2 * d)).map(([c, w]) => [c, w * (d - 2) * c ** (d - 3)]);
  const x = [], y = [], weight = [];
  for (const [c, w] of rings) for (let k = 0; k < around; k++) {
    const s = Math.sqrt(1 - c * c), t = (2 * Math.PI * k) / around;
    x.push(s * Math.cos(t)); y.push(s * Math.sin(t)); weight.push(w / around);
  }
  return { d, x: Float64Array.from(x), y: Float64Array.from(y), weight: Float64Array.from(weight) };
}

// A law at the nodes: its log density relative to the uniform law, and the probability of each node.
function law({ weight }, log) {
  const p = new Float64Array(log.length);
  for (let i = 0; i < p.length; i++) p[i] = weight[i] * Math.exp(log[i]);
  return { log, p };
}
function cauchy(nodes, [u, v]) {
  const { d, x, y } = nodes, square = u * u + v * v, log = new Float64Array(x.length);
  for (let i = 0; i < log.length; i++) log[i] = (d - 1) * Math.log((1 - square) / (1 + square - 2 * (u * x[i] + v * y[i])));
  return law(nodes, log);
}
function misesFisher(nodes, [u, v]) {                  // (u, v) is kappa times the mode
  const { x, y } = nodes, peak = Math.hypot(u, v), { log, p } = law(nodes, x.map((_, i) => u * x[i] + v * y[i] - peak));
  const mass = p.reduce((sum, q) => sum + q), shift = Math.log(mass);
  return { log: log.map((l) => l - shift), p: p.map((q) => q / mass) };
}

// The definition: the mean of log p / q under p.
function divergence({ p, log }, q) {
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += p[i] * (log[i] - q.log[i]);
  return sum;
}

// F_d(r), the rate of a spherical Cauchy law of hyperbolic radius r, by another integral: that of
// its log density under the uniform law; and the von Mises-Fisher concentration of a given rate.
const latitudes = legendre(256);
function latitude(d) {                                 // cosines to a pole and their probabilities
  const weight = latitudes.map(([s, w]) => w * Math.sin(Math.PI * s) ** (d - 2)), all = weight.reduce((a, b) => a + b);
  return { cosine: latitudes.map(([s]) => Math.cos(Math.PI * s)), weight: weight.map((w) => w / all) };
}
function rate(r, d, { cosine, weight } = latitude(d)) {
  return (d - 1) * cosine.reduce((sum, t, i) => sum + weight[i] * Math.log(Math.cosh(r) + t * Math.sinh(r)), 0);
}
function concentration(nats, d, { cosine, weight } = latitude(d)) {
  const cost = (kappa) => {
    let mass = 0, first = 0;
    cosine.forEach((t, i) => { const p = weight[i] * Math.exp(kappa * (t - 1)); mass += p; first += p * (t - 1); });
    return (kappa * first) / mass - Math.log(mass);
  };
  if (nats < 1e-12) return 0;
  let low = Math.log(1e-8), high = Math.log(1e6);
  for (let step = 0; step < 60; step++) { const middle = (low + high) / 2; if (cost(Math.exp(middle)) < nats) low = middle; else high = middle; }
  return Math.exp((low + high) / 2);
}

// Disk geometry: points as complex numbers [x, y].
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const over = ([a, b], [c, d]) => { const n = c * c + d * d; return [(a * c + b * d) / n, (b * c - a * d) / n]; };
const shift = (z, w, sign = 1) => over([z[0] + sign * w[0], z[1] + sign * w[1]], (([p, q]) => [1 + sign * p, sign * q])(times([w[0], -w[1]], z)));
const length = (z) => Math.hypot(z[0], z[1]);
function distance(a, b) { return 2 * Math.atanh(length(shift(b, a, -1))); }
// The point of the geodesic from a through b at hyperbolic length s from a.
function along(a, b, s) {
  const w = shift(b, a, -1), n = length(w);
  return n ? shift(w.map((v) => (v / n) * Math.tanh(s / 2)), a) : [...a];
}

// Both points under one isometry of the disk, drawn at random until neither lies beyond the edge.
function moved(points, random, largest) {
  for (let trial = 0; trial < 1000; trial++) {
    const t = 2 * Math.PI * random(), u = 2 * Math.PI * random(), s = 0.8 * random();
    const next = points.map((z) => times(shift(z, [s * Math.cos(t), s * Math.sin(t)]), [Math.cos(u), Math.sin(u)]));
    if (next.every((z) => length(z) <= largest)) return next;
  }
  return points;
}

// What the figure says of a pair.
function compare(nodes, a, b, pole = latitude(nodes.d)) {
  const { d } = nodes, rates = [a, b].map((z) => rate(2 * Math.atanh(length(z)), d, pole));
  const ways = (p, q) => [divergence(p, q), divergence(q, p)];
  const vmf = [a, b].map((z, k) => { const n = length(z), kappa = concentration(rates[k], d, pole); return n ? z.map((v) => (v / n) * kappa) : [0, 0]; });
  return {
    distance: distance(a, b), rates, kappas: vmf.map(length), vmf,
    cauchy: ways(cauchy(nodes, a), cauchy(nodes, b)), misesFisher: ways(misesFisher(nodes, vmf[0]), misesFisher(nodes, vmf[1])),
  };
}

function render({ model, el }) {
  const figure = frame(el, "Two spherical Cauchy laws in the Poincaré disk", "vf-poincare");
  const { dimensions, largest } = model.get("spec");
  let points = [model.get("a"), model.get("b")].map((z) => [...z]), d = model.get("d");
  let nodes, pole, pairs, curve, now, plot = null;

  function enter(dimension) {                          // what depends on d alone
    d = dimension; nodes = shadow(d); pole = latitude(d);
    const coarse = shadow(d, 0.5);                      // does for dots
    const random = uniforms(1), draw = () => { const r = 0.92 * Math.sqrt(random()), t = 2 * Math.PI * random(); return [r * Math.cos(t), r * Math.sin(t)]; };
    pairs = Array.from({ length: PAIRS }, () => compare(coarse, draw(), draw(), pole));
    curve = Array.from({ length: 76 }, (_, k) => [(k * FARTHEST) / 75, rate((k * FARTHEST) / 75, d, pole)]);
  }
  const ink = (c, k) => (k ? c.warn : c.accent), dash = (g, k) => g.setLineDash(k ? [6, 4] : []);

  // ------------------------------------------------------------ the disk, with the densities around it
  const disk = surface(figure, { label: "The Poincaré disk with the points a and b, the geodesic between them, and the density of each law around the circle", draw(g, width, height, c) {
    const R = Math.min(width, height) * 0.37, a = (plot = axes({ left: width / 2 - R, top: height / 2 - R, width: 2 * R, height: 2 * R }, [-1, 1], [-1, 1]));
    const circle = (r) => { g.beginPath(); g.arc(a.x(0), a.y(0), r * R, 0, 2 * Math.PI); };
    g.strokeStyle = c.line; g.lineWidth = 1; g.fillStyle = c.muted; g.textAlign = "center"; g.textBaseline = "top";
    for (const r of [1, 2, 3]) { const rho = Math.tanh(r / 2); circle(rho); g.stroke(); g.fillText(r, a.x(0), a.y(-rho) - 14); }
    circle(1); g.strokeStyle = c.ink; g.lineWidth = 1.5; g.stroke();
    // Densities on the circle, d = 2, as heights above it: one scale for both.
    const tall = Math.max(...points.map((z) => (1 + length(z)) / (1 - length(z))));
    points.forEach((z, k) => {
      const outline = Array.from({ length: 361 }, (_, i) => {
        const t = (i * Math.PI) / 180, p = (1 - length(z) ** 2) / ((Math.cos(t) - z[0]) ** 2 + (Math.sin(t) - z[1]) ** 2), h = 1 + (0.32 * p) / Math.max(tall, 3);
        return [h * Math.cos(t), h * Math.sin(t)];
      });
      path(g, a, outline); g.closePath(); g.moveTo(a.x(1), a.y(0)); g.arc(a.x(0), a.y(0), R, 0, -2 * Math.PI, true);
      g.globalAlpha = 0.15; g.fillStyle = ink(c, k); g.fill("evenodd"); g.globalAlpha = 1;
      path(g, a, outline); g.strokeStyle = ink(c, k); g.lineWidth = 2; dash(g, k); g.stroke(); g.setLineDash([]);
    });
    const [p, q] = points, D = now.distance;
    if (D > 1e-9) {
      const steps = (from, to) => Array.from({ length: 97 }, (_, i) => along(p, q, from + (i / 96) * (to - from)));
      path(g, a, steps(-9, D + 9)); g.strokeStyle = c.muted; g.lineWidth = 1; g.setLineDash([2, 3]); g.stroke(); g.setLineDash([]);
      path(g, a, steps(0, D)); g.strokeStyle = c.ink; g.lineWidth = 3; g.stroke();
      for (let s = 1; s < D; s++) { const [x, y] = along(p, q, s); dot(g, a.x(x), a.y(y), 3.5, c.ink, c.paper); }
    }
    g.font = `bold ${g.font}`; g.textBaseline = "middle";
    points.forEach((z, k) => {
      // The letter stands beside the way, on the side of the centre.
      const on = along(z, points[1 - k], 0.3), way = D > 1e-9 ? [z[1] - on[1], on[0] - z[0]] : [k ? 1 : -1, 0], far = length(way) || 1, side = D > 1e-9 && way[0] * z[0] + way[1] * z[1] > 0 ? -20 : 20;
      const at = [a.x(z[0]) + (side * way[0]) / far, a.y(z[1]) - (side * way[1]) / far];
      g.strokeStyle = c.paper; g.lineWidth = 4; g.lineJoin = "round"; g.strokeText("ab"[k], ...at); g.fillStyle = ink(c, k); g.fillText("ab"[k], ...at);
      grips[k].put(a.x(z[0]), a.y(z[1]));
    });
  } });
  // Only the rings drag: of two on one canvas neither may take the canvas for itself.
  const rings = { box: disk.box, canvas: { addEventListener() {}, getBoundingClientRect: () => disk.canvas.getBoundingClientRect() } };
  const grips = [0, 1].map((k) => {
    const grip = handle(rings, {
      label: `Point ${"ab"[k]}; arrow keys move it`,
      moveTo([x, y]) { move(k, [plot.toX(x), plot.toY(y)]); },
      nudge(way, far) { move(k, points[k].map((v, j) => v + (far ? 0.1 : 0.02) * way[j])); },
    });
    grip.ring.classList.add(`vf-${"ab"[k]}`);
    return grip;
  });

  // ------------------------------------------------------------ divergence against distance
  const chart = surface(figure, { label: "Divergence against hyperbolic distance: spherical Cauchy pairs lie on one curve, von Mises-Fisher pairs do not", aspect: 1.45, draw(g, width, height, c) {
    const top = niceTop(curve.at(-1)[1] * 1.3), a = axes({ left: 46, top: 8, width: width - 54, height: height - 50 }, [0, FARTHEST], [0, top]);
    border(g, a, c, { columns: [0, 2, 4, 6], rows: niceTicks(0, top, 4), across: "hyperbolic distance D", up: "KL, nats" });
    within(g, a, () => {
      path(g, a, curve); g.strokeStyle = c.ink; g.lineWidth = 2; g.stroke();
      for (const pair of pairs) {
        g.strokeStyle = c.muted; g.lineWidth = 1.2;
        pair.misesFisher.forEach((kl) => { cross(g, a.x(pair.distance), a.y(kl), 3); });
        pair.cauchy.forEach((kl) => dot(g, a.x(pair.distance), a.y(kl), 2.5, c.muted));
      }
    });
    const x = a.x(now.distance), level = (kl) => a.y(Math.min(kl, top));
    const [one, other] = now.misesFisher.map(level);
    g.strokeStyle = c.warn; g.lineWidth = 1.5; g.setLineDash([3, 3]); g.beginPath(); g.moveTo(x, one); g.lineTo(x, other); g.stroke(); g.setLineDash([]);
    now.misesFisher.forEach((kl, k) => {
      const y = level(kl);
      g.lineWidth = 2.5; g.strokeStyle = c.warn;
      if (kl <= top) cross(g, x, y, 5);
      else { g.fillStyle = c.warn; g.beginPath(); g.moveTo(x - 6, y + 10); g.lineTo(x + 6, y + 10); g.lineTo(x, y); g.fill(); }
    });
    dot(g, x, level(now.cauchy[0]), 4, c.accent); g.strokeStyle = c.accent; g.lineWidth = 2;
    g.beginPath(); g.arc(x, level(now.cauchy[1]), 8, 0, 2 * Math.PI); g.stroke();
  } });
  function niceTop(v) { const ticks = niceTicks(0, 2 * v, 8); return ticks.find((t) => t >= v) ?? v; }
  function cross(g, x, y, r) { g.beginPath(); g.moveTo(x - r, y - r); g.lineTo(x + r, y + r); g.moveTo(x - r, y + r); g.lineTo(x + r, y - r); g.stroke(); }

  // ------------------------------------------------------------ controls
  const numbers = cards(), told = readout(figure);
  const degrees = (z) => Math.round((Math.atan2(z[1], z[0]) * 180) / Math.PI);
  const chance = uniforms(2), turn = [0, 0];           // the direction is kept while the radius is 0
  const polar = (k, rho, t) => { turn[k] = t; move(k, [rho * Math.cos((t * Math.PI) / 180), rho * Math.sin((t * Math.PI) / 180)]); };
  const sliders = [0, 1].map((k) => [
    slider({ label: `${"ab"[k]}: radius ρ`, min: 0, max: largest, step: 0.01, value: length(points[k]), format: (v) => v.toFixed(2), onInput: (v) => polar(k, v, turn[k]) }),
    slider({ label: `${"ab"[k]}: direction μ`, min: -180, max: 180, step: 1, value: degrees(points[k]), format: (v) => `${minus(v)}°`, onInput: (v) => polar(k, length(points[k]), v) }),
  ]);
  const dimension = slider({ label: "Dimension d", min: 0, max: dimensions.length - 1, value: dimensions.indexOf(d), format: (k) => `d = ${dimensions[k]}`, onInput: (k) => { enter(dimensions[k]); show(); tell([...points, d]); } });
  figure.root.append(
    make("div", { className: "vf-plane" }, disk.box, make("div", { className: "vf-controls" }, ...sliders.flat().map((s) => s.root))),
    make("div", { className: "vf-side" },
      make("div", { className: "vf-buttons" }, button("Swap a and b", () => { points.reverse(); turn.reverse(); show(); tell([...points, d]); }),
        button("Move both, keep D", () => place(moved(points, chance, largest)))),
      dimension.root, numbers.root, make("div", {}, chart.box)),
    make("div", { className: "vf-wide" }, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Disk: circles lie at hyperbolic distance 1, 2, 3 from the centre, the uniform law; dots mark each unit of the way from a to b. Around it: the two densities on the circle (d = 2), solid a, dashed b. Plot: curve, the rate of a law at that distance from the centre; blue dot and ring, KL(a‖b) and KL(b‖a); orange crosses, the same as von Mises–Fisher laws of equal rates (a triangle: off the plot); grey, 24 random pairs." }),
  );

  function place(next, mine = true) {
    points = next.map((z) => { const s = Math.min(1, largest / Math.max(length(z), 1e-9)); return z.map((v) => s * v); });
    points.forEach((z, k) => { if (length(z) > 1e-9) turn[k] = degrees(z); });
    show();
    if (mine) tell([...points, d]);
  }
  const move = (k, z) => place(points.map((old, j) => (j === k ? z : old)));

  const three = (v) => (v >= 99.95 ? v.toFixed(0) : v >= 9.995 ? v.toFixed(1) : v.toFixed(3));
  function show() {
    now = compare(nodes, ...points, pole);
    const { cauchy: [there, back], misesFisher: [vThere, vBack] } = now;
    numbers.show({
      "hyperbolic distance D": now.distance.toFixed(3), "rates of a, b": now.rates.map(three).join(", "),
      "Cauchy KL(a‖b)": there.toFixed(4), "Cauchy KL(b‖a)": back.toFixed(4),
      "vMF KL(a‖b)": three(vThere), "vMF KL(b‖a)": three(vBack),
    });
    const gap = Math.abs(there - back), ratio = Math.max(vThere, vBack) / Math.max(Math.min(vThere, vBack), 1e-9);
    told.say(now.distance < 1e-6 ? "Both points are one law: no divergence in either family."
      : `In ${d} dimensions the two spherical Cauchy laws, ${now.distance.toFixed(2)} apart, diverge by ${there.toFixed(4)} nats one way and ${back.toFixed(4)} the other${gap < 1e-6 ? ": equal" : ""}. As von Mises–Fisher laws of the same rates: ${three(vThere)} and ${three(vBack)}${ratio > 1.01 ? `, ${ratio < 9.95 ? ratio.toFixed(1) : ratio.toFixed(0)} to 1` : ", equal here, as the rates are"}.`);
    points.forEach((z, k) => {
      sliders[k][0].set(length(z)); sliders[k][1].set(turn[k]);
      grips[k].tell(length(z).toFixed(2), `${"ab"[k]}: ρ = ${length(z).toFixed(2)}, direction ${minus(turn[k])} degrees`, [0, largest]);
    });
    dimension.set(dimensions.indexOf(d));
    disk.redraw(); chart.redraw();
  }

  const tell = twoWay(figure, model, ["a", "b", "d"], () => {   // Python moved it
    if (dimensions.includes(model.get("d")) && model.get("d") !== d) enter(model.get("d"));
    place([model.get("a"), model.get("b")], false);
  });
  enter(d); place(points, false);
  return figure.cleanup;
}

export { along, compare, concentration, distance, moved, rate, shadow };
export default { render };
