// Codes of several slots: each slot drawn alone against whole tuples, and what the decoder makes of them.

const SHOWN = 16;

// A tuple whose slots come from as many random rows: each slot from its own marginal.
function alone(tuples, n, seed) {
  const random = uniforms(seed);
  return Array.from({ length: n }, () => tuples[0].map((_, s) => tuples[Math.floor(random() * tuples.length)][s]));
}

function together(tuples, n, seed) {                   // the whole tuple of a random row
  const random = uniforms(seed);
  return Array.from({ length: n }, () => [...tuples[Math.floor(random() * tuples.length)]]);
}

// Counts of slot s over the rows that begin with these codes.
function counts(tuples, K, s, begin = []) {
  const n = new Array(K).fill(0);
  for (const t of tuples) if (begin.every((k, j) => t[j] === k)) n[t[s]]++;
  return n;
}

const tally = (tuples) => tuples.reduce((seen, t) => seen.set(t.join(), (seen.get(t.join()) ?? 0) + 1), new Map());

// The probability that a tuple drawn slot by slot, alone, is none of the rows.
function unseen(tuples, K) {
  const shares = tuples[0].map((_, s) => counts(tuples, K, s).map((n) => n / tuples.length));
  let known = 0;
  for (const key of tally(tuples).keys()) known += key.split(",").reduce((p, k, s) => p * shares[s][k], 1);
  return Math.max(0, 1 - known);
}

// In how many slots a tuple differs from the row that is most like it.
const fewest = (tuples, tuple) => tuples.reduce((least, t) => Math.min(least, t.reduce((n, k, s) => n + (k !== tuple[s]), 0)), Infinity);

const percent = (p) => (p > 0 && p < 0.01 ? "under 1 %" : p < 1 && p > 0.99 ? "over 99 %" : `${(100 * p).toFixed(0)} %`);

function read(model) {
  const spec = model.get("spec"), packed = bytes(model.get("tuples")), S = spec.slots, codes = model.get("codes");
  const rows = (from, n) => Array.from({ length: n }, (_, i) => [...packed.subarray((from + i) * S, (from + i + 1) * S)]);
  const layers = readDecoder(spec.decoder, model.get("weights")), d = bytes(codes).length / (4 * spec.num_codes);
  const codebook = floats(codes, 0, spec.num_codes * d);
  return {
    ...spec, rows: rows(0, spec.recorded), prior: rows(spec.recorded, spec.drawn),
    decode: (tuple) => decode(layers, tuple.flatMap((k) => [...codebook.subarray(k * d, (k + 1) * d)])),
  };
}

function render({ model, el }) {
  const figure = frame(el, "Codes of several slots, drawn alone or together", "vf-slots");
  const data = read(model), { rows, prior, slots, num_codes: K } = data, seen = tally(rows);
  let chosen = [...model.get("chosen")], seed = model.get("seed"), drawn = 0;
  const name = (tuple) => tuple.map((k) => k + 1).join(", ");
  const all = rows[0].map((_, s) => counts(rows, K, s));

  const ways = [
    { title: "Each slot alone", act: "Draw each slot alone", draw: alone, from: rows, share: unseen(rows, K), stream: 0 },
    { title: "Together: an image's tuple", act: "Draw a whole tuple", draw: together, from: rows, share: 0, stream: 1 },
  ];
  if (prior.length) {
    const share = prior.filter((t) => !seen.has(t.join())).length / prior.length;
    ways.push({ title: "From the learned prior", act: "Draw from the learned prior", draw: together, from: prior, share, stream: 2 });
  }

  // ------------------------------------------------------------ one slot after the other
  const controls = Array.from({ length: slots }, (_, s) => {
    const bars = surface(figure, { label: `Shares of the codes of slot ${s + 1}`, aspect: "auto", draw(g, width, height, c) {
      const now = counts(rows, K, s, chosen.slice(0, s)), total = now.reduce((a, b) => a + b, 0);
      const most = Math.max(...all[s].map((n) => n / rows.length), ...now.map((n) => n / Math.max(1, total)));
      // The bars stand over the slider's thumb, which keeps 8 px from either end.
      const step = (width - 16) / Math.max(1, K - 1), wide = Math.min(0.8 * step, 18), base = height - 3;
      for (let k = 0; k < K; k++) {
        const x = clamp(8 + k * step - wide / 2, 0, width - wide), tall = (p) => Math.round((p / most) * (base - 4));
        const given = tall(total ? now[k] / total : 0), before = tall(all[s][k] / rows.length);
        g.fillStyle = k === chosen[s] ? c.accent : c.line; g.fillRect(x, base - given, wide, given);
        g.strokeStyle = k === chosen[s] ? c.ink : c.muted; g.lineWidth = 1; g.strokeRect(x + 0.5, base - before + 0.5, wide - 1, before - 0.5);
      }
      g.strokeStyle = c.muted; g.beginPath(); g.moveTo(0, base + 0.5); g.lineTo(width, base + 0.5); g.stroke();
    } });
    bars.canvas.classList.add("vf-bars");
    const control = slider({
      label: `Slot ${s + 1}`, min: 1, max: K, value: chosen[s] + 1,
      format: () => {
        const now = counts(rows, K, s, chosen.slice(0, s)), total = now.reduce((a, b) => a + b, 0);
        return `code ${chosen[s] + 1}${total ? `, ${percent(now[chosen[s]] / total)}` : ""}`;
      },
      onInput: (k) => choose(chosen.map((old, j) => (j === s ? k - 1 : old))),
    });
    return { root: make("div", {}, control.root, bars.box), show() { control.set(chosen[s] + 1); bars.redraw(); } };
  });

  const image = picture(data.shape, "the decoded tuple"), where = readout(figure);
  figure.root.append(
    make("div", { className: "vf-left" }, make("div", { className: "vf-choice" }, ...controls.map((c) => c.root)), ...where.nodes),
    make("div", { className: "vf-side" }, image.canvas, ...ways.map((way) => button(way.act, () => choose(way.draw(way.from, 1, 7919 * (seed + 1) + drawn++)[0])))),
  );

  // ------------------------------------------------------------ samples side by side
  const grids = ways.map((way) => {
    const thumbs = Array.from({ length: SHOWN }, () => picture(data.shape, "a sample"));
    return {
      root: make("div", {}, make("p", { className: "vf-name", textContent: way.title }),
        make("p", { className: "vf-share", textContent: `${percent(way.share)} of such tuples belong to no image` }),
        make("div", { className: "vf-grid" }, ...thumbs.map((t) => t.canvas))),
      show() {
        way.draw(way.from, SHOWN, 3 * seed + way.stream).forEach((tuple, i) => {
          const known = seen.has(tuple.join());
          thumbs[i].show(data.decode(tuple), `codes ${name(tuple)}, ${known ? "of an image" : "of no image"}`);
          thumbs[i].canvas.classList.toggle("vf-unseen", !known);
        });
      },
    };
  });
  const field = make("input", { type: "number", min: 0, max: 999999, step: 1, value: seed });
  field.addEventListener("change", () => resample(Number(field.value)));
  figure.root.append(
    make("div", { className: "vf-wide vf-again" }, button("Resample", () => resample(seed + 1)), make("label", { className: "vf-seed" }, "Seed", field)),
    make("div", { className: "vf-wide vf-grids" }, ...grids.map((g) => g.root)),
    make("p", { className: "vf-note vf-wide", textContent: `Bars: how often a slot takes each code; outlined among all ${rows.length} images, filled among those whose earlier slots agree with your choice. Dashed frame: the codes of no image.` }),
  );

  // ------------------------------------------------------------ what the reader can do
  function show() {
    controls.forEach((c) => c.show());
    image.show(data.decode(chosen), `codes ${name(chosen)}, decoded`);
    const n = seen.get(chosen.join()) ?? 0, least = n ? 0 : fewest(rows, chosen);
    where.say(`Codes ${name(chosen)}: ${n ? `the tuple of ${n} of ${rows.length} images.` : `the tuple of no image; the nearest one differs in ${least} of ${slots} slots.`} There are ${K}${"⁰¹²³⁴⁵⁶⁷⁸"[slots]} = ${(K ** slots).toLocaleString("en")} tuples; the images use ${seen.size}.`);
  }

  function choose(tuple) { chosen = tuple; show(); tell(); }

  function resample(next, heard = false) {
    if (Number.isInteger(next)) seed = clamp(next, 0, 999999);
    field.value = seed; drawn = 0;
    grids.forEach((g) => g.show());
    if (!heard) tell();
  }

  function heed() {                                    // Python moved something
    const to = model.get("chosen"), next = model.get("seed");
    if (to.length === slots && to.every((k) => k >= 0 && k < K)) { chosen = [...to]; show(); }
    if (next !== seed) resample(next, true);
  }

  const send = twoWay(figure, model, ["chosen", "seed"], heed), tell = () => send([chosen, seed]);
  show(); grids.forEach((g) => g.show());
  return figure.cleanup;
}

export { alone, counts, fewest, together, unseen };
export default { render };
