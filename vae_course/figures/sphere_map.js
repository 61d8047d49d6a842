// Both hemispheres of a latent sphere in Lambert's equal-area map: codes, their density, a hole, the decoder.

const BANDS = [0.25, 0.5, 1, 2];                       // of the density over the uniform one, where shades change
const SHADES = [0, 0.07, 0.15, 0.25, 0.37];
const TALL = 60, ROUND = 96, CELLS = 160;              // of the table of densities, by angles; of a map's shades

const dot3 = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
const cross3 = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
const unit = (p) => { const n = Math.sqrt(dot3(p, p)); return n ? p.map((v) => v / n) : [1, 0, 0]; };
const between = (p, q) => 2 * Math.atan2(Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]), Math.hypot(p[0] + q[0], p[1] + q[1], p[2] + q[2]));

// Longitude and latitude in degrees, and back.
const position = ([x, y, z]) => [(Math.atan2(y, x) * 180) / Math.PI, (Math.asin(clamp(z, -1, 1)) * 180) / Math.PI];
function onSphere(longitude, latitude) {
  const [t, u] = [longitude, latitude].map((v) => (v * Math.PI) / 180);
  return [Math.cos(u) * Math.cos(t), Math.cos(u) * Math.sin(t), Math.sin(u)];
}

// The frame of a hemisphere seen from outside: its east, its north, its middle.
function outlook(middle) {
  const pole = Math.abs(middle[2]) < 0.999 ? [0, 0, 1] : [0, 1, 0], east = unit(cross3(pole, middle));
  return [east, cross3(middle, east), middle];
}
const opposite = ([east, north, middle]) => [east.map((v) => -v), north, middle.map((v) => -v)];

// The point turned by the angle t, in the plane of two axes from the first to the second.
function turn(y, first, second, t) {
  const a = dot3(y, first), b = dot3(y, second), c = Math.cos(t), s = Math.sin(t);
  return y.map((v, j) => v + (a * c - b * s - a) * first[j] + (a * s + b * c - b) * second[j]);
}

// Lambert's map of a hemisphere to the unit disk, and back; null where y is on the other one.
function lambert([east, north, middle], y) {
  const w = dot3(y, middle);
  if (w < -1e-9) return null;
  const k = 1 / Math.sqrt(1 + w);
  return [k * dot3(y, east), k * dot3(y, north)];
}
function unlambert([east, north, middle], [p, q]) {
  const square = Math.min(1, p * p + q * q), k = Math.sqrt(2 - square), w = 1 - square;
  return unit([0, 1, 2].map((j) => k * (p * east[j] + q * north[j]) + w * middle[j]));
}

// Mean of von Mises-Fisher kernels at y, over the uniform density 1 / 4 pi.
function density(y, codes, kappa) {
  let sum = 0;
  for (let i = 0; i < codes.length; i += 3) {
    const log = kappa * (y[0] * codes[i] + y[1] * codes[i + 1] + y[2] * codes[i + 2] - 1);
    if (log > -30) sum += Math.exp(log);               // most codes are far away
  }
  return codes.length ? (((2 * kappa) / -Math.expm1(-2 * kappa)) * sum * 3) / codes.length : 0;
}

// The density on a grid of angles to the pole and longitudes, and its value between the grid's points.
const polar = (i) => ((i + 0.5) * Math.PI) / TALL;
function table(codes, kappa) {
  const values = new Float32Array(TALL * ROUND);
  for (let i = 0; i < TALL; i++) for (let j = 0; j < ROUND; j++) {
    const t = (2 * Math.PI * j) / ROUND, s = Math.sin(polar(i));
    values[i * ROUND + j] = density([s * Math.cos(t), s * Math.sin(t), Math.cos(polar(i))], codes, kappa);
  }
  return values;
}
function lookUp(values, [x, y, z]) {
  const u = clamp((Math.acos(clamp(z, -1, 1)) / Math.PI) * TALL - 0.5, 0, TALL - 1), v = ((Math.atan2(y, x) / (2 * Math.PI) + 1) * ROUND) % ROUND;
  const i = Math.min(Math.floor(u), TALL - 2), j = Math.floor(v), right = (j + 1) % ROUND, p = u - i, q = v - j;
  const row = (i) => values[i * ROUND + j] * (1 - q) + values[i * ROUND + right] * q;
  return row(i) * (1 - p) + row(i + 1) * p;
}

// Share of the sphere's area where f of the density holds; the mean of f, if it is a number.
function average(values, f) {
  let sum = 0, area = 0;
  values.forEach((v, k) => { const w = Math.sin(polar(Math.floor(k / ROUND))); sum += w * f(v); area += w; });
  return sum / area;
}
const bare = (values) => average(values, (v) => v < BANDS[0]);

// Points of the circle at an angle from a centre, ready to be joined.
function rim(centre, angle, steps = 180) {
  const [east, north] = outlook(centre);
  return Array.from({ length: steps + 1 }, (_, k) => {
    const t = (2 * Math.PI * k) / steps;
    return [0, 1, 2].map((j) => Math.cos(angle) * centre[j] + Math.sin(angle) * (Math.cos(t) * east[j] + Math.sin(t) * north[j]));
  });
}

function read(model) {
  const spec = model.get("spec"), n = spec.count, numbers = model.get("codes"), classes = spec.names.length;
  const codes = floats(numbers, 0, 3 * n), holes = floats(numbers, 12 * n, 4 * spec.holes), labels = bytes(model.get("labels"));
  const code = (i) => [codes[3 * i], codes[3 * i + 1], codes[3 * i + 2]];
  const sums = Array.from({ length: classes }, () => [0, 0, 0]);
  labels.forEach((label, i) => code(i).forEach((v, j) => { sums[label][j] += v; }));
  return {
    ...spec, n, classes, codes, labels, code, layers: readDecoder(spec.decoder, model.get("weights")),
    kappa: 1 / ((spec.bandwidth * Math.PI) / 180) ** 2, middles: sums.map((s) => (dot3(s, s) ? unit(s) : null)),
    without: (c) => codes.filter((_, k) => labels[Math.floor(k / 3)] !== c),
    hole: (c) => { const row = c < 0 ? classes : c; return row < spec.holes ? { centre: Array.from(holes.subarray(4 * row, 4 * row + 3)), angle: holes[4 * row + 3] } : null; },
  };
}

function render({ model, el }) {
  const figure = frame(el, "Equal-area maps of the latent sphere", "vf-sphere-map"), data = read(model);
  const { classes, names, kappa, n } = data, valid = (c) => clamp(c, -1, classes - 1);
  let point = unit(model.get("point")), dropped = valid(model.get("dropped")), front = outlook(data.centre);
  const pictures = new Map();
  let codesOn = true, goneOn = false, left, values, empty, disks = [];

  // A uniform sample of as many codes: what the share of empty area is worth.
  const normal = normals(2), chance = bare(table(Float32Array.from(Array.from({ length: n }, () => unit([normal(), normal(), normal()])).flat()), kappa));

  // ------------------------------------------------------------ the two maps
  const shadeOf = (v) => SHADES[BANDS.filter((b) => v >= b).length];
  const plane = surface(figure, { label: "Two equal-area maps of the sphere, front and back: density of the codes in shades, codes coloured by class, the located hole as a circle", aspect: 2, draw(g, width, height, c) {
    const stacked = width < 440, wanted = stacked ? "0.5" : "2";
    if (plane.canvas.style.aspectRatio.split(" ")[0] !== wanted) { plane.canvas.style.aspectRatio = wanted; return; }
    const R = (stacked ? width : width / 2) / 2 - 5;
    disks = [0, 1].map((k) => ({ look: k ? opposite(front) : front, x: width / (stacked ? 2 : 4) * (1 + (stacked ? 0 : 2 * k)), y: height / (stacked ? 4 : 2) * (1 + (stacked ? 2 * k : 0)), R }));
    for (const disk of disks) hemisphere(g, disk, c);
    const home = disks.find(({ look }) => lambert(look, point)), [p, q] = lambert(home.look, point);
    grip.put(home.x + R * p, home.y - R * q);
  } });

  // A map's shades as a picture, kept until the codes, the view or the theme change.
  function shading(look, ink) {
    const key = JSON.stringify([look[2], ink]);
    if (pictures.has(key)) return pictures.get(key);
    const canvas = make("canvas", { width: CELLS, height: CELLS }), g = canvas.getContext("2d"), image = g.createImageData(CELLS, CELLS);
    for (let k = 0; k < CELLS * CELLS; k++) {
      const p = (2 * (k % CELLS) + 1) / CELLS - 1, q = 1 - (2 * Math.floor(k / CELLS) + 1) / CELLS;
      if (p * p + q * q < 1.1) image.data[4 * k + 3] = 255 * shadeOf(lookUp(values, unlambert(look, [p, q])));
    }
    g.putImageData(image, 0, 0);
    g.globalCompositeOperation = "source-in"; g.fillStyle = ink; g.fillRect(0, 0, CELLS, CELLS);
    if (pictures.size > 1) pictures.clear();
    pictures.set(key, canvas);
    return canvas;
  }

  function hemisphere(g, { look, x, y, R }, c) {
    g.save(); g.beginPath(); g.arc(x, y, R, 0, 2 * Math.PI); g.clip();
    g.drawImage(shading(look, c.ink), x - R, y - R, 2 * R, 2 * R);
    g.restore();
    const place = (at) => { const m = lambert(look, at); return m && [x + R * m[0], y - R * m[1]]; };
    if (codesOn || goneOn) for (let i = 0; i < n; i++) {
      const gone = data.labels[i] === dropped, at = (gone ? goneOn : codesOn) && place(data.code(i));
      if (!at) continue;
      if (gone) { g.beginPath(); g.arc(...at, 3, 0, 2 * Math.PI); g.strokeStyle = PALETTE[data.labels[i]]; g.lineWidth = 1.5; g.stroke(); }
      else dot(g, ...at, 2.5, PALETTE[data.labels[i]], c.paper);
    }
    g.font = `bold 14px ${g.font.split("px ")[1]}`; g.textAlign = "center"; g.textBaseline = "middle"; g.lineJoin = "round";
    data.middles.forEach((middle, label) => {
      const at = middle && (label !== dropped || goneOn) && place(middle);
      if (!at) return;
      const text = label === dropped ? `(${names[label]})` : names[label];
      g.strokeStyle = c.paper; g.lineWidth = 4; g.strokeText(text, ...at); g.fillStyle = c.ink; g.fillText(text, ...at);
    });
    const hole = data.hole(dropped);
    if (hole) for (const [colour, width] of [[c.paper, 6], [c.warn, 3]]) {
      g.strokeStyle = colour; g.lineWidth = width; g.beginPath();
      let before = null;
      for (const at of rim(hole.centre, hole.angle).map(place)) { if (at) g[before ? "lineTo" : "moveTo"](...at); before = at; }
      const at = place(hole.centre);
      if (at) for (const [u, v] of [[6, 0], [0, 6]]) { g.moveTo(at[0] - u, at[1] - v); g.lineTo(at[0] + u, at[1] + v); }
      g.stroke();
    }
    g.beginPath(); g.arc(x, y, R, 0, 2 * Math.PI); g.strokeStyle = c.line; g.lineWidth = 1.5; g.stroke();
  }

  const grip = handle(plane, {
    label: "Point on the sphere; arrow keys move it",
    moveTo([x, y]) {                                   // to the nearer map, and to its rim from outside
      const far = (k) => Math.hypot(x - k.x, y - k.y), home = disks.reduce((a, b) => (far(b) < far(a) ? b : a));
      const p = (x - home.x) / home.R, q = (home.y - y) / home.R, s = Math.max(1, Math.hypot(p, q));
      go(unlambert(home.look, [p / s, q / s]));
    },
    nudge(way, far) {                                  // turns the point about the map's north or east
      const [east, north, middle] = dot3(point, front[2]) >= -1e-9 ? front : opposite(front), t = ((far ? 10 : 2) * (way[0] + way[1]) * Math.PI) / 180;
      go(turn(point, middle, way[0] ? east : north, t));
    },
  });

  // ------------------------------------------------------------ controls
  const numbers = cards(), told = readout(figure), here = picture(data.shape, "the decoded image"), there = picture(data.shape, "the decoded image at the hole's centre");
  const fraction = (v) => ({ 0.25: "¼", 0.5: "½" })[v] ?? String(v);
  const degrees = (v) => `${minus(Math.round(v))}°`;
  const longitude = slider({ label: "Longitude of the point", min: -180, max: 180, value: 0, format: degrees, onInput: (v) => go(onSphere(v, position(point)[1])) });
  const latitude = slider({ label: "Latitude of the point", min: -90, max: 90, value: 0, format: degrees, onInput: (v) => go(onSphere(Number(longitude.input.value), v)) });
  const out = slider({ label: "Class left out", min: -1, max: classes - 1, value: dropped, format: (c) => (c < 0 ? "none" : names[c]), onInput: (c) => drop(c) });
  const gone = check("show the codes left out", goneOn, (on) => { goneOn = on; show(); });
  const all = check("show the codes", codesOn, (on) => { codesOn = on; show(); });
  const toHole = button("Point at the hole", () => { const hole = data.hole(dropped); if (hole) go(hole.centre); });
  const holeShot = make("figure", {}, there.canvas, make("figcaption", { textContent: "at the hole's centre" }));
  figure.root.append(
    make("div", { className: "vf-wide vf-map" }, plane.box, make("div", { className: "vf-legend" }, "density over uniform:",
      ...SHADES.map((shade, k) => make("span", {}, make("i", { style: `--shade: ${shade}` }), k ? `${k < BANDS.length ? "" : "over "}${fraction(BANDS[k - 1])}${k < BANDS.length ? "–" + fraction(BANDS[k]) : ""}` : `under ${fraction(BANDS[0])}`)))),
    make("div", { className: "vf-controls" },
      out.root, make("div", { className: "vf-checks" }, all.root, gone.root), longitude.root, latitude.root,
      make("div", { className: "vf-buttons" }, toHole, button("Centre the map on the point", () => { front = outlook(point); show(); }))),
    make("div", { className: "vf-side" },
      make("div", { className: "vf-shots" }, make("figure", {}, here.canvas, make("figcaption", { textContent: "decoded at the point" })), holeShot), numbers.root),
    make("div", { className: "vf-wide" }, ...told.nodes),
    make("p", { className: "vf-note vf-wide", textContent: `The two sides of the sphere, areas true. Shades: density of the codes, by kernels ${data.bandwidth}° wide. Dots: codes by class, its name at the class's middle. Orange circle and cross: the located hole. Rings: codes of the class left out.` }),
  );

  function show() {
    const hole = data.hole(dropped), inDegrees = (t) => Math.round((t * 180) / Math.PI);
    let nearest = -1, least = Infinity;
    for (let i = 0; i < n; i++) if (data.labels[i] !== dropped) { const a = between(point, data.code(i)); if (a < least) { least = a; nearest = i; } }
    const thick = density(point, left, kappa);
    here.show(decode(data.layers, point), "the decoded image at the point");
    holeShot.hidden = !hole; toHole.disabled = !hole; gone.input.disabled = dropped < 0;
    const entries = { "density at the point": `${thick.toFixed(2)} × uniform`, "area below ¼ of uniform": `${(100 * empty).toFixed(0)} %`, "the same of uniform codes": `${(100 * chance).toFixed(0)} %` };
    let text = `Here the codes are ${thick.toFixed(thick < 0.995 ? 2 : 1)} times as dense as uniform ones; the nearest is ${inDegrees(least)}° away, of class ${names[data.labels[nearest]]}.`;
    if (hole) {
      there.show(decode(data.layers, hole.centre));
      const inside = (codes) => { let count = 0; for (let i = 0; i < codes.length; i += 3) count += between(hole.centre, codes.subarray(i, i + 3)) < hole.angle; return count; };
      entries["codes in the hole"] = dropped < 0 ? inside(left) : `${inside(left)}, of ${inside(data.codes)} with class ${names[dropped]}`;
      entries["uniform codes there"] = ((left.length / 3) * (1 - Math.cos(hole.angle)) / 2).toFixed(0);
      text += ` The located hole's centre is ${inDegrees(between(point, hole.centre))}° from here`;
      const middle = dropped >= 0 && data.middles[dropped];
      text += middle ? `, and ${inDegrees(between(hole.centre, middle))}° from the middle of class ${names[dropped]}, which is left out.` : ".";
    }
    numbers.show(entries); told.say(text);
    const [east, up] = position(point);
    if (Math.abs(up) < 89.5) longitude.set(Math.round(east));
    latitude.set(Math.round(up)); out.set(dropped);
    grip.tell(Math.round(east), `longitude ${degrees(east)}, latitude ${degrees(up)}`, [-180, 180]);
    plane.redraw();
  }

  const tell = twoWay(figure, model, ["point", "dropped"], () => {   // Python moved it
    point = unit(model.get("point"));
    if (valid(model.get("dropped")) !== dropped) take(valid(model.get("dropped")));
    show();
  });
  function go(y) { point = unit(y); show(); tell([[...point], dropped]); }
  function take(c) { dropped = c; left = data.without(c); values = table(left, kappa); empty = bare(values); pictures.clear(); }
  function drop(c) { take(c); show(); tell([[...point], dropped]); }
  take(dropped); show();
  return figure.cleanup;
}

export { average, bare, between, density, lambert, lookUp, onSphere, opposite, outlook, position, rim, table, turn, unlambert };
export default { render };
