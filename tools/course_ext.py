"""Sphinx extension: the book prints numbers, figures and verdicts from what the labs recorded.

Roles and directives (all fail the build, by a warning under ``-W``, on an unknown name):

``{claim}`id```            the value measured at ``class``, linked to its row on the Scoreboard;
                           other forms: ``id:range``, ``id:percent``, ``id:expected``; of the
                           record at ``full``: ``id:full``, ``id:full-range``, ``id:full-percent``,
                           ``id:halfway``; ``id:null``, ``id:control``, ``id:power`` and
                           ``id:verdict`` of ``full``, or of ``class`` where there is no such record
``{scoreboard}``           all claims, a section a lab (``scoreboard.py``)
``{lab-costs}``            the table of what each lab cost, and on which machine
``{lab-figure} name``      a picture a lab saved; the content is its caption
``{interactive} name``     an interactive figure a lab saved; ``:poster:`` names a picture for
                           readers without JavaScript; the content is its caption
``{lab-report} name``      the whole report of a model that a lab recorded
``{lab-output} name``      what a command printed in a lab, word for word
``{measures}``             every number of the report, a table a stage, and what is left out
"""

import json
import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from scoreboard import Scoreboard, anchor, table, verdict
from sphinx.addnodes import pending_xref
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

from vae_course.figures import fragment
from vae_course.lab import read_claims
from vae_course.lab.claims import show
from vae_course.report.book import title
from vae_course.report.measures import LEFT_OUT, MEASURES, STAGES
from vae_course.report.numerals import band

log = logging.getLogger(__name__)


def builder_inited(app) -> None:
    root = Path(app.confdir)
    app.course_results = root / "_build" / "results" / "class"
    app.course_claims = read_claims(app.course_results)
    app.course_full = read_claims(root / "results" / "full")
    collector = TocTreeCollectorWithStyles  # Jupyter Book's
    collector.assign_section_numbers = numbered_by_file(collector.assign_section_numbers)
    # sphinx-thebe, which Jupyter Book always loads, puts a broken script on every page.
    for event in ("env-before-read-docs", "doctree-resolved"):
        app.events.listeners[event] = [
            listener
            for listener in app.events.listeners[event]
            if getattr(listener.handler, "__module__", "") != "sphinx_thebe"
        ]


def numbered_by_file(assign: Callable) -> Callable:
    """Sphinx numbers chapters as they come. Ours have the number of their file, ``15-museum…``,
    which labs, exercises and prose say too, whether or not all before it have been written."""

    def assigned(collector, env) -> list[str]:
        before = env.toc_secnumbers
        assign(collector, env)
        for name, numbers in env.toc_secnumbers.items():
            chapter = re.match(r"\d\d(?=-)", Path(name).name)
            if chapter is None:
                continue
            first = int(chapter[0])
            for place, number in numbers.items():
                numbers[place] = number and (first, *number[1:])
            shown = [env.titles[name], *env.tocs[name].findall(nodes.reference)]
            for node in shown:
                if node.get("secnumber"):
                    node["secnumber"] = [first, *node["secnumber"][1:]]
        return [name for name, numbers in env.toc_secnumbers.items() if numbers != before.get(name)]

    return assigned


def recorded(app, kind: str, name: str) -> dict | None:
    """What a lab recorded under this name; a warning and None where none did."""
    found = list(app.course_results.glob(f"*/{kind}/{name}.json"))
    return json.loads(found[0].read_text()) if found else None


def median_of_first(references: Mapping[str, tuple[float, ...]]) -> str:
    return show(statistics.median(next(iter(references.values()))))


FORMS = {
    "": lambda claim: show(claim.value),
    "range": lambda claim: f"{show(min(claim.values))} to {show(max(claim.values))}",
    "percent": lambda claim: f"{show(100 * claim.value)}\N{NO-BREAK SPACE}%",
    "expected": lambda claim: claim.bounds,
    "halfway": lambda claim: show(statistics.median(claim.halfway)),
    "null": lambda claim: median_of_first(claim.null),
    "control": lambda claim: median_of_first(claim.control),
    "power": lambda claim: median_of_first(claim.power),
}


class ClaimRole(SphinxRole):
    def run(self):
        app = self.env.app
        name, _, form = self.text.partition(":")
        claim, full = app.course_claims.get(name), app.course_full.get(name)
        if claim is None and full is None:
            return self.unknown(f"no lab recorded the claim {name!r}")
        of_full = form == "halfway" or form.split("-")[0] == "full"
        plain = form.removeprefix("full").removeprefix("-")
        if plain not in {*FORMS, "verdict"}:
            return self.unknown(f"{{claim}} has no form {form!r}")
        if of_full and full is None:
            return self.unknown(f"claim {name!r} has no record at tier full")
        if of_full or (full is not None and plain in ("null", "control", "power")):
            claim = full
        if claim is None and plain != "verdict":
            return self.unknown(f"claim {name!r} has no record at tier class")
        try:
            text = verdict(claim, full) if plain == "verdict" else FORMS[plain](claim)
        except (StopIteration, TypeError):  # no null, control or power; no half-way run
            return self.unknown(f"claim {name!r} has no {form} on record")
        link = pending_xref(
            "", refdomain="std", reftype="ref", reftarget=anchor(name), refexplicit=True,
            refdoc=self.env.docname, refwarn=True,
        )  # fmt: skip
        link += nodes.inline(text=text)
        return [link], []

    def unknown(self, why: str):
        log.warning(why, location=self.get_location())
        return [nodes.inline(text=f"[{self.text}?]")], []


class LabCosts(SphinxDirective):
    """One row a lab: CPU-seconds, wall time and machine of the run this book shows."""

    def run(self):
        rows = []
        for path in sorted(self.env.app.course_results.glob("*/labs/*.json")):
            cost = json.loads(path.read_text())
            machine = cost["machine"]
            environment = (
                f"{machine['device']}, torch {machine['torch']}, Python {machine['python']}"
            )
            texts = [
                path.stem,
                cost["tier"],
                f"{cost['cpu_seconds']:.0f}",
                f"{cost['wall_seconds']:.0f}",
            ]
            rows.append([nodes.paragraph(text=t) for t in [*texts, environment]])
        header = ["Lab", "Tier", "CPU-seconds", "Seconds on the clock", "Machine"]
        return [table(header, rows, "lab-costs")]


class LabFigure(SphinxDirective):
    """A figure node around what a lab recorded, with the directive's content as caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged}

    def run(self):
        content = recorded(self.env.app, "figures", self.arguments[0])
        if content is None:
            return self.missing("figure")
        return self.figure(content["svg"])

    def missing(self, what: str):
        log.warning(
            "no lab recorded the %s %r", what, self.arguments[0], location=self.get_location()
        )
        return []

    def figure(self, markup: str):
        made = nodes.figure(classes=["lab-figure"])
        self.set_source_info(made)
        made += nodes.raw("", markup, format="html")
        caption = nodes.caption()
        caption += self.parse_inline("\n".join(self.content))[0]
        made += caption
        if "name" in self.options:
            self.add_name(made)
        return [made]

    def parse_inline(self, text: str):
        return self.state.inline_text(text, self.lineno)


class Interactive(LabFigure):
    option_spec = {**LabFigure.option_spec, "poster": directives.unchanged_required}

    def run(self):
        name = self.arguments[0]
        content = recorded(self.env.app, "interactive", name)
        poster = recorded(self.env.app, "figures", self.options.get("poster", name))
        if content is None or poster is None:
            return self.missing("interactive figure" if content is None else "poster of")
        return self.figure(
            f'<div class="figure-mount"><div class="figure-poster">{poster["svg"]}</div>'
            f"{fragment(content)}</div>"
        )


class LabReport(LabFigure):
    """A report in the page, in its own scope: no script, stages folded."""

    has_content = False

    def run(self):
        content = recorded(self.env.app, "reports", self.arguments[0])
        if content is None:
            return self.missing("report")
        return [nodes.raw("", f'<div class="lab-report">{content["html"]}</div>', format="html")]


class LabOutput(LabFigure):
    """A literal block: a command, and what it said."""

    has_content = False

    def run(self):
        content = recorded(self.env.app, "outputs", self.arguments[0])
        if content is None:
            return self.missing("output")
        return [nodes.literal_block("", content["text"].rstrip(), language="console")]


class Measures(SphinxDirective):
    """The registry of the report: what each number asks, how it is computed, when it is good."""

    def run(self):
        made = []
        for stage in STAGES:
            rows = [self.row(q) for q in MEASURES.values() if q.stage == stage]
            made += [nodes.rubric(text=stage.capitalize())]
            made += [table(["Number", "Asks", "Is", "Judged"], rows, "measures")]
        made += [nodes.rubric(text="Left out on purpose"), nodes.definition_list()]
        for name, why in LEFT_OUT.items():
            made[-1] += nodes.definition_list_item(
                "",
                nodes.term(text=name.capitalize()),
                nodes.definition("", nodes.paragraph(text=why)),
            )
        return made

    def row(self, question):
        key = nodes.paragraph()
        key += nodes.literal(text=question.key)
        chapter = nodes.paragraph()
        link = pending_xref(
            "", refdomain="std", reftype="doc", reftarget=f"/book/{question.chapter}",
            refexplicit=True, refdoc=self.env.docname, refwarn=True,
        )  # fmt: skip
        link += nodes.inline(text=title(question.chapter).partition(",")[0])
        chapter += link
        formula = ", in ".join(filter(None, (question.formula, question.unit)))
        judged = "; ".join(filter(None, (band(question.condition), question.condition.ground)))
        null = f"Null: {question.null}." if question.null else ""
        texts = [question.question, formula, f"{judged}. {null}"]
        return [[key, chapter], *[nodes.paragraph(text=text) for text in texts]]


def setup(app):
    app.connect("builder-inited", builder_inited, priority=1)
    app.add_role("claim", ClaimRole())
    app.add_directive("scoreboard", Scoreboard)
    app.add_directive("lab-costs", LabCosts)
    app.add_directive("lab-figure", LabFigure)
    app.add_directive("interactive", Interactive)
    app.add_directive("lab-report", LabReport)
    app.add_directive("lab-output", LabOutput)
    app.add_directive("measures", Measures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
