// Two rate-distortion curves, the tangents of one price, and the two rates over the price.

// [first, second], each a list over the prices of { rate, distortion }; from the slider's first price on also { channel }.
function readCurves(points, channels, count, [first, last], cells) {
  const all = floats(points, 0, 4 * count), inside = last - first + 1, wide = floats(channels, 0, 2 * inside * cells);
  return [0, 1].map((which) => Array.from({ length: count }, (_, i) => {
    const at = 2 * (which * count + i), from = cells * (which * inside + i - first);
    const point = { rate: all[at], distortion: all[at + 1] };
    return i < first || i > last ? point : { ...point, channel: Array.from(wide.slice(from, from + cells)) };
  }));
}

const brief = (x) => minus(String(Number(x.toPrecision(3))));

function render({ model, el }) {
  const figure = frame(el, "Two rate–distortion curves and the tangents of one price", "vf-two-curves");
  const prices = model.get("prices"), [first, last] = model.get("ends"), crossings = model.get("crossings"), names = model.get("names"), costs = model.get("costs");
  const n = costs[0].length, m = costs[0][0].length, curves = readCurves(model.get("points"), model.get("channels"), prices.length, [first, last], n * m);
  const nearest = (beta) => { let best = first; for (let i = first; i <= last; i++) if (Math.abs(Math.log(prices[i] / beta)) < Math.abs(Math.log(prices[best] / beta))) best = i; return best; };
  let zoomed = false, at = nearest(model.get("beta")), plane = null, lines = null;

  const rates = curves.flat().map((p) => p.rate), distortions = curves.flat().map((p) => p.distortion);
  const tallest = 1.06 * Math.max(...rates), widest = 1.08 * Math.max(...distortions, 1e-12);
  const hues = [PALETTE[0], PALETTE[1]], dashes = [[], [8, 4]];
  const stroke = (g, which, width) => { g.strokeStyle = hues[which]; g.lineWidth = width; g.setLineDash(dashes[which]); g.stroke(); g.setLineDash([]); };

  // ------------------------------------------------------------ rate against distortion
  const chart = surface(figure, { label: "The two curves of rate against distortion, and on each the point where the tangent of slope minus one over beta touches", aspect: 1.1, draw(g, width, tall, c) {
    const high = zoomed ? Math.min(tallest, 3 * Math.max(...curves.map((curve) => curve[at].rate), 1e-4)) : tallest;
    const a = (plane = axes({ left: 48, top: 8, width: width - 56, height: tall - 52 }, [0, widest], [0, high]));
    border(g, a, c, { columns: niceTicks(0, widest), rows: niceTicks(0, high), across: "distortion D", up: "rate R (nats)" });
    within(g, a, () => {
      curves.forEach((curve, which) => {
        const { distortion: d, rate: r } = curve[at];
        g.strokeStyle = c.muted; g.lineWidth = 1.5;    // tangent: dR = -dD / beta
        path(g, a, [[0, r + d / prices[at]], [widest, r + (d - widest) / prices[at]]]); g.stroke();
        path(g, a, curve.map((p) => [p.distortion, p.rate])); stroke(g, which, 2.5);
      });
    });
    curves.forEach((curve, which) => {
      const x = a.x(curve[at].distortion), y = a.y(curve[at].rate);
      dot(g, x, y, 6, hues[which], c.paper);
    });
    key(g, a, c);
    grip.put(a.x(curves[0][at].distortion), a.y(curves[0][at].rate));
  } });
  const key = (g, a, c) => names.forEach((name, which) => {
    const y = a.top + 16 + 18 * which, x = a.right - 12 - Math.max(...names.map((one) => g.measureText(one).width));
    g.beginPath(); g.moveTo(x - 36, y); g.lineTo(x - 8, y); stroke(g, which, 2.5);
    g.fillStyle = c.ink; g.textAlign = "left"; g.textBaseline = "middle"; g.fillText(name, x, y);
  });
  const grip = handle(chart, {
    label: "Price; arrow keys lower and raise it",
    moveTo([x, y]) {                                   // the price of the nearest point of either curve
      const away = (i) => Math.min(...curves.map((curve) => Math.hypot(plane.x(curve[i].distortion) - x, plane.y(curve[i].rate) - y)));
      let best = first;
      for (let i = first; i <= last; i++) if (away(i) < away(best)) best = i;
      go(best);
    },
    nudge([right, up], far) { go(at + (far ? 10 : 1) * (right - up)); },
  });
  grip.ring.removeAttribute("aria-roledescription");

  // ------------------------------------------------------------ the two rates over the price
  const over = surface(figure, { label: "The two rates over the price beta, on logarithmic scales, with the prices where they cross", aspect: 1.1, draw(g, width, tall, c) {
    const least = Math.max(1e-4, 0.8 * Math.min(...curves.map((curve) => curve[last].rate))), most = 1.3 * Math.max(...curves.map((curve) => curve[first].rate));
    const a = (lines = axes({ left: 48, top: 8, width: width - 56, height: tall - 52 }, [Math.log(prices[first]), Math.log(prices[last])], [Math.log(least), Math.log(most)]));
    const between = (values, low, high) => values.filter((v) => v >= 0.999 * low && v <= 1.001 * high).map(Math.log);
    const doubles = between(Array.from({ length: 60 }, (_, i) => 2 ** (i - 30)), prices[first], prices[last]);
    border(g, a, c, {
      columns: doubles.filter((_, i) => i % Math.ceil(doubles.length / 6) === 0), across: "price β", up: "rate R (nats)", text: (v) => brief(Math.exp(v)),
      rows: between([-5, -4, -3, -2, -1, 0, 1].flatMap((e) => [10 ** e, 3 * 10 ** e]), least, most),
    });
    within(g, a, () => {
      for (const beta of crossings) {
        const x = a.x(Math.log(beta));
        g.strokeStyle = c.ink; g.lineWidth = 1; g.setLineDash([2, 3]); g.beginPath(); g.moveTo(x, a.top); g.lineTo(x, a.bottom); g.stroke(); g.setLineDash([]);
      }
      curves.forEach((curve, which) => { path(g, a, prices.map((beta, i) => [Math.log(beta), Math.log(Math.max(curve[i].rate, 1e-12))])); stroke(g, which, 2.5); });
      const x = a.x(Math.log(prices[at]));
      g.strokeStyle = c.muted; g.lineWidth = 1.5; g.beginPath(); g.moveTo(x, a.top); g.lineTo(x, a.bottom); g.stroke();
      g.fillStyle = c.ink; g.textAlign = "right"; g.textBaseline = "bottom"; g.strokeStyle = c.paper; g.lineWidth = 4;
      for (const beta of crossings) for (const way of ["strokeText", "fillText"]) g[way](`β = ${beta.toFixed(3)}`, a.x(Math.log(beta)) - 5, a.bottom - 5);
    });
    curves.forEach((curve, which) => { if (curve[at].rate > least) dot(g, a.x(Math.log(prices[at])), a.y(Math.log(curve[at].rate)), 6, hues[which], c.paper); });
    key(g, a, c);
  } });
  let sliding = false;
  const slide = (e) => go(nearest(Math.exp(lines.toX(e.clientX - over.canvas.getBoundingClientRect().left))));
  over.canvas.addEventListener("pointerdown", (e) => { if (!e.button && e.pointerType !== "touch") { sliding = true; over.canvas.setPointerCapture(e.pointerId); slide(e); } });
  over.canvas.addEventListener("pointermove", (e) => { if (sliding) slide(e); });
  for (const end of ["pointerup", "pointercancel"]) over.canvas.addEventListener(end, () => { sliding = false; });
  over.canvas.addEventListener("click", (e) => { if (e.pointerType === "touch") slide(e); });

  // ------------------------------------------------------------ the channels, controls, text
  const cells = (label) => picture([n, m], label);
  const shots = names.map((name) => [cells(`distortion ${name}: dark is dear`), cells(`optimal channel of ${name}`)]);
  const dearest = Math.max(...costs.flat(2), 1e-12);
  costs.forEach((cost, which) => shots[which][0].show(cost.flat().map((v) => 1 - v / dearest)));
  const shot = ({ canvas }, caption) => make("figure", {}, canvas, make("figcaption", { textContent: caption }));
  const price = slider({ label: "Price β of a nat", min: first, max: last, value: at, format: (i) => brief(prices[i]), onInput: go });
  const zoom = check("enlarge the foot of the curves", false, (on) => { zoomed = on; chart.redraw(); });
  const numbers = cards(), told = readout(figure);
  figure.root.append(
    make("div", { className: "vf-wide" }, price.root, zoom.root),
    make("div", { className: "vf-plane" }, chart.box),
    make("div", { className: "vf-side" }, make("div", {}, over.box)),
    make("div", { className: "vf-wide" }, numbers.root, ...told.nodes),
    make("div", { className: "vf-wide vf-channels" }, ...names.flatMap((name, which) => [shot(shots[which][0], `cost ${name}`), shot(shots[which][1], "channel")])),
    make("p", { className: "vf-note vf-wide", textContent: "Slide the price, or drag on a chart. Thin lines: slope −1/β, touching each curve where D + βR is least. Squares: symbols down, reproductions across; costs from white (free) to black (dear), channels from white (never) to black (always)." }),
  );

  function show() {
    const beta = prices[at], [one, two] = curves.map((curve) => curve[at]), gap = two.rate - one.rate;
    const kinds = { R: (p) => `${p.rate.toFixed(4)} nats`, D: (p) => p.distortion.toFixed(4), "D + βR": (p) => (p.distortion + beta * p.rate).toFixed(4) };
    numbers.show(Object.fromEntries(Object.entries(kinds).flatMap(([kind, text]) => names.map((name, which) => [`${kind} under ${name}`, text(curves[which][at])]))));
    told.say(`At β = ${brief(beta)} the best code costs ${one.rate.toFixed(4)} nats under ${names[0]} and ${two.rate.toFixed(4)} under ${names[1]}: ${names[1]} costs ${Math.abs(gap) < 5e-5 ? "as much" : `${Math.abs(gap).toFixed(4)} ${gap > 0 ? "more" : "less"}`}.`
      + (crossings.length ? ` The rates cross at β = ${crossings.map((b) => b.toFixed(3)).join(", ")}.` : " The rates do not cross on this range of prices."));
    shots.forEach(([, channel], which) => channel.show(curves[which][at].channel.map((v) => 1 - v), `optimal channel of ${names[which]} at beta ${brief(beta)}`));
    price.set(at);
    grip.tell(beta, `β = ${brief(beta)}`, [prices[first], prices[last]]);
    chart.redraw(); over.redraw();
  }

  const tell = twoWay(figure, model, ["beta"], () => { at = nearest(model.get("beta")); show(); });
  function go(i) { at = clamp(i, first, last); show(); tell([prices[at]]); }
  show();
  return figure.cleanup;
}

export { readCurves };
export default { render };
