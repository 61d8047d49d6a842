// Ranks of three covariances over many codes: bars for one kind of codes, an outline for another, at a chosen tolerance.

const MODES = ["S⁽¹⁾", "S⁽²⁾", "S⁽³⁾"];

// [name][noisy][not centred][mode][tolerance] -> { low, bins }, as rank_histogram.py packs them.
function readCounts(data, names, tolerances) {
  const d = view(data), list = (n, f) => Array.from({ length: n }, f);
  let at = 0;
  const one = () => {
    const low = d.getUint8(at), n = d.getUint8(at + 1), bins = list(n, (_, i) => d.getUint16(at + 2 + 2 * i, true));
    at += 2 + 2 * n;
    return { low, bins };
  };
  return list(names, () => list(2, () => list(2, () => list(3, () => list(tolerances, one)))));
}

// Lowest, median and highest rank, and the share of codes at the ceiling. The median is the lower of two.
function summary({ low, bins }, ceiling) {
  const n = bins.reduce((sum, v) => sum + v, 0);
  let seen = 0, median = 0;
  while ((seen += bins[median]) < n / 2) median++;
  return { least: low, median: low + median, most: low + bins.length - 1, full: (bins[ceiling - low] ?? 0) / n };
}

// The share that two histograms have in common: 1 if they are the same, 0 if no rank occurs in both.
function overlap(p, q) {
  const total = (h) => h.bins.reduce((sum, v) => sum + v, 0), n = total(p), m = total(q);
  return p.bins.reduce((sum, v, i) => sum + Math.min(v / n, (q.bins[p.low + i - q.low] ?? 0) / m), 0);
}

const percent = (share) => `${share > 0.995 && share < 1 ? ">99" : share > 0 && share < 0.005 ? "<1" : Math.round(100 * share)} %`;
const power = (t) => { const [digits, exponent] = t.toExponential(1).split("e"); return `${digits} · 10${[...exponent].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("")}`; };

function render({ model, el }) {
  const figure = frame(el, "Histograms of the ranks of three covariance matrices", "vf-ranks");
  const { names, count, tolerances, defaults, ceilings, sizes } = model.get("spec"), keys = ["codes", "compared", "noisy", "centred", "tolerance"];
  const all = readCounts(model.get("counts"), names.length, tolerances.length), last = tolerances.length - 1;
  const nearest = (t) => tolerances.reduce((best, v, i) => (Math.abs(Math.log(v / t)) < Math.abs(Math.log(tolerances[best] / t)) ? i : best), 0);
  let [codes, compared, noisy, centred] = keys.map((key) => model.get(key)), at = nearest(model.get("tolerance"));

  const tops = () => ceilings[centred ? 0 : 1];
  const histogram = (name, mode) => all[names.indexOf(name)][noisy ? 1 : 0][centred ? 0 : 1][mode][at];

  // ------------------------------------------------------------ one histogram for each matrix
  const charts = MODES.map((name, mode) => surface(figure, { label: `Histogram of the ranks of ${name}: bars for the chosen codes, an outline for the compared ones, the ceiling marked`, draw(g, width, tall, c) {
    const ceiling = tops()[mode], size = Math.max(ceilings[0][mode], ceilings[1][mode]), pair = [codes, compared].map((kind) => histogram(kind, mode));
    const most = Math.max(...pair.flatMap((h) => h.bins)) / count, high = [0.1, 0.2, 0.3, 0.5, 0.75, 1].find((v) => v >= most * 1.02) ?? 1;
    const a = axes({ left: 40, top: 22, width: width - 46, height: tall - 64 }, [-0.6, size + 1], [0, 1.06 * high]);
    border(g, a, c, { columns: niceTicks(0, size, a.width > 220 ? 6 : 4).filter((v) => v % 1 === 0), across: `rank of ${name}` });
    g.textAlign = "right"; g.textBaseline = "middle";
    for (const v of [0, high / 2, high]) g.fillText(`${Number((100 * v).toPrecision(3))} %`, a.left - 4, a.y(v));
    within(g, a, () => {
      const [{ low, bins }, other] = pair, wide = 0.8 * a.sx;
      g.fillStyle = PALETTE[0];
      bins.forEach((v, i) => { const x = a.x(low + i); g.fillRect(x - wide / 2, a.y(v / count), wide, a.bottom - a.y(v / count)); });
      g.strokeStyle = PALETTE[1]; g.lineWidth = 2.5; g.lineJoin = "miter";
      const steps = [[other.low - 0.5, 0]];
      other.bins.forEach((v, i) => steps.push([other.low + i - 0.5, v / count], [other.low + i + 0.5, v / count]));
      steps.push([other.low + other.bins.length - 0.5, 0]);
      path(g, a, steps); g.stroke();
    });
    const x = a.x(ceiling + 0.5);
    g.strokeStyle = c.ink; g.lineWidth = 1.5; g.setLineDash([4, 3]); g.beginPath(); g.moveTo(x, a.top - 6); g.lineTo(x, a.bottom); g.stroke(); g.setLineDash([]);
    g.fillStyle = c.ink; g.textAlign = "right"; g.textBaseline = "bottom"; g.fillText(`ceiling ${ceiling}`, Math.min(x + 4, a.right), a.top - 7);
  } }));

  // ------------------------------------------------------------ controls, table, text
  const named = (text, ...nodes) => make("div", {}, make("p", { className: "vf-chart-name", textContent: text, "aria-hidden": "true" }), ...nodes);
  const same = (texts) => Object.fromEntries(texts.map((text) => [text, text]));
  const bars = choice("Bars: codes of", same(names), codes, (key) => move({ codes: key }));
  const outline = make("select", { "aria-label": "Outline: codes of" }, ...names.map((name) => make("option", { textContent: name, value: name })));
  outline.addEventListener("change", () => move({ compared: outline.value }));
  const images = choice("Images", { clean: "clean", noisy: "noisy" }, noisy ? "noisy" : "clean", (key) => move({ noisy: key === "noisy" }));
  const mean = check("centred: the columns' mean taken out", centred, (on) => move({ centred: on }));
  const cut = slider({ label: "Tolerance: what counts as 0", min: 0, max: last, value: at, format: (i) => power(tolerances[i]), onInput: (i) => move({ at: i }) });
  const legend = make("p", { className: "vf-legend" }), table = make("table"), told = readout(figure);
  figure.root.append(
    make("div", { className: "vf-wide vf-choices" }, named("Bars: codes of", bars.root), named("Outline: codes of", outline), named("Images", images.root), mean.root),
    make("div", { className: "vf-wide" }, cut.root),
    make("div", { className: "vf-wide vf-charts" }, ...charts.map((one) => one.box)),
    make("div", { className: "vf-wide" }, legend, ...told.nodes),
    make("div", { className: "vf-wide" }, table),
    make("p", { className: "vf-note vf-wide", textContent: `${count} codes of ${sizes.join(" × ")} numbers. The rank is the number of singular values above the tolerance, a share of the largest; what rounding in float32 leaves is ${defaults.map((t, mode) => `${power(t)} for ${MODES[mode]}`).join(", ")}. In the table: lowest – median – highest rank. Overlap: the share that bars and outline have in common. Heights in each chart have their own scale.` }),
  );

  const cell = ({ least, median, most, full }) => make("td", {}, make("span", { textContent: least === most ? `all ${least}` : `${least} – ${median} – ${most}` }), make("br"), `${percent(full)} at the ceiling`);
  function show() {
    bars.set(codes); outline.value = compared; images.set(noisy ? "noisy" : "clean"); mean.input.checked = centred; cut.set(at);
    const swatch = (kind, text) => make("span", {}, make("i", { className: kind }), text);
    legend.replaceChildren(swatch("vf-full", codes), swatch("vf-outline", compared));
    const shares = MODES.map((_, mode) => overlap(histogram(codes, mode), histogram(compared, mode)));
    const head = (text) => make("th", { scope: "col", textContent: text });
    table.replaceChildren(
      make("thead", {}, make("tr", {}, head("matrix"), head(codes), head(compared), head("overlap"))),
      make("tbody", {}, ...MODES.map((name, mode) => make("tr", {}, make("th", { scope: "row", textContent: name }),
        ...[codes, compared].map((kind) => cell(summary(histogram(kind, mode), tops()[mode]))), make("td", { textContent: percent(shares[mode]) })))),
    );
    const [one, other] = [codes, compared].map((kind) => summary(histogram(kind, 2), tops()[2]));
    const range = ({ least, median, most }) => (least === most ? `${least} for every image` : `${least} to ${most}, median ${median}`);
    told.say(`Rank of ${MODES[2]}, ${noisy ? "noisy" : "clean"} images, tolerance ${power(tolerances[at])}: “${codes}” ${range(one)}; “${compared}” ${range(other)}. `
      + (codes === compared ? "Choose two kinds of codes to compare." : `The two histograms overlap by ${percent(shares[2])}${shares[2] === 1 ? ": nothing tells them apart." : shares[2] >= 0.9 ? ": hardly to be told apart." : "."}`));
    charts.forEach((one) => one.redraw());
  }

  const tell = twoWay(figure, model, keys, () => {
    const [kind, other, ...rest] = keys.map((key) => model.get(key));
    if (!names.includes(kind) || !names.includes(other)) return;
    [codes, compared, noisy, centred] = [kind, other, ...rest]; at = nearest(rest[2]);
    show();
  });
  function move(change) {
    ({ codes, compared, noisy, centred, at } = { codes, compared, noisy, centred, at, ...change });
    show(); tell([codes, compared, noisy, centred, tolerances[at]]);
  }
  show();
  return figure.cleanup;
}

export { overlap, readCounts, summary };
export default { render };
