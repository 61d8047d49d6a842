// Water-filling of the spectrum that a metric shows: its price, its whitening, and what its scale is held to.

const STEPS = 160;                                     // of the slider of the price, equal factors apart
const DASHES = { null: [8, 4], lipschitz: [8, 3, 2, 3], rate: [2, 4] };
const CONTROLS = { null: "null cost", lipschitz: "Lipschitz bound", rate: "rate" };

const total = (values) => values.reduce((sum, v) => sum + v, 0);

// The spectrum w through M = U diag(max(w, w_k)^-t) U', not yet scaled; top is M's largest eigenvalue.
function whiten(w, t, k) {
  const floor = w[k - 1];
  return { lambda: w.map((v) => v * Math.max(v, floor) ** -t), top: floor ** -t };
}

// The k latents of the largest eigenvalues at one price of a nat: their variances, nats and evenness.
// Perfect realism lifts each axis, so that a part of it is always above the water.
function fillSeen(lambda, beta, k, realism = false) {
  const level = beta / 2, shown = lambda.slice(0, k);
  const heights = realism ? shown.map((l) => level / 2 + Math.hypot(level / 2, l)) : shown;
  const variances = heights.map((h) => Math.min(1, level / h));
  const rates = variances.map((v, j) => (realism ? 0.5 * Math.log1p(shown[j] ** 2 / (level * heights[j])) : -0.5 * Math.log(v)));
  const rate = total(rates), mean = (-2 * rate) / k;
  return {
    heights, variances, rates, rate, active: shown.filter((l) => l > (realism ? 0 : level)).length,
    anisotropy: total(rates.map((r) => (-2 * r - mean) ** 2)) / k,
  };
}

// log c such that c lambda costs this rate: with m latents active it is linear in log c.
function logScaleFor(lambda, beta, k, rate) {
  for (let m = k; ; m--) {
    const logs = lambda.slice(0, m).map(Math.log), c = (2 * rate - total(logs)) / m + Math.log(beta / 2);
    if (m === 1 || logs[m - 1] + c >= Math.log(beta / 2)) return c;
  }
}

// The same with perfect realism, by Newton's method on log R, from above: there it costs more.
function realisticLogScaleFor(lambda, beta, k, rate) {
  if (rate === 0) return -Infinity;
  let log = logScaleFor(lambda, beta, k, rate);
  for (let step = 0; step < 8; step++) {
    const now = fillSeen(lambda.map((l) => Math.exp(log) * l), beta, k, true);
    log -= now.rate / total(now.variances.map((v) => (1 - v) / (2 - v))) * Math.log(now.rate / rate);
  }
  return log;
}

// What the metric shows, scaled: by the cost of the mean image, by M <= I, or by the rate of the reference w.
function controlled({ lambda, top }, w, control, beta, k, realism = false) {
  const c = control === "null" ? total(w) / total(lambda) : control === "lipschitz" ? 1 / top
    : Math.exp((realism ? realisticLogScaleFor : logScaleFor)(lambda, beta, k, fillSeen(w, beta, k).rate));
  return lambda.map((l) => c * l);
}

const brief = (x) => { const text = x >= 1000 ? x.toFixed(0) : String(Number(x.toPrecision(3))); return minus(text); };

function render({ model, el }) {
  const figure = frame(el, "Water-filling of the spectrum that a metric shows", "vf-metric-water");
  const sets = model.get("sets"), k = model.get("latents"), keys = ["data", "metric", "control", "whitening", "beta", "realism"];
  let [data, metric, control, t, beta, realism] = keys.map((key) => model.get(key));
  let latent = 0, bars = null, now = null, plain = null, curves = null, betas = [];

  const set = () => sets[data], names = () => Object.keys(set().metrics), w = () => set().metrics[names()[0]];
  const measured = () => metric !== names()[0];
  const fill = (lambda) => fillSeen(lambda, beta, k, realism);
  const scaled = (seen, name = control) => controlled(seen, w(), name, beta, k, realism);

  // ------------------------------------------------------------ the bars and the water
  const shown = surface(figure, { label: "Bars of what the metric shows of each axis, on a logarithmic scale, with water up to beta / 2; below them each latent's posterior variance", aspect: 0.94, draw(g, width, tall, c) {
    const [low, high] = set().betas, floor = 0.4 * low, ceiling = high, log = (v) => Math.log(Math.max(v, floor));
    const a = (bars = axes({ left: 48, top: 8, width: width - 56, height: tall - 150 }, [0.4, k + 0.6], [log(floor), log(ceiling)]));
    const decades = (from, to) => Array.from({ length: 25 }, (_, i) => 10 ** (i - 14)).filter((v) => v >= from && v <= to);
    const wide = Math.min(30, 0.7 * a.sx), y = (v) => clamp(a.y(log(v)), a.top, a.bottom), level = y(beta / 2);
    border(g, a, c, { rows: decades(floor, ceiling).map(Math.log), up: realism ? "eigenvalue λ, lifted" : "eigenvalue λ", text: (v) => brief(Math.exp(v)) });
    within(g, a, () => {
      g.fillStyle = PALETTE[0]; g.globalAlpha = 0.16; g.fillRect(a.left, level, a.width, a.bottom - level); g.globalAlpha = 1;
      now.heights.forEach((h, j) => {
        const x = a.x(j + 1) - wide / 2, top = y(h), ghost = y(w()[j]);
        g.fillStyle = PALETTE[0]; g.fillRect(x, Math.max(top, level), wide, a.bottom);
        if (top < level) { g.fillStyle = PALETTE[1]; g.fillRect(x, top, wide, level - top); }
        g.strokeStyle = c.ink; g.lineWidth = 2;
        if (j === latent) g.strokeRect(x, top, wide, a.bottom - top + 4);
        if (measured() || t || realism) { g.lineWidth = 2; g.beginPath(); g.moveTo(x - 2, ghost); g.lineTo(x + wide + 2, ghost); g.stroke(); }
      });
      g.strokeStyle = c.accent; g.lineWidth = 3; g.beginPath(); g.moveTo(a.left, level); g.lineTo(a.right, level); g.stroke();
    });
    g.fillStyle = c.ink; g.textAlign = "right"; g.textBaseline = "middle";
    g.fillText(`β/2 = ${brief(beta / 2)}`, a.right - 8, a.top + 14);
    grip.put(a.right - 14, level);

    // the posterior variance of each latent, whose spread of logarithms is A
    const least = (0.7 * low) / high, b = axes({ left: a.left, top: a.bottom + 34, width: a.width, height: 74 }, [0.4, k + 0.6], [Math.log(least), 0.4]);
    border(g, b, c, { columns: [1, ...niceTicks(1, k, 6)].filter((v, i, all) => v >= 1 && v % 1 === 0 && all.indexOf(v) === i), across: "latent" });
    g.textAlign = "right"; g.textBaseline = "middle";
    const marks = decades(least, 1);
    for (const v of marks.filter((_, i) => (marks.length - 1 - i) % Math.ceil(marks.length / 3) === 0)) g.fillText(brief(v), b.left - 5, b.y(Math.log(v)));
    g.textAlign = "center"; g.fillText("posterior variance σ² of each latent", (b.left + b.right) / 2, a.bottom + 18);
    now.variances.forEach((v, j) => {
      const x = b.x(j + 1), top = b.y(Math.log(v)), ghost = b.y(Math.log(Math.max(plain.variances[j], least)));
      g.strokeStyle = g.fillStyle = v < 1 ? PALETTE[1] : PALETTE[0]; g.lineWidth = Math.min(3, wide / 2);
      g.beginPath(); g.moveTo(x, b.y(0)); g.lineTo(x, top); g.stroke();
      dot(g, x, top, clamp(wide / 3, 1.5, 4), g.fillStyle, j === latent ? c.ink : null);
      if (realism) { g.strokeStyle = c.ink; g.lineWidth = 2; g.beginPath(); g.moveTo(x - wide / 2, ghost); g.lineTo(x + wide / 2, ghost); g.stroke(); }
    });
  } });
  shown.canvas.classList.add("vf-bars");
  const grip = handle(shown, {
    label: "Water level; arrow keys raise and lower it",
    moveTo([, y]) { setBeta(2 * Math.exp(bars.toY(y))); },
    nudge([right, up], far) { setBeta(betas[clamp(nearest() + (far ? 10 : 1) * (right + up), 0, STEPS)]); },
  });
  grip.ring.removeAttribute("aria-roledescription");
  grip.ring.setAttribute("aria-orientation", "vertical");

  // ------------------------------------------------------------ rate and anisotropy along the whitening
  const chart = (up, label, value, least) => surface(figure, { label, aspect: 1.9, draw(g, width, tall, c) {
    const here = value(now), chosen = curves[control].map(value), low = Math.min(0, here, ...chosen), high = Math.max(0, here, ...chosen);
    const spare = Math.max(0.2 * (high - low), least - (high - low)), view = [low < 0 || here === 0 ? low - spare : 0, high + spare];
    const a = axes({ left: 48, top: 8, width: width - 56, height: tall - 50 }, [0, 1], view);
    border(g, a, c, { columns: [0, 0.5, 1], rows: niceTicks(...view, 4), across: "whitening t", up, text: brief });
    const line = (name) => { path(g, a, curves[name].map((f, i) => [i / (curves[name].length - 1), value(f)])); g.stroke(); g.setLineDash([]); };
    within(g, a, () => {
      g.strokeStyle = c.line; g.lineWidth = 1; path(g, a, [[0, 0], [1, 0]]); g.stroke();
      g.strokeStyle = c.muted; g.lineWidth = 1.5;
      for (const name of Object.keys(CONTROLS).filter((n) => n !== control)) { g.setLineDash(DASHES[name]); line(name); }
      g.strokeStyle = c.accent; g.lineWidth = 3; line(control);
      if (!measured()) return;
      g.strokeStyle = c.warn; g.lineWidth = 2; path(g, a, [[0, here], [1, here]]); g.stroke();
      g.fillStyle = c.warn; g.textAlign = "right"; g.textBaseline = "bottom"; g.fillText(metric, a.right - 6, a.y(here) - 3);
    });
    if (!measured()) dot(g, a.x(t), a.y(here), 6, c.accent, c.paper);
  } });
  const charts = [
    chart("change of R (nats)", "The rate less that of the plain first metric, against whitening, under each control of the scale", (f) => f.rate - plain.rate, 0.5),
    chart("anisotropy A", "Anisotropy against whitening, under each control of the scale", (f) => f.anisotropy, 0.1),
  ];

  // ------------------------------------------------------------ controls
  const nearest = () => betas.reduce((best, b, i) => (Math.abs(Math.log(b / beta)) < Math.abs(Math.log(betas[best] / beta)) ? i : best), 0);
  const named = (text, ...nodes) => make("div", {}, make("p", { className: "vf-chart-name", textContent: text, "aria-hidden": "true" }), ...nodes);
  const same = (texts) => Object.fromEntries(texts.map((text) => [text, text]));
  const dataChoice = choice("Data", same(Object.keys(sets)), data, (key) => move({ data: key }));
  const controlChoice = choice("The scale keeps the", CONTROLS, control, (key) => move({ control: key }));
  const metricPlace = make("div", {});
  const betaSlider = slider({ label: "Price β of a nat", min: 0, max: STEPS, value: 0, format: () => brief(beta), onInput: (i) => setBeta(betas[i]) });
  const whitening = slider({ label: "Whitening t", min: 0, max: 1, step: 0.01, value: t, format: (v) => v.toFixed(2), onInput: (v) => move({ t: v }) });
  const latentSlider = slider({ label: "Latent to read off", min: 1, max: k, value: 1, format: (j) => `no. ${j} of ${k}`, onInput: (j) => { latent = j - 1; show(); } });
  const realismCheck = check("Perfect realism: a critic that is never fooled", realism, (on) => move({ realism: on }));
  const numbers = cards(), told = readout(figure);
  const choices = make("div", { className: "vf-wide vf-choices" }, ...(Object.keys(sets).length > 1 ? [named("Data", dataChoice.root)] : []), metricPlace, named("The scale keeps the", controlChoice.root), realismCheck.root);
  figure.root.append(
    choices,
    make("div", { className: "vf-wide vf-controls" }, betaSlider.root, whitening.root, latentSlider.root),
    make("div", { className: "vf-plane" }, shown.box),
    make("div", { className: "vf-side" }, ...charts.map((one) => one.box)),
    make("div", { className: "vf-wide" }, numbers.root, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Orange, above the water: twice the nats spent on that latent. Blue: under water. Short lines: the axes of the data as they are. Perfect realism lifts each bar of height λ to β/4 + √(β²/16 + λ²), above the water; short lines at σ²: without metric and realism. Right: against the whitening, the change of R and the variance A of log σ²; thick under the chosen control, dashed at equal null cost, dash-dotted under Lipschitz, dotted at equal rate." }),
  );

  function offer() {                                   // the metrics and prices of the chosen data
    const [low, high] = set().betas;
    betas = Array.from({ length: STEPS + 1 }, (_, i) => low * (high / low) ** (i / STEPS));
    beta = clamp(beta, low, high);
    if (!names().includes(metric)) metric = names()[0];
    metricPlace.hidden = names().length < 2;
    metricPlace.replaceChildren(...(names().length > 1 ? [named("Metric", choice("Metric", same(names()), metric, (key) => move({ metric: key })).root)] : []));
  }

  function show() {
    whitening.input.disabled = measured();
    plain = fillSeen(w(), beta, k);
    const seen = scaled(measured() ? { lambda: set().metrics[metric], top: set().lipschitz[metric] } : whiten(w(), t, k));
    now = fill(seen);
    curves = Object.fromEntries(Object.keys(CONTROLS).map((name) => [name, Array.from({ length: 51 }, (_, i) => fill(scaled(whiten(w(), i / 50, k), name)))]));
    numbers.show({
      "rate R": `${now.rate.toFixed(2)} nats`, "active latents": `${now.active} of ${k}`, "anisotropy A": now.anisotropy.toFixed(3),
      [`λ of latent ${latent + 1}`]: brief(seen[latent]), "its σ²": brief(now.variances[latent]), "its rate": `${now.rates[latent].toFixed(2)} nats`,
    });
    const change = now.rate - plain.rate, other = now.anisotropy - plain.anisotropy;
    const held = { null: "At equal null cost", lipschitz: "With no direction dearer than before", rate: "At equal rate" }[control];
    const what = (measured() ? `“${metric}”` : t ? `whitening by t = ${t.toFixed(2)}` : `“${names()[0]}”`) + (realism ? " with perfect realism" : "");
    told.say(`${held} and β = ${brief(beta)}, ${what} costs ${now.rate.toFixed(2)} nats`
      + (!measured() && !t && !realism ? `, with anisotropy ${now.anisotropy.toFixed(3)}.`
        : `: ${Math.abs(change) < 0.005 ? "as many as" : `${Math.abs(change).toFixed(2)} ${change > 0 ? "more" : "fewer"} than`} “${names()[0]}”${realism ? " without" : ""}. Its latents are ${Math.abs(other) < 0.0005 ? "as even" : other < 0 ? "more even" : "less even"}: A = ${now.anisotropy.toFixed(3)} against ${plain.anisotropy.toFixed(3)}.`)
      + (now.active === 0 ? " All latents are under water: collapse, where evenness means nothing." : ""));
    betaSlider.set(nearest());
    grip.tell(beta / 2, `β/2 = ${brief(beta / 2)}`, set().betas.map((b) => b / 2));
    shown.redraw(); charts.forEach((one) => one.redraw());
  }

  const tell = twoWay(figure, model, keys, () => {
    const [d, m, c, s, b, r] = keys.map((key) => model.get(key));
    if (!(d in sets) || !(m in sets[d].metrics) || !(c in CONTROLS)) return;
    [data, metric, control, t, beta, realism] = [d, m, c, clamp(s, 0, 1), b, r];
    refresh();
  });
  function refresh() { offer(); dataChoice.set(data); controlChoice.set(control); whitening.set(t); realismCheck.input.checked = realism; show(); }
  function move(change) {
    ({ data, metric, control, t, beta, realism } = { data, metric, control, t, beta, realism, ...change });
    if (change.data) offer();
    show(); tell([data, metric, control, t, beta, realism]);
  }
  function setBeta(b) { move({ beta: clamp(b, betas[0], betas[STEPS]) }); }
  refresh();
  return figure.cleanup;
}

export { controlled, fillSeen, whiten };
export default { render };
