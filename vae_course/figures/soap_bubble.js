// Three laws on the sphere at the same KL to the uniform law, in nats: how far from mu are their samples?

const DRAWS = 10_000, DRAWN = 300, NEAR = (5 * Math.PI) / 180;
const STEPS = 100;                                     // of the rate's slider, equal factors apart

// With cos(angle to mu) = tanh u the uniform law's latitude has the density cosh(u)^-(d - 1), the
// spherical Cauchy law is its shift by r, and the others are tilted by exp(kappa S(u)), S <= 0. All
// have one peak and tails that fall at least like cosh^-(d - 1): the trapezoid rule is spectrally accurate.
const logCosh = (u) => Math.abs(u) + Math.log1p(Math.exp(-2 * Math.abs(u))) - Math.LN2;
const angleOf = (u) => 2 * Math.atan(Math.exp(-u)), latitude = (angle) => -Math.log(Math.tan(angle / 2));

const FAMILIES = {
  cauchy: { name: "spherical Cauchy", symbol: "r", dash: [], line: "solid", mode: (r) => r, tilt: () => 0, shift: (r) => r },
  vmf: { name: "von Mises–Fisher", symbol: "κ", dash: [8, 4], line: "dashed", mode: (k, m) => 0.5 * Math.asinh((2 * k) / m), tilt: (k, u) => (-2 * k) / (1 + Math.exp(2 * u)), shift: () => 0 },
  power: { name: "Power Spherical", symbol: "κ", dash: [2, 3], line: "dotted", mode: (k, m) => 0.5 * Math.log1p((2 * k) / m), tilt: (k, u) => -k * Math.log1p(Math.exp(-2 * u)), shift: () => 0 },
};

const reachOf = (m) => Math.acosh(Math.exp(38 / m));   // there a tail has lost 38 nats

// A law of the latitude on a grid: log of its mass but for a constant, that constant, and its moments.
function latitudes(family, d, parameter, intervals = 400) {
  const m = d - 1, { mode, tilt, shift } = FAMILIES[family], centre = mode(parameter, m), moved = shift(parameter), reach = reachOf(m), step = (2 * reach) / intervals;
  const logMass = (u) => tilt(parameter, u) - m * logCosh(u - moved);
  const u = new Float64Array(intervals + 1), p = new Float64Array(intervals + 1), top = logMass(centre);
  let total = 0, uniform = 0;
  for (let k = 0; k <= intervals; k++) {
    u[k] = centre - reach + k * step;
    total += p[k] = Math.exp(logMass(u[k]) - top);
    uniform += Math.exp(-m * logCosh((k - intervals / 2) * step));
  }
  let cosine = 0, kl = 0;                              // KL = E[log of the density against the uniform one]
  const ratio = Math.log(uniform / total) - top;
  for (let k = 0; k <= intervals; k++) {
    p[k] /= total;
    cosine += p[k] * Math.tanh(u[k]);
    if (p[k] > 0) kl += p[k] * (tilt(parameter, u[k]) + m * (logCosh(u[k]) - logCosh(u[k] - moved)) + ratio);
  }
  return { family, d, parameter, u, p, cosine, kl, centre, reach, logDensity: (v) => logMass(v) - top - Math.log(total * step) };
}

// The family's law in R^d whose KL to the uniform law is `rate`: false position, with Illinois' halving.
function atRate(family, d, rate) {
  const m = d - 1, plain = family === "cauchy", size = plain ? (x) => x : Math.exp;
  const excess = (x) => latitudes(family, d, size(x)).kl - rate;
  let [x, y] = plain ? [0, rate / m + 1.5] : [-7, (2 * rate) / m + Math.log(m) + 10], fx = excess(x), fy = excess(y);
  for (let k = 0; k < 80 && Math.abs(fy) > 1e-11 * rate; k++) {
    const z = (x * fy - y * fx) / (fy - fx), fz = excess(z);
    if (fz * fy < 0) { x = y; fx = fy; } else fx /= 2;
    y = z; fy = fz;
  }
  return latitudes(family, d, size(y), 2000);
}

// Density of the angle to mu, per radian.
const angleDensity = (law, angle) => Math.exp(law.logDensity(latitude(angle)) - Math.log(Math.sin(angle)));

// Log of the probability of an angle below `near`: Simpson's rule, relative to the first value so that e^-1000 is no 0.
function logShare(law, near) {
  const from = latitude(near), m = law.d - 1, n = 1000;
  if (from <= law.centre - law.reach) return 0;
  const to = Math.max(law.centre + law.reach, from + 45 / (m * Math.tanh(Math.max(from, 0.05)))), h = (to - from) / n;
  const values = Array.from({ length: n + 1 }, (_, k) => law.logDensity(from + k * h)), top = Math.max(...values);
  return Math.min(0, top + Math.log((h / 3) * values.reduce((s, v, k) => s + (k === 0 || k === n ? 1 : k % 2 ? 4 : 2) * Math.exp(v - top), 0)));
}

// The angles below which lie the shares `ranks`.
function quantiles({ u, p }, ranks) {
  const n = u.length - 1, above = new Float64Array(n + 1);
  for (let k = n - 1; k >= 0; k--) above[k] = above[k + 1] + (p[k] + p[k + 1]) / 2;
  return ranks.map((rank) => {
    let low = 0, high = n;
    while (high - low > 1) { const middle = (low + high) >> 1; above[middle] > rank ? (low = middle) : (high = middle); }
    const share = (above[low] - rank) / (above[low] - above[high] || 1);
    return angleOf(u[low] + clamp(share, 0, 1) * (u[high] - u[low]));
  });
}

const lawCosine = (d, rate) => Math.sqrt(-Math.expm1((-2 * rate) / (d - 1)));

const degrees = (angle) => (angle * 180) / Math.PI;
const raised = (k) => String(k).replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
const threeDigits = (x) => (x < 1e5 ? String(Number(x.toPrecision(3))) : x.toExponential(1).replace(/e\+(.*)/, (_, k) => ` × 10${raised(k)}`));
const nats = (x) => `${threeDigits(x)} ${x === 1 ? "nat" : "nats"}`;
const shownCosine = (m) => (m > 0.99995 ? "> 0.9999" : m.toFixed(4));
const shownAngle = (angle) => (degrees(angle) < 0.05 ? "< 0.1°" : `${degrees(angle).toFixed(1)}°`);
const shownRange = (low, high) => (degrees(high) < 0.05 ? "< 0.1°" : `${degrees(low).toFixed(1)}–${degrees(high).toFixed(1)}°`);
// The number e^logged: two digits while it can be read, a power of ten where not.
function expected(logged) {
  if (logged > Math.log(0.01)) return Number(Math.exp(logged).toPrecision(2)).toLocaleString("en");
  return `10${raised(Math.round(logged / Math.LN10))}`;
}

const listed = (items) => `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;

function render({ model, el }) {
  const figure = frame(el, "How far from μ the samples of three laws lie at equal nats", "vf-soap");
  const dimensions = model.get("dimensions"), [lowest, highest] = model.get("rates"), keys = Object.keys(FAMILIES);
  const draws = keys.map((_, k) => {
    const u = uniforms(model.get("seed") + 7919 * k), ranks = Array.from({ length: DRAWS }, u);
    return { ranks, around: Array.from({ length: DRAWN }, u) };
  });
  let rate = clamp(model.get("rate"), lowest, highest), d = model.get("d"), zoom = false, laws = [], uniform = null, edges = [0, 180];

  // ------------------------------------------------------------ the densities
  const chart = surface(figure, { label: "Density of the angle to μ under the three laws, with the latitude law's line and the first five degrees marked", aspect: 2.1, draw(g, width, height, c) {
    const lines = [...laws, uniform].map((law) => {
      const own = quantiles(law, Array.from({ length: 199 }, (_, k) => (k + 1) / 200)), even = Array.from({ length: 599 }, (_, k) => (((edges[0] + ((k + 1) / 600) * (edges[1] - edges[0])) * Math.PI) / 180));
      return [...own, ...even].filter((x) => x > 0 && x < Math.PI).sort((x, y) => x - y).map((x) => [degrees(x), (angleDensity(law, x) * Math.PI) / 180]);
    });
    const top = 1.08 * Math.max(1e-9, ...lines.slice(0, 3).flat().map(([, y]) => y));
    const a = axes({ left: 24, top: 20, width: width - 42, height: height - 64 }, edges, [0, top]);
    within(g, a, () => { g.fillStyle = c.warn; g.globalAlpha = 0.14; g.fillRect(a.x(0), a.top, Math.max(2, a.x(5) - a.x(0)), a.height); g.globalAlpha = 1; });
    border(g, a, c, { columns: zoom ? niceTicks(...edges) : [0, 30, 60, 90, 120, 150, 180], across: "angle to μ (degrees)", up: "density" });
    within(g, a, () => {
      lines.forEach((points, k) => {
        g.strokeStyle = k < 3 ? PALETTE[k] : c.muted; g.lineWidth = k < 3 ? 2.5 : 1; g.setLineDash(k < 3 ? FAMILIES[keys[k]].dash : []);
        path(g, a, points); g.stroke();
      });
      g.setLineDash([6, 4]); g.strokeStyle = c.ink; g.lineWidth = 1.5;
      const x = a.x(degrees(Math.acos(lawCosine(d, rate))));
      g.beginPath(); g.moveTo(x, a.top); g.lineTo(x, a.bottom); g.stroke(); g.setLineDash([]);
    });
    g.textBaseline = "bottom"; g.textAlign = "left"; g.fillStyle = c.warn;
    if (a.x(5) > a.left) g.fillText("5°", a.left, a.top - 3);
    const at = a.x(degrees(Math.acos(lawCosine(d, rate))));
    g.fillStyle = c.ink; g.textAlign = "center";
    if (at >= a.left && at <= a.right) g.fillText("latitude law", clamp(at, a.left + 58, a.right - 36), a.top - 3);
  } });

  // ------------------------------------------------------------ the draws, around mu
  const rimAngle = () => (zoom ? (edges[1] * Math.PI) / 180 : Math.PI);
  const bubbles = keys.map((key, k) => surface(figure, { label: `${DRAWN} draws of the ${FAMILIES[key].name} law around μ`, draw(g, width, height, c) {
    const R = width / 2 - 3, rim = rimAngle(), x0 = width / 2, y0 = height / 2, circle = (angle) => { g.beginPath(); g.arc(x0, y0, (R * angle) / rim, 0, 2 * Math.PI); };
    g.strokeStyle = c.line; g.lineWidth = 1; circle(rim); g.stroke();
    g.save(); g.clip();                                // zoomed in, what lies beyond the rim is cut off
    circle(Math.PI / 2); g.stroke();
    laws[k].angles.forEach((angle, i) => {
      const turn = draws[k].around[i], around = d === 2 ? Math.PI * Math.round(turn) : 2 * Math.PI * turn, far = (R * angle) / rim;
      g.globalAlpha = 0.8; dot(g, x0 + far * Math.cos(around), y0 - far * Math.sin(around), width < 150 ? 1.1 : 1.6, PALETTE[k]);
    });
    g.globalAlpha = 1; g.setLineDash([4, 3]); g.strokeStyle = c.ink; g.lineWidth = 1.2; circle(Math.acos(lawCosine(d, rate))); g.stroke(); g.setLineDash([]);
    g.strokeStyle = c.warn; g.lineWidth = 1.5; circle(NEAR); g.stroke();
    g.restore();
  } }));

  // ------------------------------------------------------------ controls and the table
  const toStep = (value) => (STEPS * Math.log(value / lowest)) / Math.log(highest / lowest);
  const fromStep = (k) => Number((lowest * (highest / lowest) ** (k / STEPS)).toPrecision(3));
  const choose = slider({ label: "Ambient dimension d", min: 0, max: dimensions.length - 1, value: dimensions.indexOf(d), format: (k) => `d = ${dimensions[k]}`, onInput: (k) => { d = dimensions[k]; show(); tell([rate, d]); } });
  const spend = slider({ label: "Rate R of each law", min: 0, max: STEPS, value: Math.round(toStep(rate)), format: () => nats(rate), onInput: (k) => { rate = fromStep(k); show(); tell([rate, d]); } });
  const closer = check("zoom in on the rings", false, (on) => { zoom = on; show(); });
  const told = readout(figure), caption = make("caption"), rim = make("p", { className: "vf-chart-name" }), rows = make("tbody"), row = (...cells) => make("tr", {}, ...cells);
  const head = (text, scope) => make("th", { scope, ...(typeof text === "string" ? { textContent: text } : {}) }, ...(typeof text === "string" ? [] : text));
  const table = make("table", {}, caption, make("thead", {}, row(...["law", "mean cosine", "90 % of the angles", `of ${DRAWS.toLocaleString("en")} draws within 5°`].map((t) => head(t, "col")))), rows);
  figure.root.append(
    make("div", { className: "vf-wide vf-controls" }, choose.root, spend.root),
    make("div", { className: "vf-plane" }, make("p", { className: "vf-chart-name", textContent: "The angle between a sample and μ" }), chart.box, closer.root),
    make("div", { className: "vf-wide" }, rim, make("div", { className: "vf-bubbles" }, ...keys.map((key, k) => make("div", {}, bubbles[k].box, make("p", { className: "vf-chart-name" }, swatch(k), FAMILIES[key].name))))),
    make("div", { className: "vf-wide" }, table),
    make("div", { className: "vf-wide" }, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: `Grey: the uniform law. Dashed, vertical or round: the angle whose cosine is √(1 − exp(−2R/(d − 1))), which knows no family. Discs: μ is the middle, the small circle 5°; the distance to μ is true, the direction around it is drawn at random.` }),
  );

  function swatch(k) {
    const line = make("span", { className: "vf-swatch", "aria-hidden": "true" });
    line.style.borderTop = `3px ${FAMILIES[keys[k]].line} ${PALETTE[k]}`;
    return line;
  }

  function show() {
    laws = keys.map((key, k) => {
      const law = atRate(key, d, rate), near = logShare(law, NEAR), share = Math.exp(near);
      return { ...law, near, inside: draws[k].ranks.filter((rank) => rank < share).length, angles: quantiles(law, draws[k].ranks.slice(0, DRAWN)), spread: quantiles(law, [0.05, 0.5, 0.95]) };
    });
    uniform = latitudes("cauchy", d, 0, 2000);
    const ends = laws.map((law) => quantiles(law, [0.002, 0.998])), low = degrees(Math.min(...ends.map((e) => e[0]))), high = degrees(Math.max(...ends.map((e) => e[1])));
    edges = zoom ? [Math.max(0, low - 0.1 * (high - low)), Math.min(180, high + 0.1 * (high - low) + 0.05)] : [0, 180];
    const cosine = lawCosine(d, rate), ring = Math.acos(cosine);
    rows.replaceChildren(
      ...laws.map((law, k) => row(head([swatch(k), FAMILIES[keys[k]].name, make("span", { className: "vf-parameter", textContent: `${FAMILIES[keys[k]].symbol} = ${threeDigits(law.parameter)}` })], "row"),
        ...[shownCosine(law.cosine), shownRange(law.spread[0], law.spread[2]), law.inside.toLocaleString("en")].map((t) => make("td", { textContent: t })))),
      row(head("latitude law", "row"), ...[shownCosine(cosine), `at ${shownAngle(ring)}`, "–"].map((t) => make("td", { textContent: t }))));
    caption.textContent = `Each law costs R = ${nats(rate)}`;
    rim.textContent = `${DRAWN} draws around μ; the rim is ${zoom ? `${shownAngle(rimAngle())} from μ` : "the antipode, the inner circle 90°"}`;
    const most = Math.max(...laws.map((law) => law.near)) + Math.log(DRAWS);
    told.say(`At ${nats(rate)} in ${d} dimensions half of the samples lie within ${listed(laws.map((law) => shownAngle(law.spread[1])))} of μ; the latitude law says ${shownAngle(ring)}. `
      + `Of ${DRAWS.toLocaleString("en")} draws of each law ${listed(laws.map((law) => law.inside.toLocaleString("en")))} are within 5° of μ${most < Math.log(0.5) ? `; even the most generous law expects about ${expected(most)} of them` : ""}.`);
    for (const shape of [chart, ...bubbles]) shape.redraw();
  }

  const tell = twoWay(figure, model, ["rate", "d"], () => {
    const [nextRate, nextD] = [model.get("rate"), model.get("d")];
    if (nextRate === rate && nextD === d) return;
    rate = clamp(nextRate, lowest, highest); spend.set(Math.round(toStep(rate)));
    if (dimensions.includes(nextD)) { d = nextD; choose.set(dimensions.indexOf(d)); }
    show();
  });
  show();
  return figure.cleanup;
}

export { angleDensity, atRate, latitudes, lawCosine, logShare, quantiles };
export default { render };
