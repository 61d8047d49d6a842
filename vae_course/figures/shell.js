// The radius of a standard normal in d dimensions, r = |eps| / sqrt(d): disc, then ring.

// log Gamma, Lanczos g = 7, n = 9; relative error below 1e-13 for x > 0.5.
function logGamma(x) {
  const c = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  const t = x + 6.5;
  const sum = c.slice(1).reduce((s, v, i) => s + v / (x + i), c[0]);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// Regularised lower incomplete gamma P(a, x): series below the mean, continued fraction above.
function gammaShare(a, x) {
  if (x <= 0) return 0;
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a, sum = term;
    for (let k = 1; term > sum * 1e-15; k++) sum += (term *= x / (a + k));
    return front * sum;
  }
  let b = x + 1 - a, c = 1e300, d = 1 / b, fraction = d;      // Lentz
  for (let k = 1; k < 1000; k++) {
    const an = -k * (k - a);
    b += 2; d = 1 / (an * d + b); c = b + an / c;
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return 1 - front * fraction;
}

// |eps|^2 is chi-squared with d degrees of freedom.
const share = (d, r) => gammaShare(d / 2, d * r * r / 2);      // P(|eps| <= r sqrt(d))
function density(d, r) {
  if (r <= 0) return d === 1 ? Math.sqrt(2 / Math.PI) : 0;
  return Math.exp(Math.log(2) + (d / 2) * Math.log(d / 2) - logGamma(d / 2) + (d - 1) * Math.log(r) - d * r * r / 2);
}

function quantile(d, u) {
  let low = 0, high = 6;                               // r > 6 is rarer than 1e-8 even at d = 1
  for (let k = 0; k < 40; k++) { const middle = (low + high) / 2; share(d, middle) < u ? (low = middle) : (high = middle); }
  return (low + high) / 2;
}

// 0.98 -> "98 %", 5e-6 -> "5 in a million": a share that a reader can hold.
function spoken(p) {
  if (p > 0.9995 && p < 1) return "more than 99.9 %";
  if (p >= 0.001) return `${(100 * p).toPrecision(p < 0.1 ? 2 : 3)} %`;
  if (p > 1e-6) return `${(1e6 * p).toPrecision(2) * 1} in a million`;
  return p > 1e-12 ? `${(1e12 * p).toPrecision(1) * 1} in a million million` : "nothing to speak of";
}

function render({ model, el }) {
  const figure = frame(el, "Where a Gaussian ball keeps its mass, by dimension", "vf-shell");
  const dimensions = model.get("dimensions"), u = uniforms(1), EDGE = 2;
  // A dot keeps its angle and its rank among the radii, so that it can be followed as d grows.
  const dots = Array.from({ length: 300 }, () => ({ rank: u(), angle: 2 * Math.PI * u() }));
  let d = model.get("d"), radii = [];

  const chart = surface(figure, { label: "Density of the radius", aspect: 1.25, draw(g, width, height, c) {
    const peak = density(d, Math.sqrt(Math.max(d - 1, 0) / d));
    const a = axes({ left: 12, top: 22, width: width - 24, height: height - 66 }, [0, EDGE], [0, 1.08 * peak]);
    const area = (from, to, fill) => {
      g.beginPath(); g.moveTo(a.x(from), a.bottom);
      for (let k = 0; k <= 200; k++) { const r = from + (to - from) * k / 200; g.lineTo(a.x(r), a.y(density(d, r))); }
      g.lineTo(a.x(to), a.bottom); g.closePath(); g.fillStyle = fill; g.fill();
    };
    g.globalAlpha = 0.35; area(0.9, 1.1, c.accent); area(0, 0.5, c.warn); g.globalAlpha = 1;
    g.beginPath();
    for (let k = 0; k <= 600; k++) { const r = EDGE * k / 600; g.lineTo(a.x(r), a.y(density(d, r))); }
    g.strokeStyle = c.ink; g.lineWidth = 2; g.stroke();
    g.strokeStyle = c.line; g.lineWidth = 1; g.beginPath(); g.moveTo(a.left, a.bottom); g.lineTo(a.right, a.bottom); g.stroke();
    g.fillStyle = c.muted; g.textAlign = "center"; g.textBaseline = "top";
    for (const r of [0, 0.5, 1, 1.5, 2]) g.fillText(r, a.x(r), a.bottom + 5);
    g.fillText("radius / √d", (a.left + a.right) / 2, a.bottom + 23);
    g.textBaseline = "bottom"; g.fillStyle = c.accent; g.fillText("within 10 %", a.x(1), a.top - 4);
    g.fillStyle = c.warn; g.fillText("inner half", a.x(0.25), a.top - 4);
  } });

  const disc = surface(figure, { label: "300 draws, each at its true radius and a random angle", aspect: 1.25, draw(g, width, height, c) {
    const unit = height / 4.4, x0 = width / 2, y0 = height / 2;
    const circle = (r) => { g.beginPath(); g.arc(x0, y0, r * unit, 0, 2 * Math.PI); };
    circle(1.1); g.arc(x0, y0, 0.9 * unit, 2 * Math.PI, 0, true); g.globalAlpha = 0.25; g.fillStyle = c.accent; g.fill();
    circle(0.5); g.fillStyle = c.warn; g.fill(); g.globalAlpha = 1;
    g.fillStyle = c.ink;
    dots.forEach(({ angle }, i) => { g.beginPath(); g.arc(x0 + radii[i] * unit * Math.cos(angle), y0 - radii[i] * unit * Math.sin(angle), 2, 0, 2 * Math.PI); g.fill(); });
  } });

  const where = readout(figure);
  const choose = slider({
    label: "Dimension d", min: 0, max: dimensions.length - 1, value: dimensions.indexOf(d), format: (k) => `d = ${dimensions[k]}`,
    onInput(k) { show(dimensions[k]); model.set("d", d); model.save_changes(); },
  });
  const name = (text) => make("p", { className: "vf-chart-name", textContent: text });
  figure.root.append(
    make("div", { className: "vf-wide" }, choose.root),
    make("div", { className: "vf-plane" }, name("How far from the centre"), chart.box),
    make("div", { className: "vf-side" }, make("div", {}, name("300 draws"), disc.box)),
    make("div", { className: "vf-wide" }, ...where.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "On the right only each dot's distance from the centre is true: d directions do not fit on paper, so its angle is drawn at random." }),
  );

  function show(next) {
    d = next;
    radii = dots.map(({ rank }) => quantile(d, rank));
    where.say(`In ${d} dimension${d > 1 ? "s" : ""}, ${spoken(share(d, 1.1) - share(d, 0.9))} of the mass is within 10 % of the radius √d; the inner half holds ${spoken(share(d, 0.5))}.`);
    chart.redraw(); disc.redraw();
  }

  const heed = () => { const k = dimensions.indexOf(model.get("d")); if (k >= 0 && dimensions[k] !== d) { choose.set(k); show(dimensions[k]); } };
  model.on("change:d", heed);
  figure.undo.push(() => model.off("change:d", heed));
  show(d);
  return figure.cleanup;
}

export { density, share };
export default { render };
