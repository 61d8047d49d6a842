// Log p-hat against log p, put together from the factors that the reader switches on.

// The logarithm of the estimate at each point. `use` says which factors: source "ball" or
// "objective", then prior, volume, constant (booleans) and power, half of which a_x is raised to.
function estimate({ prior, volume, loss, metric }, beta, active, use) {
  return Array.from(prior, (_, i) => {
    let log = (use.power / 2) * metric[i];
    if (use.source === "objective") return log - loss[i] / beta - (use.constant ? (active / 2) * Math.log(Math.PI * beta) : 0);
    if (use.prior) log += prior[i];
    if (use.volume) log += volume[i];
    return log + (use.constant ? (active / 2) * Math.log(2 / beta) : 0);
  });
}

const average = (x) => x.reduce((s, v) => s + v, 0) / x.length;

function pearson(x, y) {
  const mx = average(x), my = average(y);
  let xy = 0, xx = 0, yy = 0;
  x.forEach((v, i) => { xy += (v - mx) * (y[i] - my); xx += (v - mx) ** 2; yy += (y[i] - my) ** 2; });
  // An estimate that is the same everywhere correlates with nothing.
  return xx > 1e-12 && yy > 1e-12 ? xy / Math.sqrt(xx * yy) : NaN;
}

function ranks(x) {                                    // from 1; equal values share their mean rank
  const order = Array.from(x.keys()).sort((i, j) => x[i] - x[j]), rank = new Array(x.length);
  for (let i = 0, j; i < order.length; i = j) {
    for (j = i; j < order.length && x[order[j]] === x[order[i]]; j++);
    for (let k = i; k < j; k++) rank[order[k]] = (i + j + 1) / 2;
  }
  return rank;
}

function compare(truth, estimated) {
  const difference = estimated.map((v, i) => v - truth[i]), offset = average(difference);
  return {
    r: pearson(truth, estimated), rho: pearson(ranks(truth), ranks(estimated)), offset,
    spread: Math.sqrt(average(difference.map((d) => (d - offset) ** 2))),
  };
}

const read = (model) => {
  const spec = model.get("spec"), data = model.get("numbers"), { count: n } = spec, sweep = spec.betas.length;
  const block = (k) => Array.from(floats(data, 4 * n * k, n));
  return {
    ...spec, truth: block(0),
    parts: spec.betas.map((_, b) => ({ metric: block(1), prior: block(2 + b), volume: block(2 + sweep + b), loss: block(2 + 2 * sweep + b) })),
  };
};

// Between two colours that every eye tells apart, by way of grey.
const HUES = [PALETTE[1], "#8A8A8A", PALETTE[0]].map((h) => [1, 3, 5].map((k) => parseInt(h.slice(k, k + 2), 16)));
function shade(t) {
  const k = t < 0.5 ? 0 : 1, f = clamp(2 * t - k, 0, 1);
  return `rgb(${HUES[k].map((v, i) => Math.round(v + f * (HUES[k + 1][i] - v))).join(" ")})`;
}

const said = (x, digits = 3) => (Number.isFinite(x) ? minus(x.toFixed(digits)) : "none");

function render({ model, el }) {
  const data = read(model), n = data.count, figure = frame(el, "Log density estimated by the model against the true one", "vf-density");
  let index = clamp(model.get("beta_index"), 0, data.betas.length - 1);
  const use = { source: "ball", prior: true, volume: true, constant: true, power: 0 };
  let powers = { none: 0 }, power = data.metric ? "n" : "none", logs = [], found = null;

  const cut = (values, low, high) => { const s = [...values].sort((p, q) => p - q); return [s[Math.floor(low * (n - 1))], s[Math.ceil(high * (n - 1))]]; };
  const [least, most] = cut(data.truth, 0, 1), margin = 0.04 * (most - least) || 1;

  const chart = surface(figure, { label: "Each point's estimated log density against its true log density; the diagonal is agreement", aspect: 1.05, draw(g, width, height, c) {
    // Both the points and the diagonal stay in sight, so that an offset shows as one.
    const [bottom, top] = cut(logs, 0.002, 1), span = [Math.min(bottom, least), Math.max(top, most)];
    const gap = 0.04 * (span[1] - span[0]);
    const a = axes({ left: 48, top: 8, width: width - 56, height: height - 52 }, [least - margin, most + margin], [span[0] - gap, span[1] + gap]);
    border(g, a, c, { columns: niceTicks(least - margin, most + margin), rows: niceTicks(span[0] - gap, span[1] + gap), across: "true log p (nats)", up: "estimated log p̂ (nats)" });
    within(g, a, () => {
      const volume = data.parts[index].volume, [small, large] = cut(volume, 0.02, 0.98);
      logs.forEach((log, i) => {
        g.globalAlpha = 0.75;
        dot(g, a.x(data.truth[i]), a.y(log), 2.2, shade(large - small > 1e-6 ? (volume[i] - small) / (large - small) : 0.5));
      });
      g.globalAlpha = 1; g.lineWidth = 2; g.strokeStyle = c.ink;
      path(g, a, [[least - margin, least - margin], [most + margin, most + margin]]); g.stroke();
      g.setLineDash([6, 5]);                           // the same slope, through the mean
      path(g, a, [least - margin, most + margin].map((x) => [x, x + found.offset])); g.stroke(); g.setLineDash([]);
    });
  } });

  // ------------------------------------------------------------ controls
  const betaSlider = slider({ label: "β of the model", min: 0, max: data.betas.length - 1, value: index, format: (i) => `${data.betas[i]}, n = ${data.active[i]}`, onInput: (i) => { index = i; show(); tell([index]); } });
  const sources = choice("Where the estimate comes from", { ball: "From the ball", objective: "From the objective" }, use.source, (key) => { use.source = key; show(); });
  const factors = {
    prior: check("p(μ), the prior at the centre", true, (on) => { use.prior = on; show(); }),
    volume: check("∏ σ, the ball's volume", true, (on) => { use.volume = on; show(); }),
    constant: check("the absolute constant", true, (on) => { use.constant = on; show(); }),
  };
  const named = { none: "no aₓ", n: "aₓ to n/2", ...(data.dim ? { m: "aₓ to m/2" } : {}) };
  const metric = choice("Power of the metric aₓ", named, power, (key) => { power = key; show(); });
  const group = (legend, ...nodes) => make("fieldset", {}, make("legend", { textContent: legend }), ...nodes);
  const formula = make("p", { className: "vf-formula" }), numbers = cards(), told = readout(figure);
  figure.root.append(
    make("div", { className: "vf-plane" }, chart.box),
    make("div", { className: "vf-side" },
      ...(data.betas.length > 1 ? [betaSlider.root] : []),
      group("Estimate", sources.root), group("Factors", ...Object.values(factors).map((f) => f.root)),
      ...(data.metric ? [group("Metric", metric.root)] : []), formula),
    make("div", { className: "vf-wide" }, numbers.root, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: `Solid: p̂ = p. Dashed: the same slope through the mean. Orange: small balls; blue: large ones, by ∏ σ. ${n} points${data.betas.length > 1 ? "" : `, β = ${data.betas[0]}, n = ${data.active[0]}`}.` }),
  );

  function product() {                                 // [base, exponent] of each factor in use
    const k = data.active[index], objective = use.source === "objective";
    return [
      objective && ["e", "−L/β"], !objective && use.prior && ["p(μ)"], !objective && use.volume && ["∏ σ"],
      use.constant && (objective ? ["(πβ)", `−${k}/2`] : ["(2/β)", `${k}/2`]), use.power && ["aₓ", `${use.power}/2`],
    ].filter(Boolean);
  }

  function show() {
    const objective = use.source === "objective";
    factors.prior.input.disabled = factors.volume.input.disabled = objective;
    powers = { none: 0, n: data.active[index], m: data.dim };
    use.power = powers[power] ?? 0;
    logs = estimate(data.parts[index], data.betas[index], data.active[index], use);
    found = compare(data.truth, logs);
    const factorsUsed = product();
    formula.replaceChildren("p̂ = ", ...(factorsUsed.length ? factorsUsed : [["1"]]).flatMap(([base, exponent], i) => [i ? " · " : "", base, ...(exponent ? [make("sup", { textContent: exponent })] : [])]));
    numbers.show({ "r of the logs": said(found.r), "Spearman": said(found.rho), "mean log p̂ − log p": `${said(found.offset)} nats`, "its spread (SD)": `${said(found.spread)} nats` });
    const whole = use.constant && (objective || (use.prior && use.volume)) && (!data.metric || power === "n");
    told.say(`p̂ = ${factorsUsed.map(([base, exponent]) => base + (exponent ? `^(${exponent})` : "")).join(" · ") || "1"}: r = ${said(found.r)}, ranks ${said(found.rho)}. ${whole ? `Off by ${said(found.offset, 2)} nats in the mean.` : "A factor is missing or wrong, so the offset means nothing; the order of the points may still be right."}`);
    chart.redraw();
  }

  const tell = twoWay(figure, model, ["beta_index"], () => {
    const i = model.get("beta_index");
    if (i !== index && i >= 0 && i < data.betas.length) { index = i; betaSlider.set(i); show(); }
  });
  show();
  return figure.cleanup;
}

export { compare, estimate, ranks };
export default { render };
