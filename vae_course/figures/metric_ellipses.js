// One image's ball against the decoder's metric: on the latent plane, and on the tangent plane in data space.

const DRAWS = 60, GRID = 9, REACH = 2.45;              // REACH: 95 % of the prior on a plane

const SLOPES = new Map([
  [ACTIVATIONS.silu, (x) => { const s = sigmoid(x); return s * (1 + x * (1 - s)); }],
  [ACTIVATIONS.tanh, (x) => 1 - Math.tanh(x) ** 2],
  [ACTIVATIONS.relu, (x) => (x > 0 ? 1 : 0)],
  [ACTIVATIONS.sigmoid, (x) => { const s = sigmoid(x); return s * (1 - s); }],
]);

// The decoder's output at z and its derivatives along the latents `axes`: forward mode, in float64.
function tangents(layers, z, axes) {
  let rows = [Float64Array.from(z), ...axes.map((k) => Float64Array.from(z, (_, j) => (j === k ? 1 : 0)))];
  for (const { f, inputs, outputs, weight, bias } of layers) {
    if (f) {
      const slope = SLOPES.get(f), [x, ...ways] = rows, s = x.map(slope);
      rows = [x.map(f), ...ways.map((t) => t.map((v, i) => v * s[i]))];
      continue;
    }
    rows = rows.map((x, way) => {
      const y = new Float64Array(outputs);
      for (let i = 0, k = 0; i < outputs; i++) {
        let sum = way ? 0 : bias[i];
        for (let j = 0; j < inputs; j++, k++) sum += weight[k] * x[j];
        y[i] = sum;
      }
      return y;
    });
  }
  return { x: rows[0], columns: rows.slice(1) };
}

const inner = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0);
const gram = ([p, q]) => [inner(p, p), inner(p, q), inner(q, q)];           // J'J as [a, b, c]

// Half axes of { v : a v1^2 + 2 b v1 v2 + c v2^2 = level }: two vectors, the short one first.
function halfAxes([a, b, c], level) {
  const middle = (a + c) / 2, apart = Math.hypot((a - c) / 2, b), angle = 0.5 * Math.atan2(2 * b, a - c);
  // A direction that the decoder ignores has an endless axis; 1e6 is endless enough to draw.
  const [short, long] = [middle + apart, middle - apart].map((l) => Math.min(1e6, Math.sqrt(level / Math.max(l, 1e-300))));
  return [[short * Math.cos(angle), short * Math.sin(angle)], [-long * Math.sin(angle), long * Math.cos(angle)]];
}

// What the figure says of one code; sigma holds the two latents drawn.
function measure(layers, mu, sigma, axes, beta) {
  const { x, columns } = tangents(layers, mu, axes), metric = gram(columns), [a, b, c] = metric;
  return {
    x, columns, metric,
    iso: [a, c].map((l, k) => (2 / beta) * sigma[k] ** 2 * l),
    cosine: a > 0 && c > 0 ? b / Math.sqrt(a * c) : 0,
  };
}

function read(model) {
  const spec = model.get("spec"), { count: n, d } = spec, codes = model.get("codes");
  const row = (i) => Array.from(floats(codes, 4 * d * i, d));
  const all = bytes(model.get("labels"));
  return {
    ...spec, anchor: row(0), labels: all.length ? all : null, layers: readDecoder(spec.decoder, model.get("weights")),
    mu: Array.from({ length: n }, (_, i) => row(1 + i)), sigma: Array.from({ length: n }, (_, i) => row(1 + n + i)),
  };
}

const fixed = (x, digits = 2) => minus(x.toFixed(digits)).replace(/^−(0\.?0*)$/, "$1");

function render({ model, el }) {
  const data = read(model), { axes: drawn, beta, layers, limit: L, count: n } = data;
  const figure = frame(el, "The encoder's ball against the ellipse of the decoder's metric", "vf-metric");
  const spot = (i) => drawn.map((k) => data.mu[i][k]), spread = (i) => drawn.map((k) => data.sigma[i][k]);
  const order = [...Array(n).keys()].sort((i, j) => spot(i)[0] - spot(j)[0]);
  const normal = normals(0), noise = Array.from({ length: DRAWS }, () => [normal(), normal()]);
  const names = drawn.map((k) => `z${String(k + 1).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[c])}`);
  const root = Math.SQRT2;                             // a ball is drawn with its radius sigma sqrt(d), d = 2
  let selected = clamp(model.get("selected"), 0, n - 1), exact = false, plot = null, now = null;

  const turn = ([p, q]) => Array.from({ length: 73 }, (_, k) => { const t = (k * Math.PI) / 36; return [0, 1].map((j) => p[j] * Math.cos(t) + q[j] * Math.sin(t)); });
  const ballOf = (i) => turn([[root * spread(i)[0], 0], [0, root * spread(i)[1]]]);
  // The KL term adds beta / 2 to the metric: its second derivative in each sigma-direction at the optimum.
  const metricOf = ([a, b, c]) => turn(halfAxes(exact ? [a + beta / 2, b, c + beta / 2] : [a, b, c], beta));

  // The field of ellipses, enlarged so that a typical one fills its place.
  const places = [];
  const step = (2 * REACH) / (GRID - 1);
  for (let p = 0; p < GRID; p++) for (let q = 0; q < GRID; q++) {
    const at = [-REACH + p * step, -REACH + q * step];
    if (Math.hypot(...at) > REACH + 1e-9) continue;
    const z = [...data.anchor];
    drawn.forEach((k, j) => { z[k] = at[j]; });
    places.push({ at, metric: gram(tangents(layers, z, drawn).columns) });
  }
  const sizes = places.map(({ metric }) => Math.hypot(...halfAxes([metric[0] + beta / 2, metric[1], metric[2] + beta / 2], beta)[1])).sort((a, b) => a - b);
  const enlarged = [10, 5, 3, 2, 1].find((m) => m * sizes[sizes.length >> 1] < 0.62 * step) ?? 1;

  const outline = (g, a, at, shape, scale = 1) => path(g, a, shape.map(([x, y]) => [at[0] + scale * x, at[1] + scale * y]));
  const ballStyle = (g, c, width) => { g.fillStyle = c.accent; g.globalAlpha = 0.2; g.fill(); g.globalAlpha = 1; g.strokeStyle = c.accent; g.lineWidth = width; g.stroke(); };
  const metricStyle = (g, c, width) => { g.setLineDash([7, 4]); g.strokeStyle = c.warn; g.lineWidth = width; g.stroke(); g.setLineDash([]); };

  // ------------------------------------------------------------ the latent plane
  const plane = surface(figure, { label: "Latent plane: the codes as dots, a field of ellipses of the decoder's metric, and the chosen code's ball", draw(g, width, height, c) {
    const a = (plot = axes({ left: 34, top: 6, width: width - 40, height: height - 46 }, [-L, L], [-L, L]));
    border(g, a, c, { columns: niceTicks(-L, L), rows: niceTicks(-L, L), across: names[0], up: names[1] });
    within(g, a, () => {
      data.mu.forEach((_, i) => { const [x, y] = spot(i); g.globalAlpha = 0.8; dot(g, a.x(x), a.y(y), 2, data.labels ? PALETTE[data.labels[i]] : c.muted); });
      g.globalAlpha = 1; g.strokeStyle = c.warn; g.lineWidth = 1;
      for (const { at, metric } of places) { outline(g, a, at, metricOf(metric), enlarged); g.stroke(); }
      outline(g, a, spot(selected), ballOf(selected), enlarged); ballStyle(g, c, 2.5);
      outline(g, a, spot(selected), metricOf(now.metric), enlarged); metricStyle(g, c, 2.5);
    });
    const [x, y] = spot(selected);
    grip.put(clamp(a.x(x), a.left, a.right), clamp(a.y(y), a.top, a.bottom));
  } });
  const near = (target, i, all) => all.reduce((best, j) => (Math.hypot(spot(j)[0] - target[0], spot(j)[1] - target[1]) < Math.hypot(spot(best)[0] - target[0], spot(best)[1] - target[1]) ? j : best), i);
  const grip = handle(plane, {
    label: "Chosen code; arrow keys go to the next code in their direction",
    moveTo([x, y]) { select(near([plot.toX(x), plot.toY(y)], selected, order)); },
    nudge(way, far) {                                  // codes within 45 degrees of the arrow
      const from = spot(selected), along = (i) => way[0] * (spot(i)[0] - from[0]) + way[1] * (spot(i)[1] - from[1]);
      const ahead = order.filter((i) => along(i) > 1e-9 && 2 * along(i) ** 2 >= Math.hypot(spot(i)[0] - from[0], spot(i)[1] - from[1]) ** 2);
      if (ahead.length) select(near(far ? from.map((v, k) => v + 0.5 * way[k]) : from, ahead[0], ahead));
    },
  });

  // ------------------------------------------------------------ the two close-ups
  const closeUp = surface(figure, { label: "Close-up in latent space: the ball, its draws, and the metric's ellipse", draw(g, width, height, c) {
    const s = spread(selected), R = 2.2 * Math.max(...s), a = axes({ left: 1, top: 1, width: width - 2, height: height - 2 }, [-R, R], [-R, R]);
    border(g, a, c, {});
    within(g, a, () => {
      for (const e of noise) dot(g, a.x(s[0] * e[0]), a.y(s[1] * e[1]), 1.8, c.muted);
      outline(g, a, [0, 0], ballOf(selected)); ballStyle(g, c, 2.5);
      outline(g, a, [0, 0], metricOf(now.metric)); metricStyle(g, c, 2.5);
    });
  } });

  const tangentPlane = surface(figure, { label: "The same in data space, on the tangent plane: the ball's image against a circle of radius root beta", draw(g, width, height, c) {
    const a = axes({ left: 1, top: 1, width: width - 2, height: height - 2 }, [-2.2, 2.2], [-2.2, 2.2]);
    const unit = Math.sqrt(beta), s = spread(selected), [p, q] = now.flat.map((v, k) => v.map((t) => (root * s[k] * t) / unit));
    border(g, a, c, {});
    within(g, a, () => {
      for (const [x, y] of now.draws) dot(g, a.x(x / unit), a.y(y / unit), 1.8, c.muted);
      outline(g, a, [0, 0], turn([p, q])); ballStyle(g, c, 2.5);
      path(g, a, turn([[1, 0], [0, 1]])); metricStyle(g, c, 2.5);
      g.strokeStyle = c.ink; g.lineWidth = 2; g.fillStyle = c.ink; g.textAlign = "center"; g.textBaseline = "middle";
      [p, q].forEach((v, k) => {
        path(g, a, [[0, 0], v]); g.stroke(); dot(g, a.x(v[0]), a.y(v[1]), 3, c.ink);
        const length = Math.hypot(...v);
        if (length > 0.15) g.fillText(names[k], a.x(v[0] * (1 + 0.3 / length)), a.y(v[1] * (1 + 0.3 / length)));
      });
    });
  } });

  // ------------------------------------------------------------ controls
  const shots = data.shape && [picture(data.shape, "the decoded image"), ...names.map((name) => picture(data.shape, `the change along ${name}`))];
  const codeSlider = slider({ label: "Code", min: 0, max: n - 1, value: order.indexOf(selected), format: (k) => `no. ${order[k]}${data.labels ? ", class " + data.labels[order[k]] : ""}`, onInput: (k) => select(order[k]) });
  const prior = check("add the KL term's own stiffness", false, (on) => { exact = on; show(); });
  const numbers = cards(), told = readout(figure);
  const named = (text, chart) => make("div", {}, make("p", { className: "vf-chart-name", textContent: text }), chart.box);
  figure.root.append(
    make("div", { className: "vf-plane" }, plane.box, codeSlider.root, prior.root),
    make("div", { className: "vf-side" },
      make("div", { className: "vf-closer" }, named("Latent space, close up", closeUp), named("Data space, in units of √β", tangentPlane)),
      ...(shots ? [make("div", { className: "vf-shots" }, ...shots.map((s, k) => make("figure", {}, s.canvas, make("figcaption", { textContent: k ? `σ along ${names[k - 1]}` : "decoded" }))))] : []),
      numbers.root),
    make("div", { className: "vf-wide" }, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: `Blue: the encoder's ball, radius σ√2, and its image. Orange, dashed: steps that change the data by D = β, from the decoder alone; in data space a circle.${enlarged > 1 ? ` On the plane both are enlarged ${enlarged} times.` : ""} Dots: ${DRAWS} draws from the ball. β = ${beta}.` }),
  );

  function show() {
    const mu = data.mu[selected], s = spread(selected);
    now = measure(layers, mu, s, drawn, beta);
    const [p, q] = now.columns, length = Math.sqrt(now.metric[0]), along = length > 0 ? now.metric[1] / length : 0;
    const rest = q.map((v, i) => v - (length > 0 ? (along * p[i]) / length : 0)), other = Math.sqrt(inner(rest, rest));
    now.flat = [[length, 0], [along, other]];          // J's columns in an orthonormal basis of their plane
    now.draws = noise.map((e) => {                     // decoded for good, not linearised
      const z = [...mu];
      drawn.forEach((k, j) => { z[k] += s[j] * e[j]; });
      const x = decode(layers, z), step = now.x.map((v, i) => x[i] - v);
      return [length > 0 ? inner(step, p) / length : 0, other > 0 ? inner(step, rest) / other : 0];
    });
    if (shots) {
      const largest = Math.max(...now.columns.map((column, k) => Math.max(...column.map((v) => Math.abs(v * s[k])))), 1e-9);
      shots[0].show(Array.from(now.x), `the decoded image of code ${selected}`);
      now.columns.forEach((column, k) => shots[k + 1].show(Array.from(column, (v) => 0.5 + (0.5 * v * s[k]) / largest)));
    }
    const total = now.iso.map((v, k) => v + s[k] ** 2);
    numbers.show({
      ...Object.fromEntries(names.flatMap((name, k) => [[`${name}: σ²`, Number((s[k] ** 2).toPrecision(2)).toString()], [`${name}: (2/β) σ² ‖J‖²`, fixed(now.iso[k], 3)], [`${name}: sum`, fixed(total[k], 3)]])),
      "cosine of J's columns": fixed(now.cosine, 3),
    });
    const worst = Math.max(...total.map((t) => Math.abs(t - 1)));
    told.say(`Isometricity (2/β)σ²‖J‖² is ${fixed(now.iso[0])} along ${names[0]} and ${fixed(now.iso[1])} along ${names[1]}; with σ² added ${fixed(total[0])} and ${fixed(total[1])}${worst < 0.1 ? ", both near the 1 of the theory" : ", where a decoder that is linear over the ball has 1"}. The columns' cosine is ${fixed(now.cosine)}.`);
    codeSlider.set(order.indexOf(selected));
    const text = `${names.map((name, k) => `${name} = ${fixed(spot(selected)[k])}`).join(", ")}, code ${selected}`;
    grip.tell(fixed(spot(selected)[0]).replace("−", "-"), text, [-L, L]);
    for (const s of [plane, closeUp, tangentPlane]) s.redraw();
  }

  const tell = twoWay(figure, model, ["selected"], () => { const i = model.get("selected"); if (i !== selected && i >= 0 && i < n) { selected = i; show(); } });
  function select(i) { if (i === selected) return; selected = i; show(); tell([i]); }
  show();
  return figure.cleanup;
}

export { gram, halfAxes, measure, tangents };
export default { render };
