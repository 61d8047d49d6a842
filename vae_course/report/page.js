// Thresholds that a reader changes: cards, counts and the verdict follow. Without it the page
// shows all it has to say.
const ORDER = ["fail", "look", "pass", "info", "skipped"];
const cards = [...document.querySelectorAll(".vaer-card[data-key]")];
const panel = document.querySelector(".vaer-changed");
const line = document.querySelector(".vaer-verdict");
const OPEN = [-Infinity, Infinity];
const ends = ["passes-low", "passes-high", "fails-low", "fails-high"];

// As Condition.verdict: a band is null or [low, high]; NaN lies outside of every band.
const outside = (band, v) => band !== null && !(band[0] <= v && v <= band[1]);
const judge = ({ passes, fails }, v) =>
  passes === null && fails === null ? "info"
  : outside(fails, v) ? "fail" : outside(passes, v) ? "look" : "pass";

function read(form) {
  const [a, b, c, d] = ends.map((name) => form.elements[name].value);
  const band = (low, high) =>
    low === "" && high === "" ? null
    : [low === "" ? -Infinity : Number(low), high === "" ? Infinity : Number(high)];
  return { passes: band(a, b), fails: band(c, d) };
}

function fault({ passes, fails }) {
  for (const band of [passes, fails])
    if (band && band[0] > band[1]) return "The first number must not be above the second.";
  if (passes && fails && (passes[0] < fails[0] || passes[1] > fails[1]))
    return "What passes must lie inside what does not fail.";
  return "";
}

// As numerals.band says it.
const short = (v) => String(Number(v.toPrecision(3))).replace("-", "−");
const within = ([low, high], one, both, most, least) =>
  low === high ? one(short(low))
  : isFinite(low) && isFinite(high) ? both(short(low), short(high))
  : isFinite(high) ? most + short(high) : isFinite(low) ? least + short(low) : "";
function inWords({ passes, fails }) {
  if (!passes && !fails) return "for information: no threshold";
  const passing = within(passes ?? OPEN, (a) => `at ${a}`, (a, b) => `${a} to ${b}`, "up to ", "from ") || "else";
  const failing = within(fails ?? OPEN, () => "elsewhere", (a, b) => `outside ${a} to ${b}`, "above ", "below ");
  return `passes ${passing}, ${failing ? `fails ${failing}` : "never fails"}`;
}

function zones(svg, bands) {
  const low = Number(svg.dataset.low), high = Number(svg.dataset.high);
  const f = svg.dataset.log === "1" ? Math.log : (v) => v;
  const at = (v) => (f(Math.min(Math.max(v, low), high)) - f(low)) / (f(high) - f(low));
  for (const [name, band] of [["look", bands.fails], ["pass", bands.passes]]) {
    const zone = svg.querySelector(`.vaer-zone-${name}`), [a, b] = (band ?? OPEN).map(at);
    zone?.setAttribute("x", `${100 * a}%`);
    zone?.setAttribute("width", `${100 * Math.max(b - a, 0.008)}%`);
  }
}

function named(node, verdict) {
  node.className = node.className.replace(/vaer-v-\w+/, `vaer-v-${verdict}`);
}

function show(card, bands) {
  const verdict = judge(bands, Number(card.dataset.value)), badge = card.querySelector(".vaer-badge");
  named(badge, verdict);
  badge.textContent = verdict;
  card.querySelector(".vaer-threshold summary").textContent = inWords(bands);
  for (const svg of card.querySelectorAll(".vaer-strip")) zones(svg, bands);
  for (const chip of document.querySelectorAll(`.vaer-chip[data-of="${CSS.escape(card.dataset.key)}"]`)) named(chip, verdict);
}

function count() {
  const verdicts = cards.map((card) => card.querySelector(".vaer-badge").textContent);
  for (const cell of document.querySelectorAll("[data-count]"))
    if (cell.dataset.count !== "skipped")
      cell.textContent = verdicts.filter((v) => v === cell.dataset.count).length;
  line.dataset.verdict = ORDER.find((v) => verdicts.includes(v)) ?? "skipped";
}

// ---------------------------------------------------------------- what was changed, as text
const changed = new Map();
const python = (v) => (v === Infinity ? "math.inf" : v === -Infinity ? "-math.inf" : String(v));
const command = (v) => (v === Infinity ? "inf" : v === -Infinity ? "-inf" : String(v));
const texts = {
  command: () => {
    const judged = [...changed].filter(([, { passes, fails }]) => passes || fails);
    const free = [...changed.keys()].filter((key) => !judged.some(([k]) => k === key));
    // The band that fails comes first: on the command line it cuts the other one.
    const set = judged.map(([key, { passes, fails }]) => [["fail", fails], ["pass", passes]]
      .map(([name, band]) => `--set ${key}.${name}=${(band ?? OPEN).map(command).join(",")}`).join(" "));
    return [set.join(" \\\n"), ...free.map((key) => `# ${key} for information only: from Python`)]
      .filter(Boolean).join("\n");
  },
  python: () => `conditions.DEFAULT.replace(\n${[...changed].map(([key, bands]) => {
    const [passes, fails] = [bands.passes, bands.fails].map((b) => (b ? `(${b.map(python).join(", ")})` : "None"));
    return `    ${key}=Condition(${passes}, ${fails}),`;
  }).join("\n")}\n)`,
};

function tell() {
  panel.hidden = changed.size === 0;
  panel.querySelector("pre").textContent = texts.command();
}

function edit(card, form) {
  const bands = read(form), wrong = fault(bands);
  form.querySelector(".vaer-wrong").textContent = wrong;
  if (wrong) return;
  const same = ends.every((name) => form.elements[name].value === form.elements[name].defaultValue);
  if (same) changed.delete(card.dataset.key);
  else changed.set(card.dataset.key, bands);
  form.querySelector(".vaer-keep").hidden = same;
  show(card, bands);
  count();
  tell();
}

for (const card of cards) {
  const form = card.querySelector(".vaer-threshold form");
  if (!form) continue;
  form.hidden = false;
  form.addEventListener("input", () => edit(card, form));
  form.addEventListener("submit", (event) => event.preventDefault());
}

panel?.addEventListener("click", async ({ target }) => {
  if ("undo" in target.dataset)
    for (const card of cards.filter((c) => changed.has(c.dataset.key))) {
      const form = card.querySelector("form");
      form.reset();
      edit(card, form);
    }
  const text = texts[target.dataset.copy]?.();
  if (text === undefined) return;
  const shown = panel.querySelector("pre");
  shown.textContent = text;
  getSelection().selectAllChildren(shown); // where copying is refused, the reader can do it
  await navigator.clipboard?.writeText(text).catch(() => {});
});
