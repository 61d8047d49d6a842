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
"""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from scoreboard import Scoreboard, anchor, table, verdict
from sphinx.addnodes import pending_xref
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from vae_course.figures import fragment
from vae_course.lab import read_claims
from vae_course.lab.claims import show

log = logging.getLogger(__name__)


def builder_inited(app) -> None:
    root = Path(app.confdir)
    app.course_results = root / "_build" / "results" / "class"
    app.course_claims = read_claims(app.course_results)
    app.course_full = read_claims(root / "results" / "full")
    # sphinx-thebe, which Jupyter Book always loads, puts a broken script on every page.
    for event in ("env-before-read-docs", "doctree-resolved"):
        app.events.listeners[event] = [
            listener
            for listener in app.events.listeners[event]
            if getattr(listener.handler, "__module__", "") != "sphinx_thebe"
        ]


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


def setup(app):
    app.connect("builder-inited", builder_inited, priority=1)
    app.add_role("claim", ClaimRole())
    app.add_directive("scoreboard", Scoreboard)
    app.add_directive("lab-costs", LabCosts)
    app.add_directive("lab-figure", LabFigure)
    app.add_directive("interactive", Interactive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
