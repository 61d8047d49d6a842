// The forces on one ball of a linear VAE, on the plane of mu and log sigma; release it and it flows.

const WIDE = [-3, 3], TALL = [-3, 1];                  // mu, log sigma
const DURATION = 6;                                    // of a flow, in its own unit of time

// The best linear decoder at this price, and the stiffness that it adds to the KL divergence's own.
function spring(eigenvalue, beta) {
  const w = Math.sqrt(Math.max(0, eigenvalue - beta / 2));
  return { w, push: (2 * w * Math.sqrt(eigenvalue)) / beta, stiff: (2 * w * w) / beta };
}

const pull = ([mu, l]) => [-mu, 1 - Math.exp(2 * l)];                       // of the KL divergence
const repel = ({ push, stiff }, [mu, l]) => [push - stiff * mu, -stiff * Math.exp(2 * l)];
const rest = ({ push, stiff }) => [push / (1 + stiff), -0.5 * Math.log(1 + stiff)];

// Where the ball is after time t. Both equations are solved in closed form: mu decays to its rest,
// v = sigma^2 is logistic, dv/dt = 2 v (1 - k v). `parts` says which of the two forces act.
function flow(eigenvalue, beta, [mu, l], t, parts = "both") {
  const { push, stiff } = spring(eigenvalue, beta);
  const a = parts === "repel" ? 0 : 1, k = a + (parts === "pull" ? 0 : stiff), p = parts === "pull" ? 0 : push;
  const v = Math.exp(2 * l);
  if (k === 0) return [mu, l];
  const end = p / k, still = end + (mu - end) * Math.exp(-k * t);
  // 1/v obeys a linear equation: d(1/v)/dt = 2 (k - a/v).
  const inverse = a ? k + (1 / v - k) * Math.exp(-2 * t) : 1 / v + 2 * k * t;
  return [still, -0.5 * Math.log(inverse)];
}

const signed = (x, digits = 2) => x.toFixed(digits).replace("-", "−").replace(/^−(0\.?0*)$/, "$1");

function render({ model, el }) {
  const figure = frame(el, "Force field of the loss on the centre and the radius of one ball", "vf-force");
  const eigenvalue = model.get("eigenvalue"), animate = tween(figure, 2500);
  const betas = Array.from({ length: 41 }, (_, i) => (eigenvalue / 100) * 400 ** (i / 40));
  let beta = model.get("beta"), start = [...model.get("start")], parts = "both";
  let ball = start, trail = [], plot = null;

  const force = (x) => {
    const s = spring(eigenvalue, beta), a = pull(x), b = repel(s, x);
    return parts === "pull" ? a : parts === "repel" ? b : [a[0] + b[0], a[1] + b[1]];
  };

  // ------------------------------------------------------------ the plane
  const plane = surface(figure, { label: "Plane of the ball's centre mu and the logarithm of its radius sigma, with the force at each point", aspect: 1.15, draw });
  const ring = handle(plane, {
    label: "Ball before its release; arrow keys move it", enter: release,
    moveTo: ([x, y]) => moveTo([plot.toX(x), plot.toY(y)]),
    nudge: (way, far) => moveTo(start.map((v, k) => v + (far ? 0.5 : 0.1) * way[k])),
  });

  function arrow(g, x, y, dx, dy) {
    const angle = Math.atan2(dy, dx), size = 4;
    g.beginPath(); g.moveTo(x - dx / 2, y - dy / 2); g.lineTo(x + dx / 2, y + dy / 2);
    for (const turn of [2.6, -2.6]) {
      g.moveTo(x + dx / 2, y + dy / 2);
      g.lineTo(x + dx / 2 + size * Math.cos(angle + turn), y + dy / 2 + size * Math.sin(angle + turn));
    }
    g.stroke();
  }

  function draw(g, width, height, c) {
    plot = axes({ left: 40, top: 6, width: width - 46, height: height - 48 }, WIDE, TALL);
    g.strokeStyle = c.line; g.lineWidth = 1; g.fillStyle = c.muted;
    g.strokeRect(plot.left, plot.top, plot.width, plot.height);
    for (const [range, across] of [[WIDE, true], [TALL, false]]) for (const t of niceTicks(...range)) {
      g.textAlign = across ? "center" : "right"; g.textBaseline = across ? "top" : "middle";
      if (across) g.fillText(signed(t, 0), plot.x(t), plot.bottom + 5); else g.fillText(signed(t, 0), plot.left - 5, plot.y(t));
    }
    g.textAlign = "center"; g.textBaseline = "top"; g.fillText("centre μ", (plot.left + plot.right) / 2, plot.bottom + 24);
    g.save(); g.translate(10, (plot.top + plot.bottom) / 2); g.rotate(-Math.PI / 2);
    g.textBaseline = "middle"; g.fillText("log σ", 0, 0); g.restore();

    g.save(); g.beginPath(); g.rect(plot.left, plot.top, plot.width, plot.height); g.clip();
    g.setLineDash([5, 5]); g.strokeStyle = c.muted;     // the prior's radius and centre
    g.beginPath(); g.moveTo(plot.left, plot.y(0)); g.lineTo(plot.right, plot.y(0));
    g.moveTo(plot.x(0), plot.top); g.lineTo(plot.x(0), plot.bottom); g.stroke(); g.setLineDash([]);
    // Directions are true on the screen; lengths are squeezed, or one arrow would hide all others.
    g.strokeStyle = c.ink; g.globalAlpha = 0.55; g.lineWidth = 1.2;
    const columns = clamp(Math.round(plot.width / 30), 8, 17), rows = clamp(Math.round(plot.height / 30), 8, 15);
    for (let i = 0; i < columns; i++) for (let j = 0; j < rows; j++) {
      const x = plot.left + ((i + 0.5) / columns) * plot.width, y = plot.top + ((j + 0.5) / rows) * plot.height;
      const f = force([plot.toX(x), plot.toY(y)]), dx = f[0] * plot.sx, dy = -f[1] * plot.sy, size = Math.hypot(dx, dy);
      if (size < 1e-6) continue;
      const length = (24 * size) / (size + 40);
      arrow(g, x, y, (dx / size) * length, (dy / size) * length);
    }
    g.globalAlpha = 1;
    const dot = (x, y, r, fill) => { g.beginPath(); g.arc(x, y, r, 0, 2 * Math.PI); g.fillStyle = fill; g.fill(); };
    const path = (width, colour) => {
      g.beginPath(); trail.forEach((p, i) => (i ? g.lineTo : g.moveTo).call(g, plot.x(p[0]), plot.y(p[1])));
      g.lineWidth = width; g.strokeStyle = colour; g.stroke();
    };
    if (trail.length > 1) { path(6, c.paper); path(3, c.accent); }
    if (parts !== "repel") {                            // the reconstruction alone has no rest: sigma goes to 0
      const [mu, l] = parts === "pull" ? [0, 0] : rest(spring(eigenvalue, beta)), x = plot.x(mu), y = plot.y(l);
      for (const [w, colour] of [[7, c.paper], [3, c.warn]]) {
        g.lineWidth = w; g.strokeStyle = colour; g.beginPath();
        g.moveTo(x - 11, y - 11); g.lineTo(x + 11, y + 11); g.moveTo(x - 11, y + 11); g.lineTo(x + 11, y - 11); g.stroke();
      }
    }
    const at = [plot.x(clamp(ball[0], ...WIDE)), plot.y(clamp(ball[1], ...TALL))];
    dot(...at, 7, c.paper); dot(...at, 5, c.accent);
    g.restore();
    ring.put(plot.x(start[0]), plot.y(start[1]));
  }

  // ------------------------------------------------------------ the ball on its line
  const line = surface(figure, { label: "The ball and its mirror image as densities on the latent line, with the prior", aspect: 1.7, draw(g, width, height, c) {
    const a = axes({ left: 6, top: 8, width: width - 12, height: height - 34 }, [-4, 4], [0, 1.08]);
    const bell = (mu, sigma) => { g.beginPath(); for (let i = 0; i <= 300; i++) { const z = -4 + (8 * i) / 300, d = (z - mu) / sigma; g.lineTo(a.x(z), a.y(Math.exp(-0.5 * d * d))); } };
    const sigma = Math.exp(ball[1]);
    g.lineWidth = 2;
    bell(0, 1); g.setLineDash([5, 5]); g.strokeStyle = c.muted; g.stroke(); g.setLineDash([]);
    bell(-ball[0], sigma); g.strokeStyle = c.warn; g.stroke();
    bell(ball[0], sigma); g.strokeStyle = c.accent; g.lineWidth = 3; g.stroke();
    g.lineWidth = 1; g.strokeStyle = c.line; g.beginPath(); g.moveTo(a.left, a.bottom); g.lineTo(a.right, a.bottom); g.stroke();
    g.fillStyle = c.muted; g.textAlign = "center"; g.textBaseline = "top";
    for (const t of [-3, -2, -1, 0, 1, 2, 3]) g.fillText(signed(t, 0), a.x(t), a.bottom + 5);
  } });

  // ------------------------------------------------------------ controls
  const where = readout(figure);
  const nearestBeta = () => betas.reduce((best, b, i) => (Math.abs(Math.log(b / beta)) < Math.abs(Math.log(betas[best] / beta)) ? i : best), 0);
  const price = (b) => `β = ${b.toPrecision(2)}`;
  const betaSlider = slider({
    label: "β, the price of a nat", min: 0, max: betas.length - 1, value: nearestBeta(),
    format: () => `${price(beta)}${beta >= 2 * eigenvalue ? ", beyond 2λ" : ""}`,
    onInput(i) { beta = betas[i]; reset(); tell(); },
  });
  const centre = slider({ label: "Centre μ", min: WIDE[0], max: WIDE[1], step: 0.05, value: start[0], format: () => signed(start[0]), onInput: (v) => moveTo([v, start[1]]) });
  const radius = slider({ label: "log σ", min: TALL[0], max: TALL[1], step: 0.05, value: start[1], format: () => signed(start[1]), onInput: (v) => moveTo([start[0], v]) });
  const named = { both: "Both forces", pull: "KL alone", repel: "Reconstruction alone" };
  const forces = choice("Which forces act", named, parts, (key) => { parts = key; reset(); });
  const name = (text) => make("p", { className: "vf-chart-name", textContent: text });
  figure.root.append(
    make("div", { className: "vf-wide" }, betaSlider.root, forces.root),
    make("div", { className: "vf-plane" }, plane.box),
    make("div", { className: "vf-side" },
      make("div", { className: "vf-buttons" }, button("Release the ball", release), button("Back to the start", reset)),
      centre.root, radius.root,
      make("div", {}, name("The ball (thick), its mirror image, and the prior (dashed)"), line.box), ...where.nodes),
    make("p", { className: "vf-note vf-wide", textContent: `Ring: where you release the ball. Cross: where it comes to rest. Dashed: the prior's centre and radius. One direction of variance λ = ${eigenvalue.toPrecision(3)}; β_c = 2λ = ${(2 * eigenvalue).toPrecision(3)}. Arrows point where the ball goes; long ones are shortened.` }),
  );

  // ------------------------------------------------------------ what the reader can do
  function say(end) {
    const [mu, l] = ball, sigma = Math.exp(l), rate = 0.5 * (mu * mu + sigma * sigma - 1) - l;
    const overlap = Math.exp((-mu * mu) / (2 * sigma * sigma));
    const f = force(ball);
    const state = end
      ? (parts === "repel"
        ? (beta >= 2 * eigenvalue ? "No force: at this price the decoder ignores the code. " : "Without the KL term the radius shrinks for ever. ")
        : beta >= 2 * eigenvalue || parts === "pull" ? "At rest: the ball is the prior. " : "At rest. ")
      : `Force on μ: ${signed(f[0])}, on log σ: ${signed(f[1])}. `;
    where.say(`${state}μ = ${signed(mu)}, σ = ${sigma.toPrecision(2)}, rate ${rate.toFixed(2)} nats. It shares ${(100 * overlap).toFixed(0)} % with its mirror image (Bhattacharyya).`);
  }

  function show() {
    centre.set(start[0]); radius.set(start[1]);
    ring.tell(start[0].toFixed(2), `μ = ${signed(start[0])}, log σ = ${signed(start[1])}`, WIDE);
    plane.redraw(); line.redraw();
  }

  function reset() { animate(() => {}); ball = start; trail = []; say(false); show(); }

  function release() {
    const begun = [eigenvalue, beta, start], mode = parts, steps = 120;
    const points = Array.from({ length: steps + 1 }, (_, i) => flow(...begun, DURATION * (i / steps) ** 2, mode));
    animate((t) => {
      const last = Math.round(t * steps);
      trail = points.slice(0, last + 1); ball = points[last];
      say(last === steps); plane.redraw(); line.redraw();
    });
  }

  function moveTo(target) {
    start = [clamp(target[0], ...WIDE), clamp(target[1], ...TALL)];
    reset(); tell();
  }

  const report = twoWay(figure, model, ["beta", "start"], () => {   // Python moved something
    const to = model.get("start"), b = model.get("beta");
    if (b !== beta) { beta = b; betaSlider.set(nearestBeta()); }
    if (to.length === 2) start = [clamp(to[0], ...WIDE), clamp(to[1], ...TALL)];
    reset();
  });
  const tell = () => report([beta, start]);

  reset();
  return figure.cleanup;
}

export { flow, pull, repel, rest, spring };
export default { render };
