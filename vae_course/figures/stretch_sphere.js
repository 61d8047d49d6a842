// Uniform points of the sphere drawn towards mu: the spherical Cauchy law, its rate and the slope of that.

const DOTS = 420, EDGE = 2.2, TILT = (32 * Math.PI) / 180;
const INTERVALS = 1000;                                // of a trapezoid rule: spectrally accurate here, as f is analytic and dies out

// A latitude is u with cos(angle to mu) = tanh u, so tan(angle / 2) = e^-u: the stretch is u -> u + r.
const angleOf = (u) => 2 * Math.atan(Math.exp(-u));
const logCosh = (u) => Math.abs(u) + Math.log1p(Math.exp(-2 * Math.abs(u))) - Math.LN2;

// Nodes u and probabilities p of the uniform law's latitude, f(u) ~ cosh(u)^-(d - 1).
function uniformLatitude(d) {
  const reach = Math.acosh(Math.exp(38 / (d - 1))), u = Float64Array.from({ length: INTERVALS + 1 }, (_, k) => reach * (2 * k / INTERVALS - 1));
  const p = u.map((v) => Math.exp(-(d - 1) * logCosh(v))), total = p.reduce((s, v) => s + v, 0);
  return { u, p: p.map((v) => v / total) };
}

// KL to the uniform law in nats, and the mean cosine, at hyperbolic radius r.
function stretchRate(d, r, { u, p } = uniformLatitude(d)) {
  let kl = 0, cosine = 0;
  for (let k = 0; k <= INTERVALS; k++) { kl += p[k] * (logCosh(u[k] + r) - logCosh(u[k])); cosine += p[k] * Math.tanh(u[k] + r); }
  return { kl: Math.max(0, (d - 1) * kl), cosine: Math.max(0, cosine) };   // a rounding below 0 is 0
}

// The latitude above which the uniform law has the share `rank`.
function uniformQuantile({ u, p }, ranks) {
  const above = new Float64Array(INTERVALS + 1);
  for (let k = INTERVALS - 1; k >= 0; k--) above[k] = above[k + 1] + (p[k] + p[k + 1]) / 2;
  return ranks.map((rank) => {
    let low = 0, high = INTERVALS;
    while (high - low > 1) { const middle = (low + high) >> 1; above[middle] > rank ? (low = middle) : (high = middle); }
    const share = (above[low] - rank) / (above[low] - above[high] || 1);
    return u[low] + clamp(share, 0, 1) * (u[high] - u[low]);
  });
}

const degrees = (angle) => (angle * 180) / Math.PI;
const shownAngle = (angle) => `${degrees(angle).toFixed(degrees(angle) < 10 ? 1 : 0)}°`;

function render({ model, el }) {
  const figure = frame(el, "Uniform points of the sphere, stretched towards μ, and what that costs", "vf-stretch");
  const dimensions = model.get("dimensions"), largest = model.get("largest"), u01 = uniforms(model.get("seed"));
  // A dot keeps its rank among the angles and its direction around mu, so that the eye can follow it.
  const dots = Array.from({ length: DOTS }, () => ({ rank: u01(), around: 2 * Math.PI * u01() }));
  let r = clamp(model.get("r"), 0, largest), d = model.get("d"), law = null, start = [], curve = [], now = null;

  // On the screen: mu is up, the eye stands TILT above the equator.
  const project = (angle, around) => {
    const away = Math.sin(angle), x = away * Math.cos(around), y = away * Math.sin(around), z = Math.cos(angle);
    return [x, z * Math.cos(TILT) - y * Math.sin(TILT), y * Math.cos(TILT) + z * Math.sin(TILT)];
  };
  const parallels = [30, 60, 90, 120, 150].map((t) => ({ middle: t === 90, u: -Math.log(Math.tan((t * Math.PI) / 360)) }));
  const tint = (c, i) => (start[i] >= 0 ? c.accent : c.warn);
  const cross = (g, x, y, c) => { g.strokeStyle = c.ink; g.lineWidth = 2; g.beginPath(); g.moveTo(x - 5, y); g.lineTo(x + 5, y); g.moveTo(x, y - 5); g.lineTo(x, y + 5); g.stroke(); };

  const sphere = surface(figure, { label: "The sphere with the stretched points; μ is at its top", draw(g, width, height, c) {
    const R = width / 2 - 14, a = axes({ left: width / 2 - R, top: height / 2 - R + 6, width: 2 * R, height: 2 * R }, [-1, 1], [-1, 1]);
    const size = width < 220 ? 1.5 : 2.1, placed = start.map((v, i) => project(angleOf(v + r), dots[i].around));
    const lines = (front) => {
      for (const { middle, u } of parallels) {
        g.strokeStyle = middle ? c.ink : c.line; g.lineWidth = middle ? 2 : 1; g.globalAlpha = front ? 1 : 0.4;
        g.beginPath();
        for (let k = 0, drawn = false; k <= 120; k++) {
          const [x, y, depth] = project(angleOf(u + r), (k * Math.PI) / 60), seen = depth > 0 === front;
          seen ? (drawn ? g.lineTo(a.x(x), a.y(y)) : g.moveTo(a.x(x), a.y(y))) : 0;
          drawn = seen;
        }
        g.stroke();
      }
      g.globalAlpha = 1;
    };
    const points = (front) => placed.forEach(([x, y, depth], i) => {
      if (depth > 0 !== front) return;
      g.globalAlpha = front ? 0.9 : 0.3; dot(g, a.x(x), a.y(y), front ? size : 0.8 * size, tint(c, i));
    });
    points(false); g.globalAlpha = 1; lines(false);
    g.strokeStyle = c.muted; g.lineWidth = 1.5; g.beginPath(); g.arc(a.x(0), a.y(0), R, 0, 2 * Math.PI); g.stroke();
    lines(true); points(true); g.globalAlpha = 1;
    const [x, y] = project(0, 0);
    cross(g, a.x(x), a.y(y), c);
    g.fillStyle = c.ink; g.textAlign = "center"; g.textBaseline = "bottom"; g.font = `bold ${g.font}`;
    g.fillText("μ", a.x(x), a.y(1) - 1);
  } });

  const flat = surface(figure, { label: "The same points in the stereographic plane; μ is its centre", draw(g, width, height, c) {
    const a = axes({ left: 1, top: 1, width: width - 2, height: height - 2 }, [-EDGE, EDGE], [-EDGE, EDGE]), size = width < 220 ? 1.5 : 2.1;
    const circle = (radius) => { g.beginPath(); g.arc(a.x(0), a.y(0), radius * a.sx, 0, 2 * Math.PI); g.stroke(); };
    border(g, a, c, {});
    within(g, a, () => {
      for (const { middle, u } of parallels) { g.strokeStyle = middle ? c.ink : c.line; g.lineWidth = middle ? 2 : 1; circle(Math.exp(-(u + r))); }
      start.forEach((v, i) => {
        const radius = Math.exp(-(v + r)), { around } = dots[i];
        if (radius > 2 * EDGE) return;
        g.globalAlpha = 0.9; dot(g, a.x(radius * Math.cos(around)), a.y(-radius * Math.sin(around)), size, tint(c, i));
      });
      g.globalAlpha = 1; g.setLineDash([3, 4]); g.strokeStyle = c.muted; g.lineWidth = 1.5; circle(1); g.setLineDash([]);
      cross(g, a.x(0), a.y(0), c);
    });
  } });

  const chart = surface(figure, { label: "The rate KL(r) in nats with its tangent at the chosen r", aspect: 1.7, draw(g, width, height, c) {
    const top = 1.06 * curve[curve.length - 1][1], a = axes({ left: 52, top: 8, width: width - 62, height: height - 52 }, [0, largest], [0, top]);
    border(g, a, c, { columns: niceTicks(0, largest), rows: niceTicks(0, top), across: "hyperbolic radius r", up: "KL (nats)" });
    within(g, a, () => {
      g.strokeStyle = c.ink; g.lineWidth = 2; path(g, a, curve); g.stroke();
      g.setLineDash([6, 4]); g.strokeStyle = c.accent;
      path(g, a, [0, largest].map((x) => [x, now.kl + now.slope * (x - r)])); g.stroke(); g.setLineDash([]);
    });
    dot(g, a.x(r), a.y(now.kl), 6, c.accent, c.paper);
  } });

  // ------------------------------------------------------------ controls
  const stretch = slider({ label: "Stretch r (hyperbolic radius)", min: 0, max: largest, step: 0.02, value: r, format: (v) => v.toFixed(2), onInput: (v) => { r = v; show(); tell([r, d]); } });
  const choose = slider({ label: "Ambient dimension d", min: 0, max: dimensions.length - 1, value: dimensions.indexOf(d), format: (k) => `d = ${dimensions[k]}`, onInput: (k) => { setDimension(dimensions[k]); show(); tell([r, d]); } });
  const numbers = cards(), told = readout(figure);
  const named = (text, shape) => make("div", {}, make("p", { className: "vf-chart-name", textContent: text }), shape.box);
  const heading = make("p", { className: "vf-chart-name" });
  figure.root.append(
    make("div", { className: "vf-wide vf-controls" }, stretch.root, choose.root),
    make("div", { className: "vf-wide vf-pair" }, make("div", {}, heading, sphere.box), named("Stereographic plane, radius tan(φ/2)", flat)),
    make("div", { className: "vf-plane" }, named("What the stretch costs", chart)),
    make("div", { className: "vf-side" }, numbers.root, ...told.nodes),
    make("p", { className: "vf-note vf-wide" },
      `${DOTS} points. `, make("span", { className: "vf-key", textContent: "Blue" }), ": the half that starts within 90° of μ; ", make("span", { className: "vf-key", textContent: "orange" }),
      ": the other half. Thick line: where the equator went, with half of the probability inside; thin lines: where the circles at 30°, 60°, 120° and 150° went. Plane: dashed circle, 90° from μ; points beyond the frame are not drawn. Chart: dashed, the tangent, of slope (d − 1) m."),
  );

  function setDimension(next) {
    d = next; law = uniformLatitude(d);
    start = uniformQuantile(law, dots.map(({ rank }) => rank));
    curve = Array.from({ length: 101 }, (_, k) => [(largest * k) / 100, stretchRate(d, (largest * k) / 100, law).kl]);
    heading.textContent = d === 3 ? "The sphere S², μ on top" : `Angles to μ as in R${String(d).replace(/\d/g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])}, drawn on S²`;
  }

  function show() {
    const { kl, cosine } = stretchRate(d, r, law), half = angleOf(r);
    now = { kl, cosine, slope: (d - 1) * cosine };
    numbers.show({ "KL to uniform": `${kl.toFixed(2)} nats`, "mean cosine m": cosine.toFixed(3), "slope (d − 1) m": now.slope.toFixed(2), "half lies within": shownAngle(half) });
    told.say(r === 0
      ? `r = 0: the uniform law, 0 nats, and the curve starts flat. Half of the probability lies within 90° of μ.`
      : `In ${d} dimensions r = ${r.toFixed(2)} costs ${kl.toFixed(2)} nats; the next 0.01 of r costs ${(0.01 * now.slope).toPrecision(2)}. Half of the probability lies within ${shownAngle(half)} of μ, in any dimension`
        + (d === 3 ? "." : `; the direction around μ is drawn at random, as d directions do not fit on paper.`));
    for (const shape of [sphere, flat, chart]) shape.redraw();
  }

  const tell = twoWay(figure, model, ["r", "d"], () => {
    const [nextR, nextD] = [model.get("r"), model.get("d")];
    if (nextR === r && nextD === d) return;
    r = clamp(nextR, 0, largest); stretch.set(r);
    if (nextD !== d && dimensions.includes(nextD)) { setDimension(nextD); choose.set(dimensions.indexOf(d)); }
    show();
  });
  setDimension(d);
  show();
  return figure.cleanup;
}

export { angleOf, stretchRate, uniformLatitude, uniformQuantile };
export default { render };
