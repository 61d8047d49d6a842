// One image under several models: each decodes draws from the ball that its own encoder advertises.

const SHOWN = 8, DRAWS = 256;
const RADIUS = Math.SQRT2;                             // a ball's radius is sigma sqrt(d), d = 2

const squaredError = (x, y) => x.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0);
const at = (mu, sigma, eps) => eps.map((e, k) => mu[k] + sigma[k] * e);

// The error at the centre, the mean error over the draws, and their ratio.
function contract(layers, mu, sigma, image, noise) {
  const centre = squaredError(image, decode(layers, mu));
  const draws = noise.reduce((sum, eps) => sum + squaredError(image, decode(layers, at(mu, sigma, eps))), 0) / noise.length;
  return { centre, draws, ratio: draws / centre };
}

const short = (x) => (x >= 100 ? x.toFixed(0) : x.toPrecision(x < 10 ? 3 : 2) * 1).toString();

function read(model) {
  const spec = model.get("spec"), n = spec.count, models = spec.names.length;
  const codes = model.get("codes"), pixels = bytes(model.get("images")), size = spec.shape[0] * spec.shape[1];
  const block = (part, m) => floats(codes, 8 * n * (part * models + m), 2 * n);
  return {
    ...spec,
    mu: spec.names.map((_, m) => block(0, m)),
    sigma: spec.names.map((_, m) => block(1, m)),
    labels: pixels.subarray(0, n),
    image: (i) => Float32Array.from(pixels.subarray(n + i * size, n + (i + 1) * size), (v) => v / 255),
    decoders: spec.decoders.map((d) => readDecoder(d, model.get("weights"))),
  };
}

function render({ model, el }) {
  const data = read(model), n = data.count, figure = frame(el, "The contract: one image, its ball under each model, and what the decoder makes of draws from it", "vf-contract");
  const order = [...Array(n).keys()].sort((i, j) => data.labels[i] - data.labels[j] || i - j);
  const normal = normals(0), widest = Math.max(...data.limits);
  let selected = clamp(model.get("selected"), 0, n - 1), noise = [], together = false;

  const pair = (values, i) => [values[2 * i], values[2 * i + 1]];
  const columns = data.names.map((name, m) => column(name, m));

  // ------------------------------------------------------------ one model
  function column(name, m) {
    const mu = data.mu[m], sigma = data.sigma[m];
    let plot = null;
    const plane = surface(figure, { label: `Latent plane of the model ${name}: one ellipse an image, coloured by its class`, draw });
    plane.canvas.className = "vf-plane-of";
    const centre = picture(data.shape, "decoded centre"), thumbs = Array.from({ length: SHOWN }, () => picture(data.shape, "a draw"));
    centre.canvas.classList.add("vf-centre");
    const ratio = make("p", { className: "vf-ratio" });

    function ellipse(g, i, least = 1.5) {
      const x = plot.x(mu[2 * i]), y = plot.y(mu[2 * i + 1]);
      const rx = Math.max(least, RADIUS * sigma[2 * i] * plot.sx), ry = Math.max(least, RADIUS * sigma[2 * i + 1] * plot.sy);
      g.beginPath(); g.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
    }

    function draw(g, width, height, c) {
      const L = together ? widest : data.limits[m];
      plot = axes({ left: 30, top: 6, width: width - 36, height: height - 32 }, [-L, L], [-L, L]);
      g.fillStyle = c.muted; g.strokeStyle = c.line; g.lineWidth = 1;
      g.strokeRect(plot.left, plot.top, plot.width, plot.height);
      for (const t of niceTicks(-L, L, 4)) {
        const text = String(t).replace("-", "−");
        g.textAlign = "center"; g.textBaseline = "top"; g.fillText(text, plot.x(t), plot.bottom + 5);
        g.textAlign = "right"; g.textBaseline = "middle"; g.fillText(text, plot.left - 5, plot.y(t));
      }
      g.save();
      g.beginPath(); g.rect(plot.left, plot.top, plot.width, plot.height); g.clip();
      // The more the balls overlap, the lighter each: else they make one dark blot.
      let area = 0;
      for (let i = 0; i < n; i++) area += Math.PI * 2 * sigma[2 * i] * sigma[2 * i + 1];
      const crowd = Math.max(1, area / (4 * L * L));
      for (let i = 0; i < n; i++) {
        g.fillStyle = g.strokeStyle = PALETTE[data.labels[i]];
        ellipse(g, i);
        g.globalAlpha = clamp(0.4 / crowd, 0.02, 0.4); g.fill();
        g.globalAlpha = clamp(0.85 / Math.sqrt(crowd), 0.15, 0.85); g.stroke();
        g.globalAlpha = 1; g.beginPath(); g.arc(plot.x(mu[2 * i]), plot.y(mu[2 * i + 1]), 1.5, 0, 2 * Math.PI); g.fill();
      }
      g.strokeStyle = c.ink; g.globalAlpha = 0.55; g.setLineDash([5, 5]);
      for (const r of [1, 2, 3]) {                     // contours of the prior N(0, I)
        g.beginPath(); g.ellipse(plot.x(0), plot.y(0), r * plot.sx, r * plot.sy, 0, 0, 2 * Math.PI); g.stroke();
      }
      g.globalAlpha = 1; g.setLineDash([]);
      ellipse(g, selected, 5); g.lineWidth = 4; g.strokeStyle = c.paper; g.stroke();
      g.lineWidth = 2; g.strokeStyle = c.ink; g.stroke();
      for (const eps of noise.slice(0, SHOWN)) {
        const [x, y] = at(pair(mu, selected), pair(sigma, selected), eps);
        g.beginPath(); g.arc(plot.x(x), plot.y(y), 3, 0, 2 * Math.PI);
        g.fillStyle = c.ink; g.strokeStyle = c.paper; g.lineWidth = 1; g.stroke(); g.fill();
      }
      g.restore();
    }

    plane.canvas.addEventListener("click", (e) => {    // the nearest code, wherever the click lands
      const box = plane.canvas.getBoundingClientRect(), x = e.clientX - box.left, y = e.clientY - box.top;
      const gap = (i) => Math.hypot(plot.x(mu[2 * i]) - x, plot.y(mu[2 * i + 1]) - y);
      select(order.reduce((i, j) => (gap(j) < gap(i) ? j : i)));
    });

    return {
      root: make("div", { className: "vf-model" }, make("p", { className: "vf-name", textContent: name }), plane.box,
        make("div", { className: "vf-decoded" }, centre.canvas, ...thumbs.map((t) => t.canvas)), ratio),
      redraw: plane.redraw,
      show(image) {
        const [mean, spread] = [pair(mu, selected), pair(sigma, selected)];
        const found = contract(data.decoders[m], mean, spread, image, noise);
        centre.show(decode(data.decoders[m], mean), `${name}: the decoded centre`);
        thumbs.forEach((t, k) => t.show(decode(data.decoders[m], at(mean, spread, noise[k])), `${name}: draw ${k + 1}, decoded`));
        ratio.replaceChildren(make("b", { textContent: `× ${short(found.ratio)}` }),
          `error ${short(found.centre)} at the centre, ${short(found.draws)} at draws\nσ = (${spread.map(short).join(", ")})\nall images: × ${short(data.ratios[m])}`);
        plane.redraw();
        return `${name} × ${short(found.ratio)}`;
      },
    };
  }

  // ------------------------------------------------------------ controls
  const original = picture(data.shape, "the selected image"), told = readout(figure);
  const ball = slider({
    label: "Image", min: 0, max: n - 1, value: order.indexOf(selected), format: (k) => `class ${data.labels[order[k]]} (no. ${order[k]})`,
    onInput: (k) => select(order[k]),
  });
  const scale = check("one scale for all planes", false, (on) => { together = on; columns.forEach((c) => c.redraw()); });

  figure.root.append(
    make("div", { className: "vf-wide vf-top" }, original.canvas, ball.root, button("Resample inside its ball", resample),
      scale.root),
    ...columns.map((c) => c.root),
    make("div", { className: "vf-wide" }, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Click near a code to choose its image. Ellipse: a ball of radius σ√2. Dashed: the prior, radii 1, 2, 3. Large: the decoded centre; small: eight draws, the same noise in every model. × is the error at 256 draws over the error at the centre." }),
  );

  // ------------------------------------------------------------ what the reader can do
  function show() {
    const image = data.image(selected), label = data.labels[selected];
    original.show(image, `the selected image, of class ${label}`);
    told.say(`Class ${label}. Error at draws over error at the centre: ${columns.map((c) => c.show(image)).join(", ")}.`);
  }

  function resample() {
    noise = Array.from({ length: DRAWS }, () => [normal(), normal()]);
    show();
  }

  function select(i) {
    selected = i;
    ball.set(order.indexOf(i));
    show();
    tell([i]);
  }

  const tell = twoWay(figure, model, ["selected"], () => {   // Python moved it
    const i = model.get("selected");
    if (i !== selected && i >= 0 && i < n) select(i);
  });

  resample();
  return figure.cleanup;
}

export { contract };
export default { render };
