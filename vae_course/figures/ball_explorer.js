// Encoded images as Gaussian balls on the latent plane, with the decoder at any point of it.

const RADIUS = Math.SQRT2;                             // a ball's radius is sigma sqrt(d), d = 2
const REACH = Math.sqrt(-2 * Math.log(0.05));          // holds 95 % of a ball, in sigmas, d = 2
const SAMPLES = 8;

const number = (x, digits = 2) => x.toFixed(digits).replace("-", "−");

// The ball nearest to z in its own sigmas, and how many balls reach z.
// A point (sigma = 0) reaches nothing but itself; the floor keeps the order of plain distances.
function nearest(mu, sigma, z) {
  let index = 0, least = Infinity, reached = 0;
  for (let i = 0; 2 * i < mu.length; i++) {
    const m = Math.hypot((z[0] - mu[2 * i]) / Math.max(sigma[2 * i], 1e-9), (z[1] - mu[2 * i + 1]) / Math.max(sigma[2 * i + 1], 1e-9));
    if (m < least) { least = m; index = i; }
    if (m <= REACH) reached++;
  }
  return { index, distance: least / RADIUS, reached };
}

function sentence({ distance, reached }, label) {
  const far = distance > 99 ? "more than 99 radii" : `${distance.toFixed(1)} radii`;
  const others = reached === 1 ? "no other ball reaches here." : `${reached} balls reach here.`;
  if (distance < 0.005) return `At the centre of the ball of a ${label}; ${others}`;
  if (distance > REACH / RADIUS)
    return `Outside every ball. The nearest, of a ${label}, is ${far} away: no code shown here teaches the decoder this place.`;
  const where = distance <= 1 ? "Inside" : "At the rim of";
  return `${where} the ball of a ${label}, ${far} from its centre; ${others}`;
}

function read(model) {
  const spec = model.get("spec"), n = spec.count, betas = spec.betas.length;
  const codes = model.get("codes"), pixels = bytes(model.get("images")), weights = model.get("weights");
  const size = spec.shape[0] * spec.shape[1];
  const block = (part, b) => halfs(codes, 4 * n * (part * betas + b), 2 * n);
  return {
    ...spec,
    mu: spec.betas.map((_, b) => block(0, b)),
    sigma: spec.betas.map((_, b) => block(1, b)),
    labels: pixels.subarray(0, n),
    image: (i) => Float32Array.from(pixels.subarray(n + i * size, n + (i + 1) * size), (v) => v / 255),
    decoders: spec.decoders.map((d) => readDecoder(d, weights)),
  };
}

function render({ model, el }) {
  const data = read(model), n = data.count, figure = frame(el, "Ball explorer: encoded images as balls on the latent plane", "vf-balls");
  const order = [...Array(n).keys()].sort((i, j) => data.labels[i] - data.labels[j] || i - j);
  const normal = normals(0), animate = tween(figure, 300);
  let beta = clamp(model.get("beta_index"), 0, data.betas.length - 1);
  let selected = clamp(model.get("selected"), 0, n - 1);
  let z = [...model.get("z")], follows = z.length !== 2;   // a point that was not moved stays at its ball's centre
  let highlighted = null, noise = [];                  // noise: eps, kept when beta changes
  let now = { mu: data.mu[beta], sigma: data.sigma[beta], limit: data.limits[beta] };   // what is drawn, mid-tween too
  let plot = null, near = null;

  const centre = (i) => [data.mu[beta][2 * i], data.mu[beta][2 * i + 1]];
  const samples = () => noise.map((eps) => eps.map((e, k) => now.mu[2 * selected + k] + now.sigma[2 * selected + k] * e));

  // ------------------------------------------------------------ the plane
  const plane = surface(figure, { label: "Latent plane: one ellipse an image, coloured by its digit", draw });
  const ring = handle(plane, {
    label: "Point on the latent plane; arrow keys move it",
    moveTo: ([x, y]) => moveTo([plot.toX(x), plot.toY(y)]),
    pick([x, y]) {                                     // a ball's centre under the finger, or the place itself
      const mu = data.mu[beta], gap = (i) => Math.hypot(plot.x(mu[2 * i]) - x, plot.y(mu[2 * i + 1]) - y);
      const best = order.reduce((i, j) => (gap(j) < gap(i) ? j : i));
      if (gap(best) < 12) select(best); else moveTo([plot.toX(x), plot.toY(y)]);
    },
    nudge: (way, far) => moveTo(z.map((v, k) => v + (data.limits[beta] / (far ? 10 : 60)) * way[k])),
  });

  function ellipse(g, i, radii, least = 1.5) {
    const rx = Math.max(least, radii * now.sigma[2 * i] * plot.sx), ry = Math.max(least, radii * now.sigma[2 * i + 1] * plot.sy);
    const x = plot.x(now.mu[2 * i]), y = plot.y(now.mu[2 * i + 1]);
    g.moveTo(x + rx, y);
    g.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
  }

  function draw(g, width, height, c) {
    const L = now.limit;
    plot = axes({ left: 30, top: 6, width: width - 36, height: height - 32 }, [-L, L], [-L, L]);
    g.fillStyle = c.muted; g.strokeStyle = c.line; g.lineWidth = 1;
    g.strokeRect(plot.left, plot.top, plot.width, plot.height);
    for (const t of niceTicks(-L, L)) {
      g.textAlign = "center"; g.textBaseline = "top"; g.fillText(number(t, t % 1 ? 1 : 0), plot.x(t), plot.bottom + 5);
      g.textAlign = "right"; g.textBaseline = "middle"; g.fillText(number(t, t % 1 ? 1 : 0), plot.left - 5, plot.y(t));
    }
    g.save();
    g.beginPath(); g.rect(plot.left, plot.top, plot.width, plot.height); g.clip();

    g.beginPath();                                     // one path: the union of what the balls reach
    for (let i = 0; i < n; i++) ellipse(g, i, REACH, 0);
    g.globalAlpha = 0.13; g.fillStyle = c.ink; g.fill();

    // The more the balls overlap, the lighter each: else a hundred of them make one dark blot.
    let area = 0;
    for (let i = 0; i < n; i++) area += Math.PI * 2 * now.sigma[2 * i] * now.sigma[2 * i + 1];
    const crowd = Math.max(1, area / (4 * L * L));
    for (let label = 0; label < 10; label++) {
      const dim = highlighted !== null && highlighted !== label;
      g.fillStyle = g.strokeStyle = dim ? c.muted : PALETTE[label];
      for (let i = 0; i < n; i++) {
        if (data.labels[i] !== label) continue;
        g.beginPath(); ellipse(g, i, RADIUS);
        g.globalAlpha = dim ? 0.05 : clamp(0.4 / crowd, 0.02, 0.4); g.fill();
        g.globalAlpha = dim ? 0.12 : clamp(0.85 / Math.sqrt(crowd), 0.2, 0.85); g.stroke();
      }
    }
    g.globalAlpha = 1;

    g.strokeStyle = c.ink; g.setLineDash([5, 5]); g.fillStyle = c.ink;
    for (const r of [1, 2, 3]) {                       // contours of the prior N(0, I)
      g.globalAlpha = 0.55; g.beginPath(); g.ellipse(plot.x(0), plot.y(0), r * plot.sx, r * plot.sy, 0, 0, 2 * Math.PI); g.stroke();
    }
    g.globalAlpha = 1; g.setLineDash([]);
    drawClasses(g);

    g.lineWidth = 4; g.strokeStyle = c.paper; g.beginPath(); ellipse(g, selected, RADIUS, 5); g.stroke();
    g.lineWidth = 2; g.strokeStyle = c.ink; g.stroke();
    for (const s of samples()) {
      g.beginPath(); g.arc(plot.x(s[0]), plot.y(s[1]), 3, 0, 2 * Math.PI);
      g.fillStyle = c.ink; g.strokeStyle = c.paper; g.lineWidth = 1; g.stroke(); g.fill();
    }
    if (near && near.distance > 1) {                   // how far the point is from its nearest ball
      g.strokeStyle = c.accent; g.lineWidth = 2; g.beginPath();
      g.moveTo(plot.x(z[0]), plot.y(z[1])); g.lineTo(plot.x(now.mu[2 * near.index]), plot.y(now.mu[2 * near.index + 1]));
      g.stroke();
    }
    g.restore();
    ring.put(clamp(plot.x(z[0]), plot.left, plot.right), clamp(plot.y(z[1]), plot.top, plot.bottom));
  }

  // Each class by name: at its median code, or at every code of the highlighted class.
  function drawClasses(g) {
    g.textAlign = "center"; g.textBaseline = "middle";
    for (const label of classes) {
      const mine = order.filter((i) => data.labels[i] === label);
      if (highlighted === label) {
        g.fillStyle = figure.colours().ink;
        for (const i of mine) g.fillText(label, plot.x(now.mu[2 * i]), plot.y(now.mu[2 * i + 1]));
      } else if (highlighted === null) {
        const median = [0, 1].map((k) => mine.map((i) => now.mu[2 * i + k]).sort((a, b) => a - b)[mine.length >> 1]);
        g.beginPath(); g.arc(plot.x(median[0]), plot.y(median[1]), 9, 0, 2 * Math.PI);
        g.fillStyle = PALETTE[label]; g.fill(); g.strokeStyle = "#fff"; g.lineWidth = 1.5; g.stroke();
        g.fillStyle = "#fff"; g.fillText(label, plot.x(median[0]), plot.y(median[1]));
      }
    }
  }

  // ------------------------------------------------------------ controls and pictures
  const classes = [...new Set(data.labels)].sort((a, b) => a - b);
  const betaSlider = slider({
    label: "β, the weight of the KL term", min: 0, max: data.betas.length - 1, value: beta,
    format: (b) => `β = ${data.betas[b]}`, onInput: setBeta,
  });
  const marks = make("div", { className: "vf-marks", "aria-hidden": "true" }, ...data.betas.map((b, i) => {
    const mark = make("span", { textContent: b });      // under the thumb, and inside the frame at both ends
    mark.style.setProperty("--at", data.betas.length > 1 ? i / (data.betas.length - 1) : 0);
    return mark;
  }));
  const cards = make("dl", { className: "vf-cards" });
  const legend = make("div", { className: "vf-classes", role: "group", "aria-label": "Highlight a digit" }, ...classes.map((label) => {
    const node = button(label, () => {
      highlighted = highlighted === label ? null : label;
      [...legend.children].forEach((b) => b.setAttribute("aria-pressed", b.textContent === String(highlighted)));
      plane.redraw();
    }, { "aria-pressed": "false", "aria-label": `Highlight digit ${label}` });
    node.style.setProperty("--class", PALETTE[label]);
    return node;
  }));
  const note = make("p", { className: "vf-note vf-wide" });
  const original = picture(data.shape, "the selected image"), decoded = picture(data.shape, "the decoder's image");
  const originalName = make("figcaption"), where = readout(figure);
  const coordinate = (k) => slider({
    label: `z${"₁₂"[k]}`, min: -now.limit, max: now.limit, step: 0.05, value: z[k] ?? 0, format: () => number(z[k] ?? 0),
    onInput: (v) => moveTo(k ? [z[0], v] : [v, z[1]]),
  });
  const sliders = [coordinate(0), coordinate(1)];
  const ballSlider = slider({
    label: "Ball", min: 0, max: n - 1, value: order.indexOf(selected), format: (k) => `a ${data.labels[order[k]]} (no. ${order[k]})`,
    onInput: (k) => select(order[k]),
  });
  const thumbs = Array.from({ length: SAMPLES }, () => picture(data.shape, "a sample"));
  const shot = (image, caption) => make("figure", {}, image.canvas, caption);

  figure.root.append(
    make("div", { className: "vf-wide" }, betaSlider.root, marks, cards),
    make("div", { className: "vf-plane" }, plane.box, legend),
    make("div", { className: "vf-side" },
      make("div", { className: "vf-pair" }, shot(original, originalName), shot(decoded, make("figcaption", { textContent: "decoder at the point" }))),
      ...where.nodes, ballSlider.root, make("div", { className: "vf-coordinates" }, ...sliders.map((s) => s.root)),
    ),
    make("div", { className: "vf-wide vf-samples" },
      button("Resample inside this ball", resample),
      make("div", { className: "vf-thumbs" }, ...thumbs.map((t) => t.canvas))),
    note,
  );

  // ------------------------------------------------------------ what the reader can do
  function show() {
    near = nearest(data.mu[beta], data.sigma[beta], z);
    where.say(sentence(near, data.labels[near.index]));
    decoded.show(decode(data.decoders[beta], z), `the decoder's image at z = (${z.map((v) => number(v))})`);
    sliders.forEach((s, k) => s.set(z[k], data.limits[beta]));
    ring.tell(z[0].toFixed(2), `z = (${z.map((v) => number(v)).join(", ")})`, [-data.limits[beta], data.limits[beta]]);
    plane.redraw();
  }

  function showBall() {
    const i = selected, s = [0, 1].map((k) => data.sigma[beta][2 * i + k]);
    original.show(data.image(i), `the selected image, a ${data.labels[i]}`);
    originalName.textContent = `a ${data.labels[i]}\nμ = (${centre(i).map((v) => number(v)).join(", ")})\nσ = (${s.map((v) => v.toPrecision(2)).join(", ")})`;
    ballSlider.set(order.indexOf(i));
    noise.forEach((eps, j) => {
      const at = eps.map((e, k) => data.mu[beta][2 * i + k] + data.sigma[beta][2 * i + k] * e);
      thumbs[j].show(decode(data.decoders[beta], at), `sample ${j + 1} of the ball, decoded`);
    });
    plane.redraw();
  }

  function moveTo(target) {
    const L = data.limits[beta];
    z = target.map((v) => clamp(v, -L, L));
    follows = false;
    show(); tell();
  }

  function select(i) {
    selected = i; follows = true; z = centre(i);
    showBall(); show(); tell();
  }

  function resample() {
    noise = Array.from({ length: SAMPLES }, () => [normal(), normal()]);
    showBall();
  }

  function setBeta(b) {
    const from = now, mix = (p, q, t) => p.map((v, i) => v + t * (q[i] - v));
    beta = b;
    const L = data.limits[b];
    z = follows ? centre(selected) : z.map((v) => clamp(v, -L, L));
    cards.replaceChildren(...Object.entries(data.readouts).map(([name, values]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: values[b] }))));
    const beyond = [...Array(n).keys()].filter((i) => centre(i).some((v) => Math.abs(v) > L)).length;
    note.textContent = "Ellipse: a ball of radius σ√2. Shaded: reached by 95 % of some ball's samples. Dashed: the prior, radii 1, 2, 3."
      + (beyond ? ` ${beyond} of ${n} codes lie outside the frame.` : "");
    showBall(); show(); tell();
    animate((t) => {
      now = { mu: mix(from.mu, data.mu[b], t), sigma: mix(from.sigma, data.sigma[b], t), limit: from.limit + t * (L - from.limit) };
      plane.redraw();
    });
  }

  const report = twoWay(figure, model, ["beta_index", "selected", "z"], () => {   // Python moved something
    const [b, i, to] = [model.get("beta_index"), model.get("selected"), model.get("z")];
    if (b !== beta && data.betas[b] !== undefined) { betaSlider.set(b); setBeta(b); }
    if (i !== selected && i >= 0 && i < n) select(i);
    else if (to.length === 2 && to.some((v, k) => v !== z[k])) moveTo(to);
  });
  const tell = () => report([beta, selected, z]);

  if (follows) z = centre(selected);
  resample(); setBeta(beta);
  return figure.cleanup;
}

export { nearest };
export default { render };
