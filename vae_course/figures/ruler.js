// A grid in z or in equal data distances y, on the latent plane and on the manifold; and walks in both.

const REACH = 2.45, STRIDES = 8;                       // 95 % of the prior on a plane; steps of a walk

// A table [x, y] of increasing knots, linear between them and beyond them.
function lookUp(x, y, at) {
  let low = 0, high = x.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (x[middle] <= at) low = middle; else high = middle; }
  // Equal knots (codes that coincide) have no slope between them: widen until they differ.
  while (low > 0 && x[high] - x[low] < 1e-9) low--;
  while (high < x.length - 1 && x[high] - x[low] < 1e-9) high++;
  const t = x[high] > x[low] ? (at - x[low]) / (x[high] - x[low]) : 0;
  return y[low] + t * (y[high] - y[low]);
}

const distance = (x, y) => Math.sqrt(x.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0));

// The image of the straight path from one place of the plane to another, and its length.
function carry(decodeAt, from, to, pieces) {
  const points = Array.from({ length: pieces + 1 }, (_, i) => { const t = i / pieces; return decodeAt([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])]); });
  let length = 0;
  for (let i = 0; i < pieces; i++) length += distance(points[i], points[i + 1]);
  return { points, length };
}

// Where the lines of the grid lie on each latent: count steps across the widest, the same for both.
function gridLines(tables, kind, count) {
  const y = (k, z) => lookUp(tables[k][0], tables[k][1], z), z = (k, v) => lookUp(tables[k][1], tables[k][0], v);
  const step = kind === "z" ? (2 * REACH) / count : Math.max(...[0, 1].map((k) => y(k, REACH) - y(k, -REACH))) / count;
  return [0, 1].map((k) => {
    const [low, high] = kind === "z" ? [-REACH, REACH] : [y(k, -REACH), y(k, REACH)], lines = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) lines.push(kind === "z" ? i * step : z(k, i * step));
    return lines;
  });
}

// Places along one latent from low to high in equal steps of z or of y.
function stride([zs, ys], kind, low, high) {
  const ends = [low, high].map((z) => (kind === "z" ? z : lookUp(zs, ys, z)));
  return Array.from({ length: STRIDES + 1 }, (_, i) => { const v = ends[0] + (i / STRIDES) * (ends[1] - ends[0]); return kind === "z" ? v : lookUp(ys, zs, v); });
}

function spreadOf(lengths) {
  const mean = lengths.reduce((s, v) => s + v, 0) / lengths.length;
  return { mean, low: Math.min(...lengths), high: Math.max(...lengths), variation: Math.sqrt(lengths.reduce((s, v) => s + (v - mean) ** 2, 0) / lengths.length) / mean };
}

function read(model) {
  const spec = model.get("spec"), { count: n, d, m, knots } = spec, data = model.get("numbers");
  let at = 0;
  const take = (k) => { at += k; return Array.from(floats(data, 4 * (at - k), k)); };
  const rows = (k, width) => Array.from({ length: k }, () => take(width));
  const all = bytes(model.get("labels"));
  return {
    ...spec, labels: all.length ? all : null, layers: readDecoder(spec.decoder, model.get("weights")),
    anchor: take(d), codes: rows(n, 2), seen: rows(n, 3), tables: [rows(2, knots), rows(2, knots)], centre: take(m), basis: rows(3, m),
  };
}

const cut = (x, digits = 3) => (Number.isFinite(x) ? minus(Number(x.toPrecision(digits)).toString()) : "–");

function render({ model, el }) {
  const data = read(model), { axes: drawn, limit: L, tables, layers } = data;
  const figure = frame(el, "Sigma as a ruler: grids in z and in data distance, and their image on the manifold", "vf-ruler");
  const names = drawn.map((k) => String(k + 1).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[c]));
  // A decoder of many weights gets fewer points: a drag must stay a drag.
  const size = layers.reduce((sum, l) => sum + (l.weight?.length ?? 0), 0), pieces = size > 1e5 ? 3 : 6;
  const decodeAt = (p) => { const z = [...data.anchor]; drawn.forEach((k, j) => { z[k] = p[j]; }); return decode(layers, z); };
  const project = (x) => data.basis.map((b) => b.reduce((sum, v, i) => sum + v * (x[i] - data.centre[i]), 0));
  let kind = "z", count = 10, along = 0, turn = 0, tilt = 0, plot = null, z = [...model.get("z")], grids = {}, walks = {};

  // ------------------------------------------------------------ the grid and its image
  const imageOf = (from, to) => { const { points, length } = carry(decodeAt, from, to, pieces); return { flat: [from, to], points: points.map(project), length }; };
  const inside = (p) => Math.hypot(...p) <= REACH + 1e-6;
  function build(which) {
    const lines = gridLines(tables, which, count), edges = new Set(), cells = [], table = new Map();
    const at = (i, j) => [lines[0][i], lines[1][j]];
    const join = (i, j, axis) => {
      const key = `${i},${j},${axis}`;
      if (!table.has(key)) {
        const to = axis ? [i, j + 1] : [i + 1, j];
        const fits = to[0] < lines[0].length && to[1] < lines[1].length && inside(at(i, j)) && inside(at(...to));
        table.set(key, fits ? imageOf(at(i, j), at(...to)) : null);
      }
      return table.get(key);
    };
    lines[0].forEach((_, i) => lines[1].forEach((_, j) => {
      const [bottom, left] = [join(i, j, 0), join(i, j, 1)];
      const right = i + 1 < lines[0].length && join(i + 1, j, 1), top = j + 1 < lines[1].length && join(i, j + 1, 0);
      if (!(bottom && left && right && top)) return;  // only whole cells are drawn and measured
      [bottom, left, right, top].forEach((edge) => edges.add(edge));
      if ((i + j) % 2) return;
      cells.push({ flat: [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)], points: [...bottom.points, ...right.points, ...[...top.points].reverse(), ...[...left.points].reverse()] });
    }));
    const lengths = [...edges].map((edge) => edge.length);
    return { edges, cells, lengths: lengths.length ? spreadOf(lengths) : null };
  }

  const rotate = ([x, y, w]) => {
    const [u, v] = [(turn * Math.PI) / 180, (tilt * Math.PI) / 180], depth = w * Math.cos(u) - x * Math.sin(u);
    return [x * Math.cos(u) + w * Math.sin(u), y * Math.cos(v) + depth * Math.sin(v)];
  };
  const hue = (c, which) => (which === "z" ? c.warn : c.accent);

  function drawGrid(g, a, c, place) {
    const grid = grids[kind];
    g.fillStyle = g.strokeStyle = hue(c, kind); g.globalAlpha = 0.2;
    for (const cell of grid.cells) { path(g, a, place(cell)); g.fill(); }
    g.globalAlpha = 1; g.lineWidth = 1.2;
    for (const edge of grid.edges) { path(g, a, place(edge)); g.stroke(); }
  }
  const scatter = (g, a, c, points) => {
    g.globalAlpha = 0.55;
    points.forEach(([x, y], i) => dot(g, a.x(x), a.y(y), 1.6, data.labels ? PALETTE[data.labels[i]] : c.muted));
    g.globalAlpha = 1;
  };
  const mark = (g, a, c, points, stops) => {
    path(g, a, points); g.lineWidth = 5; g.strokeStyle = c.paper; g.stroke();
    path(g, a, points); g.lineWidth = 2.5; g.strokeStyle = c.ink; g.stroke();
    for (const [x, y] of stops) dot(g, a.x(x), a.y(y), 4, c.ink, c.paper);
  };

  const plane = surface(figure, { label: "Latent plane with the codes as dots and the grid", draw(g, width, height, c) {
    const a = (plot = axes({ left: 34, top: 6, width: width - 40, height: height - 46 }, [-L, L], [-L, L]));
    border(g, a, c, { columns: niceTicks(-L, L), rows: niceTicks(-L, L), across: `z${names[0]}`, up: `z${names[1]}` });
    within(g, a, () => {
      scatter(g, a, c, data.codes);
      drawGrid(g, a, c, (part) => part.flat);
      mark(g, a, c, [walks[kind].places[0], walks[kind].places.at(-1)], walks[kind].places);
    });
    grip.put(a.x(z[0]), a.y(z[1]));
  } });
  const grip = handle(plane, {
    label: "Point that the walk goes through; arrow keys move it",
    moveTo: ([x, y]) => moveTo([plot.toX(x), plot.toY(y)]),
    nudge: (way, far) => moveTo(z.map((v, k) => v + (far ? 0.5 : 0.1) * way[k])),
  });

  const reach = 1.05 * Math.max(...data.seen.map((p) => Math.hypot(...p)).sort((p, q) => p - q).slice(0, Math.ceil(0.995 * data.count)));
  const manifold = surface(figure, { label: "The same grid on the manifold, seen along its principal axes", draw(g, width, height, c) {
    const a = axes({ left: 34, top: 6, width: width - 40, height: height - 46 }, [-reach, reach], [-reach, reach]);
    border(g, a, c, { columns: niceTicks(-reach, reach), rows: niceTicks(-reach, reach), across: "data space, in the data's own unit", up: "" });
    within(g, a, () => {
      scatter(g, a, c, data.seen.map(rotate));
      drawGrid(g, a, c, (part) => part.points.map(rotate));
      const { steps } = walks[kind];
      mark(g, a, c, steps.flatMap((s) => s.seen).map(rotate), [steps[0].seen[0], ...steps.map((s) => s.seen.at(-1))].map(rotate));
    });
  } });

  // ------------------------------------------------------------ the walks
  function walk(which) {
    const other = z[1 - along], end = Math.sqrt(REACH * REACH - other * other);
    const places = stride(tables[along], which, -end, end).map((v) => (along ? [other, v] : [v, other]));
    const steps = places.slice(1).map((to, i) => { const s = carry(decodeAt, places[i], to, 6); return { ...s, seen: s.points.map(project) }; });
    return { places, steps, lengths: steps.map((s) => s.length), images: [steps[0].points[0], ...steps.map((s) => s.points.at(-1))] };
  }
  const strip = (which) => {
    const bars = surface(figure, { label: `Length in data space of each of eight equal steps in ${which}`, aspect: 2.6, draw(g, width, height, c) {
      const top = 1.1 * Math.max(...walks.z.lengths, ...walks.y.lengths);
      const a = axes({ left: 40, top: 6, width: width - 46, height: height - 12 }, [0, STRIDES], [0, top]);
      border(g, a, c, { rows: niceTicks(0, top, 3), up: "length" });
      g.fillStyle = hue(c, which);
      walks[which].lengths.forEach((v, i) => g.fillRect(a.x(i) + 2, a.y(v), a.sx - 4, a.bottom - a.y(v)));
      const mean = spreadOf(walks[which].lengths).mean;
      g.strokeStyle = c.ink; g.lineWidth = 1.5; g.setLineDash([5, 4]); path(g, a, [[0, mean], [STRIDES, mean]]); g.stroke(); g.setLineDash([]);
    } });
    const thumbs = data.shape ? Array.from({ length: STRIDES + 1 }, () => picture(data.shape, "a place of the walk")) : [];
    return {
      root: make("div", {}, make("p", { className: "vf-chart-name", textContent: `Walk in equal steps of ${which}` }), bars.box, make("div", { className: "vf-thumbs" }, ...thumbs.map((t) => t.canvas))),
      show() { thumbs.forEach((t, i) => t.show(walks[which].images[i], `equal steps in ${which}, place ${i + 1} of ${STRIDES + 1}`)); bars.redraw(); },
    };
  };
  const strips = { z: strip("z"), y: strip("y") };

  // ------------------------------------------------------------ controls
  const flat = Math.max(...data.seen.map((p) => Math.abs(p[2]))) < 0.02 * reach;
  const angle = (label, set) => slider({ label, min: -90, max: 90, value: 0, format: (v) => `${minus(v)}°`, onInput: (v) => { set(v); manifold.redraw(); } });
  const kinds = choice("Which steps are equal", { z: "Equal steps in z", y: "Equal steps in y" }, kind, (key) => { kind = key; show(); });
  const ways = choice("Which latent the walk follows", { 0: `Walk along z${names[0]}`, 1: `Walk along z${names[1]}` }, "0", (key) => { along = Number(key); rewalk(); });
  const steps = slider({ label: "Steps across", min: 4, max: 16, value: count, format: (v) => `${v}`, onInput: (v) => { count = v; regrid(); } });
  const coordinates = [0, 1].map((k) => slider({ label: `Point z${names[k]}`, min: -2.4, max: 2.4, step: 0.05, value: z[k], format: (v) => minus(v.toFixed(2)), onInput: (v) => moveTo(k ? [z[0], v] : [v, z[1]]) }));
  const numbers = cards(), told = readout(figure);
  figure.root.append(
    make("div", { className: "vf-wide vf-controls" }, kinds.root, ways.root, ...coordinates.map((s) => s.root), steps.root,
      ...(flat ? [] : [angle("Turn the manifold", (v) => { turn = v; }).root, angle("Tilt the manifold", (v) => { tilt = v; }).root])),
    make("div", { className: "vf-plane" }, make("p", { className: "vf-chart-name", textContent: "Latent plane" }), plane.box),
    make("div", { className: "vf-side" }, make("div", {}, make("p", { className: "vf-chart-name", textContent: "Its image in data space" }), manifold.box)),
    make("div", { className: "vf-wide vf-walks" }, strips.z.root, strips.y.root),
    make("div", { className: "vf-wide" }, numbers.root, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: "Dots: codes and their decoded images. Grid: within radius 2.45, which holds 95 % of the prior. Thick line: the walk, eight steps; bars: the length of its path in data space, dashed: their mean. y is integrated from σ alone; the decoder is only asked afterwards." }),
  );

  function regrid() { grids = { z: build("z"), y: build("y") }; show(); }
  function rewalk() { walks = { z: walk("z"), y: walk("y") }; show(); }

  function show() {
    const percent = (v) => `${(100 * v).toFixed(0)} %`, ratio = (which) => { const s = spreadOf(walks[which].lengths); return (s.high / s.low).toFixed(s.high < 10 * s.low ? 2 : 0); };
    numbers.show({
      "grid in z, edge lengths vary by": grids.z.lengths ? percent(grids.z.lengths.variation) : "–", "grid in y, edge lengths vary by": grids.y.lengths ? percent(grids.y.lengths.variation) : "–",
      "walk in z, longest / shortest": ratio("z"), "walk in y, longest / shortest": ratio("y"),
    });
    const edge = grids[kind].lengths;
    told.say(`Equal steps in ${kind}: the grid's edges are ${edge ? `${cut(edge.low, 2)} to ${cut(edge.high, 2)} long in data space` : "too few to measure"}, and on the walk along z${names[along]} the longest of eight steps is ${ratio(kind)} times the shortest (${kind === "z" ? `${ratio("y")} in equal steps of y` : `${ratio("z")} in equal steps of z`}).`);
    coordinates.forEach((s, k) => s.set(z[k]));
    grip.tell(z[0].toFixed(2), `z${names[0]} = ${minus(z[0].toFixed(2))}, z${names[1]} = ${minus(z[1].toFixed(2))}`, [-2.4, 2.4]);
    strips.z.show(); strips.y.show(); plane.redraw(); manifold.redraw();
  }

  const tell = twoWay(figure, model, ["z"], () => { const to = model.get("z"); if (to.length === 2) { z = to.map((v) => clamp(v, -2.4, 2.4)); rewalk(); } });
  function moveTo(target) { z = target.map((v) => clamp(v, -2.4, 2.4)); rewalk(); tell([z]); }

  walks = { z: walk("z"), y: walk("y") };
  regrid();
  return figure.cleanup;
}

export { carry, gridLines, lookUp, spreadOf, stride };
export default { render };
