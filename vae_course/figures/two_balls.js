// Two equal round balls: do they touch, and how much do they share? Lengths in units of sqrt(d).

const DRAWS = 160, FLOOR = -30;                        // FLOOR: the lowest power of ten on the plot

// Natural log of the Bhattacharyya coefficient of two balls of one sigma, distance apart.
const logOverlap = (distance, sigma) => -((distance / sigma) ** 2) / 8;

// The same, of the mean over random pairs: centres N(0, (1 - sigma^2) I), so that code + noise = prior.
const logMeanOverlap = (sigma, d) => (d / 2) * Math.log((2 * sigma * sigma) / (1 + sigma * sigma));

// Spacings, distance / sqrt(d): where two balls touch, and of a typical (root mean square) random pair.
const touching = (sigma) => 2 * sigma;
const typical = (sigma) => Math.sqrt(2 * (1 - sigma * sigma));

// 0.0183 -> "0.0183", 1e-14 -> "1.3 × 10⁻¹⁴"; takes the natural log, which does not underflow.
function spokenOverlap(log) {
  if (log > Math.log(1e-3)) return Math.exp(log).toPrecision(3);
  const ten = log / Math.LN10, power = Math.floor(ten);
  const mantissa = (10 ** (ten - power)).toFixed(1);
  const [m, p] = mantissa === "10.0" ? ["1.0", power + 1] : [mantissa, power];
  return `${m} × 10⁻${String(-p).replace(/\d/g, (k) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[k])}`;
}

function render({ model, el }) {
  const figure = frame(el, "Two balls: touching against overlapping", "vf-two-balls");
  const dimensions = model.get("dimensions"), last = dimensions.at(-1);
  let spacing = model.get("spacing"), sigma = model.get("sigma"), d = model.get("d");

  // A draw, by its coordinate along the line of centres and its distance from that line. Both are
  // exact; the d - 1 directions around the line are folded onto one sheet, above and below.
  const normal = normals(1);
  const noise = Array.from({ length: 2 * DRAWS }, () => Array.from({ length: last }, normal));
  let draws = [];
  const fold = () => {
    draws = noise.map((e) => {
      let square = 0;
      for (let j = 1; j < d; j++) square += e[j] * e[j];
      return [e[0] / Math.sqrt(d), Math.sign(e[1]) * Math.sqrt(square / d)];
    });
  };

  const balls = surface(figure, { label: "Two balls and draws from each, seen along the line of centres", aspect: 1.35, draw(g, width, height, c) {
    const half = Math.max(1.4, spacing / 2 + 1.35 * sigma + 0.1), unit = Math.min(width / (2 * half), height / Math.max(2, 3.4 * sigma));
    const y0 = height / 2, centres = [-1, 1].map((side) => width / 2 + side * spacing / 2 * unit);
    const hues = [PALETTE[0], PALETTE[1]];
    const circle = (x, r) => { g.beginPath(); g.arc(x, y0, r * unit, 0, 2 * Math.PI); };
    const thick = 1 / Math.sqrt(2 * d);                // the shell's spread, sigma / sqrt 2, in these units
    centres.forEach((x, k) => {
      circle(x, sigma * (1 + thick)); g.arc(x, y0, sigma * Math.max(0, 1 - thick) * unit, 2 * Math.PI, 0, true);
      g.globalAlpha = 0.18; g.fillStyle = hues[k]; g.fill(); g.globalAlpha = 1;
      circle(x, sigma); g.strokeStyle = c.ink; g.lineWidth = 1.5; g.setLineDash(k ? [5, 4] : []); g.stroke(); g.setLineDash([]);
    });
    draws.forEach(([u, v], i) => {
      const k = i % 2, x = centres[k] + sigma * u * unit, y = y0 - sigma * v * unit;
      g.fillStyle = hues[k]; g.strokeStyle = c.paper; g.lineWidth = 0.5; g.beginPath();
      if (k) g.rect(x - 2, y - 2, 4, 4); else g.arc(x, y, 2.3, 0, 2 * Math.PI);
      g.fill(); g.stroke();
    });
    g.strokeStyle = c.ink; g.lineWidth = 1; g.beginPath(); g.moveTo(centres[0], y0); g.lineTo(centres[1], y0); g.stroke();
    for (const x of centres) { g.beginPath(); g.arc(x, y0, 3, 0, 2 * Math.PI); g.fillStyle = c.ink; g.fill(); }
  } });

  const chart = surface(figure, { label: "Logarithm of the overlap against the dimension", aspect: 1.35, draw(g, width, height, c) {
    const a = axes({ left: 40, top: 12, width: width - 52, height: height - 54 }, [0, last], [FLOOR, 0]);
    g.strokeStyle = c.line; g.lineWidth = 1; g.strokeRect(a.left, a.top, a.width, a.height);
    g.fillStyle = c.muted; g.textAlign = "right"; g.textBaseline = "middle";
    for (const t of [0, -10, -20, -30]) g.fillText(t ? `−${-t}` : "0", a.left - 5, a.y(t));
    g.textAlign = "center"; g.textBaseline = "top";
    for (const t of [0, 32, 64, 96, 128].filter((t) => t <= last)) g.fillText(t, a.x(t), a.bottom + 5);
    g.fillText("dimension d", (a.left + a.right) / 2, a.bottom + 23);
    g.save(); g.beginPath(); g.rect(a.left, a.top, a.width, a.height); g.clip();
    const line = (slope, colour, dash, width) => {     // log BC is proportional to d
      g.strokeStyle = colour; g.lineWidth = width; g.setLineDash(dash);
      g.beginPath(); g.moveTo(a.x(0), a.y(0)); g.lineTo(a.x(last), a.y(slope * last / Math.LN10)); g.stroke(); g.setLineDash([]);
    };
    line(-0.5, c.muted, [2, 3], 2);
    line(logMeanOverlap(sigma, 1), c.warn, [8, 4], 2);
    line(logOverlap(spacing, sigma), c.accent, [], 2.5);
    g.restore();
    const at = logOverlap(spacing, sigma) * d / Math.LN10, x = a.x(d), y = a.y(Math.max(FLOOR, at));
    g.fillStyle = c.accent; g.strokeStyle = c.paper; g.lineWidth = 1.5; g.beginPath();
    if (at >= FLOOR) g.arc(x, y, 5, 0, 2 * Math.PI);
    else { g.moveTo(x - 6, y - 9); g.lineTo(x + 6, y - 9); g.lineTo(x, y); g.closePath(); }   // it lies below
    g.fill(); g.stroke();
  } });

  const numbers = cards();
  const where = readout(figure);
  const two = (v) => v.toFixed(2);
  const controls = {
    spacing: slider({ label: "Distance Δ/√d", min: 0, max: 3, step: 0.01, value: spacing, format: two, onInput: (v) => change({ spacing: v }) }),
    sigma: slider({ label: "Radius σ", min: 0.05, max: 1, step: 0.01, value: sigma, format: two, onInput: (v) => change({ sigma: v }) }),
    d: slider({ label: "Dimension d", min: 0, max: dimensions.length - 1, value: dimensions.indexOf(d), format: (k) => `d = ${dimensions[k]}`, onInput: (k) => change({ d: dimensions[k] }) }),
  };
  const name = (text) => make("p", { className: "vf-chart-name", textContent: text });
  figure.root.append(
    make("div", { className: "vf-wide vf-controls" }, ...Object.values(controls).map((s) => s.root)),
    make("div", { className: "vf-wide vf-buttons" },
      button("Let them touch", () => place(touching(sigma))),
      button("A typical pair", () => place(typical(sigma)))),
    make("div", { className: "vf-plane" }, name("Draws, by position along and distance from the line of centres"), balls.box),
    make("div", { className: "vf-side" }, make("div", {}, name("Overlap: log₁₀ BC, against d"), chart.box)),
    make("div", { className: "vf-wide" }, numbers.root, ...where.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Solid: these two balls, as d grows at the same Δ/√d. Dotted: touching balls, e^(−d/2). Dashed: the mean over random pairs. Circles have radius σ√d, their shade is the shell; lengths are in units of √d." }),
  );

  function place(next) { change({ spacing: Math.min(3, next) }); }

  function change(values, tell = true) {
    ({ spacing, sigma, d } = { spacing, sigma, d, ...values });
    controls.spacing.set(spacing); controls.sigma.set(sigma); controls.d.set(dimensions.indexOf(d));
    const root = Math.sqrt(d), log = d * logOverlap(spacing, sigma), ratio = spacing / touching(sigma);
    numbers.show({
      "distance Δ": (spacing * root).toPrecision(3), "radius σ√d": (sigma * root).toPrecision(3),
      "overlap BC": spokenOverlap(log), "mean BC, random pairs": spokenOverlap(logMeanOverlap(sigma, d)),
    });
    const how = Math.abs(ratio - 1) < 0.005 ? "touch" : ratio < 1 ? "interpenetrate" : "are apart";
    where.say(`In ${d} dimensions these balls ${how} (Δ is ${ratio.toFixed(2)} times the sum of the radii), and their overlap is ${spokenOverlap(log)}.`);
    if ("d" in values) fold();
    balls.redraw(); chart.redraw();
    if (!tell) return;
    for (const key of Object.keys(values)) model.set(key, values[key]);
    model.save_changes();
  }

  const heed = () => {
    const next = { spacing: model.get("spacing"), sigma: model.get("sigma"), d: model.get("d") };
    if (dimensions.includes(next.d) && (next.spacing !== spacing || next.sigma !== sigma || next.d !== d)) change(next, false);
  };
  for (const key of Object.keys(controls)) {
    model.on(`change:${key}`, heed);
    figure.undo.push(() => model.off(`change:${key}`, heed));
  }
  change({ d }, false);
  return figure.cleanup;
}

export { logMeanOverlap, logOverlap, spokenOverlap, touching, typical };
export default { render };
