// One image through a linear VAE: the ball q, draws from it, what is decoded, and the bound in nats.

const EDGE = 3.2, SMALL = -4, LARGE = 0.5, DRAWS = 20;  // of mu; of log sigma; a press of a button

// The best linear decoder at this price, x = mean + sum_j w_j z_j u_j + N(0, beta / 2), and the
// posterior of an image with the coordinates a_j = u_j . (x - mean): N(gain_j a_j, variance_j).
function fit(eigenvalues, beta) {
  const gamma = beta / 2, w = eigenvalues.map((l) => Math.sqrt(Math.max(0, l - gamma)));
  return { beta, w, gain: w.map((v) => v / (v * v + gamma)), variance: w.map((v) => gamma / (v * v + gamma)) };
}

const answer = ({ gain, variance }, { a }) => ({ mu: gain.map((g, j) => g * a[j]), sigma: variance.map(Math.sqrt) });

// KL(N(mu, sigma^2) || N(m, s^2)) in nats, one latent.
const divergence = (mu, sigma, m = 0, s = 1) => Math.log(s / sigma) + (sigma * sigma + (mu - m) ** 2) / (2 * s * s) - 0.5;

// Every term of the bound, exactly. An image is its coordinates a, the squared length `rest` of what
// lies off both axes, and its number m of pixels. `gap` is the divergence from the posterior.
function terms(model, { a, rest, m }, { mu, sigma }) {
  const { beta, w } = model, gamma = beta / 2, best = answer(model, { a });
  const sum = (f) => w.reduce((total, v, j) => total + f(v, j), 0);
  const distortion = rest + sum((v, j) => (a[j] - v * mu[j]) ** 2 + (v * sigma[j]) ** 2);
  const reconstruction = -distortion / beta - 0.5 * m * Math.log(Math.PI * beta);
  const rate = sum((v, j) => divergence(mu[j], sigma[j]));
  const evidence = -0.5 * ((m - w.length) * Math.log(2 * Math.PI * gamma) + rest / gamma
    + sum((v, j) => Math.log(2 * Math.PI * (v * v + gamma)) + a[j] ** 2 / (v * v + gamma)));
  const gap = sum((v, j) => divergence(mu[j], sigma[j], best.mu[j], best.sigma[j]));
  return { distortion, reconstruction, rate, loss: distortion + beta * rate, elbo: reconstruction - rate, evidence, gap };
}

function render({ model, el }) {
  const figure = frame(el, "From an image to a ball, to a draw, and back to an image", "vf-trip");
  const spec = model.get("spec"), numbers = model.get("numbers"), { eigenvalues, betas, own, shown, count } = spec;
  const m = spec.shape[0] * spec.shape[1], travel = tween(figure, 900), rain = tween(figure, 6000);
  let at = 0;
  const rows = (n, size) => Array.from({ length: n }, () => { at += 4 * size; return floats(numbers, at - 4 * size, size); });
  const [mean] = rows(1, m), axis = rows(2, m), pixels = rows(shown, m), cloud = rows(count, 2);
  const images = pixels.map((x) => {
    const off = x.map((v, i) => v - mean[i]), a = axis.map((u) => u.reduce((s, v, i) => s + v * off[i], 0));
    return { a, m, rest: Math.max(0, off.reduce((s, v) => s + v * v, 0) - a[0] ** 2 - a[1] ** 2) };
  });
  let beta = model.get("beta"), selected = model.get("selected"), ball = { mu: [...model.get("mu")], sigma: [...model.get("sigma")] };
  let best = fit(eigenvalues, beta), now = null, draws = [], from = "ball", noisy = false, plot = null, seed = 0;
  const two = (v) => minus(v.toFixed(2)), bounded = ({ mu, sigma }) => ({
    mu: mu.map((v) => clamp(v, -EDGE, EDGE)), sigma: sigma.map((v) => clamp(v, Math.exp(SMALL), Math.exp(LARGE))),
  });
  const decoded = (z) => mean.map((v, i) => v + best.w[0] * z[0] * axis[0][i] + best.w[1] * z[1] * axis[1][i]);

  // ------------------------------------------------------------ image, plane, image
  const before = picture(spec.shape, "The image that is encoded"), after = picture(spec.shape, "What the decoder makes of the code");
  const under = make("figcaption"), caption = make("figcaption");
  const plane = surface(figure, { label: "Plane of the two latents with the ball, its draws, and the prior", aspect: 1.12, draw(g, width, height, c) {
    const box = { left: 34, top: 8, width: width - 42, height: height - 46 };
    const wide = EDGE * box.width / box.height;         // one unit is as long across as up
    plot = axes(box, [-wide, wide], [-EDGE, EDGE]);
    const a = plot, ticks = [-3, -2, -1, 0, 1, 2, 3];
    border(g, a, c, { columns: ticks, rows: ticks, across: "z₁", up: "z₂" });
    const ellipse = ([x, y], [rx, ry]) => { g.beginPath(); g.ellipse(a.x(x), a.y(y), rx * a.sx, ry * a.sy, 0, 0, 2 * Math.PI); };
    within(g, a, () => {
      g.fillStyle = c.muted; g.globalAlpha = 0.45;
      for (const p of cloud) { g.beginPath(); g.arc(a.x(best.gain[0] * p[0]), a.y(best.gain[1] * p[1]), 1.6, 0, 2 * Math.PI); g.fill(); }
      g.globalAlpha = 1; g.strokeStyle = c.muted; g.lineWidth = 1.5; g.setLineDash([5, 4]);
      for (const r of [1, 2]) { ellipse([0, 0], [r, r]); g.stroke(); }
      g.setLineDash([]);
      ellipse(ball.mu, ball.sigma.map((s) => Math.SQRT2 * s));
      g.fillStyle = c.accent; g.globalAlpha = 0.2; g.fill(); g.globalAlpha = 1; g.strokeStyle = c.accent; g.lineWidth = 2.5; g.stroke();
      draws.forEach(([x, y], k) => {
        const last = k === draws.length - 1, r = last ? 5 : 3;
        g.fillStyle = from === "ball" ? c.accent : c.warn; g.strokeStyle = c.paper; g.lineWidth = 1;
        g.beginPath();
        if (from === "ball") g.arc(a.x(x), a.y(y), r, 0, 2 * Math.PI); else g.rect(a.x(x) - r, a.y(y) - r, 2 * r, 2 * r);
        g.fill(); g.stroke();
        if (last) { g.strokeStyle = c.ink; g.lineWidth = 2; g.stroke(); }
      });
    });
    ring.put(a.x(ball.mu[0]), a.y(ball.mu[1]));
  } });
  const ring = handle(plane, {
    label: "Centre of the ball; arrow keys move it", enter: () => draw("ball"),
    moveTo: ([x, y]) => place({ mu: [plot.toX(x), plot.toY(y)] }),
    nudge: (way, far) => place({ mu: ball.mu.map((v, j) => v + (far ? 0.5 : 0.1) * way[j]) }),
  });

  // ------------------------------------------------------------ the bound, drawn
  const bound = surface(figure, { label: "The bound: the reconstruction term, less the rate, is the ELBO; the gap leads up to log p(x)", aspect: 4.2, draw(g, width, height, c) {
    const { reconstruction: top, elbo, evidence } = now, high = Math.max(top, evidence);
    const span = [12, 25, 50, 100, 200, 400, 800, 1600, 1e5].find((s) => s >= 1.3 * (high - elbo));
    const a = axes({ left: 10, top: 20, width: width - 20, height: height - 62 }, [high - 0.86 * span, high + 0.14 * span], [0, 3]);
    border(g, a, c, { columns: niceTicks(high - 0.86 * span, high + 0.14 * span, width < 420 ? 4 : 7), across: "nats" });
    const bar = (row, x0, x1, colour) => { g.fillStyle = colour; g.fillRect(a.x(Math.min(x0, x1)), a.y(row + 0.72), Math.max(1, Math.abs(a.x(x1) - a.x(x0))), 0.44 * a.sy); };
    const name = (row, text, edge) => {                 // left of a bar, or right of it where there is no room
      const room = a.x(edge) - a.left > g.measureText(text).width + 12;
      g.fillStyle = c.ink; g.textBaseline = "middle"; g.textAlign = room ? "right" : "left";
      g.fillText(text, room ? a.x(edge) - 6 : a.left + 6, a.y(row + (room ? 0.5 : 0.87)));
    };
    bar(2, a.toX(a.left), top, c.muted); bar(1, elbo, top, c.warn); bar(0, elbo, evidence, c.accent);
    g.strokeStyle = c.ink; g.lineWidth = 1; g.setLineDash([3, 3]);
    for (const [x, r0, r1] of [[top, 2.72, 1.28], [elbo, 1.72, 0.28]]) { g.beginPath(); g.moveTo(a.x(x), a.y(r0)); g.lineTo(a.x(x), a.y(r1)); g.stroke(); }
    g.setLineDash([]); g.lineWidth = 2.5; g.beginPath(); g.moveTo(a.x(evidence), a.top); g.lineTo(a.x(evidence), a.bottom); g.stroke();
    g.fillStyle = c.ink; g.textAlign = a.x(evidence) > width - 60 ? "right" : "center"; g.textBaseline = "bottom"; g.fillText("log p(x)", a.x(evidence), a.top - 3);
    g.fillStyle = c.paper; g.textAlign = "left"; g.textBaseline = "middle"; g.fillText("reconstruction", a.left + 6, a.y(2.5));
    name(1, "less the rate", Math.min(elbo, top)); name(0, now.gap < 0.005 ? "ELBO: no gap" : "ELBO, and the gap", Math.min(elbo, evidence));
  } });

  // ------------------------------------------------------------ controls
  const index = () => betas.reduce((k, b, i) => (Math.abs(Math.log(b / beta)) < Math.abs(Math.log(betas[k] / beta)) ? i : k), 0);
  const imageSlider = slider({ label: "Image", min: 1, max: shown, value: selected + 1, format: (k) => `no. ${k} of ${shown}`, onInput(k) { selected = k - 1; move(); } });
  const betaSlider = slider({ label: "Price β", min: 0, max: betas.length - 1, value: index(),
    format: () => `${beta.toPrecision(2)}${Math.abs(beta / own - 1) < 1e-3 ? ", the images’ own" : ""}`, onInput(i) { beta = betas[i]; move(); } });
  const with_ = (list, j, v) => list.map((old, i) => (i === j ? v : old));
  const centres = [0, 1].map((j) => slider({ label: `Centre μ${"₁₂"[j]}`, min: -EDGE, max: EDGE, step: 0.02, value: 0, format: () => two(ball.mu[j]), onInput: (v) => place({ mu: with_(ball.mu, j, v) }) }));
  const radii = [0, 1].map((j) => slider({ label: `Radius σ${"₁₂"[j]}`, min: SMALL, max: LARGE, step: 0.02, value: 0, format: () => ball.sigma[j].toPrecision(2), onInput: (v) => place({ sigma: with_(ball.sigma, j, Math.exp(v)) }) }));
  const noise = check("add the decoder’s own noise, β/2 a pixel", false, (on) => { noisy = on; show(); });
  const read = cards(), told = readout(figure), step = (text) => make("div", { className: "vf-step", textContent: text });
  figure.root.append(
    make("div", { className: "vf-wide vf-controls" }, imageSlider.root, betaSlider.root),
    make("div", { className: "vf-wide vf-path" }, make("figure", {}, before.canvas, caption), step("encoder"),
      make("div", { className: "vf-plane" }, plane.box), step("decoder"), make("figure", {}, after.canvas, under)),
    make("div", { className: "vf-wide vf-buttons" }, button("Ask the encoder", ask), button(`Draw ${DRAWS} codes from the ball`, () => draw("ball")), button(`Draw ${DRAWS} from the prior`, () => draw("prior")), noise.root),
    make("div", { className: "vf-wide vf-controls" }, ...centres.map((s) => s.root), ...radii.map((s) => s.root)),
    make("div", { className: "vf-wide vf-bound" }, bound.box),
    make("div", { className: "vf-wide" }, read.root, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: `Ellipse: the ball, at its radius √2 σ. Dashed: the prior at one and two standard deviations. Grey dots: the centres of all ${count} images. Filled: draws, round from the ball, square from the prior.` }),
  );

  // ------------------------------------------------------------ what the reader can do
  function show() {
    const latest = draws.at(-1), z = latest ?? ball.mu, x = pixels[selected];
    now = terms(best, images[selected], ball);
    const grain = normals(1000 * seed + draws.length + 7), clean = decoded(z), y = noisy ? clean.map((v) => v + Math.sqrt(beta / 2) * grain()) : clean;
    before.show(x); after.show(y);
    caption.textContent = `x, image no. ${selected + 1}`;
    under.textContent = `${noisy ? "a sample of p(x | z)" : "x̂(z)"}, z = ${latest ? `draw ${draws.length}` : "μ"}`;
    read.show({
      "E D, squared error": now.distortion.toPrecision(3), "rate": `${now.rate.toFixed(2)} nats`, "L = E D + β rate": now.loss.toPrecision(3),
      "ELBO": `${two(now.elbo)} nats`, "log p(x)": `${two(now.evidence)} nats`, "inference gap": `${now.gap.toFixed(2)} nats`,
    });
    const error = (z) => { const y = decoded(z); return x.reduce((s, v, i) => s + (v - y[i]) ** 2, 0); };
    const average = draws.reduce((s, z) => s + error(z), 0) / draws.length;
    told.say(draws.length && from === "prior" ? `Draw ${draws.length} from the prior: no image went in, a new one comes out.`
      : draws.length ? `${draws.length} draws from the ball: mean squared error ${average.toPrecision(3)}, where ${now.distortion.toPrecision(3)} is expected.`
      : now.gap < 0.005 ? `The ball is the true posterior: the bound touches log p(x) = ${two(now.evidence)} nats. The rate is ${now.rate.toFixed(2)} nats.`
      : `This ball’s bound lies ${now.gap.toFixed(2)} nats below log p(x). The rate is ${now.rate.toFixed(2)} nats. Ask the encoder for a better ball.`);
    ring.tell(ball.mu[0].toFixed(2), `μ = ${two(ball.mu[0])}, ${two(ball.mu[1])}`, [-EDGE, EDGE]);
    centres.forEach((s, j) => s.set(ball.mu[j])); radii.forEach((s, j) => s.set(Math.log(ball.sigma[j])));
    plane.redraw(); bound.redraw();
  }

  const stop = () => { travel(() => {}); rain(() => {}); draws = []; };
  const report = twoWay(figure, model, ["beta", "selected", "mu", "sigma"], () => {   // Python moved something
    const to = model.get("beta"), i = model.get("selected"), mu = model.get("mu"), sigma = model.get("sigma");
    stop();
    if (to > 0) beta = clamp(to, betas[0], betas.at(-1));
    if (i in pixels) selected = i;
    if (mu.length === 2 && sigma.length === 2) ball = bounded({ mu: [...mu], sigma: [...sigma] });
    best = fit(eigenvalues, beta); imageSlider.set(selected + 1); betaSlider.set(index()); show();
  });
  const tell = () => report([beta, selected, ball.mu, ball.sigma]);

  function move() { stop(); best = fit(eigenvalues, beta); show(); tell(); }   // the ball stays where it is

  function place(next) { stop(); ball = bounded({ ...ball, ...next }); show(); tell(); }

  function ask() {
    stop();
    const start = ball, end = bounded(answer(best, images[selected])), mix = (p, q, t) => p.map((v, j) => v + t * (q[j] - v));
    travel((t) => { ball = t < 1 ? { mu: mix(start.mu, end.mu, t), sigma: mix(start.sigma, end.sigma, t) } : end; show(); if (t === 1) tell(); });
  }

  function draw(law) {
    stop();
    from = law; seed++;
    const normal = normals(seed), { mu, sigma } = law === "ball" ? ball : { mu: [0, 0], sigma: [1, 1] };
    const all = Array.from({ length: DRAWS }, () => mu.map((v, j) => v + sigma[j] * normal()));
    rain((t) => {
      const k = Math.max(1, Math.round(t * DRAWS));
      if (k !== draws.length) { draws = all.slice(0, k); show(); }
    });
  }

  show();
  return figure.cleanup;
}

export { answer, divergence, fit, terms };
export default { render };
