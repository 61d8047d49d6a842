"""Two reports on one page: what differs, number by number, with the error of the difference."""

import math
from html import escape

from vae_course.report.cards import OTHER, badge, link, prose, stage_of, value
from vae_course.report.compare import Comparison, Difference
from vae_course.report.measures import STAGES
from vae_course.report.numerals import band, interval, with_error
from vae_course.report.page import (
    ASKS,
    FOOTER,
    document,
    facts,
    figure,
    notices,
    style,
    suspects,
    verdict,
)
from vae_course.report.pictures import pictures
from vae_course.report.strip import Mark, strip


def page(comparison: Comparison) -> str:
    """The whole page of a comparison."""
    a, b = (escape(name) for name in comparison.names)
    body = (
        '<header class="vaer-top"><p class="vaer-kicker">Two VAEs, the same images, the same noise'
        f"</p><h1>{a} and {b}</h1>{_both(comparison)}</header>"
        f"<main>{_summary(comparison)}{_stages(comparison, pictured=True)}</main>{FOOTER}"
    )
    return document(f"{' and '.join(comparison.names)}: two VAEs compared", body)


def fragment(comparison: Comparison) -> str:
    """The comparison for the output of a notebook."""
    a, b = (escape(name) for name in comparison.names)
    return (
        f'<div class="vaer vaer-piece"><style>{style()}</style>'
        f'<h2 class="vaer-title">{a} and {b}</h2>{_both(comparison)}{_summary(comparison)}'
        f'<details class="vaer-stage"><summary>All numbers</summary>'
        f"{_stages(comparison, pictured=False)}</details></div>"
    )


def _both(comparison: Comparison) -> str:
    """Either report in short, side by side."""
    columns = (
        f'<section><h2 class="vaer-{kind}">{escape(name)}</h2>{verdict(report)}{facts(report)}'
        f"{notices(report)}{suspects(report, linked=False, level=3)}</section>"
        for kind, name, report in zip(
            ("is-a", "is-b"), comparison.names, (comparison.a, comparison.b), strict=True
        )
    )
    return f'<div class="vaer-both">{"".join(columns)}</div>'


def _summary(comparison: Comparison) -> str:
    """The numbers that really differ, those first that one of the two does not pass."""
    known = [r for r in comparison.rows if r.difference and math.isfinite(r.difference.error)]
    apart = [r for r in comparison.rows if r.differs or r.better]
    lines = "".join(_line(r, comparison.names) for r in sorted(apart, key=lambda r: not r.better))
    found, chance = sum(r.differs for r in known), math.ceil(len(known) / 20)
    said = (
        f"Of {len(known)} differences with a known error, {found} have a 95 % interval that leaves "
        f"0 out; about {chance} would by chance alone."
    )
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in (
            "number",
            *map(escape, comparison.names),
            "second − first",
            "nearer to passing",
        )
    )
    table = (
        '<div class="vaer-scroll" role="region" aria-label="What differs" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
    return (
        f'<section class="vaer-apart"><h2>What differs</h2><p>{said}</p>{table if lines else ""}'
        "</section>"
    )


def _line(row: Difference, names: tuple[str, str]) -> str:
    values = "".join(
        f"<td>{with_error(m.value, m.estimate)} {badge(m.verdict)}</td>" for m in (row.a, row.b)
    )
    d = row.difference
    known = d if d and math.isfinite(d.error) else None
    gap = with_error(d.value, known) if d else ""
    kind = "" if row.paired else " unpaired" if known else " no error known"
    better = escape(dict(zip("ab", names, strict=True)).get(row.better, ""))
    key = f'<th scope="row"><code>{escape(row.key)}</code></th>'
    return f"<tr>{key}{values}<td>{gap}<small>{kind}</small></td><td>{better}</td></tr>"


def _change(row: Difference) -> str:
    """The difference of a row in words."""
    if row.difference is None:
        why = row.a.reading if row.a.verdict == "skipped" else row.b.reading
        return f"Measured for one of the two only: {prose(why.rstrip('.'))}"
    if row.differs is False and row.difference.value == 0:
        return "No difference"
    if not math.isfinite(row.difference.error):
        return f"Difference {with_error(row.difference.value, None)}; no error is known"
    kind = "paired" if row.paired else "not paired: the errors were added"
    return (
        f"Difference {with_error(row.difference.value, row.difference)} "
        f"(95 %: {interval(row.difference)}; {kind})"
    )


def _stages(comparison: Comparison, *, pictured: bool) -> str:
    """A section a stage: pictures of both, then the numbers of either."""
    drawn = [list(pictures(report)) if pictured else [] for report in (comparison.a, comparison.b)]
    sections = []
    for stage in (*STAGES, OTHER):
        # Both of one title stand next to each other, in the order of the first.
        titles = dict.fromkeys(p.title for d in drawn for p in d if p.stage == stage)
        shown = "".join(
            figure(picture._replace(title=f"{title}: {name}"))
            for title in titles
            for name, of_one in zip(comparison.names, drawn, strict=True)
            for picture in of_one
            if picture.title == title
        )
        rows = [r for r in comparison.rows if stage_of(r.key) == stage]
        cards = "".join(_card(r, comparison.names) for r in rows if {*r.verdicts} != {"skipped"})
        if shown or cards:
            heading = f'<span class="vaer-stage-name">{stage}</span> {escape(ASKS[stage])}'
            sections.append(
                f'<section class="vaer-stage"><h2>{heading}</h2><div class="vaer-pairs">{shown}'
                f'</div><div class="vaer-grid">{cards}</div></section>'
            )
    return "".join(sections)


def _card(row: Difference, names: tuple[str, str]) -> str:
    """One number of both, on the same bands."""
    measured = [m for m in (row.a, row.b) if m.verdict != "skipped"]
    marks = [Mark(m.value, m.estimate) for m in measured]
    lines = "".join(
        f'<div class="vaer-is-{kind}"><p class="vaer-name" title="{escape(name)}">{escape(name)}'
        f"</p>{value(m, spread=False) if m in measured else ''}<p>{badge(m.verdict)}</p></div>"
        for kind, name, m in zip("ab", names, (row.a, row.b), strict=True)
    )
    better = dict(zip("ab", names, strict=True)).get(row.better)
    nearer = f" <b>{escape(better)} is nearer to passing.</b>" if better else ""
    drawn = strip(measured[0], *marks) if len(measured) == 2 else ""
    return (
        f'<article class="vaer-card"><header><h3>{escape(row.a.question)}</h3></header>'
        f'<div class="vaer-pair">{lines}</div>{drawn}'
        f'<p class="vaer-reading">{_change(row)}.{nearer}</p>'
        f'<p class="vaer-threshold">{escape(band(row.a.condition))}</p>'
        f"<footer><code>{escape(row.key)}</code>{link(row.a.chapter)}</footer></article>"
    )
