"""A report as one HTML page that needs no network, and as a piece of a notebook."""

from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from vae_course.report.book import BOOK
from vae_course.report.card import ORDER, Measure, Report
from vae_course.report.cards import OTHER, card, link, prose, sentence, stage_of
from vae_course.report.conditions import Verdict
from vae_course.report.measures import LEFT_OUT, STAGES
from vae_course.report.numerals import number, shape
from vae_course.report.pictures import pictures
from vae_course.report.plot import Picture

_HERE = Path(__file__).parent

ASKS = {
    "wiring": "Is it a function of one image?",
    "range": "Do images and model speak of the same numbers?",
    "moments": "What are codes like?",
    "cycle": "What comes back?",
    "samples": "What does noise become?",
    "space": "Do codes move with images?",
    "geometry": "How long is a step in the code?",
    OTHER: "Numbers of another version",
}
"""What each stage asks."""

FOOTER = (
    '<footer class="vaer-bottom"><p>Made by <code>vae_course.report</code>. What each number means '
    f'stands in the <a href="{BOOK}">book</a>.</p></footer>'
)

KINDS = {
    "gaussian": "Gaussian codes",
    "point": "Codes without noise",
    "codebook": "Indices of a codebook",
    "sphere": "Directions on a sphere",
}

SENTENCES: dict[Verdict, str] = {
    "fail": "Something is wrong: at least one number fails.",
    "look": "Nothing fails. Some numbers are worth a look.",
    "pass": "Every number that is judged passes.",
    "info": "Nothing was judged: these numbers are for information.",
    "skipped": "Nothing could be measured.",
}


def page(report: Report) -> str:
    """The whole page of a report."""
    name = str(report.meta.get("name") or "A VAE")
    main = (
        f'<header class="vaer-top"><p class="vaer-kicker">The geometry of a VAE</p>'
        f"<h1>{escape(name)}</h1>{verdict(report)}{_changed()}{facts(report)}</header>"
        f"<main>{notices(report)}{suspects(report, linked=True)}{_glance(report)}"
        f"{''.join(_stages(report))}{_skipped(report)}{_left_out()}{_made(report)}</main>{FOOTER}"
    )
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return document(f"{name}: report of a VAE", main, script)


def fragment(report: Report) -> str:
    """The report for the output of a notebook: its own scope, no script, stages folded."""
    name = str(report.meta.get("name") or "A VAE")
    return (
        f'<div class="vaer vaer-piece"><style>{style()}</style>'
        f'<div class="vaer-top"><h2 class="vaer-title">{escape(name)}</h2>{verdict(report)}'
        f"{facts(report)}</div>{notices(report)}{suspects(report, linked=False)}"
        f"{''.join(_stages(report, folded=True))}{_skipped(report)}</div>"
    )


def document(title: str, body: str, script: str = "") -> str:
    """A page around a body, with style and script inside it."""
    script = f'<script type="module">{script}</script>' if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f"<style>{style()}@page {{ margin: 14mm }}</style></head>"
        f'<body class="vaer vaer-page">{body}{script}</body></html>'
    )


def style() -> str:
    """The style sheet; each of its rules is about ``.vaer`` and what lies in it."""
    return (_HERE / "page.css").read_text(encoding="utf-8")


def verdict(report: Report) -> str:
    """The verdict in a sentence, and how many numbers got which."""
    counts = Counter(m.verdict for m in report.measures.values())
    sentences = "".join(
        f'<span class="vaer-v-{name}" data-for="{name}">{said}</span>'
        for name, said in SENTENCES.items()
    )
    chips = "".join(
        f'<li class="vaer-v-{name}"><b data-count="{name}">{counts[name]}</b> {name}</li>'
        for name in ORDER
    )
    return (
        f'<p class="vaer-verdict" data-verdict="{report.verdict}" role="status">{sentences}</p>'
        f'<ul class="vaer-counts" aria-label="Verdicts">{chips}</ul>'
    )


def facts(report: Report) -> str:
    """On what it was made, in one line."""
    meta, said = report.meta, []
    if meta.get("code"):
        kind = KINDS.get(str(meta.get("kind")), "Codes")
        said.append(f"{kind}, {shape(meta['code'])}")
    if meta.get("images"):
        used = (meta.get("sizes") or {}).get("images", meta["images"])
        count = meta["images"] if used >= meta["images"] else f"{used} of {meta['images']}"
        low, high = meta.get("value_range") or (0.0, 1.0)
        size = f" of {shape(meta['image'])}" if meta.get("image") else ""
        said.append(f"{count} images{size} in [{number(low)}, {number(high)}]")
    declared = (meta.get("declared") or {}).items()
    said += [f"declared {k} {number(float(v))}" for k, v in declared if v is not None]
    if meta.get("seconds"):
        said.append(f"{number(round(meta['seconds'], 1))} s")
    return f'<p class="vaer-facts">{escape(" · ".join(said))}</p>'


def notices(report: Report) -> str:
    """What was left out, and why, said plainly."""
    meta, said = report.meta, []
    if meta.get("stopped"):
        said.append(
            f"<b>Stopped after the stage <em>{escape(str(meta['stopped']))}</em>.</b> What comes "
            "later rests on it, and its numbers would mean nothing: mend this first, or measure "
            "on with <code>stop=False</code>."
        )
    if meta.get("interrupted"):
        said.append("<b>Interrupted.</b> What had its turn before is here; the rest is missing.")
    if left := meta.get("left_out") or {}:
        budget = meta.get("budget")
        within = f" of {number(budget)} s" if budget else ""
        items = "".join(
            f"<li><code>{escape(str(row))}</code>: {prose(str(why))}</li>"
            for row, why in left.items()
        )
        said.append(f"<b>Left out</b>, most to keep the budget{within}:<ul>{items}</ul>")
    return "".join(f'<div class="vaer-notice">{one}</div>' for one in said)


def suspects(report: Report, *, linked: bool, level: int = 2) -> str:
    """What would explain the numbers, with the remedy first in reach."""
    if not report.suspects:
        return ""
    items = []
    for suspect in report.suspects:
        shown = [
            f'<a href="#m-{escape(key)}"><code>{escape(key)}</code></a>'
            if linked and key in report.measures and report.measures[key].verdict != "skipped"
            else f"<code>{escape(key)}</code>"
            for key in suspect.evidence
        ]
        seen = f"Seen in {', '.join(shown)}. " if shown else ""
        items.append(
            f'<li><p class="vaer-sentence">{prose(suspect.sentence)}</p>'
            f"<p><b>Remedy.</b> {prose(suspect.remedy)}</p>"
            f'<p class="vaer-evidence">{seen}Explained in {link(suspect.chapter)}.</p></li>'
        )
    heading = "Suspect" if len(items) == 1 else "Suspects, the likeliest first"
    heading = f"<h{level}>{heading}</h{level}>"
    return f'<section class="vaer-suspects">{heading}<ol>{"".join(items)}</ol></section>'


def _changed() -> str:
    """Where the page says which thresholds its reader has changed; filled by its script."""
    return (
        '<section class="vaer-changed" id="changed" aria-label="Changed thresholds" hidden><p>'
        "<b>Thresholds changed on this page.</b> Verdicts above follow them; suspects are those of "
        'the report. To keep them, run it with:</p><pre tabindex="0"></pre><p class="vaer-buttons">'
        '<button type="button" data-copy="command">Copy for the command line</button>'
        '<button type="button" data-copy="python">Copy for Python</button>'
        '<button type="button" data-undo>Undo all</button></p></section>'
    )


def _glance(report: Report) -> str:
    """All numbers that were measured, by name and verdict."""
    lines = []
    for stage, measures in _by_stage(report):
        chips = "".join(
            f'<a class="vaer-chip vaer-v-{m.verdict}" href="#m-{escape(m.key)}" '
            f'data-of="{escape(m.key)}">{escape(m.key)}</a>'
            for m in measures
        )
        lines.append(f"<dt>{escape(stage)}</dt><dd>{chips}</dd>")
    return (
        f'<nav class="vaer-glance" aria-label="All numbers"><dl>{"".join(lines)}</dl></nav>'
        if lines
        else ""
    )


def _stages(report: Report, *, folded: bool = False) -> Iterable[str]:
    """A section a stage: its pictures, then its cards."""
    drawn = list(pictures(report))
    measured = dict(_by_stage(report))
    for stage in (*STAGES, OTHER):
        measures = measured.get(stage, [])
        shown = [p for p in drawn if p.stage == stage]
        if not measures and not shown:
            continue
        cards = "".join(card(m, live=not folded) for m in measures)
        inside = f'<div class="vaer-grid">{"".join(figure(p) for p in shown)}{cards}</div>'
        heading = f'<span class="vaer-stage-name">{stage}</span> {escape(ASKS[stage])}'
        if folded:
            worst = min((m.verdict for m in measures), key=ORDER.index, default="info")
            yield (
                f'<details class="vaer-stage"><summary><span class="vaer-v-{worst}">{worst}</span> '
                f"{heading}</summary>{inside}</details>"
            )
        else:
            yield f'<section class="vaer-stage"><h2>{heading}</h2>{inside}</section>'


def figure(picture: Picture) -> str:
    """A picture with its title and caption."""
    wide = " vaer-wide" if "vaer-row" in picture.body else ""
    return (
        f'<figure class="vaer-picture{wide}"><h3>{escape(picture.title)}</h3>{picture.body}'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _by_stage(report: Report) -> Iterable[tuple[str, list[Measure]]]:
    """The measures that were not skipped, stage by stage."""
    measured = [m for m in report.measures.values() if m.verdict != "skipped"]
    for stage in (*STAGES, OTHER):
        if found := [m for m in measured if stage_of(m.key) == stage]:
            yield stage, found


def _fold(title: str, items: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<dt>{term}</dt><dd>{said}</dd>" for term, said in items)
    return (
        f'<details class="vaer-fold vaer-list"><summary>{title}</summary><dl>{lines}</dl></details>'
    )


def _skipped(report: Report) -> str:
    skipped = [m for m in report.measures.values() if m.verdict == "skipped"]
    items = [
        (f"{escape(m.question)} <code>{escape(m.key)}</code>", prose(sentence(m.reading)))
        for m in skipped
    ]
    return _fold(f"Not measured here: {len(items)}, and why", items) if items else ""


def _left_out() -> str:
    return _fold(
        "Not asked on purpose, and why",
        ((escape(name[:1].upper() + name[1:]), prose(why)) for name, why in LEFT_OUT.items()),
    )


def _made(report: Report) -> str:
    """All of meta that the page does not say elsewhere."""
    names = {"sizes", "seed", "budget", "data", "versions"}
    items = [(escape(k), escape(_plainly(v))) for k, v in report.meta.items() if k in names]
    return _fold("How it was made", items)


def _plainly(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return "none" if value is None else str(value)
