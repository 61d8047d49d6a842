// Name the bug: the report of a VAE that is or is not broken, suspects to choose from, and the lines that prove it.

const STAGE_NAMES = { wiring: "Wiring", range: "Range", moments: "Moments of the codes", cycle: "Round trip", samples: "Samples", space: "Space", geometry: "Geometry" };
const MARKS = { pass: "● pass", look: "▲ look", fail: "✕ fail", info: "" };
const PICTURES = 1, FURTHER = 2;                       // the hints that were taken, as bits
const FREE = 4;                                        // measured on after the answer: costs nothing
const POINTS = 3;

// ---------------------------------------------------------------- a number among its bands
// The zones of a condition from left to right: { from, to, verdict }; an open end is infinite. A zone
// beyond 0 or 1, where a number can't be, is left out.
function zones(passes, fails) {
  const open = ([low, high]) => [low ?? -Infinity, high ?? Infinity];
  const [a, b] = open(passes ?? fails ?? [null, null]), [c, d] = open(fails ?? [null, null]);
  const bound = (edge, other) => edge === other && (edge === 0 || edge === 1);
  return [
    { from: -Infinity, to: c, verdict: "fail", left: bound(c, a) },
    { from: c, to: a, verdict: "look", left: !fails && a === 0 },
    { from: a, to: b, verdict: "pass", kept: true },
    { from: b, to: d, verdict: "look" },
    { from: d, to: Infinity, verdict: "fail", left: bound(d, b) },
  ].filter((z) => z.kept || (!z.left && z.from < z.to));
}

const WIDE = { pass: 3, look: 1.6, fail: 2 };

// Where a number stands, from 0 to 1: each zone has its width whatever the numbers at its ends.
function place(value, list) {
  const total = list.reduce((sum, z) => sum + WIDE[z.verdict], 0);
  const ends = list.flatMap((z) => [z.from, z.to]).filter(Number.isFinite);
  const span = ends.length ? Math.max(...ends) - Math.min(...ends) : 0;
  const unit = span || Math.abs(ends[0] ?? 1) || 1;
  const good = list.findIndex((z) => z.verdict === "pass");
  let start = 0;
  for (const [i, { from, to, verdict }] of list.entries()) {
    const wide = WIDE[verdict] / total;
    // A number on an edge belongs to the better side.
    if ((i < good ? value >= to : value > to) && i < list.length - 1) { start += wide; continue; }
    let t;
    if (Number.isFinite(from) && Number.isFinite(to)) {
      const far = from > 0 && to > 20 * from ? Math.log(clamp(value, from, to) / from) / Math.log(to / from) : (value - from) / (to - from);
      t = to > from ? clamp(far, 0, 1) : 0.5;
    } else if (Number.isFinite(from)) t = Math.max(0, value - from) / (Math.max(0, value - from) + unit);
    else if (Number.isFinite(to)) t = unit / (Math.max(0, to - value) + unit);
    else t = 0.5;
    return start + wide * t;
  }
  return 1;
}

const digits = (v) => {
  if (v === 0) return "0";
  const size = Math.abs(v);
  if (size >= 1e4 || size < 1e-3) {
    const [m, e] = v.toExponential(1).split("e");
    return `${minus(m)} · 10${[...e].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "")).join("")}`;
  }
  return minus(Number(v.toPrecision(3)));
};

const told = ([value, low, high]) => (low === null || low === undefined || high - low === 0 ? digits(value) : `${digits(value)}  [${digits(low)}, ${digits(high)}]`);

// A condition in words, as a screen reader needs it.
function bands({ passes, fails }) {
  const side = (band, words) => {
    if (!band) return "";
    const [low, high] = band;
    if (low === null && high === null) return "";
    return low === null ? `${words} up to ${digits(high)}` : high === null ? `${words} from ${digits(low)}` : `${words} from ${digits(low)} to ${digits(high)}`;
  };
  return [side(passes, "passes"), side(fails, "does not fail")].filter(Boolean).join(", ");
}

// The exhibits in another order for each seed: Fisher and Yates.
function shuffled(n, seed) {
  const order = Array.from({ length: n }, (_, i) => i), random = uniforms(seed);
  for (let i = n - 1; i > 0; i--) { const j = Math.floor(random() * (i + 1)); [order[i], order[j]] = [order[j], order[i]]; }
  return order;
}

// What the answers are worth. Each hint costs a point, and only a right answer has any.
function score(exhibits, suspects, answers, hints) {
  const seen = exhibits.map((_, i) => i).filter((i) => answers[i]);
  const right = seen.filter((i) => answers[i] === exhibits[i].fault);
  const cost = (h) => (h & PICTURES ? 1 : 0) + (h & FURTHER && !(h & FREE) ? 1 : 0);
  return {
    seen: seen.length, right: right.length,
    points: right.reduce((sum, i) => sum + POINTS - cost(hints[i]), 0),
    rules: seen.filter((i) => exhibits[i].named === exhibits[i].fault).length,
    blind: seen.length / suspects,
  };
}

// ---------------------------------------------------------------- what is kept on this device
// A browser may refuse to keep anything: then the score lasts as long as the page.
function store(name) {
  return {
    read() { try { return JSON.parse(localStorage.getItem(name)); } catch { return null; } },
    write(value) { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* not kept */ } },
  };
}

function render({ model, el }) {
  const figure = frame(el, "Reports of broken VAEs, and suspects to choose from", "vf-bug");
  const { suspects, lines, stages, image, mark } = model.get("spec"), exhibits = model.get("exhibits");
  const packed = bytes(model.get("pictures")), keys = Object.keys(suspects), keep = store(`name-the-bug ${mark} ${location.pathname}`);
  let seed, shown, answers, hints, picked = "", order = [];

  function take(state) {                               // whether it fits these exhibits
    if (!state || !Number.isInteger(state.seed) || !(state.shown >= 0 && state.shown < exhibits.length)) return false;
    if (state.answers?.length !== exhibits.length || state.hints?.length !== exhibits.length) return false;
    if (state.answers.some((a) => a && !(a in suspects))) return false;
    ({ seed, shown } = state); answers = [...state.answers]; hints = [...state.hints];
    order = shuffled(exhibits.length, seed); picked = answers[order[shown]];
    return true;
  }
  const given = () => ({ seed: model.get("seed"), shown: model.get("shown"), answers: model.get("answers"), hints: model.get("hints") });
  const at = () => order[shown], one = () => exhibits[at()], done = () => Boolean(answers[at()]), taken = (hint) => Boolean(hints[at()] & hint) || (done() && (hint === PICTURES || one().proof.some((key) => key in one().further)));

  // ------------------------------------------------------------ one row for each line of the report
  const rows = new Map(lines.map((line) => {
    const list = zones(line.passes, line.fails), judged = Boolean(line.passes || line.fails);
    let found = null;
    const strip = judged && surface(figure, { label: line.question, aspect: "auto", draw(g, width, height, c) {
      const a = { left: 4, right: width - 4, top: 5, bottom: height - 16 }, total = list.reduce((sum, z) => sum + WIDE[z.verdict], 0);
      const x = (v) => a.left + place(v, list) * (a.right - a.left);
      const colour = { pass: PALETTE[2], look: PALETTE[4], fail: PALETTE[1] };
      g.textBaseline = "top"; g.font = g.font.replace("12px", "11px");
      let from = a.left, free = 0;
      for (const z of list) {
        const to = from + (WIDE[z.verdict] / total) * (a.right - a.left);
        g.globalAlpha = 0.42; g.fillStyle = colour[z.verdict]; g.fillRect(from, a.top, to - from - 1, a.bottom - a.top); g.globalAlpha = 1;
        if (Number.isFinite(z.to) && to < a.right) {
          const text = digits(z.to), half = g.measureText(text).width / 2, middle = clamp(to, a.left + half, a.right - half);
          if (middle - half > free) { g.fillStyle = c.muted; g.textAlign = "center"; g.fillText(text, middle, a.bottom + 3); free = middle + half + 6; }
        }
        from = to;
      }
      if (!found) return;
      const [number, low, high, level] = found, y = (a.top + a.bottom) / 2;
      if (Number.isFinite(low) && Number.isFinite(high) && high > low) {
        g.strokeStyle = c.ink; g.lineWidth = 2; g.beginPath(); g.moveTo(x(low), y); g.lineTo(x(high), y); g.stroke();
      }
      if (Number.isFinite(level)) {
        const n = x(level); g.strokeStyle = c.ink; g.fillStyle = c.paper; g.lineWidth = 1.5;
        g.beginPath(); g.moveTo(n, y - 10); g.lineTo(n + 6, y); g.lineTo(n, y + 10); g.lineTo(n - 6, y); g.closePath(); g.fill(); g.stroke();
      }
      dot(g, x(number), y, 5.5, c.ink, c.paper);
    } });
    const value = make("span", { className: "vf-number" }), verdict = make("span", { className: "vf-verdict" }), chance = make("span", { className: "vf-null" });
    const root = make("li", {}, make("div", { className: "vf-text" }, make("p", { className: "vf-question", textContent: line.question }), make("p", { className: "vf-found" }, value, " ", verdict, " ", chance)), ...(judged ? [strip.box] : []));
    return [line.key, { root, stage: line.stage, show(numbers, proves) {
      found = numbers;
      value.textContent = `${told(numbers)}${line.unit ? ` ${line.unit}` : ""}`;
      verdict.textContent = MARKS[numbers[4]]; verdict.dataset.verdict = numbers[4];
      chance.textContent = Number.isFinite(numbers[3]) ? `null ${digits(numbers[3])}` : "";
      root.classList.toggle("vf-proof", proves);
      if (strip) {
        strip.canvas.setAttribute("aria-label", [`${line.question} ${value.textContent}: ${numbers[4]}`, bands(line), chance.textContent].filter(Boolean).join("; "));
        strip.redraw();
      }
    } }];
  }));
  const report = make("div", { className: "vf-report" });

  // ------------------------------------------------------------ pictures, as a hint
  const album = [["x", "the image"], ["x̂(μ)", "decoded from its centre"], ["x̂(z)", "decoded from a draw"]].map(([name, words], row) => {
    const views = Array.from({ length: image.count }, () => picture([image.rows, image.columns], words));
    return { root: make("div", {}, make("span", { className: "vf-note", textContent: name }), ...views.map((v) => v.canvas)), show() {
      const size = image.rows * image.columns, n = image.count;
      views.forEach((v, i) => {
        const start = (row === 0 ? i : n * (1 + 2 * at() + row - 1) + i) * size;
        v.show(Array.from(packed.subarray(start, start + size), (b) => b / 255), `Image ${i + 1}: ${words}`);
      });
    } };
  });
  const pictures = make("div", { className: "vf-album" });

  // ------------------------------------------------------------ the suspects, and what to press
  const choose = choice("Suspects", suspects, "", (key) => { picked = key; show(); });
  const press = button("", () => act());
  const look = button("", () => hint(PICTURES)), more = button("", () => hint(FURTHER));
  const actions = make("div", { className: "vf-buttons" }, press);
  const said = readout(figure), verdict = make("p", { className: "vf-answer", "aria-live": "polite" }), numbers = cards();
  figure.root.append(
    make("div", { className: "vf-wide" }, ...said.nodes),
    make("div", { className: "vf-paper" }, report, pictures),
    make("div", { className: "vf-lineup" },
      make("p", { className: "vf-chart-name", textContent: "Who is it?", "aria-hidden": "true" }), choose.root,
      actions, verdict, numbers.root),
    make("p", { className: "vf-note vf-wide", textContent: `Green passes, amber is to be looked at, red fails; the strips are not to scale, and the thresholds stand below them. Dot: the number, with its 95 % interval. Diamond: its null. A right answer is worth ${POINTS} points, each hint costs one. A report stops after the stage that fails.` }),
  );

  const name = (key) => suspects[key] ?? key, finished = () => answers.every(Boolean);

  function sentence({ fault, named, why, other }) {
    const mine = answers[at()] === fault ? "Right." : `No: it is “${name(fault)}”.`;
    const rules = named === fault ? "The report's own rules named it first, too." : named ? `The report's own rules named “${name(named)}” first.` : other ? `The report's own rules said: ${other}` : fault in suspects && !named ? "The report's own rules named nobody." : "";
    return `${mine} ${why} ${rules}`;
  }

  function show() {
    const e = one(), all = taken(FURTHER) ? { ...e.lines, ...e.further } : e.lines;
    const stops = taken(FURTHER) && Object.keys(e.further).length ? "" : e.stopped;
    const blocks = [], blank = [], title = (text) => make("p", { className: "vf-stage", textContent: text });
    for (const stage of stages) {
      const here = [...rows].filter(([key, row]) => row.stage === stage && key in all);
      here.forEach(([key, row]) => row.show(all[key], done() && e.proof.includes(key)));
      if (here.length) blocks.push(title(STAGE_NAMES[stage]), make("ul", {}, ...here.map(([, row]) => row.root)));
      else if (stops) blank.push(STAGE_NAMES[stage].toLowerCase());
    }
    if (blank.length) blocks.push(title(`Not measured: ${blank.join(", ")}`));
    report.replaceChildren(...blocks);
    const seen = taken(PICTURES) && image.count > 0;
    pictures.replaceChildren(...(seen ? album.map((a) => a.root) : []));
    if (seen) album.forEach((a) => a.show());
    choose.set(done() ? answers[at()] : picked);
    [...choose.root.children].forEach((b, i) => b.classList.toggle("vf-culprit", done() && keys[i] === e.fault));
    for (const [node, wanted] of [[look, !taken(PICTURES) && image.count], [more, !taken(FURTHER) && Object.keys(e.further).length]])
      if (!wanted) node.remove(); else if (!node.parentNode) actions.append(node);  // not moved: it would lose the focus
    look.textContent = "Show pictures: 1 point"; more.textContent = `Measure on${done() ? "" : ": 1 point"}`;
    press.textContent = !done() ? "Name it" : finished() ? "Start again" : "Next report";
    verdict.textContent = done() ? sentence(e) : "";
    const s = score(exhibits, keys.length, answers, hints), of = (n, all) => (s.seen ? `${digits(Number(n.toFixed(1)))} of ${all}` : "–");
    numbers.show({ "you named": of(s.right, s.seen), "the report's rules": of(s.rules, s.seen), "a blind guess": of(s.blind, s.seen), points: of(s.points, POINTS * s.seen) });
    const where = stops ? `It stopped after stage “${STAGE_NAMES[stops].toLowerCase()}”, which failed.` : e.stopped ? `Stage “${STAGE_NAMES[e.stopped].toLowerCase()}” failed; measured on all the same.` : "No stage failed.";
    said.say(`Report ${shown + 1} of ${exhibits.length}. ${where} ${done() ? `Named: ${name(answers[at()])}.` : picked ? `You suspect: ${name(picked)}.` : "Whom do you suspect?"}`);
  }

  function remember() { const state = { seed, shown, answers, hints }; keep.write(state); tell([seed, shown, [...answers], [...hints]]); }

  function hint(which) {
    hints[at()] |= which | (done() ? FREE : 0);
    show(); remember(); press.focus();
  }

  function act() {
    if (!done()) {
      if (!picked) { said.say("Choose a suspect first."); return; }
      answers[at()] = picked;
    } else {
      if (finished()) { answers = answers.map(() => ""); hints = hints.map(() => 0); seed += 1; shown = 0; order = shuffled(exhibits.length, seed); }
      else do shown = (shown + 1) % exhibits.length; while (answers[at()]);
      picked = "";
      if (figure.root.getBoundingClientRect().top < 0) figure.root.scrollIntoView({ block: "start" });
    }
    show(); remember();
  }

  const tell = twoWay(figure, model, ["seed", "shown", "answers", "hints"], () => { if (take(given())) show(); });
  if (!take(keep.read())) take(given());
  show();
  return figure.cleanup;
}

export { bands, place, score, shuffled, zones };
export default { render };
