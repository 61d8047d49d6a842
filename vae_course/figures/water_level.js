// Reverse water-filling: bars of variance, water up to beta / 2, and the curve of rate and distortion.

const STEPS = 160;                                     // of the slider, equal factors apart

// What the best linear VAE does with each axis at one price; nats, and the data's unit squared.
function fillWater(spectrum, beta, rest = 0) {
  const level = beta / 2;
  const variances = spectrum.map((l) => Math.min(1, level / l)), rates = spectrum.map((l) => 0.5 * Math.log(Math.max(1, l / level)));
  const sum = (values) => values.reduce((total, v) => total + v, 0);
  return {
    variances, rates, rate: sum(rates), active: spectrum.filter((l) => l > level).length,
    distortion: rest + sum(spectrum.map((l) => Math.min(l, level))),
  };
}

const brief = (x) => { const text = x >= 1000 ? x.toFixed(0) : String(Number(x.toPrecision(3))); return minus(text); };

function render({ model, el }) {
  const figure = frame(el, "Water-filling: how much of each axis is worth coding", "vf-water");
  const spectrum = model.get("spectrum"), rest = model.get("rest"), trained = model.get("trained"), n = spectrum.length;
  const largest = spectrum[0], low = Math.max(largest / 1000, Math.min(largest / 10, spectrum[n - 1], ...trained.map(([b]) => b))), high = 2.5 * largest;
  const betas = Array.from({ length: STEPS + 1 }, (_, i) => low * (high / low) ** (i / STEPS));
  let beta = model.get("beta"), axis = 0, logarithmic = false, bars = null, now = null;

  const curve = betas.map((b) => { const f = fillWater(spectrum, b, rest); return [f.distortion, f.rate]; });
  const total = rest + spectrum.reduce((s, l) => s + l, 0);

  // ------------------------------------------------------------ the bars and the water
  const floor = 0.7 * Math.max(Math.min(low / 2, spectrum[n - 1]), largest / 3000);
  const view = () => (logarithmic ? [Math.log(floor), Math.log(1.5 * largest)] : [0, 1.32 * largest]);
  const height = (v) => (logarithmic ? Math.log(Math.max(v, floor)) : v);
  const shown = surface(figure, { label: "Bars of the variance of each axis, with water up to the level beta / 2; below them each latent's posterior variance", aspect: 1.15, draw(g, width, tall, c) {
    const a = axes({ left: 44, top: 8, width: width - 52, height: tall - 108 }, [0.4, n + 0.6], view());
    bars = a;
    const powers = [1, 2, 5].flatMap((m) => Array.from({ length: 13 }, (_, k) => m * 10 ** (k - 8))).filter((t) => t >= floor && t <= 1.5 * largest);
    const ticks = logarithmic ? powers.filter((t) => powers.length < 8 || String(t.toExponential())[0] === "1") : niceTicks(...view());
    const wide = Math.min(34, 0.72 * a.sx), y = (v) => a.y(height(v)), level = y(beta / 2);
    border(g, a, c, { rows: [], up: "variance λ" });
    g.textAlign = "right"; g.textBaseline = "middle";
    for (const t of ticks) g.fillText(brief(t), a.left - 5, y(t));
    within(g, a, () => {
      g.fillStyle = PALETTE[0]; g.globalAlpha = 0.16; g.fillRect(a.left, level, a.width, a.bottom - level); g.globalAlpha = 1;
      spectrum.forEach((l, j) => {
        const x = a.x(j + 1) - wide / 2, top = y(l);
        g.fillStyle = PALETTE[0]; g.fillRect(x, Math.max(top, level), wide, a.bottom);
        if (top < level) { g.fillStyle = PALETTE[1]; g.fillRect(x, top, wide, level - top); }
        if (j === axis) { g.strokeStyle = c.ink; g.lineWidth = 2; g.strokeRect(x, top, wide, a.bottom - top + 4); }
      });
      g.strokeStyle = c.accent; g.lineWidth = 3; g.beginPath(); g.moveTo(a.left, level); g.lineTo(a.right, level); g.stroke();
    });
    g.fillStyle = c.ink; g.textAlign = "right"; g.textBaseline = "bottom";
    g.fillText(`β/2 = ${brief(beta / 2)}`, a.right - 30, level - 5);
    grip.style.top = `${clamp(level, a.top, a.bottom)}px`;

    // the posterior variance of each latent, from 0 to 1
    const b = axes({ left: a.left, top: a.bottom + 34, width: a.width, height: 40 }, [0.4, n + 0.6], [0, 1.05]);
    border(g, b, c, { rows: [0, 1], columns: [1, ...niceTicks(1, n, 6)].filter((t, i, all) => t >= 1 && t % 1 === 0 && all.indexOf(t) === i), up: "σ²" });
    g.textAlign = "center"; g.textBaseline = "middle"; g.fillStyle = c.muted; g.fillText("posterior variance of each latent", (b.left + b.right) / 2, a.bottom + 18);
    now.variances.forEach((v, j) => {
      const x = b.x(j + 1);
      g.strokeStyle = g.fillStyle = v < 1 ? PALETTE[1] : PALETTE[0]; g.lineWidth = Math.min(3, wide / 2);
      g.beginPath(); g.moveTo(x, b.bottom); g.lineTo(x, b.y(v)); g.stroke();
      g.beginPath(); g.arc(x, b.y(v), clamp(wide / 3, 1.5, 4), 0, 2 * Math.PI); g.fill();
    });
  } });
  shown.canvas.classList.add("vf-bars");
  const grip = make("div", { className: "vf-grip", "aria-hidden": "true" });   // the slider is the keyboard's way
  shown.box.append(grip);

  // ------------------------------------------------------------ rate against distortion
  const widest = 1.08 * Math.max(total, ...trained.map((t) => t[2])), tallest = 1.08 * Math.max(curve[0][1], ...trained.map((t) => t[1]));
  const chart = surface(figure, { label: "The curve of rate against distortion, with the point of this level", aspect: 1.15, draw(g, width, tall, c) {
    const a = axes({ left: 44, top: 8, width: width - 52, height: tall - 52 }, [0, widest], [0, tallest]);
    border(g, a, c, { columns: niceTicks(0, widest), rows: niceTicks(0, tallest), across: "distortion D", up: "rate R (nats)", text: brief });
    within(g, a, () => {
      g.strokeStyle = c.ink; g.lineWidth = 2; path(g, a, [...curve, [total, 0]]); g.stroke();
      const { distortion: d, rate: r } = now;          // tangent: dR = -dD / beta
      g.setLineDash([6, 4]); g.strokeStyle = c.accent; g.lineWidth = 2;
      path(g, a, [[0, r + d / beta], [widest, r + (d - widest) / beta]]); g.stroke(); g.setLineDash([]);
      g.textBaseline = "bottom"; g.textAlign = "left";
      for (const [b, rate, distortion] of trained) {   // squares: models that were trained
        g.fillStyle = c.warn; g.strokeStyle = c.paper; g.lineWidth = 1; g.fillRect(a.x(distortion) - 4, a.y(rate) - 4, 8, 8); g.strokeRect(a.x(distortion) - 4, a.y(rate) - 4, 8, 8);
        g.fillText(`β ${brief(b)}`, a.x(distortion) + 6, a.y(rate) - 3);
      }
      dot(g, a.x(d), a.y(r), 6, c.accent, c.paper);
    });
  } });

  // ------------------------------------------------------------ controls
  const nearest = () => betas.reduce((best, b, i) => (Math.abs(Math.log(b / beta)) < Math.abs(Math.log(betas[best] / beta)) ? i : best), 0);
  const betaSlider = slider({ label: "Water level", min: 0, max: STEPS, value: nearest(), format: () => `β/2 = ${brief(beta / 2)}`, onInput: (i) => setBeta(betas[i]) });
  const axisSlider = slider({ label: "Axis to read off", min: 1, max: n, value: 1, format: (j) => `no. ${j} of ${n}`, onInput: (j) => { axis = j - 1; show(); } });
  const scale = check("logarithmic heights: above the water is 2 × rate", false, (on) => { logarithmic = on; show(); });
  const numbers = cards(), told = readout(figure);
  figure.root.append(
    make("div", { className: "vf-wide vf-controls" }, betaSlider.root, axisSlider.root, scale.root),
    make("div", { className: "vf-plane" }, shown.box),
    make("div", { className: "vf-side" }, make("div", {}, chart.box)),
    make("div", { className: "vf-wide" }, numbers.root, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Drag the water or use the slider. Blue: under water, the error that stays. Orange: above it, what is coded. Solid line: no linear code does better; dashed: its tangent, one nat for β of distortion."
      + (trained.length ? " Squares: trained models." : "") + (rest ? ` D includes ${brief(rest)} of axes left out.` : "") }),
  );

  function show() {
    now = fillWater(spectrum, beta, rest);
    const one = { lambda: spectrum[axis], variance: now.variances[axis], rate: now.rates[axis] };
    numbers.show({
      "price β": brief(beta), "active axes": `${now.active} of ${n}`, "rate R": `${now.rate.toFixed(2)} nats`, "distortion D": brief(now.distortion),
      [`λ of axis ${axis + 1}`]: brief(one.lambda), "its σ²": brief(one.variance), "its rate": `${one.rate.toFixed(2)} nats`,
    });
    told.say(now.active === 0
      ? `The water covers every axis: the rate is 0 and all variance, ${brief(total)}, is error. This is collapse, and β = ${brief(beta)} is at least 2λ_max = ${brief(2 * largest)}.`
      : `${now.active} of ${n} axes rise above β/2 = ${brief(beta / 2)}: ${now.rate.toFixed(2)} nats buy an error of ${brief(now.distortion)} of ${brief(total)}. Axis ${axis + 1} is ${one.variance < 1 ? "coded, with σ² = " + brief(one.variance) : "under water: its latent stays at the prior"}.`);
    shown.redraw(); chart.redraw();
  }

  const tell = twoWay(figure, model, ["beta"], () => { const b = model.get("beta"); if (b !== beta) { beta = clamp(b, low, high); betaSlider.set(nearest()); show(); } });
  function setBeta(b) { beta = clamp(b, low, high); betaSlider.set(nearest()); show(); tell([beta]); }

  let dragging = false;
  const lift = (e) => { const y = bars.toY(e.clientY - shown.canvas.getBoundingClientRect().top); setBeta(2 * (logarithmic ? Math.exp(y) : y)); };
  for (const node of [shown.canvas, grip]) {           // on touch only the grip drags: the page still scrolls
    node.addEventListener("pointerdown", (e) => {
      if (e.button || (node === shown.canvas && e.pointerType === "touch")) return;
      dragging = true; node.setPointerCapture(e.pointerId); lift(e);
    });
    node.addEventListener("pointermove", (e) => { if (dragging) lift(e); });
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { dragging = false; });
  }
  show();
  return figure.cleanup;
}

export { fillWater };
export default { render };
